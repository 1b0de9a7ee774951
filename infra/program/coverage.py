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

__all__ = ["Coverage", "coverage_of", "covered", "machines_for", "option_groups", "saved_usd"]

_NOISE: Final = 1e-9


@dataclass(frozen=True, eq=False)
class Coverage:
    """The program's demand in the units that bind.

    A place with one machine option needs machines, whatever the resource that binds, so its bands are counted in machines of that option
    (`size` 1 in resource 0, nothing in the others). Other places keep their resources, each counted in what the largest option serves of it:
    the program is the same whatever units demand is in.

    Attributes:
        need: (D, T, K, R) width of each band.
        below, inverse: (D, T, K, R) a capacity c covers the share `(c - below) inverse` of a band, within 0 and 1: `below` is where the band
            begins, `inverse` 1 / width. Bands without width are always covered.
        size: (M, R) what a machine serves of it.
        weight: (3, D, T, K) USD that covering the whole band by hot, warm, cold saves in the block, by expectation.
        worst_usd: expected USD lost with no capacity at all.
        single: (D,) places with one option.

    In memory, resources and bands come before places and blocks: what runs over all places runs through neighbouring numbers.
    """

    need: FloatArray
    below: FloatArray
    inverse: FloatArray
    size: FloatArray
    weight: FloatArray
    worst_usd: float
    single: BoolArray

    def at(self, places: IntArray) -> Coverage:
        """The demand of some places, without the resources that none of them needs; `size` and `worst_usd` stay."""
        single = self.single[places]
        resources = 1 if single.all() else self.need.shape[3]
        need, below, inverse = (
            a.transpose(3, 2, 0, 1)[:resources, :, places].transpose(2, 3, 1, 0) for a in (self.need, self.below, self.inverse)
        )
        weight = self.weight.transpose(0, 3, 1, 2)[:, :, places].transpose(0, 2, 3, 1)
        return replace(self, need=need, below=below, inverse=inverse, weight=weight, single=single)


def coverage_of(problem: Problem) -> Coverage:
    """The demand of a problem in the units that bind, and what covering it is worth."""
    places = len(problem.places)
    single = np.bincount(problem.option_place, minlength=places) == 1
    width, value, reach = _bands_first(problem.width), _bands_first(problem.value), _bands_first(problem.reach)
    per_band = value * reach * problem.block_hours[:, None]
    need, size = width.copy(order="K"), problem.option_size.copy()
    alone = single[problem.option_place]
    where = problem.option_place[alone]
    machines = _concave(_machines_in_bands(width[where], problem.option_size[alone]), per_band[where])
    need[single] = 0.0
    need[where, :, :, 0] = machines
    size[alone] = 0.0
    size[alone, 0] = 1.0
    largest = np.zeros((places, size.shape[1]))
    np.maximum.at(largest, problem.option_place, size)
    largest[largest == 0] = 1.0
    need /= largest[:, None, None, :]
    size /= largest[problem.option_place]
    wide = need > 0
    below = np.where(wide, _upto(need) - need, -1.0)
    inverse = np.divide(1.0, need, out=np.ones_like(need), where=wide)
    return Coverage(need, below, inverse, size, _weights(problem, width, value, reach), float(per_band.sum()), single)


def covered(coverage: Coverage, capacity: FloatArray) -> FloatArray:
    """(D, T, K) share of each band that `capacity` (D, T, R) covers when bands are filled in their order, each by its scarcest resource."""
    share = _filled(coverage, capacity, 0)
    many = np.flatnonzero(~coverage.single)
    if many.size:
        part = coverage if many.size == coverage.single.size else coverage.at(many)
        among, held = share[many], capacity[many]
        for resource in range(1, capacity.shape[2]):
            np.minimum(among, _filled(part, held, resource), out=among)
        # What every load lacks (memory that does not grow with it) is lacking in all bands: none is covered more than the one before.
        for band in range(1, among.shape[2]):
            np.minimum(among[:, :, band], among[:, :, band - 1], out=among[:, :, band])
        share[many] = among
    return share


def saved_usd(coverage: Coverage, tier: int, capacity: FloatArray) -> FloatArray:
    """(D, T) USD that covering up to `tier` with `capacity` (D, T, R) saves."""
    result: FloatArray = np.einsum("dtk,dtk->dt", coverage.weight[tier], covered(coverage, capacity))
    return result


