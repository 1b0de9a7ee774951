"""Regression of seasonal departures on columns, with weights common to all series and own ones drawn to them, and which columns deserve a place.

What a series does at a step is told as its departure from the mean of the same time on the days (or weeks) before and after, and so are the
columns: a usual rhythm and a slow drift fall out of both, and an event that lies among the neighbours falls out of neither. What is left is
whitened, r[t] - rho r[t-1], because neighbouring steps err alike.

Of series s, in units of its own noise, y_s = X_s w_s + e, w_s ~ N(w, T), w ~ N(0, C) (a random-coefficients regression, Swamy 1970):

    G_s = X_s' X_s, c_s = X_s' y_s, A_s = (I + G_s T)^-1
    w   ~ N(P sum_s A_s c_s, P),  P = (sum_s A_s G_s + C^-1)^-1
    w_s ~ N(H_s (c_s + T^-1 w), H_s + H_s T^-1 P T^-1 H_s),  H_s = (G_s + T^-1)^-1

A series without evidence has w with the covariance P + T, which is wider than that of any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from models.hourly_grid import Array
from models.lag_features import Index

__all__ = ["Evidence", "Posterior", "choose_columns", "choose_spread", "evidence_of", "neighbour_lag", "posterior"]

# Neighbours on either side that a departure is taken from.
_NEIGHBOURS: Final = 2
# Departures beyond this many typical ones are outliers; residuals beyond this many count less (Huber 1964).
_FARTHEST: Final = 20.0
_HUBER: Final = 2.5
_MOST_RHO: Final = 0.95
_NORMAL: Final = 1.4826
_MOSTLY_ZERO: Final = 0.25
# In scales; what is quieter is taken for this, so that sums of squares stay invertible.
_LEAST_NOISE: Final = 1e-3
# How much the effect of one series differs from the others', as a share of the prior: what is tried, and what columns are chosen with.
_SPREADS: Final = (0.03, 0.1, 0.3, 1.0)
_SPREAD: Final = 0.1
# A column set must lower the squared error of blocks that it was not fitted on by this share at least.
_LEAST_GAIN: Final = 1e-3

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """Sums of squares and products of every series and time block, in units of the noise of the series.

    Attributes:
        gram: shape (series, blocks, columns, columns).
        cross: shape (series, blocks, columns).
        square: shape (series, blocks).
        rho: of the whitening.
        noise: shape (series,), typical residual before whitening, in scales.
        departure: shape (series, steps), what was to be explained, in scales; NaN where there is none.
        left: shape (series, steps), what was left of it, before whitening.
    """

    gram: Array
    cross: Array
    square: Array
    rho: float
    noise: Array
    departure: Array
    left: Array


@dataclass(frozen=True)
class Posterior:
    """Weights and their covariance; the last entry of the first axis is for a series that was not there.

    Attributes:
        weights: shape (series + 1, columns).
        covariance: shape (series + 1, columns, columns).
    """

    weights: Array
    covariance: Array


def neighbour_lag(values: Array, day: int) -> int:
    """A week in steps when the same time a week away is a better neighbour than the same time a day away, else a day."""
    if values.shape[1] < 4 * 7 * day:
        return day
    typical = []
    for lag in (day, 7 * day):
        departure, valid = _departed(np.nan_to_num(values)[..., None], np.isfinite(values), lag)
        size = np.where(valid, np.abs(departure[..., 0]), np.nan)
        known = np.isfinite(size).any(axis=1)
        typical.append(float(np.median(np.nanmedian(size[known], axis=1))) if known.any() else np.inf)
    return 7 * day if typical[1] < typical[0] else day


def evidence_of(design: Array, values: Array, usable: Mask, prior: Array, lag: int, block: Index, rho: float | None = None) -> Evidence:
    """Evidence of series that are told in scales.

    Args:
        design: shape (series, steps, columns).
        values: shape (series, steps).
        usable: shape (series, steps): measured, with every reading there.
        prior: shape (columns,), standard deviation that a weight may have.
        lag: of the neighbours, in steps.
        block: shape (steps,), the number of the block of every step, from 0.
        rho: of the whitening; None takes that of the residuals.
    """
    both, valid = _departed(np.concatenate([design, np.nan_to_num(values)[..., None]], axis=-1), usable, lag)
    both[~valid] = 0.0
    size = _typical(both[..., -1], valid)
    both[..., -1] = np.clip(both[..., -1], -_FARTHEST * size, _FARTHEST * size)
    left = both[..., -1] - np.einsum("ntk,nk->nt", both[..., :-1], _own(both, valid, size, prior))
    noise = _typical(left, valid)[:, 0]
    if rho is None:
        rho = _rho(left / noise[:, None], valid)
    white = _whitened(both, valid, rho)
    weights = _own(white, valid, _typical(white[..., -1], valid), prior)
    rest = white[..., -1] - np.einsum("ntk,nk->nt", white[..., :-1], weights)
    count, width = np.maximum(valid.sum(axis=1, keepdims=True), 1), design.shape[-1]
    spread = _typical(rest, valid) * np.sqrt(count / np.maximum(count - width, count / 4 + 1))
    trust = valid * np.minimum(1.0, _HUBER * spread / np.maximum(np.abs(rest), 1e-12)) / spread**2
    blocks = int(block.max()) + 1
    edges = np.searchsorted(block, np.arange(blocks + 1))
    total = np.stack(
        [
            np.matmul((white[:, start:end] * trust[:, start:end, None]).transpose(0, 2, 1), white[:, start:end])
            for start, end in pairwise(edges)
        ],
        axis=1,
    )
    seen, rest = (np.where(valid, part, np.nan) for part in (both[..., -1], left))
    return Evidence(total[..., :-1, :-1], total[..., :-1, -1], total[..., -1, -1], rho, noise, seen, rest)


def posterior(gram: Array, cross: Array, prior: Array, spread: float) -> Posterior:
    """Weights of every series from `gram` (series, columns, columns) and `cross` (series, columns).

    Args:
        prior: shape (columns,), standard deviation of the common weights.
        spread: how far series are apart, as a share of it.
    """
    apart = (spread * prior) ** 2
    unit = np.eye(prior.size)
    damped = np.linalg.inv(unit + gram * apart[None, None, :])
    precision = np.einsum("nij,njk->ik", damped, gram) + np.diag(prior**-2.0)
    common_covariance = np.linalg.inv((precision + precision.T) / 2)
    common = common_covariance @ np.einsum("nij,nj->i", damped, cross)
    own = np.linalg.inv(gram + np.diag(1 / apart))
    weights = np.einsum("nij,nj->ni", own, cross + common / apart)
    drawn = own / apart[None, None, :]
    covariance = own + drawn @ common_covariance @ drawn.transpose(0, 2, 1)
    return Posterior(np.vstack([weights, common]), np.concatenate([covariance, (common_covariance + np.diag(apart))[None]]))


def choose_columns(evidence: Evidence, prior: Array, options: Sequence[Sequence[Index]], sure: Sequence[float]) -> tuple[int, ...]:
    """For every driver the number of its option (columns) that lowers the error of blocks that were left out most, or -1 for none.

    Drivers are taken in the order of what each gains alone, then each is judged again beside the others.

    Args:
        sure: for every driver how many standard errors its gain must be above zero.
    """
    nothing = np.empty(0, dtype=np.int64)
    chosen = [-1] * len(options)
    base = evidence.square.sum(axis=0)
    alone = [max((float((base - _held_out(evidence, prior, columns)).sum()) for columns in option), default=0.0) for option in options]
    order = [int(at) for at in np.argsort(-np.array(alone), kind="stable") if alone[at] > 0]
    for _ in range(2 if len(order) > 1 else 1):
        for driver in order:
            others = [options[at][pick] for at, pick in enumerate(chosen) if pick >= 0 and at != driver]
            beside = np.concatenate([*others, nothing])
            base = _held_out(evidence, prior, beside)
            gains = [base - _held_out(evidence, prior, np.concatenate([beside, columns])) for columns in options[driver]]
            best = int(np.argmax([gain.sum() for gain in gains]))
            exposed = np.einsum("nbkk->b", evidence.gram[:, :, options[driver][best]][..., options[driver][best]]) > 0
            chosen[driver] = best if _is_sure(gains[best], exposed, float(base.sum()), sure[driver]) else -1
    return tuple(chosen)


def choose_spread(evidence: Evidence, prior: Array) -> float:
    """How far series are apart, as a share of the prior: what lowers the error of blocks that were left out most."""
    if evidence.gram.shape[0] < 2:
        return _SPREAD
    every = np.arange(prior.size)
    return min(_SPREADS, key=lambda spread: float(_held_out(evidence, prior, every, spread).sum()))


def _is_sure(gain: Array, exposed: Mask, loss: float, sure: float) -> bool:
    """Whether the gain is more than chance: blocks in which the driver did nothing say nothing."""
    seen = gain[exposed]
    if seen.size < 2:
        return False
    return bool(seen.sum() > max(_LEAST_GAIN * loss, sure * seen.std(ddof=1) * np.sqrt(seen.size)))


def _held_out(evidence: Evidence, prior: Array, columns: Index, spread: float = _SPREAD) -> Array:
    """Shape (blocks,): squared error of every block by weights from the others, over all series."""
    if not columns.size:
        return np.asarray(evidence.square.sum(axis=0), dtype=float)
    gram, cross = evidence.gram[:, :, columns[:, None], columns], evidence.cross[:, :, columns]
    total_gram, total_cross = gram.sum(axis=1), cross.sum(axis=1)
    losses = []
    for block in range(gram.shape[1]):
        weights = posterior(total_gram - gram[:, block], total_cross - cross[:, block], prior[columns], spread).weights[:-1]
        fitted = 2 * np.einsum("nk,nk->", weights, cross[:, block]) - np.einsum("ni,nij,nj->", weights, gram[:, block], weights)
        losses.append(float(evidence.square[:, block].sum()) - float(fitted))
    return np.array(losses)


def _departed(rows: Array, usable: Mask, lag: int) -> tuple[Array, Mask]:
    """(departures of `rows` (series, steps, columns) from the mean of the usable neighbours, whether there are any)."""
    total, count = np.zeros_like(rows), np.zeros(usable.shape)
    steps, seen = rows.shape[1], rows * usable[..., None]
    for away in range(1, _NEIGHBOURS + 1):
        reach = away * lag
        if reach >= steps:
            continue
        total[:, reach:] += seen[:, :-reach]
        count[:, reach:] += usable[:, :-reach]
        total[:, :-reach] += seen[:, reach:]
        count[:, :-reach] += usable[:, reach:]
    return rows - total / np.maximum(count, 1.0)[..., None], usable & (count > 0)


def _whitened(rows: Array, valid: Mask, rho: float) -> Array:
    """rows[t] - rho rows[t-1]; a step after a gap is brought to the same variance."""
    white: Array = rows * np.sqrt(1 - rho**2)
    follows = valid[:, 1:] & valid[:, :-1]
    white[:, 1:] = np.where(follows[..., None], rows[:, 1:] - rho * rows[:, :-1], white[:, 1:])
    return white


def _rho(left: Array, valid: Mask) -> float:
    follows = valid[:, 1:] & valid[:, :-1]
    bounded = np.clip(left, -_HUBER, _HUBER)
    product, square = float((bounded[:, 1:] * bounded[:, :-1])[follows].sum()), float((bounded[:, 1:] ** 2)[follows].sum())
    return float(np.clip(product / square, 0.0, _MOST_RHO)) if square > 0 else 0.0


def _own(both: Array, valid: Mask, size: Array, prior: Array) -> Array:
    """Weights of every series by itself; the last column of `both` is what they explain. Outliers count less."""
    trust = valid * np.minimum(1.0, _HUBER * size / np.maximum(np.abs(both[..., -1]), 1e-12))
    gram = np.matmul((both * trust[..., None]).transpose(0, 2, 1), both) / size[..., None] ** 2
    found: Array = np.linalg.solve(gram[:, :-1, :-1] + np.diag(prior**-2.0), gram[:, :-1, -1:])[..., 0]
    return found


def _typical(size: Array, valid: Mask) -> Array:
    """Shape (series, 1): a robust standard deviation of the valid entries of each row; of a row that is mostly zero, a share of the plain one."""
    told = np.where(valid, np.abs(size), np.nan)
    found = np.ones((size.shape[0], 1))
    known = valid.any(axis=1)
    if known.any():
        plain = _MOSTLY_ZERO * np.sqrt(np.nanmean(told[known] ** 2, axis=1))
        found[known, 0] = np.maximum(_NORMAL * np.nanmedian(told[known], axis=1), plain + _LEAST_NOISE)
    return found
