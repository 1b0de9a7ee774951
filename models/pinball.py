"""How good quantiles are: pinball loss, weighted quantile loss, coverage."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.hourly_grid import Array

__all__ = ["coverage", "pinball_loss", "row_pinball", "wql"]

_LEVELS: Final = np.array(QUANTILES)


def pinball_loss(y: Array, quantiles: Array) -> Array:
    """Pinball loss of shape (rows, quantiles), in the unit of `y`: max(q (y - f), (q - 1) (y - f)) (Koenker and Bassett 1978)."""
    error = y[:, None] - quantiles
    return np.maximum(_LEVELS * error, (_LEVELS - 1.0) * error)


def row_pinball(frame: pd.DataFrame) -> pd.Series[float]:
    """Mean pinball loss over all quantiles of every row of a frame with `y` and `QUANTILE_COLUMNS`."""
    losses = pinball_loss(frame["y"].to_numpy(dtype=float), frame[list(QUANTILE_COLUMNS)].to_numpy(dtype=float))
    return pd.Series(losses.mean(axis=1), index=frame.index)


def wql(frame: pd.DataFrame) -> float:
    """Weighted quantile loss: 2 x sum of pinball losses / sum of |y|, mean over quantiles (as in GluonTS); NaN when y is all zero."""
    total = float(frame["y"].abs().sum())
    return float(2.0 * row_pinball(frame).sum() / total) if total else float("nan")


def coverage(frame: pd.DataFrame, level: float = 0.8) -> float:
    """Share of rows whose `y` lies within the central interval of `level` (0.8: between the quantiles 0.1 and 0.9)."""
    low, high = str(round((1 - level) / 2, 4)), str(round((1 + level) / 2, 4))
    inside = (frame["y"] >= frame[low]) & (frame["y"] <= frame[high])
    return float(inside.mean())
