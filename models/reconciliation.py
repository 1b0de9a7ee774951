"""Forecasts of all levels made coherent: totals agree with the series they sum, in the draws behind every quantile.

Every series and total is forecast on its own, and the forecasts disagree. Reconciliation replaces them by S P (theirs), where the
rows of S say what sums what (`models.hierarchy.Hierarchy.summing`) and P maps the forecasts of all n levels to those of the m leaves.
Minimum trace (Wickramasuriya, Athanasopoulos and Hyndman 2019) takes P = (S' W^-1 S)^-1 S' W^-1 with W the covariance of past errors,
so that a series that was forecast well moves little.

Quantiles do not add up, so draws are reconciled instead (Panagiotelis, Gamakumara, Athanasopoulos and Hyndman 2023):

1. N draws of all levels together. Each level's values are its own forecast distribution, evenly sampled; which values come together is
   copied from the ranks of past errors at the same step (Schaake shuffle: Clark et al. 2004). With independent draws instead a total is
   far too sure, because the errors of services that share users go up and down together.
2. Every draw is mapped by P to leaves, negative leaves are set to zero, and the leaves are summed (Di Fonzo and Girolimetto 2023). A leaf
   whose own forecast goes below zero may.
3. The quantiles of every level are read from its N draws.

**What adds up exactly**: every draw, and so `mean`. With `medians_add_up` the median column too: then P reconciles the medians, and the
quantiles of a series are moved together so that they lie around them. That is wrong for skewed demand (the median of twelve queues that
are mostly empty is not the sum of their medians, which is zero), so it is off unless asked for. Other quantiles never add up; nor should they.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import MEDIAN, QUANTILE_COLUMNS, QUANTILES, split_series_ids
from models.hierarchy import Hierarchy
from models.hourly_grid import Array

__all__ = ["METHODS", "Method", "Reconciliation", "forecast_errors", "reconcile"]

# `bottom-up`: totals are the sums of the leaves' draws, totals' own forecasts are ignored. `wls-var`: W is diagonal.
# `mint-shrink`: W is a covariance shrunk to its diagonal (Schaefer and Strimmer 2005); it wants many past errors.
Method = Literal["bottom-up", "wls-var", "mint-shrink"]
METHODS: Final = ("bottom-up", "wls-var", "mint-shrink")

_LEVELS: Final = np.array(QUANTILES)
_MEDIAN_AT, _LOWER, _UPPER = (QUANTILE_COLUMNS.index(quantile) for quantile in (MEDIAN, "0.1", "0.9"))
# With fewer past errors than this the width of the forecast says more about its error.
_FEW_ERRORS: Final = 24
# Width of the 80 % interval of a normal distribution, in deviations.
_DEVIATIONS_OF_80: Final = 2.5631
# Values of one block of draws: 64 MB.
_BLOCK: Final = 8_000_000


@dataclass(frozen=True)
class Reconciliation:
    """How to reconcile.

    Attributes:
        method: one of `METHODS`.
        medians_add_up: also make the medians of every level the sums of those below, at the price told in the module's text.
        draws: joint draws per step, one less than a multiple of 100: then every quantile is one of the draws, and a leaf that
            reconciliation does not move keeps its quantiles to the last digit.
        seed: of the ranks where past errors say nothing (ties, gaps).
    """

    method: Method = "wls-var"
    medians_add_up: bool = False
    draws: int = 399
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be computed.

        Raises:
            BadInputError: for an unknown method or another number of draws.
        """
        if self.method not in METHODS:
            raise BadInputError(f"reconciliation method {self.method!r} is unknown; known: {', '.join(METHODS)}")
        if self.draws < 99 or (self.draws + 1) % 100:
            raise BadInputError(f"{self.draws} draws: the quantiles 0.01 ... 0.99 are read from 99, 199, 299, ... draws; take 399")


