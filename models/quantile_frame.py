"""Forecast arrays as long frames, with the promises every forecast keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from headroom.vocabulary import QUANTILE_COLUMNS
from models.hourly_grid import Array

__all__ = ["proper", "quantile_frame"]


def proper(quantiles: Array) -> Array:
    """Quantiles along the last axis, sorted and not negative."""
    ordered: Array = np.clip(np.sort(quantiles, axis=-1), 0.0, None)
    return ordered


def quantile_frame(names: Sequence[str], quantiles: Array, issue_time: pd.Timestamp) -> pd.DataFrame:
    """Rows `unique_id, ds, *QUANTILE_COLUMNS` of an array of shape (series, horizon, quantiles).

    Raises:
        ValueError: when a quantile is not finite, which is a fault of the candidate.
    """
    if not np.isfinite(quantiles).all():
        broken = [name for name, part in zip(names, quantiles, strict=True) if not np.isfinite(part).all()]
        raise ValueError(f"forecast of {', '.join(broken)} issued {issue_time.isoformat()}: a quantile is not finite")
    horizon = quantiles.shape[1]
    hours = pd.date_range(issue_time, periods=horizon, freq="h", unit="us")
    frame = pd.DataFrame(proper(quantiles).reshape(-1, len(QUANTILE_COLUMNS)), columns=list(QUANTILE_COLUMNS))
    frame.insert(0, "unique_id", np.repeat(np.asarray(names, dtype=object), horizon))
    frame.insert(1, "ds", hours.append([hours] * (len(names) - 1)) if names else hours[:0])
    return frame
