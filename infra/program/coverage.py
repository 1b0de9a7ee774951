"""What capacity is worth: bands in the units that bind, the cost of serving them by each pool, and the bands that a capacity covers.

For a band k reached with chance P, of value v per hour, the expected loss per hour is P times

    0                       served by running machines (hot, leased)
    e_warm = min(warm_loss v + use of standby machines, e_cold)
    e_cold = min(cold_loss v + machines bought, v)
    v                       not served

so covering the band up to hot, up to warm and up to cold saves `weight` = P h (e_warm, e_cold - e_warm, v - e_cold) USD in a block of h
hours. The three add up, none is negative: the expected cost is convex in the three capacities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from infra.program.problem import BoolArray, FloatArray, IntArray, Problem

__all__ = ["TIERS", "Coverage", "coverage_of", "covered", "option_ranks", "scarcest"]

TIERS: Final = ("hot", "warm", "cold")
_NOISE: Final = 1e-9


@dataclass(frozen=True, eq=False)
class Coverage:
    """The program's demand in the units that bind.

    A place with one machine option needs machines, whatever the resource that binds, so its bands are counted in machines of that option
    (`size` 1 in resource 0, nothing in the others). Other places keep their resources.

    Attributes:
        need: (D, T, K, R) width of each band.
        size: (M, R) what a machine serves of it.
        weight: (3, D, T, K) USD that covering the whole band by hot, warm, cold saves in the block, by expectation.
        worst_usd: expected USD lost with no capacity at all.
        single: (D,) places with one option.
    """

    need: FloatArray
    size: FloatArray
    weight: FloatArray
    worst_usd: float
    single: BoolArray

    def at(self, places: IntArray) -> Coverage:
        """The demand of some places; `size` and `worst_usd` stay."""
        return replace(self, need=self.need[places], weight=self.weight[:, places], single=self.single[places])


def coverage_of(problem: Problem) -> Coverage:
    """The demand of a problem in the units that bind, and what covering it is worth."""
    places = len(problem.places)
    single = np.bincount(problem.option_place, minlength=places) == 1
    per_band = problem.value * problem.reach * problem.block_hours[:, None]
    weight = _weights(problem)
    need, size = problem.width.copy(), problem.option_size.copy()
    alone = single[problem.option_place]
    where = problem.option_place[alone]
    machines = np.zeros(problem.width.shape[:3])
    machines[where] = _machines_in_bands(problem.width[where], problem.option_size[alone])
    machines[single] = _concave(machines[single], per_band[single])
    need[single] = 0.0
    need[single, :, :, 0] = machines[single]
    size[alone] = 0.0
    size[alone, 0] = 1.0
    return Coverage(need, size, weight, float(per_band.sum()), single)


def covered(coverage: Coverage, capacity: FloatArray) -> FloatArray:
    """(D, T, K) share of each band that `capacity` (D, T, R) covers when bands are filled in their order, each by its scarcest resource."""
    if coverage.single.all():
        return _filled(coverage.need[..., 0], capacity[..., None, 0])
    share = np.empty(coverage.need.shape[:3])
    many = ~coverage.single
    share[many] = _filled_by_all(coverage.need[many], capacity[many])
    share[coverage.single] = _filled(coverage.need[coverage.single, ..., 0], capacity[coverage.single, :, None, 0])
    return share


def _filled(need: FloatArray, capacity: FloatArray) -> FloatArray:
    """Shares of bands (.., K) by one resource: a band that is reached is filled before the next, so the order comes by itself."""
    left = capacity - np.cumsum(need, axis=-1) + need
    with np.errstate(divide="ignore", invalid="ignore"):
        share = left / need
    share[need <= 0] = 1.0
    return np.clip(share, 0.0, 1.0, out=share)


def _filled_by_all(need: FloatArray, capacity: FloatArray) -> FloatArray:
    before = np.cumsum(need, axis=2) - need
    with np.errstate(divide="ignore", invalid="ignore"):
        share = scarcest(np.where(need > 0, (capacity[:, :, None, :] - before) / need, 1.0))
    share = np.clip(share, 0.0, 1.0)
    full = np.cumprod(share >= 1.0 - _NOISE, axis=2)
    share[:, :, 1:] *= full[:, :, :-1]
    result: FloatArray = share
    return result


def scarcest(share: FloatArray) -> FloatArray:
    """The least over the last axis, which is short: several times as fast as `min`."""
    least = share[..., 0]
    for resource in range(1, share.shape[-1]):
        least = np.minimum(least, share[..., resource])
    return least


def option_ranks(problem: Problem) -> IntArray:
    """(M,) the position of each option among those of its place."""
    order = np.argsort(problem.option_place, kind="stable")
    places = problem.option_place[order]
    first = np.searchsorted(places, places)
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order)) - first
    return ranks


def _weights(problem: Problem) -> FloatArray:
    value = problem.value
    cold = np.minimum(problem.cold_loss[:, None, None] * value + _use_cost(problem, problem.cold_use_price), value)
    standby = np.where(np.isinf(problem.warm_price), np.inf, problem.warm_use_price)
    warm = np.minimum(problem.warm_loss[:, None, None] * value + _use_cost(problem, standby), cold)
    chance = problem.reach * problem.block_hours[:, None]
    result: FloatArray = np.stack([warm, cold - warm, value - cold]) * chance
    return result


def _use_cost(problem: Problem, price: FloatArray) -> FloatArray:
    """(D, T, K) USD per hour of serving a whole band with machines of the place's cheapest option at `price` (M, T); inf where none can."""
    cost = np.full(problem.width.shape[:3], np.inf)
    ranks = option_ranks(problem)
    for rank in range(int(ranks.max()) + 1):
        options = np.flatnonzero((ranks == rank) & np.isfinite(price).any(axis=1))
        places = problem.option_place[options]
        width, size = problem.width[places], problem.option_size[options][:, None, None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            machines = np.where(width > 0, width / size, 0.0).max(axis=3)
            usd = np.where(machines > 0, machines * price[options][:, :, None], np.where(np.isinf(price[options]), np.inf, 0.0)[:, :, None])
        cost[places] = np.minimum(cost[places], usd)
    return cost


def _machines_in_bands(width: FloatArray, size: FloatArray) -> FloatArray:
    """(D, T, K) machines between the ends of each band: the scarcest resource decides at both ends."""
    with np.errstate(divide="ignore", invalid="ignore"):
        machines = np.where(width > 0, width, 0.0).cumsum(axis=2) / size[:, None, None, :]
    at_end = np.nan_to_num(machines, nan=0.0).max(axis=3)
    result: FloatArray = np.diff(at_end, axis=2, prepend=0.0)
    return np.clip(result, 0.0, None)


def _concave(machines: FloatArray, worth: FloatArray) -> FloatArray:
    """`machines` (D, T, K) such that worth per machine never rises from a band to the next.

    Where another resource starts to bind, it may rise. Machines as a function of worth are then replaced by their lower convex hull, which
    is what any linear program sees: at each band's end the least of all chords over it.
    """
    rises = worth[:, :, 1:] * machines[:, :, :-1] > worth[:, :, :-1] * machines[:, :, 1:] * (1 + _NOISE)
    places, blocks = np.nonzero(rises.any(axis=2))
    if not places.size:
        return machines
    ends = np.pad(machines[places, blocks].cumsum(axis=1), ((0, 0), (1, 0)))
    gain = np.pad(worth[places, blocks].cumsum(axis=1), ((0, 0), (1, 0)))
    hull = ends.copy()
    last = ends.shape[1] - 1
    for left in range(last):
        for right in range(left + 2, last + 1):
            span = gain[:, right] - gain[:, left]
            for k in range(left + 1, right):
                share = (gain[:, k] - gain[:, left]) / np.where(span > 0, span, 1.0)
                chord = ends[:, left] + share * (ends[:, right] - ends[:, left])
                hull[:, k] = np.where(span > 0, np.minimum(hull[:, k], chord), hull[:, k])
    result = machines.copy()
    result[places, blocks] = np.clip(np.diff(hull, axis=1), 0.0, None)
    return result
