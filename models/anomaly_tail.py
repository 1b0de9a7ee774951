"""How rare a deviation is for its own series: a histogram on a logarithmic axis that forgets, and a Pareto tail beyond what was seen.

Deviations of demand are seldom normal: a z-score of 8 is rare on one series and hourly on another. So a deviation is compared with the series' own past ones. Bins are a quarter of
an octave wide, so the histogram needs no unit and no width that fits the series. Above the 95 % quantile `u`, where counts get thin, the tail is Pareto, `P(X > x) = P(X > u) (x / u)^(-1 / h)`,
with `h` Hill's estimate (Hill 1975, A simple general approach to inference about the tail of a distribution): the mean of `log(X / u)` of the past deviations above `u`.
Memory and time per row do not depend on how much was seen.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["TailHistogram"]

Array = npt.NDArray[np.float64]
_BINS: Final = 256
_PER_OCTAVE: Final = 4
# The axis reaches from 2^-24 to 2^40 of the series' size when its history begins.
_BELOW_OCTAVES: Final = 24.0
_TAIL: Final = 0.05
# Before tails are known, `h` is 0.3 with the weight of ten exceedances: between the tails of a normal and of a lognormal distribution.
_PRIOR_SHAPE: Final = 0.3
_PRIOR_WEIGHT: Final = 10.0
_RESCALE_AT: Final = 1e100


class TailHistogram:
    """Past deviations of `series` series in `kinds` kinds; those `half_life` rows ago count half.

    A series has no history until `start` names its size; until then every deviation is common.
    """

    def __init__(self, series: int, kinds: int, half_life: float) -> None:
        # Of the rows at or above every bin, how many and their octaves: sums that grow with each row need not be added up for each.
        self._above, self._octaves = np.zeros((2, series, kinds, _BINS + 1))
        self._bins = np.arange(_BINS + 1)
        self._axis = np.full(series, np.nan)
        self._weight = 1.0
        self._growth = 0.5 ** (-1 / half_life)
        self._row = np.arange(series)[:, None]
        self._kind = np.arange(kinds)[None, :]

    def start(self, size: Array) -> None:
        """Begin the history of the series that have none, where `size` (shape: series, the magnitude of the values) is above 0."""
        fresh = np.isnan(self._axis) & (size > 0)
        self._axis[fresh] = np.log2(size[fresh]) - _BELOW_OCTAVES

    def rarity(self, deviations: Array) -> Array:
        """`-log10 P(X >= x)` of non-negative deviations, shape (series, kinds): 2 is one row in a hundred."""
        total = self._above[..., 0]
        tail_from = np.maximum((self._above[..., :-1] >= _TAIL * np.maximum(total, 1e-12)[..., None]).sum(axis=-1), 1)
        beyond = self._above[self._row, self._kind, tail_from]
        position = self._position(deviations)
        excess = position / _PER_OCTAVE - tail_from / _PER_OCTAVE
        inside = self._share(position, total)
        pareto = self._laplace(beyond, total) * np.exp2(-np.maximum(excess, 0.0) / self._shape(tail_from, beyond))
        chance = np.where(excess > 0, np.minimum(pareto, inside), inside)
        return np.asarray(np.where(np.isnan(self._axis)[:, None], 0.0, -np.log10(chance)))

    def add(self, deviations: Array, counted: npt.NDArray[np.bool_]) -> None:
        """Remember one row of deviations, shape (series, kinds), of the series that are `counted`."""
        self._weight *= self._growth
        bins = self._position(deviations).astype(np.int64)
        weight = np.where(counted & ~np.isnan(self._axis), self._weight, 0.0)
        upto = self._bins <= bins[..., None]
        self._above += weight[:, None, None] * upto
        self._octaves += (weight[:, None] * (bins + 0.5) / _PER_OCTAVE)[..., None] * upto
        if self._weight > _RESCALE_AT:
            self._above /= self._weight
            self._octaves /= self._weight
            self._weight = 1.0

    def _position(self, deviations: Array) -> Array:
        """Where deviations lie on the axis, in bins."""
        octaves = np.log2(np.maximum(deviations, 1e-300)) - np.nan_to_num(self._axis)[:, None]
        return np.asarray(np.clip(np.nan_to_num(octaves) * _PER_OCTAVE, 0.0, _BINS - 1e-6))

    def _laplace(self, count: Array, total: Array) -> Array:
        """Share with one row more on either side, so that nothing is impossible or certain."""
        return np.asarray((count + self._weight) / (total + 2 * self._weight))

    def _share(self, position: Array, total: Array) -> Array:
        """Share of the history at or above a position, linear within a bin."""
        lower = position.astype(np.int64)
        at, past = self._above[self._row, self._kind, lower], self._above[self._row, self._kind, lower + 1]
        return self._laplace(at + (past - at) * (position - lower), total)

    def _shape(self, tail_from: npt.NDArray[np.int64], beyond: Array) -> Array:
        """Hill's estimate, shrunk to the prior."""
        logs = self._octaves[self._row, self._kind, tail_from] - beyond * tail_from / _PER_OCTAVE
        prior = _PRIOR_WEIGHT * self._weight
        return np.asarray((np.log(2) * logs + prior * _PRIOR_SHAPE) / (beyond + prior))
