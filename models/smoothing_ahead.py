"""Forecasts of a fitted exponential smoothing from the newest step on, of many series at once."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from models.hourly_grid import Array
from models.lag_features import Index
from models.log_scale import LogScale
from models.rhythm import Rhythm
from models.smoothing_fit import CHOICES, SmoothingFit, on_both_scales

__all__ = ["forecasts_ahead"]

_SERIES_AT_ONCE: Final = 256


def forecasts_ahead(fitted: SmoothingFit, rows: Index, values: Array, end: pd.Timestamp, ahead: Index, rhythm: Rhythm) -> Array:
    """Shape (horizons, 2 kept choices, series), in the unit of the series; the choices on the plain scale, then on the logarithmic one.

    Where the fit remembers how it ended, the smoothings go on from there with the steps since; else they smooth all of `values` again.

    Args:
        rows: of `fitted`, one for each series.
        values: shape (series, steps), the steps before `end`, NaN where nothing was measured.
        ahead: horizons, steps from 1.
    """
    found = np.empty((ahead.size, 2 * fitted.chosen.shape[2], rows.size))
    since = round((end - fitted.end) / rhythm.step)
    going_on = np.zeros(rows.size, dtype=bool)
    if fitted.ended is not None and 0 <= since <= values.shape[1]:
        going_on = np.append(fitted.ended.begun, False)[rows]
    for chosen, steps in ((np.flatnonzero(~going_on), values.shape[1]), (np.flatnonzero(going_on), since)):
        for first in range(0, chosen.size, _SERIES_AT_ONCE):
            part = chosen[first : first + _SERIES_AT_ONCE]
            known = values[part, values.shape[1] - steps :]
            found[..., part] = _ahead(fitted, rows[part], known, end, ahead, rhythm, going_on=bool(going_on[part[0]]))
    return found


def _ahead(fitted: SmoothingFit, rows: Index, values: Array, end: pd.Timestamp, ahead: Index, rhythm: Rhythm, *, going_on: bool) -> Array:
    gains = CHOICES.chosen(fitted.chosen[rows].transpose(2, 1, 0).reshape(fitted.chosen.shape[2], -1))
    if going_on and fitted.ended is not None:
        scale, start = fitted.ended.scale_of(rows), fitted.ended.start(rows, rhythm)
    else:
        scale = LogScale.of(values)
        start = fitted.seasons_from(rows, end - values.shape[1] * rhythm.step, scale, rhythm)
    forecasts, _ = on_both_scales(values, scale, gains, np.array([values.shape[1]]), ahead, rhythm, start)
    found: Array = forecasts[0]
    return found
