"""Axes of the backtest's charts: time from left to right, values that may be negative, round ticks on both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Axes", "time_ticks", "value_ticks"]

_TIME_STEPS: Final = tuple(
    pd.Timedelta(text) for text in ("5min", "15min", "1h", "3h", "6h", "12h", "1D", "2D", "7D", "14D", "28D", "91D", "364D")
)
_DAY: Final = pd.Timedelta("1D")


@dataclass(frozen=True)
class Axes:
    """The plotting area, in drawing units, and what it spans.

    Attributes:
        left, top, right, bottom: edges of the area.
        start, end: the time span.
        low, high: values at the lower and the upper edge.
    """

    left: float
    top: float
    right: float
    bottom: float
    start: pd.Timestamp
    end: pd.Timestamp
    low: float
    high: float

    def xs(self, when: pd.Series[pd.Timestamp]) -> NDArray[np.float64]:
        """Horizontal places of moments, kept within the area."""
        share = ((when - self.start) / (self.end - self.start)).to_numpy(dtype=float)
        return np.asarray(np.round(self.left + np.clip(share, 0.0, 1.0) * (self.right - self.left), 1), dtype=float)

    def ys(self, values: pd.Series[float]) -> NDArray[np.float64]:
        """Vertical places; values beyond an edge are drawn at it."""
        share = np.clip((values.to_numpy(dtype=float) - self.low) / (self.high - self.low), 0.0, 1.0)
        return np.asarray(np.round(self.bottom - share * (self.bottom - self.top), 1), dtype=float)

    def x(self, when: pd.Timestamp) -> float:
        return float(self.xs(pd.Series([when]))[0])

    def y(self, value: float) -> float:
        return float(self.ys(pd.Series([value]))[0])


def value_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round steps (1, 2, 2.5 or 5 times a power of ten) from at or below `low` to at or above `high`."""
    if not high > low:
        return [low, low + (abs(low) or 1.0)]
    rough = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = 2 - math.floor(math.log10(step))
    return [round(step * i, digits) for i in range(first, last + 1)]


def time_ticks(axes: Axes, room: float) -> list[tuple[float, str]]:
    """(place, name) of round times that are at least `room` apart: hours within days, else dates."""
    span = axes.end - axes.start
    width = axes.right - axes.left
    step = next((s for s in _TIME_STEPS if s / span * width >= room), _TIME_STEPS[-1])
    first = axes.start + (-(axes.start - pd.Timestamp(0))) % step
    stamps = pd.date_range(first, axes.end, freq=step)
    words = [f"{when:%H:%M}" if step < _DAY and when != when.normalize() else f"{when.day} {when:%b}" for when in stamps]
    return list(zip((float(x) for x in axes.xs(stamps.to_series())), words, strict=True))
