"""Plans of whole machines brought within stock, quota and budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from infra.program.coverage import Coverage
from infra.program.layout import Layout
from infra.program.plan import Plan, summed
from infra.program.problem import FloatArray, IntArray, Problem
from infra.program.steps import Steps, step_costs

__all__ = ["day_usd", "limit_use", "share_use", "within_limits"]

_ROUNDS: Final = 200
_TOLERANCE: Final = 1e-6
# The pools are numbered hot, warm, cold, leased; this is the step from hot to warm.
_MOVE: Final = 4


@dataclass(frozen=True, eq=False)
class _Items:
    """Single steps that could be taken: where (flat index into a pool), in which group they count, what they cost and how much they relieve."""

    pool: IntArray
    index: IntArray
    slot: IntArray
    group: IntArray
    cost: FloatArray
    relief: FloatArray

    def best(self, excess: FloatArray) -> IntArray:
        """Items to take: the cheapest per relief of each group until its excess is relieved, at most one per slot (place and block)."""
        wanted = np.flatnonzero((excess[self.group] > _TOLERANCE) & np.isfinite(self.cost) & (self.relief > 0))
        order = wanted[np.argsort(self.cost[wanted] / self.relief[wanted], kind="stable")]
        _, first = np.unique(self.slot[order], return_index=True)
        order = order[np.sort(first)]
        order = order[np.argsort(self.group[order], kind="stable")]
        total = np.cumsum(self.relief[order])
        group = self.group[order]
        starts = np.searchsorted(group, group)
        before = total - self.relief[order] - (total - self.relief[order])[starts]
        return order[before < excess[group] - _TOLERANCE]


def within_limits(problem: Problem, coverage: Coverage, layout: Layout, plan: Plan, least: FloatArray) -> Plan:
    """The plan with machines taken away, or moved from hot to warm for money, until every place's share, every family limit and every day's
    budget holds, one after the other; the step that costs least per unit or USD comes first.

    Where nothing is left to take, down to `least` (M, T) hot machines, the excess stays: the caller checks.
    """
    limits: tuple[tuple[Callable[[Plan], FloatArray], Callable[[Plan, Steps], _Items]], ...] = (
        (
            lambda now: share_use(problem, now) - problem.share_limit,
            lambda now, less: _limit_items(problem, now, less, least, by_place=True),
        ),
        (
            lambda now: limit_use(problem, now) - problem.family_limit,
            lambda now, less: _limit_items(problem, now, less, least, by_place=False),
        ),
        (lambda now: day_usd(problem, now) - problem.budget_usd, lambda now, less: _budget_items(problem, now, less, least)),
    )
    for excess_of, items_of in limits:
        for _ in range(_ROUNDS):
            excess = excess_of(plan).ravel()
            if not (excess > _TOLERANCE).any():
                break
            items = items_of(plan, step_costs(problem, coverage, layout, plan, change=-1))
            chosen = items.best(excess)
            if not chosen.size:
                break
            plan = _taken(plan, items, chosen)
    return plan


def limit_use(problem: Problem, plan: Plan) -> FloatArray:
    """(G, F, T) units taken from each family's limit."""
    families, units = len(problem.families), problem.option_quota[:, None]
    cell = problem.region[problem.option_place] * families + problem.option_family
    use = summed(cell, len(problem.regions) * families, units * (plan.hot + plan.warm + plan.cold))
    if problem.leases is not None:
        option = problem.leases.option
        lent = problem.leases.lender * families + problem.option_family[option]
        use += summed(lent, use.shape[0], units[option] * plan.leased)
    return use.reshape(problem.family_limit.shape)


def share_use(problem: Problem, plan: Plan) -> FloatArray:
    """(D, F, T) units that a place takes in its own region."""
    families, units = len(problem.families), problem.option_quota[:, None]
    cell = problem.option_place * families + problem.option_family
    return summed(cell, len(problem.places) * families, units * (plan.hot + plan.warm + plan.cold)).reshape(problem.share_limit.shape)


