"""Point forecasts of a fitted exponential smoothing from many origins: what a regression may depart from."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from models.hourly_grid import Array
from models.lag_features import Index
from models.log_scale import LogScale
from models.rhythm import Rhythm
from models.smoothing_fit import CHOICES, SmoothingFit, block_of, on_both_scales

__all__ = ["smoothing_point"]

# Forecasts held at once.
_MOST_VALUES: Final = 8_000_000


def smoothing_point(
    fitted: SmoothingFit,
    names: list[str],
    values: Array,
    origins: Index,
    horizon: Index,
    rhythm: Rhythm,
    start: pd.Timestamp | None = None,
) -> Array:
    """Shape (series, origins, horizons), in the unit of the series; each reads only what lies before its origin.

    Args:
        values: shape (series, steps), NaN where nothing was measured.
        origins: first steps not known, ascending.
        horizon: shape (origins, horizons), steps ahead from 1.
        start: time of the first step of `values`, to begin with the seasons that the fit ended with; without it they are learnt from `values`,
            which is what a forecast of the past must do.
    """
    ahead = np.arange(1, int(horizon.max()) + 1)
    block, rows, kept = block_of(ahead, rhythm), fitted.rows(names), fitted.chosen.shape[2]
    at_once = max(1, _MOST_VALUES // (origins.size * ahead.size * 2 * kept))
    found = np.empty((len(names), *horizon.shape))
    for first in range(0, len(names), at_once):
        part = slice(first, first + at_once)
        scale, who = LogScale.of(values[part]), rows[part]
        gains = CHOICES.chosen(fitted.chosen[who].transpose(2, 1, 0).reshape(kept, -1))
        seasons = None if start is None else fitted.seasons_from(who, start, scale, rhythm)
        forecasts, _ = on_both_scales(values[part], scale, gains, origins, ahead, rhythm, seasons)
        point = np.einsum("oksh,shk->soh", forecasts, fitted.weights[who][:, block])
        found[part] = np.take_along_axis(point, horizon[None] - 1, axis=2)
    return found
