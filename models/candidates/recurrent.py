"""One recurrent network (GRU) across all series; needs the extra `headroom[deep]`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS
from models.candidates.declaration import Declaration
from models.forecaster import SeriesCalendar
from models.hourly_grid import grid, training_grid
from models.lag_features import Index
from models.quantile_frame import lowest, no_quantiles, quantile_frame, within_reach
from models.recurrent_network import Parameters, Shape, quantiles_of, train
from models.recurrent_windows import Outlook, outlook, windows
from models.rhythm import Rhythm

__all__ = ["GRU", "Recurrent"]

_STEPS: Final = 1000
_BATCH: Final = 64
# Numbers in the windows that a training draws from: 8,900 windows of four weeks of hours.
_MOST_VALUES: Final = 6_000_000


class Recurrent:
    """Learns departures from the repeated last day (see `models.recurrent_windows`) with the network of `models.recurrent_network`.

    A history too short for one training window gives no fit, and then no forecast. Beyond the horizon it was trained for it repeats the
    last day that it forecast.
    """

    def __init__(self, seed: int = 0, steps: int | None = None) -> None:
        """A new, unfitted candidate.

        Args:
            steps: of training; as many as pay on the benchmark's traces when not given.

        Raises:
            BadInputError: when the libraries are missing.
        """
        if not GRU.installed():
            raise BadInputError(
                "candidate gru needs JAX, which is not installed: `uv sync --extra deep` or `pip install 'headroom[deep]'`, or leave it out"
            )
        self.name = "gru"
        self.seed = seed
        self.steps = _STEPS if steps is None else steps
        self._calendar = SeriesCalendar()
        self._outlook = Outlook()
        self._parameters: Parameters = {}

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:
        """Train on at most 90 days; the last training target lies before the end of the history."""
        self._calendar, self._parameters, rhythm = calendar, {}, calendar.rhythm
        names, values, end = training_grid(history, rhythm)
        self._outlook = outlook(events, values.shape[1] / rhythm.week)
        series, origins = _training_windows(np.isfinite(values), rhythm, self.seed)
        if not origins.size:
            return self
        inputs, anchor, scale = windows(names, values, end, series, origins, events, calendar, self._outlook)
        truth = values[series[:, None], origins[:, None] + np.arange(rhythm.horizon)]
        unit = np.broadcast_to(scale[:, None], truth.shape)
        target = np.divide(truth - anchor, unit, out=np.full_like(truth, np.nan), where=unit > 0)
        self._parameters = train(self._shape(), inputs, target.astype(np.float32), steps=self.steps, batch=_BATCH, seed=self.seed)
        return self

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        rhythm = self._calendar.rhythm
        names, values = grid(history, issue_time, rhythm)
        if not self._parameters or not names:
            return no_quantiles(issue_time)
        series, origins = np.arange(len(names)), np.full(len(names), rhythm.context)
        inputs, anchor, scale = windows(names, values, issue_time, series, origins, events, self._calendar, self._outlook)
        departures = quantiles_of(self._shape(), self._parameters, inputs)
        quantiles = within_reach(anchor[..., None] + scale[:, None, None] * departures, values)
        return quantile_frame(names, quantiles[:, _places(horizon, rhythm)], issue_time, lowest(values), rhythm.step)

    def save(self, folder: Path) -> None:
        """Write `network.json` and `network.npz`."""
        folder.mkdir(parents=True, exist_ok=True)
        told = {"outlook": asdict(self._outlook), "shape": asdict(self._shape())}
        (folder / "network.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        parameters: dict[str, Any] = {name: np.asarray(values) for name, values in self._parameters.items()}
        np.savez(folder / "network.npz", **parameters)

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote.

        Raises:
            BadInputError: when it was trained for another step or horizon.
        """
        told = json.loads((folder / "network.json").read_text("utf-8"))
        self._calendar = calendar
        kept: dict[str, Any] = {part: tuple(value) if isinstance(value, list) else value for part, value in told["outlook"].items()}
        self._outlook = Outlook(**kept)
        if told["shape"] != asdict(self._shape()):
            raise BadInputError(f"{folder}: the network was trained for {told['shape']}, not {asdict(self._shape())}; train again")
        with np.load(folder / "network.npz", allow_pickle=False) as stored:
            self._parameters = {name: stored[name] for name in stored.files}
        return self

    def _shape(self) -> Shape:
        return Shape.of(self._calendar.rhythm, self._outlook.columns)


def _training_windows(measured: np.ndarray, rhythm: Rhythm, seed: int) -> tuple[Index, Index]:
    """(series, origins) of random windows, in the order of the series.

    Every origin lies at least the whole horizon before the end, so that no training target reaches the cutoff, and has the steps of the
    shortest series behind it.
    """
    first = np.argmax(measured, axis=1)
    origins = np.arange(rhythm.shortest, measured.shape[1] - rhythm.horizon + 1)
    series, place = np.nonzero(origins[None, :] - rhythm.shortest >= first[:, None])
    most = _MOST_VALUES // rhythm.context
    if series.size > most:
        some = np.sort(np.random.default_rng(seed).choice(series.size, most, replace=False))
        series, place = series[some], place[some]
    return series, origins[place]


def _places(horizon: int, rhythm: Rhythm) -> Index:
    """Which forecast step serves each of the steps 1 ... horizon; those beyond the last one go back by whole days."""
    step = np.arange(horizon)
    beyond = np.maximum(step - (rhythm.horizon - 1), 0)
    back = step - rhythm.day * -(-beyond // rhythm.day)
    found: Index = np.where(back >= 0, back, rhythm.horizon - 1)
    return found


# Its training takes about as long for few series as for many; it learns little from few.
GRU: Final = Declaration(
    "gru",
    lambda seed, _tuning: Recurrent(seed),
    pooled=True,
    seconds=0.0,
    seconds_per_fit=20.0,
    fewest_series=20,
    packages=("jax", "optax"),
)
