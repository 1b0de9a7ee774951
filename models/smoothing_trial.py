"""How well every choice of smoothing parameters would have forecast from origins before, and how wrong forecasts were."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np

from headroom.vocabulary import QUANTILES
from models.hourly_grid import Array
from models.lag_features import Index
from models.rhythm import Rhythm
from models.smoothing import first_forecast
from models.weighted_quantiles import weighted_quantiles

__all__ = ["Trial", "block_of", "error_quantiles", "score_choices"]

_MOST_ORIGINS: Final = 80
# Origins are this share of the context apart: seven hours of four weeks.
_ORIGINS_IN_CONTEXT: Final = 96
_HORIZONS_IN_BLOCK: Final = 6
# As much evidence as this many origins halves the score of a choice.
_PRIOR_ORIGINS: Final = 10.0
_QUANTILES: Final = np.array(QUANTILES)
_TINY: Final = 1e-12


@dataclass(frozen=True)
class Trial:
    """Origins tried and what was measured after them: `truth` and `trust`, shape (origins, series, horizons)."""

    origins: Index
    horizon: Index
    block: Index
    truth: Array
    trust: Array

    @classmethod
    def of(cls, values: Array, rhythm: Rhythm, half_life: Array) -> Self:
        """The trial of `values` (series, steps), NaN where nothing was measured; `half_life` (series,) is the age in steps that halves an origin."""
        length, start = values.shape[1], first_forecast(rhythm)
        stride = rhythm.stride(max(1, rhythm.context // _ORIGINS_IN_CONTEXT))
        origins = np.arange(length - 1, start - 1, -stride, dtype=np.int64)[:_MOST_ORIGINS][::-1].copy()
        edges = [0, *_edges(rhythm)]
        spans = [np.unique(np.linspace(first + 1, last, _HORIZONS_IN_BLOCK).astype(np.int64)) for first, last in pairwise(edges)]
        horizon = np.concatenate(spans)
        target = origins[:, None] + horizon - 1
        truth = values[:, np.clip(target, 0, length - 1)].transpose(1, 0, 2)
        first = np.argmax(np.isfinite(values), axis=1)
        usable = np.isfinite(truth) & (target < length)[:, None] & (origins[:, None] - start >= first)[:, :, None]
        recency = 0.5 ** ((length - origins)[:, None] / half_life)
        return cls(origins, horizon, block_of(horizon, rhythm), np.where(usable, truth, 0.0), usable * recency[:, :, None])

    @property
    def evidence(self) -> Array:
        """Origins of each series, late ones counting fully."""
        found: Array = self.trust.max(axis=2).sum(axis=0)
        return found


def score_choices(forecasts: Array, trial: Trial) -> Array:
    """Shape (series, blocks, choices): logarithm of the absolute error against the best choice's, drawn towards 0 for want of evidence.

    Args:
        forecasts: shape (origins, horizons, choices, series).
    """
    starts = np.flatnonzero(np.diff(trial.block, prepend=-1))
    total = np.zeros(forecasts.shape[1:])
    for ahead, truth, trust in zip(forecasts, trial.truth, trial.trust, strict=True):  # all origins at once would leave the cache
        error = ahead - truth.T[:, None]
        np.abs(error, out=error)
        error *= trust.T[:, None]
        total += error
    loss = np.ascontiguousarray(np.add.reduceat(total, starts, axis=0).transpose(2, 0, 1))
    size = np.add.reduceat((np.abs(trial.truth) * trial.trust).sum(axis=0), starts, axis=1)
    loss += 1e-6 * size[:, :, None] + _TINY
    evidence = trial.evidence[:, None, None]
    score: Array = np.log(loss / loss.min(axis=2, keepdims=True)) * evidence / (evidence + _PRIOR_ORIGINS)
    return score


def error_quantiles(errors: Array, trial: Trial) -> Array:
    """Shape (series, blocks, quantiles) of `errors` (origins, series, horizons); a block without any takes the one before it, NaN if there is none."""
    found: list[Array] = []
    for block in range(int(trial.block.max()) + 1):
        rows, trust = (part[..., trial.block == block].transpose(1, 0, 2).reshape(part.shape[1], -1) for part in (errors, trial.trust))
        own = weighted_quantiles(rows, trust, _QUANTILES)
        found.append(np.where(np.isfinite(own), own, found[-1]) if found else own)
    return np.stack(found, axis=1)


def block_of(horizon: Index, rhythm: Rhythm) -> Index:
    """The block of horizons that share weights and errors: up to 1, 3, 6, 12 ... steps; the last one takes what lies beyond."""
    found: Index = np.minimum(np.searchsorted(_edges(rhythm), horizon), len(_edges(rhythm)) - 1)
    return found


def _edges(rhythm: Rhythm) -> list[int]:
    edges, edge = [1], 3
    while edge < rhythm.horizon:
        edges.append(edge)
        edge *= 2
    return [*edges, rhythm.horizon] if rhythm.horizon > 1 else edges
