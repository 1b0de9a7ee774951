"""Confidence: the calibrated chance that demand falls within a tolerance of the forecast median."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.vocabulary import MEDIAN, QUANTILE_COLUMNS, QUANTILES
from models.hourly_grid import Array

__all__ = ["confidence"]

_LEVELS: Final = np.array(QUANTILES)


def confidence(quantiles: pd.DataFrame, tolerance: float) -> pd.Series[float]:
    """P(|Y - m| <= tolerance x m) of every row, where m is the median: between 0 and 1.

    The distribution function is linear between quantiles; beyond the outermost ones it continues their last slope to 0 and 1.
    """
    values = quantiles[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)
    median = quantiles[MEDIAN].to_numpy(dtype=float)
    upper, lower = _cdf(values, median * (1 + tolerance)), 1.0 - _cdf(-values[:, ::-1], -median * (1 - tolerance))
    return pd.Series(np.clip(upper - lower, 0.0, 1.0), index=quantiles.index)


def _cdf(values: Array, at: Array) -> Array:
    """P(Y <= at) per row, for sorted quantiles `values` of shape (rows, quantiles) at levels that are symmetric about 0.5."""
    tail = _LEVELS[0] / (_LEVELS[1] - _LEVELS[0])
    first = values[:, :1] - tail * (values[:, 1:2] - values[:, :1])
    last = values[:, -1:] + tail * (values[:, -1:] - values[:, -2:-1])
    points = np.hstack([first, values, last])
    levels = np.concatenate([[0.0], _LEVELS, [1.0]])
    above = (points <= at[:, None]).sum(axis=1)
    right, left = np.minimum(above, levels.size - 1), np.maximum(above - 1, 0)
    rows = np.arange(len(at))
    gap = points[rows, right] - points[rows, left]
    share = np.divide(at - points[rows, left], gap, out=np.zeros_like(at), where=gap > 0)
    inside: Array = levels[left] + np.clip(share, 0.0, 1.0) * (levels[right] - levels[left])
    return np.where(above == 0, 0.0, inside)