def day_usd(problem: Problem, plan: Plan) -> FloatArray:
    """(B,) USD of what is held in the days of the budget."""
    warm_price = np.where(np.isfinite(problem.warm_price), problem.warm_price, 0.0)
    per_hour = (problem.hot_price * plan.hot + warm_price * plan.warm).sum(axis=0)
    if problem.leases is not None:
        per_hour = per_hour + (problem.leases.price * plan.leased).sum(axis=0)
    result: FloatArray = problem.budget_hours @ per_hour
    return result


def _limit_items(problem: Problem, plan: Plan, less: Steps, least: FloatArray, *, by_place: bool) -> _Items:
    blocks, families = problem.shape[1], len(problem.families)
    place, family, units = problem.option_place, problem.option_family, problem.option_quota
    own = (place if by_place else problem.region[place]) * families + family
    hot = np.where(plan.hot - 1 >= least, less.hot, np.inf)
    parts = [(0, hot, place, own, units), (1, less.warm, place, own, units), (2, less.cold, place, own, units)]
    if problem.leases is not None and not by_place:
        option = problem.leases.option
        lent = problem.leases.lender * families + family[option]
        parts.append((3, _unless_guaranteed(problem, less.leased), place[option], lent, units[option]))
    time = np.arange(blocks)
    columns = [
        (*_numbers(pool, cost, where), cell[:, None] * blocks + time, cost, np.broadcast_to(relief[:, None], cost.shape))
        for pool, cost, where, cell, relief in parts
    ]
    return _Items(*(np.concatenate([np.ravel(c[i]) for c in columns]) for i in range(6)))


def _budget_items(problem: Problem, plan: Plan, less: Steps, least: FloatArray) -> _Items:
    place = problem.option_place
    standby = np.isfinite(problem.warm_price)
    warm_usd = np.where(standby, problem.warm_price, 0.0)
    may = plan.hot - 1 >= least
    parts = [
        (0, np.where(may, less.hot, np.inf), place, problem.hot_price),
        (1, less.warm, place, warm_usd),
        (_MOVE, np.where(may & standby, less.moved, np.inf), place, problem.hot_price - warm_usd),
    ]
    if problem.leases is not None:
        parts.append((3, _unless_guaranteed(problem, less.leased), place[problem.leases.option], problem.leases.price))
    columns = [
        (*_numbers(pool, cost, where), np.broadcast_to(day, cost.shape), cost, price * hours)
        for day, hours in _days_of_blocks(problem)
        for pool, cost, where, price in parts
    ]
    return _Items(*(np.concatenate([np.ravel(c[i]) for c in columns]) for i in range(6)))


def _days_of_blocks(problem: Problem) -> list[tuple[IntArray, FloatArray]]:
    """Pairs of (T,) a day of the budget that each block counts in, and its hours there: first the earliest such day of each, then the next, ..."""
    hours, time = problem.budget_hours, np.arange(problem.shape[1])
    rank = np.cumsum(hours > 0, axis=0) * (hours > 0)
    days = [np.argmax(rank == number, axis=0) for number in range(1, int(rank.max(initial=1)) + 1)]
    return [(day, np.where(rank[day, time] == number + 1, hours[day, time], 0.0)) for number, day in enumerate(days)]


def _numbers(pool: int, cost: FloatArray, place: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """The pool, the flat index into it, and the slot (place and block) of every step."""
    blocks = cost.shape[1]
    return np.full(cost.shape, pool), np.arange(cost.size).reshape(cost.shape), place[:, None] * blocks + np.arange(blocks)


def _unless_guaranteed(problem: Problem, cost: FloatArray) -> FloatArray:
    """Leases that may carry a guarantee stay."""
    if problem.leases is None:
        return cost
    guaranteed = np.asarray((problem.guaranteed > 0).any(axis=(1, 2)))
    return np.where(guaranteed[problem.option_place[problem.leases.option]][:, None], np.inf, cost)


def _taken(plan: Plan, items: _Items, chosen: IntArray) -> Plan:
    pools = [plan.hot.copy(), plan.warm.copy(), plan.cold.copy(), plan.leased.copy()]
    pool, index = items.pool[chosen], items.index[chosen]
    for number, array in enumerate(pools):
        array.reshape(-1)[index[pool == number]] -= 1
    moved = index[pool == _MOVE]
    pools[0].reshape(-1)[moved] -= 1
    pools[1].reshape(-1)[moved] += 1
    return Plan(*pools)
