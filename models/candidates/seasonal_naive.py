"""Seasonal naive: the next day (or week) repeats the last one, with the errors that this made before."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILES
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, fill_gaps, grid
from models.quantile_frame import lowest, quantile_frame

__all__ = ["SeasonalNaive", "naive_quantiles"]

_LEVELS: Final = np.array(QUANTILES)


class SeasonalNaive:
    """Repeats the last `season` hours; quantiles are those of its own past errors at the same number of seasons ahead.

    Serves any series with at least one measured hour: one too short for its season repeats a shorter one (a day, or an hour).
    """

    def __init__(self, season: int) -> None:
        self.season = season
        self.name = f"seasonal-naive-{season}"

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:  # noqa: ARG002 -- the protocol's arguments
        return self

    def predict_quantiles(
        self,
        history: pd.DataFrame,
        events: pd.DataFrame,  # noqa: ARG002 -- the protocol's argument
        issue_time: pd.Timestamp,
        horizon: int = HORIZON_HOURS,
    ) -> pd.DataFrame:
        names, values = grid(history.dropna(subset=["y"]), issue_time)
        quantiles = np.array([naive_quantiles(row, horizon, self.season) for row in values]).reshape(len(names), horizon, _LEVELS.size)
        return quantile_frame(names, quantiles, issue_time, lowest(values))


def naive_quantiles(values: Array, horizon: int, season: int = 24) -> Array:
    """Quantiles of shape (horizon, quantiles) of one series, NaN where nothing was measured; at least one hour must be measured."""
    filled = fill_gaps(values)
    # Two seasons are needed to know one error.
    season = next((s for s in (season, 24) if filled.size >= 2 * s), 1)
    steps = np.arange(horizon)
    point = filled[filled.size - season + steps % season]
    ahead = steps // season + 1
    errors = np.array([_error_quantiles(values[-filled.size :], filled, season * k) for k in range(1, ahead[-1] + 1)])
    quantiles: Array = point[:, None] + errors[ahead - 1]
    return quantiles


def _error_quantiles(measured: Array, filled: Array, lag: int) -> Array:
    """Quantiles of y[t] - y[t - lag] over measured hours; with too few of them the lag is halved to one that has enough."""
    while lag > 1 and filled.size - lag < 24:
        lag //= 2
    errors = measured[lag:] - filled[:-lag] if filled.size > lag else np.zeros(1)
    errors = errors[np.isfinite(errors)]
    return np.quantile(errors, _LEVELS) if errors.size else np.zeros(_LEVELS.size)
