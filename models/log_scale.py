"""A logarithm for demand that may be zero: on it, a factor is a sum and the noise of large values is no larger than that of small ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from models.hourly_grid import Array

__all__ = ["LogScale"]

# What is added before the logarithm, in mean values: below it, the scale is nearly linear. 0.1, 0.3 and 1 were tried on windows before the
# test windows of the benchmark's traces and differ by less than 1 %.
_OFFSET: Final = 0.3
# The way back ends at this many times the largest value.
_FARTHEST: Final = 4.0


@dataclass(frozen=True)
class LogScale:
    """log(y + offset) for every series; a series that was negative, or is all zero, stays as it is.

    Attributes:
        offset: shape (series,), in the unit of the series.
        top: shape (series,), largest value that leads back.
        applies: shape (series,), whether the logarithm is taken.
    """

    offset: Array
    top: Array
    applies: np.ndarray

    @classmethod
    def of(cls, values: Array) -> Self:
        """The scale of `values` (series, steps), NaN where nothing was measured."""
        known = np.nan_to_num(values)
        mean = np.abs(known).sum(axis=1) / np.maximum(np.isfinite(values).sum(axis=1), 1)
        applies = (known.min(axis=1) >= 0) & (mean > 0)
        return cls(np.where(applies, _OFFSET * mean, 1.0), np.where(applies, _FARTHEST * known.max(axis=1), 1.0), applies)

    def to(self, values: Array) -> Array:
        """`values` (..., series, steps) on the scale."""
        offset, applies = self.offset[:, None], self.applies[:, None]
        logged: Array = np.log(np.where(applies, np.maximum(values, 0.0), 0.0) + offset)
        return np.where(applies, logged, values)

    def back(self, scaled: Array) -> Array:
        """What has `scaled` (..., series, steps) as its place on the scale."""
        offset, applies = self.offset[:, None], self.applies[:, None]
        highest = np.log(self.top + self.offset)[:, None]
        value: Array = np.exp(np.minimum(np.where(applies, scaled, 0.0), highest)) - offset
        return np.where(applies, value, scaled)
