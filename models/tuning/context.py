"""What a segment looks like: a few numbers without a unit, by which segments share what is learnt about the arms."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from models.hourly_grid import Array, grid

__all__ = ["FEATURES", "segment_contexts"]

FEATURES: Final = ("volatility", "seasonality", "level_drift", "zeros", "length")
_LONGEST_DAYS: Final = 112
_WINDOW_HOURS: Final = 28 * 24
_DAY: Final = 24


def segment_contexts(history: pd.DataFrame, issue_time: pd.Timestamp, segments: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Context of every segment with a measured hour before `issue_time`: its series' mean, all features within 0..1, none missing.

    - volatility: v / (1 + v) with v = mean |y[t] - y[t-1]| / mean |y|
    - seasonality: 1 - variance left by the hour-of-day means / variance, at least 0
    - level_drift: variance of the daily means / variance
    - zeros: share of measured hours that are zero
    - length: days since the first measured hour, of the longest that makes a difference (112)

    All but the length are of the last 28 days.

    Args:
        history: `unique_id, ds, y`, hourly; rows at or after `issue_time` are not looked at.
        segments: unique_id -> segment; None makes every series its own segment. Series that it leaves out are left out.

    Returns:
        Index `segment`, sorted; columns `FEATURES`.
    """
    names, values = grid(history, issue_time, steps=_LONGEST_DAYS * _DAY)
    described = pd.DataFrame(_describe(values), columns=list(FEATURES))
    own = pd.Series(names, dtype=object) if segments is None else pd.Series(names, dtype=object).map(dict(segments))
    contexts = described.groupby(own.rename("segment"), sort=True).mean()
    return contexts.clip(0.0, 1.0)


def _describe(values: Array) -> Array:
    """Features of shape (series, features) of hours of shape (series, hours), NaN where nothing was measured."""
    window = values[:, -_WINDOW_HOURS:]
    days = window.reshape(len(window), window.shape[1] // _DAY, _DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # hours and days without a measurement have no mean; they become zero below
        level = np.nanmean(np.abs(window), axis=1)
        steps = np.nanmean(np.abs(np.diff(window, axis=1)), axis=1)
        variance = np.nanvar(window, axis=1)
        unseasonal = np.nanmean(np.square(days - np.nanmean(days, axis=1, keepdims=True)), axis=(1, 2))
        drift = np.nanvar(np.nanmean(days, axis=2), axis=1)
        volatility = _share(steps, level + steps)
        zeros = np.nanmean(np.where(np.isfinite(window), window == 0.0, np.nan), axis=1)
    first = np.isfinite(values).argmax(axis=1)
    length = (values.shape[1] - first) / values.shape[1]
    features = np.stack([volatility, 1.0 - _share(unseasonal, variance, empty=1.0), _share(drift, variance), zeros, length], axis=1)
    known: Array = np.nan_to_num(features, nan=0.0)
    return known


def _share(part: Array, whole: Array, empty: float = 0.0) -> Array:
    """Part / whole, `empty` where the whole is zero or unknown."""
    known = np.isfinite(part) & np.isfinite(whole) & (whole > 0)
    share: Array = np.divide(part, whole, out=np.full(part.shape, empty), where=known)
    return share
