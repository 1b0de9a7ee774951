"""Seasonal naive: the next day (or week) repeats the last one, with the errors that this made before."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILES
from models.candidates.declaration import Declaration
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, fill_gaps, fill_rows, grid
from models.quantile_frame import lowest, quantile_frame
from models.rhythm import HOURLY
from models.row_quantiles import row_quantiles

__all__ = ["SEASONAL_NAIVES", "SeasonalNaive", "naive_quantiles"]

_LEVELS: Final = np.array(QUANTILES)
# Errors that quantiles need.
_FEWEST: Final = 24
# What is worked on at once stays in the processor's cache.
_SERIES_AT_ONCE: Final = 64


class SeasonalNaive:
    """Repeats the last `season` hours, a day or whole days; quantiles are those of its own past errors at the same number of seasons ahead.

    Serves any series with at least one measured hour: one too short for its season repeats a shorter one (a day, or an hour).
    """

    def __init__(self, season: int) -> None:
        self.season = season
        self.name = f"seasonal-naive-{season}"
        self._rhythm = HOURLY

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:  # noqa: ARG002 -- the protocol's arguments
        self._rhythm = calendar.rhythm
        return self

    def predict_quantiles(
        self,
        history: pd.DataFrame,
        events: pd.DataFrame,  # noqa: ARG002 -- the protocol's argument
        issue_time: pd.Timestamp,
        horizon: int = HORIZON_HOURS,
    ) -> pd.DataFrame:
        day, season = self._rhythm.day, self._rhythm.day * self.season // HOURLY.day
        names, values = grid(history, issue_time, self._rhythm)
        quantiles = np.empty((len(names), horizon, _LEVELS.size))
        begins = np.argmax(np.isfinite(values), axis=1)
        for first in np.unique(begins):
            together = np.flatnonzero(begins == first)
            for at in range(0, together.size, _SERIES_AT_ONCE):
                rows = together[at : at + _SERIES_AT_ONCE]
                known = values[rows, first:]
                quantiles[rows] = _repeated(known, _filled(known, day), horizon, season, day)
        return quantile_frame(names, quantiles, issue_time, lowest(values), self._rhythm.step)


def naive_quantiles(values: Array, horizon: int, season: int = HOURLY.day, day: int = HOURLY.day) -> Array:
    """Quantiles of shape (horizon, quantiles) of one series, NaN where nothing was measured; at least one step must be measured."""
    filled = fill_gaps(values, day)
    found: Array = _repeated(values[None, -filled.size :], filled[None], horizon, season, day)[0]
    return found


def _filled(values: Array, day: int) -> Array:
    """`fill_gaps` of every row of `values`, whose first steps are all measured."""
    if np.isfinite(values).all():
        return values
    filled = fill_rows(values, day)
    length = values.shape[1]
    # Times of the day that a row never measured are what the two ways of filling differ in.
    measured = np.pad(np.isfinite(values), ((0, 0), (0, -length % day)), constant_values=length < day)
    times = np.any(measured.reshape(len(values), -1, day), axis=1)
    for row in np.flatnonzero(~np.all(times, axis=1)):
        filled[row] = fill_gaps(values[row], day)
    return filled


def _repeated(measured: Array, filled: Array, horizon: int, season: int, day: int) -> Array:
    """Quantiles of shape (series, horizon, quantiles) of series that begin together, with gaps and without."""
    length = filled.shape[1]
    # Two seasons are needed to know one error.
    season = next((s for s in (season, day) if length >= 2 * s), 1)
    steps = np.arange(horizon)
    ahead = steps // season + 1
    errors = np.stack([_error_quantiles(measured, filled, season * k) for k in range(1, ahead[-1] + 1)], axis=1)
    quantiles: Array = filled[:, length - season + steps % season, None] + errors[:, ahead - 1]
    return quantiles


def _error_quantiles(measured: Array, filled: Array, lag: int) -> Array:
    """Quantiles of y[t] - y[t - lag] over measured hours, a row per series; with too few of them the lag is halved to one that has enough."""
    length = filled.shape[1]
    while lag > 1 and length - lag < _FEWEST:
        lag //= 2
    if length <= lag:
        return np.zeros((len(filled), _LEVELS.size))
    quantiles = row_quantiles(measured[:, lag:] - filled[:, :-lag], _LEVELS)
    return np.where(np.isfinite(quantiles), quantiles, 0.0)


SEASONAL_NAIVES: Final = (
    Declaration("seasonal-naive-24", lambda _seed, _tuning: SeasonalNaive(24), seconds=0.001, default=True),
    Declaration("seasonal-naive-168", lambda _seed, _tuning: SeasonalNaive(168), seconds=0.001, default=True),
)
