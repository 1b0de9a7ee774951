"""Quantiles of demand as the bands of the program."""

from __future__ import annotations

import numpy as np

from headroom.errors import BadInputError
from infra.program.problem import FloatArray, IntArray

__all__ = ["bands_from_quantiles"]


def bands_from_quantiles(levels: FloatArray, quantiles: FloatArray, *, bands: int | None = None) -> tuple[FloatArray, FloatArray]:
    """`width` (D, T, K, R) and `reach` (D, T, K) of a `Problem` from forecast quantiles.

    The first band reaches from 0 to the lowest quantile, each other one from a quantile to the next. Demand reaches into the middle of the
    band between levels a < b with chance `1 - (a + b) / 2` (the first: a = 0), so the expected demand above a capacity is that of the
    distribution that is linear between its quantiles. Resources move together: a level is the same load in all of them.

    With `bands`, neighbouring levels are merged until so many are left; those of the upper half stay finest, because capacity is bought
    there. A merged band has the mean chance of its parts by width, so that the expected demand stays the same.

    Args:
        levels: (Q,) rising, within (0, 1]; a known demand is the one level 1 (reach 1).
        quantiles: (D, T, Q, R) demand at the levels, at least 0; rising over Q (small crossings are sorted out).
        bands: at most so many bands.

    Raises:
        BadInputError: for levels that do not rise within (0, 1], shapes that do not fit, or a forecast with NaN.
    """
    levels, quantiles = np.asarray(levels, dtype=float), np.asarray(quantiles, dtype=float)
    if levels.ndim != 1 or not levels.size or (np.diff(levels) <= 0).any() or levels[0] <= 0 or levels[-1] > 1:
        raise BadInputError(f"levels {levels} must rise within (0, 1]; sort them and remove the others")
    if quantiles.ndim != 4 or quantiles.shape[2] != levels.size:
        raise BadInputError(f"quantiles have shape {quantiles.shape}; they need places x blocks x {levels.size} levels x resources")
    if not np.isfinite(quantiles).all():
        d, t, q, r = (int(i) for i in np.argwhere(~np.isfinite(quantiles))[0])
        raise BadInputError(
            f"the forecast of place {d}, block {t}, level {levels[q]:g}, resource {r} is {quantiles[d, t, q, r]}; forecast again"
        )
    width = np.diff(np.maximum.accumulate(np.clip(quantiles, 0, None), axis=2), axis=2, prepend=0.0)
    middle = (levels + np.append(0.0, levels[:-1])) / 2
    reach = np.ones(1) if levels.size == 1 and levels[0] == 1 else 1 - middle
    every = np.broadcast_to(reach, width.shape[:3])
    if bands is None or bands >= levels.size:
        return width, every.copy()
    return _merged(width, every, levels, bands)


def _merged(width: FloatArray, reach: FloatArray, levels: FloatArray, bands: int) -> tuple[FloatArray, FloatArray]:
    first = _first_of_each(levels, bands)
    merged: FloatArray = np.add.reduceat(width, first, axis=2)
    weight = width.sum(axis=3)
    total = np.add.reduceat(weight, first, axis=2)
    plain = np.add.reduceat(reach, first, axis=2) / np.diff(np.append(first, levels.size))
    chance = np.where(total > 0, np.add.reduceat(weight * reach, first, axis=2) / np.where(total > 0, total, 1.0), plain)
    return merged, np.minimum.accumulate(chance, axis=2)


def _first_of_each(levels: FloatArray, bands: int) -> IntArray:
    """Indices of the first level of each merged band: pairs are merged where the chance times its change is smallest, lowest first."""
    groups = [[i] for i in range(levels.size)]
    while len(groups) > bands:
        tops = np.array([levels[g[-1]] for g in groups])
        span = np.diff(np.append(0.0, tops))
        # The distance in log odds of the two ends: 0.95 and 0.99 are far apart, 0.5 and 0.6 are not.
        upper = 1 - np.append(0.0, tops[:-1])
        merit = np.log(upper[:-1] / np.maximum(1 - tops[1:], 1e-3)) * (span[:-1] + span[1:] > 0)
        least = int(np.argmin(merit))
        groups[least : least + 2] = [groups[least] + groups[least + 1]]
    return np.array([g[0] for g in groups])
