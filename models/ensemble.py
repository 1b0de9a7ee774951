"""Weights of an ensemble, per series: average the quantiles of a few diverse candidates instead of trusting the one that looked best.

Weights come from greedy selection (Caruana et al. 2004): starting from nothing, the candidate that lowers the pinball loss of the average the
most is added, again and again, with repetition; after `_STEPS` steps its share of the picks is its weight. This is done twice on the
out-of-fold rows: for all series of a segment together (each series' loss over its better naive's, so that all weigh alike), and for every
series alone. Few windows tell luck from skill badly, so a series' weights are drawn towards its segment's:

    w = (n own + n0 segment) / (n + n0),     n = windows of the series, n0 = `_PRIOR_WINDOWS`,

and the result in the same way towards equal weights of all candidates that are no naive (n1 = `_EQUAL_WINDOWS`), which are hard to beat when
windows are few; a candidate whose loss on the series is above `_FAR_WORSE` times the better naive's, or the best of the others', is left out
there. The naives are candidates like any other: where nothing beats them, most of the weight is theirs.
Both n0 and n1 are multiplied by s / (1 - s), with s the *shrinkage* of the series, between 0 and 1 and 0.5 unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.candidates import NAIVES
from models.hourly_grid import numbered
from models.trimmed_mean import trimmed_mean

__all__ = ["blend", "describe", "ensemble_weights", "segment_of"]

_KEYS: Final = ["unique_id", "cutoff", "ds"]
_STEPS: Final = 10
_PRIOR_WINDOWS: Final = 6.0
_EQUAL_WINDOWS: Final = 16.0
_SHRINKAGE: Final = 0.5
_FAR_WORSE: Final = 2.0
_TRIM: Final = 0.3
# Weights below this are not worth running a candidate for.
_LEAST_WEIGHT: Final = 0.05
_LEVELS: Final = np.array(QUANTILES, dtype=np.float32)
_Floats = npt.NDArray[np.float32]


def segment_of(unique_ids: pd.Series[str]) -> pd.Series[str]:
    """Series of one resource behave alike: what follows the last slash of the id, or "*" without one."""
    return unique_ids.str.rpartition("/")[2].where(unique_ids.str.contains("/"), "*")


def ensemble_weights(oof: pd.DataFrame, shrinkage: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Weights (index unique_id, a column per candidate, rows add up to 1) from out-of-fold rows.

    A candidate that left out hours of a series which another one forecast has no weight there.

    Args:
        oof: see `models.backtest.backtest`.
        shrinkage: unique_id -> how far its weights are drawn away from its own windows, above 0 and below 1; 0.5 where none is given.

    Raises:
        BadInputError: when `oof` is empty or holds no seasonal naive, or a shrinkage is not between 0 and 1.
    """
    if oof.empty:
        raise BadInputError("the backtest has no rows: no series had enough history at any cutoff; take more history or fewer windows")
    names = [str(name) for name in sorted(oof["candidate"].unique())]
    if not set(NAIVES) & set(names):
        raise BadInputError(f"the backtest has no seasonal naive; include at least one of {', '.join(NAIVES)}")
    series, starts, truth, quantiles, served = _aligned(oof, names)
    losses = np.stack([_loss(truth, option, starts) for option in quantiles], axis=1)
    floor = _naive_loss(truth, losses, starts, names)
    own = _greedy(truth, quantiles, starts, served, floor, np.arange(len(series)))
    segments = pd.factorize(segment_of(pd.Series(series)))[0]
    shared = _greedy(truth, quantiles, starts, served, floor, segments)
    windows = oof.groupby("unique_id")["cutoff"].nunique().reindex(series).to_numpy(dtype=float)[:, None]
    prior, equal = (_odds(series, shrinkage or {}) * count for count in (_PRIOR_WINDOWS, _EQUAL_WINDOWS))
    mixed = (windows * own + prior * shared) / (windows + prior)
    mixed = (windows * mixed + equal * _equal(names, np.where(served, losses, np.inf), floor)) / (windows + equal)
    mixed = np.where(served, mixed, 0.0)
    mixed = np.where(mixed < _LEAST_WEIGHT, 0.0, mixed)
    empty = mixed.sum(axis=1) == 0
    mixed[empty] = own[empty]
    return pd.DataFrame(mixed / mixed.sum(axis=1, keepdims=True), index=pd.Index(series, name="unique_id"), columns=names)


