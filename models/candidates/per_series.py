"""Forecasting series one by one, with a guard around libraries that break down on odd series."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from headroom.vocabulary import QUANTILES
from models.candidates.seasonal_naive import naive_quantiles
from models.hourly_grid import Array, fill_gaps
from models.quantile_frame import REACH
from models.rhythm import HOURLY

__all__ = ["forecast_each"]

_LOG = logging.getLogger(__name__)
_LEVELS: Final = len(QUANTILES)
# What statsforecast, scipy and Stan raise on series that they cannot fit.
_BREAKDOWNS: Final = (ArithmeticError, ValueError, RuntimeError, IndexError, np.linalg.LinAlgError)


def forecast_each(
    candidate: str,
    names: Sequence[str],
    values: Array,
    horizon: int,
    forecast_one: Callable[[str, Array, int], Array],
    day: int = HOURLY.day,
) -> Array:
    """Quantiles of shape (series, horizon, quantiles); `forecast_one(name, filled, horizon)` gives those of one series without gaps.

    A constant series repeats its value. Where `forecast_one` breaks down, or runs away from the range of the history, the series
    gets the seasonal naive, and a warning says so.
    """
    found = [_guarded(candidate, name, row, horizon, forecast_one, day) for name, row in zip(names, values, strict=True)]
    return np.array(found).reshape(len(names), horizon, _LEVELS)


def _guarded(candidate: str, name: str, values: Array, horizon: int, forecast_one: Callable[[str, Array, int], Array], day: int) -> Array:
    filled = fill_gaps(values, day)
    low, high = float(filled.min()), float(filled.max())
    if high - low <= 1e-9 * abs(high):
        return np.full((horizon, _LEVELS), filled[-1])
    try:
        quantiles = forecast_one(name, filled, horizon)
    except _BREAKDOWNS as error:
        _LOG.warning("%s broke down on %s (%s: %s); seasonal naive instead", candidate, name, type(error).__name__, error)
        return naive_quantiles(values, horizon, day, day)
    reach = REACH * (high - low)
    if not np.isfinite(quantiles).all() or quantiles.min() < low - reach or quantiles.max() > high + reach:
        _LOG.warning("%s ran away on %s (%.4g to %.4g); seasonal naive instead", candidate, name, quantiles.min(), quantiles.max())
        return naive_quantiles(values, horizon, day, day)
    return quantiles
