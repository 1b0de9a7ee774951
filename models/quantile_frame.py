"""Forecast arrays as long frames, with the promises every forecast keeps."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
import pandas as pd

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.hourly_grid import Array
from models.rhythm import HOURLY

__all__ = ["REACH", "lowest", "no_quantiles", "proper", "quantile_frame", "widened", "within_reach"]

# A forecast that leaves the range of the history by more than this many ranges has run away.
REACH: Final = 3.0
_MIDDLE: Final = QUANTILES.index(0.5)
_NORMAL: Final = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])


def lowest(values: Array) -> Array:
    """The least value that a forecast of each row may take: 0, or none for a series that was negative before."""
    negative = (values < 0).any(axis=1)  # NaN is not below 0
    found: Array = np.where(negative, -np.inf, 0.0)
    return found


def proper(quantiles: Array, least: Array | float = 0.0) -> Array:
    """Quantiles along the last axis, sorted and not below `least` (which broadcasts against them)."""
    ordered: Array = np.maximum(np.sort(quantiles, axis=-1), least)
    return ordered


def within_reach(quantiles: Array, values: Array) -> Array:
    """Quantiles (series, horizon, quantiles) at most `REACH` ranges of the history `values` (series, hours) beyond it."""
    low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    reach = REACH * (high - low)
    kept: Array = np.clip(quantiles, (low - reach)[:, None, None], (high + reach)[:, None, None])
    return kept


def widened(quantiles: Array, deviation: Array) -> Array:
    """`quantiles` (..., levels) around their median, with an independent normal error of standard deviation `deviation` (...) beside.

    Half-widths are joined as sqrt(half^2 + (z deviation)^2).
    """
    middle = quantiles[..., _MIDDLE, None]
    half = np.hypot(quantiles - middle, _NORMAL * deviation[..., None])
    joined: Array = middle + np.sign(_NORMAL) * half
    return joined


def quantile_frame(
    names: Sequence[str], quantiles: Array, issue_time: pd.Timestamp, least: Array | None = None, step: pd.Timedelta = HOURLY.step
) -> pd.DataFrame:
    """Rows `unique_id, ds, *QUANTILE_COLUMNS` of an array of shape (series, horizon, quantiles).

    Args:
        least: least value per series (see `lowest`); 0 for all when absent.

    Raises:
        ValueError: when a quantile is not finite, which is a fault of the candidate.
    """
    if not np.isfinite(quantiles).all():
        broken = [name for name, part in zip(names, quantiles, strict=True) if not np.isfinite(part).all()]
        raise ValueError(f"forecast of {', '.join(broken)} issued {issue_time.isoformat()}: a quantile is not finite")
    horizon = quantiles.shape[1]
    hours = pd.date_range(issue_time, periods=horizon, freq=step, unit="us")
    floor = 0.0 if least is None else least[:, None, None]
    frame = pd.DataFrame(proper(quantiles, floor).reshape(-1, len(QUANTILE_COLUMNS)), columns=list(QUANTILE_COLUMNS))
    frame.insert(0, "unique_id", np.repeat(np.asarray(names, dtype=object), horizon))
    frame.insert(1, "ds", hours.take(np.tile(np.arange(horizon), len(names))))
    return frame


def no_quantiles(issue_time: pd.Timestamp) -> pd.DataFrame:
    """The frame of a candidate that serves no series."""
    return quantile_frame([], np.empty((0, 0, len(QUANTILE_COLUMNS))), issue_time)
