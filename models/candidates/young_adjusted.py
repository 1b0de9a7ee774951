"""A candidate that forecasts a series of a few days without the shape of a week that it has not shown, which is put back from other series."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILE_COLUMNS, QUANTILES
from models.forecaster import Forecaster, SeriesCalendar, StoredForecaster, restored
from models.hourly_grid import Array, grid, places, training_grid, with_demand
from models.lag_features import Index
from models.quantile_frame import lowest, quantile_frame, within_reach
from models.rhythm import HOURLY, Rhythm
from models.week_shape import WeekShape, YoungWeeks, learn_week_shape

__all__ = ["YoungAdjusted"]

_MIDDLE: Final = QUANTILES.index(0.5)
_UPPER: Final = QUANTILES.index(0.9)
_TINY: Final = 1e-12
_NORMAL: Final = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])
# At this age, in days, the 80 % interval of a candidate is half as wide as it should be: without older series to learn from, and with them. Chosen
# on short histories cut from recordings before their last nine days (decision 13).
_HALF_KNOWN: Final = (6.0, 4.0)


class YoungAdjusted:
    """Divides the history of series of less than two weeks by the shape of their segment's week, and multiplies the inner candidate's forecast by it.

    The half-widths of its intervals are, for a series that began less than a week and a horizon ago (see `models.backtest.seasoned`), multiplied by
    1 + (d / age)^2 |z| / z(0.9), with z the normal score of a level (the more the rarer, as in Student's distribution) and d six days, or four
    beside series of two weeks or more. On weekdays that the series has not had they are at least |z| times what its days are apart. Other series
    stay as they are. See `models.week_shape`.
    """

    def __init__(self, inner: Forecaster) -> None:
        self.name = inner.name
        self.inner = inner
        self.shape: WeekShape | None = None
        self._rhythm = HOURLY

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:
        """Learn the shape of the week, then fit the inner candidate on histories without it."""
        rhythm, self.shape = calendar.rhythm, None
        self._rhythm = rhythm
        if len(history):
            names, values, end = training_grid(history, rhythm, rhythm.context)
            self.shape = learn_week_shape(names, values, end, rhythm)
            history = _divided(history, names, self.shape.of_young(names, values, end, 0, rhythm), values.shape[1], end, rhythm)
        self.inner = self.inner.fit(history, events, calendar)
        return self

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        rhythm = self._rhythm
        names, values = grid(history, issue_time, rhythm)
        young = self.shape.of_young(names, values, issue_time, horizon, rhythm) if self.shape is not None else None
        if young is None:
            return self.inner.predict_quantiles(history, events, issue_time, horizon)
        inner = self.inner.predict_quantiles(
            _divided(history, names, young, values.shape[1], issue_time, rhythm), events, issue_time, horizon
        )
        served = list(inner["unique_id"].unique())
        at = places(served, [names[row] for row in young.rows])
        here = at < len(served)
        quantiles = inner[list(QUANTILE_COLUMNS)].to_numpy(dtype=float).reshape(len(served), horizon, len(QUANTILES))
        ahead = young.factors[here][:, values.shape[1] :, None]
        wide = _widened(quantiles[at[here]], young.age[here], young.spread[here], self._half_known, rhythm) * ahead
        quantiles[at[here]] = within_reach(wide, values[young.rows[here]])
        return quantile_frame(served, quantiles, issue_time, lowest(values[places(names, served)]), rhythm.step)

    @property
    def _half_known(self) -> float:
        return _HALF_KNOWN[bool(self.shape is not None and self.shape.series)]

    def save(self, folder: Path) -> None:
        """Write the shape of the week, and the inner candidate's fit when it keeps one."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.shape is not None:
            self.shape.save(folder)
        if isinstance(self.inner, StoredForecaster):
            self.inner.save(folder)

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote."""
        self._rhythm, self.shape = calendar.rhythm, WeekShape.load(folder)
        self.inner = restored(self.inner, folder, calendar)
        return self


def _divided(
    history: pd.DataFrame, names: list[str], young: YoungWeeks | None, steps: int, end: pd.Timestamp, rhythm: Rhythm
) -> pd.DataFrame:
    """`history` without the shape of the week in the rows of young series, which lie in the `steps` before `end`."""
    if young is None:
        return history
    # Few series are young: their rows alone are looked at one by one.
    row = pd.Index([names[at] for at in young.rows]).get_indexer(pd.Index(history["unique_id"]))
    mine = np.flatnonzero(row >= 0)
    back = ((history["ds"].iloc[mine] - end) // rhythm.step).to_numpy(dtype=np.int64)
    y = history["y"].to_numpy(dtype=float, copy=True)
    y[mine] /= young.factors[row[mine], steps + np.clip(back, -steps, -1)]
    return with_demand(history, y)


def _widened(quantiles: Array, age: Index, spread: Array, half_known: float, rhythm: Rhythm) -> Array:
    """`quantiles` (series, horizon, levels) of series of `age` steps whose days are `spread` apart, with intervals as wide as so little told them."""
    horizon = quantiles.shape[1]
    middle = quantiles[..., _MIDDLE, None]
    little = np.where(age < rhythm.week + horizon, (half_known * rhythm.day / age) ** 2, 0.0)
    half = (quantiles - middle) * (1.0 + little[:, None, None] * np.abs(_NORMAL) / _NORMAL[_UPPER])
    size = np.abs(middle)
    day = spread[:, None, None] * size / np.maximum(size.mean(axis=1, keepdims=True), _TINY)
    unseen = np.arange(horizon) % rhythm.week - rhythm.week < -age[:, None]
    least = np.abs(_NORMAL) * np.where(unseen[..., None], day, 0.0)
    widened: Array = middle + np.sign(_NORMAL) * np.maximum(np.abs(half), least)
    return widened