def option_groups(problem: Problem, coverage: Coverage) -> list[IntArray]:
    """The options, in groups of different places: first those that are alone at theirs, then the first of the others, the second, ..."""
    alone = coverage.single[problem.option_place]
    ranks = _option_ranks(problem)
    groups = [alone, *(~alone & (ranks == rank) for rank in range(int(ranks.max()) + 1))]
    return [np.flatnonzero(group) for group in groups if group.any()]


def machines_for(width: FloatArray, size: FloatArray) -> FloatArray:
    """(D, T, K) machines of `size` (D, R) that `width` (D, T, K, R) takes, whichever resource binds; inf where one is asked for that it lacks."""
    most = np.zeros_like(width[..., 0])
    for resource in range(width.shape[3]):
        with np.errstate(divide="ignore", invalid="ignore"):
            # Nothing of what a machine lacks (0 / 0) takes none.
            np.fmax(most, width[..., resource] / size[:, None, None, resource], out=most)
    return most


def _filled(coverage: Coverage, capacity: FloatArray, resource: int) -> FloatArray:
    """(D, T, K) shares of the bands by one resource."""
    share = np.subtract(capacity[:, :, None, resource], coverage.below[..., resource], out=np.empty_like(coverage.below[..., resource]))
    share *= coverage.inverse[..., resource]
    return np.clip(share, 0.0, 1.0, out=share)


def _bands_first(values: FloatArray) -> FloatArray:
    """(D, T, K, ...) a copy that in memory begins with the last axes: operations over all places and blocks are several times as fast so."""
    short = tuple(range(values.ndim - 1, 1, -1))
    return np.ascontiguousarray(values.transpose(*short, 0, 1)).transpose(len(short), len(short) + 1, *range(len(short) - 1, -1, -1))


def _upto(bands: FloatArray) -> FloatArray:
    """Sums of `bands` (D, T, K, ...) up to and with each."""
    total = bands.copy(order="K")
    for band in range(1, bands.shape[2]):
        total[:, :, band] += total[:, :, band - 1]
    return total


def _option_ranks(problem: Problem) -> IntArray:
    """(M,) the position of each option among those of its place."""
    order = np.argsort(problem.option_place, kind="stable")
    places = problem.option_place[order]
    first = np.searchsorted(places, places)
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order)) - first
    return ranks


def _weights(problem: Problem, width: FloatArray, value: FloatArray, reach: FloatArray) -> FloatArray:
    standby = np.where(np.isinf(problem.warm_price), np.inf, problem.warm_use_price)
    use_warm, use_cold = _use_costs(problem, width, standby, problem.cold_use_price)
    cold = np.minimum(problem.cold_loss[:, None, None] * value + use_cold, value)
    warm = np.minimum(problem.warm_loss[:, None, None] * value + use_warm, cold)
    chance = reach * problem.block_hours[:, None]
    weight = np.empty((3, *chance.transpose(2, 0, 1).shape)).transpose(0, 2, 3, 1)
    for saved, usd in zip(weight, (warm, cold - warm, value - cold), strict=True):
        np.multiply(usd, chance, out=saved)
    return weight


def _use_costs(problem: Problem, width: FloatArray, *prices: FloatArray) -> list[FloatArray]:
    """(D, T, K) USD per hour of serving a whole band with machines of the place's cheapest option, by each of `prices` (M, T); inf where none can."""
    costs = [np.full_like(width[..., 0], np.inf) for _ in prices]
    ranks = _option_ranks(problem)
    for rank in range(int(ranks.max()) + 1):
        options = np.flatnonzero(ranks == rank)
        places = problem.option_place[options]
        machines = machines_for(width[places], problem.option_size[options])
        for cost, price in zip(costs, prices, strict=True):
            with np.errstate(invalid="ignore"):
                usd = machines * price[options][:, :, None]
            # No machine at no price (0 x inf), or one that lacks a resource at price 0, serves nothing.
            cost[places] = np.fmin(cost[places], usd)
    return costs


def _machines_in_bands(width: FloatArray, size: FloatArray) -> FloatArray:
    """(D, T, K) machines between the ends of each band: the scarcest resource decides at both ends."""
    machines = machines_for(_upto(width), size)
    for band in range(machines.shape[2] - 1, 0, -1):
        machines[:, :, band] -= machines[:, :, band - 1]
    return np.clip(machines, 0.0, None, out=machines)


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
