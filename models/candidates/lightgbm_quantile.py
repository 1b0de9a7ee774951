"""One LightGBM model across all series: direct, multi-horizon, one booster per quantile level."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS, QUANTILES
from models.boosted_trees import BoostedTrees
from models.candidates.declaration import Declaration
from models.candidates.exponential_smoothing import ExponentialSmoothing
from models.direct_features import Layout, direct_table
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, grid, training_grid
from models.lag_features import Index
from models.quantile_frame import lowest, no_quantiles, quantile_frame, within_reach
from models.rhythm import HOURLY, Rhythm
from models.smoothing import first_forecast
from models.smoothing_point import point_ahead, smoothing_point
from models.tuning.arms import Tuning
from models.tuning.taken import learning

__all__ = ["LIGHTGBM", "LightGBMQuantile", "training_origins"]

# Levels that get a booster; the others are interpolated on the scale of normal scores. With all thirteen the loss is the same (within
# 0.005 of the naive's) at twice the time.
_LEVELS: Final = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
_ROUNDS: Final = 50
_HORIZONS_PER_ORIGIN: Final = 12
# Least steps between origins, made prime to the day; the first that keeps the table below the limit.
_STRIDES: Final = (5, 7, 11, 13, 17, 19, 23, 29, 37, 47, 61, 79, 101)
_MOST_ROWS: Final = 200_000
# Departures from the anchor beyond this many scales are outliers to every booster.
_FARTHEST: Final = 50.0
# A tuned learning rate may make of the median departure at most this much: on development windows the best was 0.75 to 1.25 of it.
_MOST_LEARNT: Final = 1.25
_MIDDLE: Final = QUANTILES.index(0.5)
# From so many rows on, taking the trees out of the boosters costs less than it saves; the numbers are the same.
_MANY_ROWS: Final = 20_000
_PARAMETERS: Final[dict[str, Any]] = {
    "objective": "quantile",
    "learning_rate": 0.08,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.7,
    "lambda_l2": 1.0,
    # One thread: shards share the cores, and the sums are added up in one order.
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class LightGBMQuantile:
    """Learns departures from the exponential smoothing's forecast (see `models.direct_features`) with the horizon as a feature.

    A history too short for one training origin gives no fit, and then no forecast. Of a series' tuning it takes the learning rate, and its
    smoothing the half-life. Trees are common to all series, so a rate other than the default's is applied to what they add up to: the median
    departure of a series is believed that much more, or less. Rows are not weighed by age, which costs twice the time of a fit.
    """

    def __init__(self, seed: int = 0, tuning: Mapping[str, Tuning] | None = None) -> None:
        self.name = "lightgbm"
        self.seed = seed
        self._tuning = tuning or {}
        self.layout = Layout()
        self._calendar = SeriesCalendar()
        self._boosters: list[Any] = []
        self._trees: BoostedTrees | None = None
        self._smoothing = ExponentialSmoothing(seed, tuning)

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:
        """Train on at most 90 days; the last training target lies before the end of the history (see `training_origins`)."""
        import lightgbm

        self._calendar, self._boosters, self._trees, rhythm = calendar, [], None, calendar.rhythm
        names, values, end = training_grid(history, rhythm)
        self.layout = Layout.of(names, events)
        origins = training_origins(values.shape[1], len(names), rhythm)
        if not origins.size:
            return self
        random = np.random.default_rng(self.seed).random((origins.size, rhythm.horizon))
        horizon = np.sort(np.argsort(random, axis=1)[:, :_HORIZONS_PER_ORIGIN], axis=1) + 1
        fitted = self._smoothing.fitted = self._smoothing.learnt(names, values, end, rhythm)
        anchor = smoothing_point(fitted, names, values, origins, horizon, rhythm)
        table = direct_table(names, values, end, origins, horizon, events, calendar, self.layout, anchor)
        departure = values[:, origins[:, None] + horizon - 1] - table.anchor
        target = np.divide(departure, table.scale, out=np.full_like(departure, np.nan), where=table.scale > 0)
        young = origins - np.argmax(np.isfinite(values), axis=1)[:, None] < first_forecast(rhythm)
        usable = np.isfinite(target) & ~young[:, :, None]  # the smoothing has no forecast so soon
        if not usable.any():
            return self
        parameters = {**_PARAMETERS, "seed": self.seed}
        data = lightgbm.Dataset(
            table.features[usable],
            np.clip(target[usable], -_FARTHEST, _FARTHEST).astype(np.float32),
            categorical_feature=self.layout.categories,
            params=parameters,
            free_raw_data=False,
        )
        self._boosters = [lightgbm.train({**parameters, "alpha": level}, data, num_boost_round=_ROUNDS) for level in _LEVELS]
        return self

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        rhythm = self._calendar.rhythm
        names, values = grid(history, issue_time, rhythm)
        fitted = self._smoothing.fitted
        if not self._boosters or fitted is None:
            return no_quantiles(issue_time)
        origin, steps = np.array([rhythm.context]), np.arange(1, horizon + 1)[None, :]
        anchor = point_ahead(fitted, names, values, issue_time, horizon, rhythm)
        table = direct_table(names, values, issue_time, origin, steps, events, self._calendar, self.layout, anchor)
        rows = table.features.reshape(len(names) * horizon, -1)
        departures = _at_every_quantile(np.sort(self._learnt(rows), axis=1)).reshape(len(names), horizon, len(QUANTILES))
        trust = np.minimum(learning(names, self._tuning), _MOST_LEARNT)[:, None, None]
        departures -= (1 - trust) * departures[:, :, _MIDDLE : _MIDDLE + 1]
        quantiles = within_reach(table.anchor[:, 0, :, None] + table.scale[:, 0, :, None] * departures, values)
        return quantile_frame(names, quantiles, issue_time, lowest(values), rhythm.step)

    def _learnt(self, rows: npt.NDArray[np.float32]) -> Array:
        """What every booster says of `rows`, shape (rows, boosters)."""
        if self._trees is None and len(rows) >= _MANY_ROWS:
            self._trees = BoostedTrees(self._boosters)
        if self._trees is not None:
            return self._trees.predict(rows)
        return np.column_stack([booster.predict(rows, num_threads=1) for booster in self._boosters])

    def importance(self) -> pd.DataFrame:
        """`feature, share` of the gain of all boosters, the largest first."""
        gains = sum(np.asarray(booster.feature_importance("gain"), dtype=float) for booster in self._boosters)
        share = gains / max(float(np.sum(gains)), 1e-12) if self._boosters else np.zeros(len(self.layout.columns))
        table = pd.DataFrame({"feature": self.layout.columns, "share": share})
        return table.sort_values("share", ascending=False, ignore_index=True)

    def save(self, folder: Path) -> None:
        """Write `layout.json`, the smoothing that anchors it, and one LightGBM text file per level."""
        folder.mkdir(parents=True, exist_ok=True)
        self._smoothing.save(folder)
        (folder / "layout.json").write_text(json.dumps(asdict(self.layout), indent=2) + "\n", encoding="utf-8")
        for level, booster in zip(_LEVELS, self._boosters, strict=False):
            booster.save_model(folder / f"quantile-{level}.txt")

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote.

        Raises:
            BadInputError: when some boosters are missing.
        """
        import lightgbm

        self.layout = Layout(**{part: tuple(names) for part, names in json.loads((folder / "layout.json").read_text("utf-8")).items()})
        self._calendar = calendar
        self._smoothing = self._smoothing.load(folder, calendar)
        files = [file for file in (folder / f"quantile-{level}.txt" for level in _LEVELS) if file.is_file()]
        if len(files) not in (0, len(_LEVELS)):
            raise BadInputError(f"{folder}: {len(files)} of {len(_LEVELS)} boosters; the model was not saved whole, train again")
        self._boosters, self._trees = [lightgbm.Booster(model_file=file) for file in files], None
        return self


