"""Axis ticks and the mapping from data to drawing coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Frame", "nice_ticks"]

_HOUR: Final = pd.Timedelta("1h")


# The days ahead get more room than the days behind, though they are fewer: they are what the page is about.
_PAST_SHARE: Final = 0.42


@dataclass(frozen=True)
class Frame:
    """The plotting area, in drawing units, and what it spans.

    Attributes:
        left, top, width, height: of the area inside the axes.
        start, issue_time, end: the time span; the past takes 42 % of the width, and each side of the issue time is linear.
        top_value: value at the upper edge; the lower edge is 0.
    """

    left: float
    top: float
    width: float
    height: float
    start: pd.Timestamp
    issue_time: pd.Timestamp
    end: pd.Timestamp
    top_value: float

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def right(self) -> float:
        return self.left + self.width

    def xs(self, when: pd.Series[pd.Timestamp]) -> NDArray[np.float64]:
        """Horizontal places of moments, kept within the area."""
        past = _PAST_SHARE if self.issue_time > self.start else 0.0
        knots = [0.0, (self.issue_time - self.start) / _HOUR, (self.end - self.start) / _HOUR]
        hours = ((when - self.start) / _HOUR).to_numpy(dtype=float)
        return np.asarray(np.round(np.interp(hours, knots, [self.left, self.left + past * self.width, self.right]), 1), dtype=float)

    def ys(self, value: pd.Series[float]) -> NDArray[np.float64]:
        """Vertical places; values above the upper edge are drawn at it."""
        share = np.clip(value.to_numpy(dtype=float) / self.top_value, 0.0, 1.0)
        return np.asarray(np.round(self.bottom - self.height * share, 1), dtype=float)

    def x(self, when: pd.Timestamp) -> float:
        return float(self.xs(pd.Series([when]))[0])

    def y(self, value: float) -> float:
        return float(self.ys(pd.Series([value]))[0])


def nice_ticks(highest: float, count: int = 4) -> list[float]:
    """About `count` round steps (1, 2, 2.5 or 5 times a power of ten) from 0 to the first one at or above `highest`."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * (1 - 1e-9))
    return [round(step * i, 10) for i in range(math.ceil(highest / step - 1e-9) + 1)]