def blend(rows: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """One row per series, window and hour: the candidates' quantiles joined, in the columns of `rows` but for the candidate.

    Each quantile is the weighted mean of the candidates' values without the outer `_TRIM` of the weight at either end, so that one
    that runs away does not carry the others along (interior trimming: Jose, Grushka-Cockayne and Lichtendahl 2014). Weights of
    candidates without rows for a series are shared out among those that have; without any of them the series has no rows.

    Args:
        rows: `candidate, unique_id, ds, *QUANTILE_COLUMNS`, and `cutoff` when there are several windows.
    """
    series, candidates = numbered(rows["unique_id"]), numbered(rows["candidate"])
    row, column = (
        weights.index.get_indexer(series.categories)[series.codes],
        weights.columns.get_indexer(candidates.categories)[candidates.codes],
    )
    weight = np.where((row >= 0) & (column >= 0), weights.to_numpy(dtype=float)[row, column], 0.0)
    used = np.flatnonzero(weight > 0)
    others = [pd.factorize(rows[key], sort=True)[0][used] for key in _KEYS[1:] if key in rows.columns]
    places, first = _places([series.codes[used], *others])
    values = np.zeros((len(candidates.categories), len(first), len(QUANTILES)))
    shares = np.zeros(values.shape[:2])
    values[candidates.codes[used], places] = rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)[used]
    shares[candidates.codes[used], places] = weight[used]
    joined = pd.DataFrame(trimmed_mean(values, shares, _TRIM), columns=list(QUANTILE_COLUMNS))
    kept = [name for name in rows.columns if name != "candidate"]
    beside = rows[[name for name in kept if name not in QUANTILE_COLUMNS]].iloc[used[first]].reset_index(drop=True)
    return pd.concat([beside, joined], axis=1)[kept]


def describe(weights: Mapping[str, float] | pd.Series[float]) -> str:
    """A series' weights in words, the heaviest first: `lightgbm 60 %, mstl 40 %`."""
    heavy = sorted(((name, share) for name, share in weights.items() if share > 0), key=lambda item: -item[1])
    return str(heavy[0][0]) if len(heavy) == 1 else ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in heavy)