def training_origins(steps: int, series: int, rhythm: Rhythm = HOURLY) -> Index:
    """Origins (first step not known) within a history of `steps`, oldest first.

    Every origin lies at least the whole horizon before the end, so that no training target reaches the cutoff; the first one has
    three days before it. Few enough that the table stays below 200,000 rows.
    """
    for stride in _STRIDES:
        origins = np.arange(steps - rhythm.horizon, rhythm.shortest - 1, -rhythm.stride(stride), dtype=np.int64)[::-1].copy()
        if origins.size * series * _HORIZONS_PER_ORIGIN <= _MOST_ROWS:
            break
    return origins


def _at_every_quantile(learnt: Array) -> Array:
    """From (rows, boosters) to (rows, quantiles), linear between normal scores."""
    have, want = (np.array([NormalDist().inv_cdf(level) for level in levels]) for levels in (_LEVELS, QUANTILES))
    right: npt.NDArray[np.intp] = np.clip(np.searchsorted(have, want), 1, have.size - 1)
    share = (want - have[right - 1]) / (have[right] - have[right - 1])
    quantiles: Array = learnt[:, right - 1] * (1 - share) + learnt[:, right] * share
    return quantiles


LIGHTGBM: Final = Declaration(
    "lightgbm", LightGBMQuantile, pooled=True, seconds=0.02, seconds_per_fit=0.4, packages=("lightgbm",), default=True
)
