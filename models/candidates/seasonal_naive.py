"""Seasonal naive: the next day (or week) repeats the last one, with the errors that this made before."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILES
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, fill_gaps, grid
from models.quantile_frame import lowest, quantile_frame
from models.rhythm import HOURLY

__all__ = ["SeasonalNaive", "naive_quantiles"]

_LEVELS: Final = np.array(QUANTILES)
# Errors that quantiles need.
_FEWEST: Final = 24


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
        names, values = grid(history.dropna(subset=["y"]), issue_time, self._rhythm)
        quantiles = np.array([naive_quantiles(row, horizon, season, day) for row in values]).reshape(len(names), horizon, _LEVELS.size)
        return quantile_frame(names, quantiles, issue_time, lowest(values), self._rhythm.step)


def naive_quantiles(values: Array, horizon: int, season: int = HOURLY.day, day: int = HOURLY.day) -> Array:
    """Quantiles of shape (horizon, quantiles) of one series, NaN where nothing was measured; at least one step must be measured."""
    filled = fill_gaps(values, day)
    # Two seasons are needed to know one error.
    season = next((s for s in (season, day) if filled.size >= 2 * s), 1)
    steps = np.arange(horizon)
    point = filled[filled.size - season + steps % season]
    ahead = steps // season + 1
    errors = np.array([_error_quantiles(values[-filled.size :], filled, season * k) for k in range(1, ahead[-1] + 1)])
    quantiles: Array = point[:, None] + errors[ahead - 1]
    return quantiles


def _error_quantiles(measured: Array, filled: Array, lag: int) -> Array:
    """Quantiles of y[t] - y[t - lag] over measured hours; with too few of them the lag is halved to one that has enough."""
    while lag > 1 and filled.size - lag < _FEWEST:
        lag //= 2
    errors = measured[lag:] - filled[:-lag] if filled.size > lag else np.zeros(1)
    errors = errors[np.isfinite(errors)]
    return np.quantile(errors, _LEVELS) if errors.size else np.zeros(_LEVELS.size)
