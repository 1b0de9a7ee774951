"""Quantiles of rows of numbers that do not all count the same."""

from __future__ import annotations

import numpy as np

from models.hourly_grid import Array

__all__ = ["weighted_quantiles"]


def weighted_quantiles(values: Array, weights: Array, levels: Array) -> Array:
    """Shape (rows, levels): with equal weights, the quantiles that interpolate between the points (i - 1/2) / n (Hazen 1914).

    Args:
        values: shape (rows, numbers), finite.
        weights: of the same shape, from 0. A row whose weights are all 0 has NaN for quantiles.
        levels: ascending, between 0 and 1.
    """
    order = np.argsort(np.where(weights > 0, values, np.inf), axis=1, kind="stable")
    ordered, weight = np.take_along_axis(values, order, axis=1), np.take_along_axis(weights, order, axis=1)
    count = (weight > 0).sum(axis=1)
    total = weight.sum(axis=1)
    share = (np.cumsum(weight, axis=1) - 0.5 * weight) / np.where(total > 0, total, 1.0)[:, None]
    share = np.where(weight > 0, share, 2.0)  # above every level
    rows, last = np.arange(values.shape[0]), np.maximum(count - 1, 0)
    found = np.empty((values.shape[0], levels.size))
    for at, level in enumerate(levels):
        above = np.clip((share < level).sum(axis=1), 0, last)
        below = np.clip(above - 1, 0, None)
        gap = share[rows, above] - share[rows, below]
        part = np.clip(np.divide(level - share[rows, below], gap, out=np.ones_like(gap), where=gap > 0), 0.0, 1.0)
        found[:, at] = ordered[rows, below] + part * (ordered[rows, above] - ordered[rows, below])
    found[total <= 0] = np.nan
    return found
