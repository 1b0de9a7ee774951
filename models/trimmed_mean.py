"""Weighted trimmed means of a few forecasts of many numbers at once."""

from __future__ import annotations

import numpy as np

from models.hourly_grid import Array

__all__ = ["trimmed_mean"]

# Rows worked on at once: what is sorted stays in the processor's cache.
_ROWS_AT_ONCE = 512


def trimmed_mean(values: Array, shares: Array, trim: float) -> Array:
    """Shape (rows, levels), ascending along the levels: means without the outer `trim` of the weight at either end of each number's values.

    Args:
        values: shape (candidates, rows, levels).
        shares: shape (candidates, rows), weights from 0, not all 0 in a row; they need not add up to 1.
        trim: below 0.5.
    """
    share = shares / shares.sum(axis=0)
    found = np.empty(values.shape[1:])
    for first in range(0, values.shape[1], _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        found[rows] = _mean(*_ordered(list(values[:, rows]), list(share[:, rows, None])), trim)
    found.sort(axis=-1)
    return found


def _ordered(values: list[Array], shares: list[Array]) -> tuple[list[Array], list[Array]]:
    """Ascending by value at every number, equal ones as they were: neighbours change places, which for a few is faster than a sort."""
    for last in range(len(values) - 1, 0, -1):
        for low in range(last):
            high = low + 1
            changed = values[low] > values[high]
            values[low], values[high] = np.minimum(values[low], values[high]), np.maximum(values[low], values[high])
            shares[low], shares[high] = np.where(changed, shares[high], shares[low]), np.where(changed, shares[low], shares[high])
    return values, shares


def _mean(values: list[Array], shares: list[Array], trim: float) -> Array:
    total, weight, upto = np.zeros(values[0].shape), np.zeros(values[0].shape), np.zeros(values[0].shape)
    low, high = np.full(values[0].shape, np.inf), np.full(values[0].shape, -np.inf)
    for value, share in zip(values, shares, strict=True):
        before, upto = upto, upto + share
        inner = np.clip(np.minimum(upto, 1.0 - trim) - np.maximum(before, trim), 0.0, None)
        total += inner * value
        weight += inner
        low, high = np.where(inner > 0, np.minimum(low, value), low), np.where(inner > 0, value, high)
    # Candidates that agree are left at their very number, or a constant would lie outside of its own forecast by a rounding error.
    mean: Array = np.clip(total / weight, low, high)
    return mean