def _places(keys: list[npt.NDArray[np.integer]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(place of every row among the different ones, in the order of `keys`; the first row of each place), all keys numbers from 0."""
    told = np.zeros(len(keys[0]), dtype=np.int64)
    for key in keys:
        told = told * (int(key.max(initial=0)) + 1) + key
    _, first, places = np.unique(told, return_index=True, return_inverse=True)
    return places, first


def _odds(series: list[str], shrinkage: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """The factor s / (1 - s) of every series, of shape (series, 1)."""
    share = np.array([shrinkage.get(name, _SHRINKAGE) for name in series])
    if not ((share > 0) & (share < 1)).all():
        wrong = int((~((share > 0) & (share < 1))).argmax())
        raise BadInputError(f"shrinkage {share[wrong]} of {series[wrong]}: expected a share above 0 and below 1, for example 0.5")
    odds: npt.NDArray[np.float64] = (share / (1.0 - share))[:, None]
    return odds


def _equal(names: list[str], losses: npt.NDArray[np.float64], floor: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Equal weights (series, candidates) of what is no naive, nor far worse than the better one or than the best; of the naives where nothing is."""
    naive = np.array([name in NAIVES for name in names])
    rivals: npt.NDArray[np.bool_] = np.logical_and(~naive, losses <= _FAR_WORSE * floor[:, None])
    chosen = np.where(rivals.any(axis=1, keepdims=True), rivals, naive)
    best = np.where(chosen, losses, np.inf).min(axis=1, keepdims=True)
    near = np.logical_and(chosen, losses <= _FAR_WORSE * best).astype(float)
    equal: npt.NDArray[np.float64] = near / near.sum(axis=1, keepdims=True)
    return equal


def _aligned(oof: pd.DataFrame, names: list[str]) -> tuple[list[str], npt.NDArray[np.int64], _Floats, _Floats, npt.NDArray[np.bool_]]:
    """(series, first row of each, truth (rows), quantiles (candidates, rows, levels), served (series, candidates)), rows sorted by series."""
    keys = oof[_KEYS].drop_duplicates().sort_values(_KEYS, ignore_index=True)
    index = pd.MultiIndex.from_frame(keys)
    truth = np.full(len(keys), np.nan, dtype=np.float32)
    quantiles = np.full((len(names), len(keys), len(QUANTILES)), np.nan, dtype=np.float32)
    for place, name in enumerate(names):
        part = oof[oof["candidate"] == name]
        at = index.get_indexer(pd.MultiIndex.from_frame(part[_KEYS]))
        quantiles[place, at] = part[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float32)
        truth[at] = part["y"].to_numpy(dtype=np.float32)
    codes, series = pd.factorize(keys["unique_id"])
    starts = np.searchsorted(codes, np.arange(len(series)))
    whole = np.isfinite(quantiles).all(axis=2)
    served = np.logical_and.reduceat(whole, starts, axis=1).T
    return [str(name) for name in series], starts, truth, np.nan_to_num(quantiles), served


def _loss(truth: _Floats, quantiles: _Floats, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean pinball loss of every series."""
    error = truth[:, None] - quantiles
    rows = np.maximum(_LEVELS * error, (_LEVELS - 1.0) * error).mean(axis=1, dtype=np.float64)
    total = np.add.reduceat(rows, starts)
    mean: npt.NDArray[np.float64] = total / np.diff(np.append(starts, len(rows)))
    return mean


def _naive_loss(
    truth: _Floats, losses: npt.NDArray[np.float64], starts: npt.NDArray[np.int64], names: list[str]
) -> npt.NDArray[np.float64]:
    """The better naive's loss of every series, above 0."""
    floor = losses[:, np.flatnonzero([name in NAIVES for name in names])].min(axis=1)
    size = np.add.reduceat(np.abs(truth).astype(np.float64), starts) / np.diff(np.append(starts, len(truth)))
    least: npt.NDArray[np.float64] = np.maximum(floor, 1e-4 * size + 1e-12)
    return least


def _greedy(
    truth: _Floats,
    quantiles: _Floats,
    starts: npt.NDArray[np.int64],
    served: npt.NDArray[np.bool_],
    floor: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Weights (series, candidates); series of one group pick together."""
    candidates, series = len(quantiles), len(starts)
    row_series = np.repeat(np.arange(series), np.diff(np.append(starts, len(truth))))
    sums = np.zeros(quantiles.shape[1:], dtype=np.float32)
    picks = np.zeros((series, candidates))
    size = np.bincount(groups)
    for step in range(1, _STEPS + 1):
        losses = np.stack([_loss(truth, (sums + option) / step, starts) for option in quantiles], axis=1) / floor[:, None]
        losses = np.where(served, losses, 10.0)
        grouped = np.stack([np.bincount(groups, weights=losses[:, place]) for place in range(candidates)], axis=1) / size[:, None]
        best = grouped.argmin(axis=1)[groups]
        picks[np.arange(series), best] += 1
        sums += quantiles[best[row_series], np.arange(len(row_series))]
    return picks / _STEPS
