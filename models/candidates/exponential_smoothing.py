"""Double seasonal exponential smoothing of all series at once, averaged over smoothing parameters: seconds for a thousand of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS
from models.candidates.declaration import Declaration
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, fill_rows, grid, training_grid
from models.lag_features import Index
from models.log_scale import LogScale
from models.quantile_frame import lowest, no_quantiles, quantile_frame, within_reach
from models.rhythm import HOURLY, Rhythm
from models.smoothing_end import SmoothingEnd
from models.smoothing_fit import SmoothingFit, changing_unit, fit_smoothing, usual_half_life
from models.smoothing_point import point_ahead
from models.smoothing_trial import block_of
from models.tuning.arms import Tuning
from models.tuning.taken import half_life_days

__all__ = ["EXPONENTIAL_SMOOTHING", "ExponentialSmoothing"]

_SERIES_AT_ONCE: Final = 256
_ARRAYS: Final = ("chosen", "weights", "errors", "ratios", "seasons")
_ENDED: Final = ("state", "days", "scale")


class ExponentialSmoothing:
    """Averages the smoothings of `models.smoothing` that forecast a series best before, on the plain and on a logarithmic scale.

    Best is told by the absolute errors of forecasts as far ahead as they are asked for, not of the next step, and for blocks of horizons. A
    forecast smooths the context again with the parameters that were chosen; quantiles are those of the errors made before, the more
    multiplicative the more the logarithmic scale is preferred. Of a series' tuning it takes the half-life of what was seen of its errors.
    """

    def __init__(self, seed: int = 0, tuning: Mapping[str, Tuning] | None = None) -> None:
        self.name = "exponential-smoothing"
        self.seed = seed
        self._tuning = tuning or {}
        self.fitted: SmoothingFit | None = None
        self._rhythm = HOURLY

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:  # noqa: ARG002 -- the protocol's arguments
        rhythm = self._rhythm = calendar.rhythm
        names, values, end = training_grid(history, rhythm)
        self.fitted = self.learnt(names, values, end, rhythm) if names else None
        return self

    def learnt(self, names: list[str], values: Array, end: pd.Timestamp, rhythm: Rhythm) -> SmoothingFit:
        """What is learnt from `values` (series, steps) before `end`."""
        half_life = half_life_days(names, self._tuning, usual_half_life(rhythm) / rhythm.day) * rhythm.day
        return fit_smoothing(names, values, end, rhythm, half_life)

    def predict_quantiles(
        self,
        history: pd.DataFrame,
        events: pd.DataFrame,  # noqa: ARG002 -- the protocol's argument
        issue_time: pd.Timestamp,
        horizon: int = HORIZON_HOURS,
    ) -> pd.DataFrame:
        rhythm = self._rhythm
        names, values = grid(history, issue_time, rhythm)
        if not names or self.fitted is None:
            return no_quantiles(issue_time)
        rows, point = self.fitted.rows(names), point_ahead(self.fitted, names, values, issue_time, horizon, rhythm)[:, 0]
        parts = [slice(at, at + _SERIES_AT_ONCE) for at in range(0, len(names), _SERIES_AT_ONCE)]
        quantiles = np.concatenate([_around(point[part], self.fitted, rows[part], values[part], rhythm) for part in parts])
        return quantile_frame(names, within_reach(quantiles, values), issue_time, lowest(values), rhythm.step)

    def save(self, folder: Path) -> None:
        """Write `smoothing.npz`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.fitted is not None:
            kept = {name: getattr(self.fitted, name) for name in _ARRAYS}
            if self.fitted.ended is not None:
                kept |= {f"ended_{name}": getattr(self.fitted.ended, name) for name in _ENDED}
            end = np.array(self.fitted.end.isoformat())
            np.savez(folder / "smoothing.npz", names=np.array(self.fitted.names, dtype=str), end=end, **kept)

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote."""
        self._rhythm, self.fitted = calendar.rhythm, None
        if (folder / "smoothing.npz").exists():
            with np.load(folder / "smoothing.npz", allow_pickle=False) as told:
                kept = {name: told[name] for name in _ARRAYS}
                ended = SmoothingEnd(*(told[f"ended_{name}"] for name in _ENDED)) if "ended_state" in told else None
                self.fitted = SmoothingFit(names=tuple(map(str, told["names"])), end=pd.Timestamp(str(told["end"])), ended=ended, **kept)
        return self


def _around(point: Array, fitted: SmoothingFit, rows: Index, values: Array, rhythm: Rhythm) -> Array:
    """Quantiles of shape (series, horizon, quantiles) around point forecasts, by the errors that those of `rows` of the fit made before."""
    block, scale = block_of(np.arange(1, point.shape[1] + 1), rhythm), LogScale.of(values)
    weights = fitted.weights[rows][:, block]
    unit = changing_unit(fill_rows(values, rhythm.day), np.array([values.shape[1]]), rhythm.day)
    plain = point[:, :, None] + unit[:, :, None] * fitted.errors[rows][:, block]
    logged = (scale.to(point)[:, :, None] + fitted.ratios[rows][:, block]).transpose(2, 0, 1)
    share = weights[:, :, fitted.chosen.shape[2] :].sum(axis=2) * scale.applies[:, None]
    found: Array = plain + share[:, :, None] * (scale.back(logged).transpose(1, 2, 0) - plain)
    return found


EXPONENTIAL_SMOOTHING: Final = Declaration("exponential-smoothing", ExponentialSmoothing, pooled=True, seconds=0.008, default=True)
