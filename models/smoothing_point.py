"""Point forecasts of a fitted exponential smoothing from many origins: what a regression may depart from."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from models.hourly_grid import Array
from models.lag_features import Index
from models.log_scale import LogScale
from models.rhythm import Rhythm
from models.shared_work import once
from models.smoothing_ahead import forecasts_ahead
from models.smoothing_fit import CHOICES, SmoothingFit, on_both_scales, weighed
from models.smoothing_trial import block_of

__all__ = ["point_ahead", "smoothing_point"]

# Forecasts held at once.
_MOST_VALUES: Final = 8_000_000
_SERIES_AT_ONCE: Final = 256


def smoothing_point(fitted: SmoothingFit, names: list[str], values: Array, origins: Index, horizon: Index, rhythm: Rhythm) -> Array:
    """Shape (series, origins, horizons), in the unit of the series; each reads only what lies before its origin.

    Seasons are learnt from `values` too, not taken from the fit, which has seen what came after an origin.

    Args:
        values: shape (series, steps), NaN where nothing was measured.
        origins: first steps not known, ascending.
        horizon: shape (origins, horizons), steps ahead from 1.
    """
    ahead = np.arange(1, int(horizon.max()) + 1)
    block, rows, kept = block_of(ahead, rhythm), fitted.rows(names), fitted.chosen.shape[2]
    at_once = max(1, min(_SERIES_AT_ONCE, _MOST_VALUES // (origins.size * ahead.size * 2 * kept)))
    found = np.empty((len(names), *horizon.shape))
    for first in range(0, len(names), at_once):
        part = slice(first, first + at_once)
        who = rows[part]
        gains = CHOICES.chosen(fitted.chosen[who].transpose(2, 1, 0).reshape(kept, -1))
        forecasts, _ = on_both_scales(values[part], LogScale.of(values[part]), gains, origins, ahead, rhythm)
        point = weighed(forecasts, fitted.weights[who][:, block]).transpose(2, 0, 1)
        found[part] = np.take_along_axis(point, horizon[None] - 1, axis=2)
    return found


def point_ahead(fitted: SmoothingFit, names: list[str], values: Array, end: pd.Timestamp, horizon: int, rhythm: Rhythm) -> Array:
    """Shape (series, 1, horizon) from all of `values`, the steps before `end`, and the seasons that the fit ended with; it cannot be written to."""
    question = ("smoothing", fitted.fingerprint, end, horizon, rhythm)
    return once(values, question, lambda: _point_ahead(fitted, names, values, end, horizon, rhythm))


def _point_ahead(fitted: SmoothingFit, names: list[str], values: Array, end: pd.Timestamp, horizon: int, rhythm: Rhythm) -> Array:
    ahead, rows = np.arange(1, horizon + 1), fitted.rows(names)
    forecasts = forecasts_ahead(fitted, rows, values, end, ahead, rhythm)
    point = np.ascontiguousarray(weighed(forecasts[None], fitted.weights[rows][:, block_of(ahead, rhythm)])[0].T)
    point.flags.writeable = False
    return point[:, None]
