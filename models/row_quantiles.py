"""Quantiles of many rows with gaps at once."""

from __future__ import annotations

import numpy as np

from models.hourly_grid import Array

__all__ = ["row_quantiles"]


def row_quantiles(values: Array, levels: Array) -> Array:
    """Shape (rows, levels): of what is finite in each row, linear between neighbours as `numpy.quantile`; NaN for a row without anything.

    Args:
        values: shape (rows, numbers), NaN where there is none.
    """
    ordered = np.sort(values, axis=1)  # NaN comes last
    # Rows without a gap, as most are, need not be counted.
    whole = ordered.size > 0 and bool(np.isfinite(ordered[:, [0, -1]]).all())
    count = np.array([[ordered.shape[1]]]) if whole else np.isfinite(ordered).sum(axis=1, keepdims=True)
    last = np.maximum(count - 1, 0)
    place = levels * last
    below = place.astype(np.int64)
    low, high = (np.take_along_axis(ordered, at, axis=1) for at in (below, np.minimum(below + 1, last)))
    found: Array = low + (place - below) * (high - low)
    return found