def forecast_errors(oof: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, cutoff, ds, error` of out-of-fold rows (`unique_id, cutoff, ds, y, *QUANTILE_COLUMNS`): y - median; rows without y are left out."""
    errors = oof[["unique_id", "cutoff", "ds"]].assign(error=oof["y"] - oof[MEDIAN])
    return errors.dropna(subset=["error"]).reset_index(drop=True)


def reconcile(forecast: pd.DataFrame, errors: pd.DataFrame, hierarchy: Hierarchy, how: Reconciliation = Reconciliation()) -> pd.DataFrame:
    """Coherent quantiles of all levels: rows `unique_id, ds, *QUANTILE_COLUMNS, mean`, sorted by `unique_id, ds`.

    `forecast` holds `unique_id, ds, *QUANTILE_COLUMNS` of the leaves and of any totals; `errors` (`forecast_errors`, best of the same
    model on windows before the forecast) holds past ones of both. In the result

    - quantiles are finite, sorted and, unless the forecast was, not negative, and `mean` of a total is the sum of its parts' (see the module for the medians);
    - every leaf has the steps of its forecast, and a total those at which all of its parts have one. So a total without a forecast of
      its own gets its parts' sum, and one with a forecast but a part without is left out, because nothing coherent can be said of it;
    - a total of one part equals that part; resources do not touch each other; a series outside `hierarchy` is passed over.

    Raises:
        BadInputError: when no series of the hierarchy has a forecast, two rows tell of one series and step, or there are no errors.
    """
    if not forecast["unique_id"].isin(hierarchy.leaves).any():
        raise BadInputError("nothing to reconcile: no series of the hierarchy has a forecast; make both from the same history")
    wanted = forecast[forecast["unique_id"].isin(hierarchy.ids)]
    known = errors[errors["unique_id"].isin(hierarchy.ids)]
    if known.empty:
        raise BadInputError("no past errors of the series to reconcile: hand in forecast_errors() of a backtest with their totals")
    for what, frame, key in (("forecast", wanted, ["unique_id", "ds"]), ("errors", known, ["unique_id", "cutoff", "ds"])):
        if frame.duplicated(key).any():
            raise BadInputError(f"{what} to reconcile: two rows of one {', '.join(key)}; hand in one model and one issue time at a time")
    resource = split_series_ids(pd.Series(hierarchy.ids, index=hierarchy.ids))["resource"]
    families = [_family(hierarchy, set(names.index)) for _, names in resource.groupby(resource)]
    parts = [
        _reconciled_family(wanted[wanted["unique_id"].isin(family.ids)], known[known["unique_id"].isin(family.ids)], family, how)
        for family in families
        if wanted["unique_id"].isin(family.leaves).any()
    ]
    return pd.concat(parts).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)


def _family(hierarchy: Hierarchy, names: set[str]) -> Hierarchy:
    """The part of a hierarchy that holds `names`, the series of one resource."""
    leaves, totals = (np.flatnonzero([name in names for name in level]) for level in (hierarchy.leaves, hierarchy.totals))
    return Hierarchy(
        tuple(hierarchy.leaves[at] for at in leaves), tuple(hierarchy.totals[at] for at in totals), hierarchy.parts[totals][:, leaves]
    )


def _reconciled_family(forecast: pd.DataFrame, errors: pd.DataFrame, family: Hierarchy, how: Reconciliation) -> pd.DataFrame:
    """The rows of one resource; steps at which the same series have a forecast are reconciled together."""
    ids = list(family.ids)
    columns = pd.MultiIndex.from_product([QUANTILE_COLUMNS, ids])
    wide = forecast.pivot_table(index="ds", columns="unique_id", values=list(QUANTILE_COLUMNS)).reindex(columns=columns)
    base = wide.to_numpy(dtype=float).reshape(len(wide), len(QUANTILE_COLUMNS), len(ids)).transpose(0, 2, 1)
    past = (
        errors.pivot_table(index=["cutoff", "ds"], columns="unique_id", values="error").reindex(columns=pd.Index(ids)).to_numpy(dtype=float)
    )
    patterns, which = np.unique(np.isfinite(base).all(axis=-1), axis=0, return_inverse=True)
    frames = []
    for number, present in enumerate(patterns):
        steps = np.flatnonzero(which.ravel() == number)
        leaves = present[len(family.totals) :]
        whole = family.parts @ ~leaves == 0
        names = np.asarray(ids, dtype=object)[np.concatenate([whole, leaves])]
        if names.size:
            parts = family.parts[whole][:, leaves].toarray()
            own = _informative(parts, present[: len(family.totals)][whole])
            used = np.concatenate([np.flatnonzero(whole)[own], len(family.totals) + np.flatnonzero(leaves)])
            found = _coherent(base[np.ix_(steps, used)], past[:, used], parts, own, how)
            frames.append(_frame(names, wide.index[steps], found))
    return pd.concat(frames)


def _informative(parts: Array, forecast: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Positions of the totals with a forecast that says more than those of the leaves and of the totals before it."""
    candidates = np.flatnonzero(forecast & (parts.sum(axis=1) > 1))
    _, first = np.unique(parts[candidates], axis=0, return_index=True)
    return candidates[np.sort(first)]


def _coherent(base: Array, past: Array, parts: Array, own: npt.NDArray[np.intp], how: Reconciliation) -> Array:
    """Quantiles and mean of shape (steps, totals + leaves, 14).

    `base` (steps, own totals + leaves, 13) are forecasts, `past` (rows, own totals + leaves) errors with NaN, `parts` (totals, leaves).
    """
    random = np.random.default_rng(how.seed)
    past = np.vstack([past, np.full((max(0, _FEW_ERRORS - len(past)), past.shape[1]), np.nan)])
    leaves = np.eye(parts.shape[1])
    if how.method == "bottom-up" or not own.size:
        base, past, projection = base[:, own.size :], past[:, own.size :], leaves
    else:
        projection = _minimum_trace(_with_widths(past, base, random), np.vstack([parts[own], leaves]), how.method)
    summing = np.vstack([parts, leaves])
    least = np.where((base < 0).any(axis=(0, 2)), -np.inf, 0.0)
    least_leaves = least[-len(leaves) :]
    ranks = _joint_ranks(past, how.draws, random)
    at_once = max(1, _BLOCK // ranks.size)
    blocks = []
    for step in range(0, len(base), at_once):
        values = np.maximum(_values_at(base[step : step + at_once], ranks), least[:, None])
        blocks.append(_quantiles_and_mean(summing @ np.maximum(projection @ values, least_leaves[:, None])))
    found = np.concatenate(blocks)
    if how.medians_add_up:
        medians = summing @ np.maximum(projection @ base[..., _MEDIAN_AT].T, least_leaves[:, None])
        least_found = np.where(summing @ np.isinf(least_leaves) > 0, -np.inf, 0.0)
        moved = found[..., :-1] - found[..., _MEDIAN_AT, None] + medians.T[..., None]
        found[..., :-1] = np.maximum(moved, least_found[:, None])
    return found


def _with_widths(past: Array, base: Array, random: np.random.Generator) -> Array:
    """`past` with normal errors of the forecast's width for series of which too few errors are known."""
    deviation = (base[..., _UPPER] - base[..., _LOWER]).mean(axis=0) / _DEVIATIONS_OF_80
    enough = np.isfinite(past).sum(axis=0) >= _FEW_ERRORS
    return np.where(enough, past, random.standard_normal(past.shape) * deviation)


def _minimum_trace(past: Array, summing: Array, method: Method) -> Array:
    """P of shape (leaves, series) from past errors of shape (rows, series).

    The library works with absolute tolerances (errors of 1e-4 get other weights than the same ones of 1), so errors are brought to a
    common size of 1 first. Its own non-negative solution is not used: one quadratic program per step (3 s for 250 leaves and
    72 steps), rounded to single precision, and given up for forecasts around a million, its tolerance being absolute too.
    """
    from hierarchicalforecast.methods import MinTrace

    known = np.isfinite(past)
    size = float(np.sqrt(np.nanmean(past**2)))
    # A missing error counts as none, and the others for more: variances stay right, covariances shrink, W stays positive.
    errors = np.nan_to_num(past) * np.sqrt(len(past) / known.sum(axis=0)) / (size or 1.0)
    # Without any errors only the number of parts is left to weigh with. Signs do not matter to variances, but the library refuses
    # errors that sum to zero.
    named = method.replace("-", "_") if size else "wls_struct"
    errors = np.abs(errors) if method == "wls-var" else errors
    fitted = MinTrace(named).fit(S=summing, y_hat=np.zeros((len(summing), 1)), y_insample=errors.T, y_hat_insample=np.zeros_like(errors.T))
    return np.asarray(fitted.P, dtype=float)


def _joint_ranks(past: Array, draws: int, random: np.random.Generator) -> Array:
    """Probabilities of shape (series, draws): each series has 1 / (draws + 1) ... draws / (draws + 1) once, in the order of its errors."""
    rows = np.linspace(0, len(past) - 1, draws).round().astype(int)
    order = _scores(past, random)[rows].T
    sorted_draws = np.lexsort((random.random(order.shape), order), axis=1)
    ranks: Array = (np.argsort(sorted_draws, axis=1) + 1.0) / (draws + 1)
    return ranks


def _scores(past: Array, random: np.random.Generator) -> Array:
    """Normal scores of the ranks of errors (rows, series); a missing one follows the others of its row as closely as it did elsewhere.

    A series' closeness is its correlation with the mean score of the row; with too few errors to tell, the mean of the others'.
    """
    from scipy.special import ndtri

    known = np.isfinite(past)
    scores: Array = ndtri(pd.DataFrame(past).rank().to_numpy() / (known.sum(axis=0) + 1.0))
    if known.all():
        return scores
    filled = np.nan_to_num(scores)
    row = filled.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    row = row / (row.std() or 1.0)
    size = np.sqrt((filled**2).sum(axis=0) * (known * row[:, None] ** 2).sum(axis=0))
    closeness = np.divide(row @ filled, size, out=np.zeros_like(size), where=size > 0)
    enough = known.sum(axis=0) >= _FEW_ERRORS
    closeness = np.where(enough, closeness, closeness[enough].mean() if enough.any() else 0.0).clip(-1.0, 1.0)
    likely = closeness * row[:, None] + np.sqrt(1.0 - closeness**2) * random.standard_normal(past.shape)
    return np.where(known, scores, likely)


def _values_at(base: Array, ranks: Array) -> Array:
    """Forecast distributions (steps, series, 13) read at probabilities (series, draws): shape (steps, series, draws).

    Between quantiles, and for a hundredth beyond the outer ones, a distribution is a straight line.
    """
    below = np.clip(np.searchsorted(_LEVELS, ranks, side="right") - 1, 0, _LEVELS.size - 2)
    share = (ranks - _LEVELS[below]) / (_LEVELS[below + 1] - _LEVELS[below])
    series = np.arange(len(ranks))[:, None]
    low, high = base[:, series, below], base[:, series, below + 1]
    values: Array = low + share * (high - low)
    return values


def _quantiles_and_mean(draws: Array) -> Array:
    """Shape (..., 14) of draws of shape (..., draws)."""
    at = np.rint(_LEVELS * (draws.shape[-1] + 1)).astype(int) - 1
    quantiles = np.partition(draws, at, axis=-1)[..., at]
    return np.concatenate([quantiles, draws.mean(axis=-1, keepdims=True)], axis=-1)


def _frame(names: npt.NDArray[np.object_], steps: pd.Index[pd.Timestamp], found: Array) -> pd.DataFrame:
    frame = pd.DataFrame(found.reshape(-1, found.shape[-1]), columns=[*QUANTILE_COLUMNS, "mean"])
    frame.insert(0, "unique_id", np.tile(names, len(steps)))
    frame.insert(1, "ds", steps.repeat(len(names)))
    return frame
