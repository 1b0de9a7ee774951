"""Room that a plan of whole machines leaves within its limits, put to use where one machine more saves most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from infra.program.coverage import Coverage
from infra.program.layout import Layout
from infra.program.matrix import Program
from infra.program.plan import Plan
from infra.program.problem import BoolArray, FloatArray, IntArray, Leases, Problem
from infra.program.repair import day_usd, limit_use, share_use
from infra.program.steps import step_costs

__all__ = ["use_room"]

_ROUNDS: Final = 8
# A round that saves less than this share of what is at stake is the last one.
_WORTH_A_ROUND: Final = 1e-5
# USD; a step that saves less is noise.
_LEAST_SAVING: Final = 1e-7


def use_room(problem: Problem, coverage: Coverage, layout: Layout, program: Program, plan: Plan) -> Plan:
    """The plan with single machines added where they save more than they cost and every limit still holds.

    Options with a minimum hold or a flap budget, and blocks before the lead time, are left alone.
    """
    free = _free(problem)
    for _ in range(_ROUNDS):
        more = step_costs(problem, coverage, layout, plan, change=1)
        hot = np.where(free & (plan.hot + 1 <= program.upper[layout.hot]), more.hot, np.inf)
        warm = np.where(free, more.warm, np.inf)
        cold_most = np.where(layout.cold >= 0, program.upper[layout.cold], 0.0)
        cold = np.where(plan.cold + 1 <= cold_most, more.cold, np.inf)
        leased = np.where(free[problem.leases.option], more.leased, np.inf) if problem.leases is not None else more.leased
        added = _chosen(problem, plan, [hot, warm, cold, leased])
        saved = -sum(float(cost[a > 0].sum()) for a, cost in zip(added, (hot, warm, cold, leased), strict=True))
        if saved == 0:
            return plan
        plan = Plan(plan.hot + added[0], plan.warm + added[1], plan.cold + added[2], plan.leased + added[3])
        if saved < _WORTH_A_ROUND * coverage.worst_usd:
            return plan
    return plan


def _free(problem: Problem) -> BoolArray:
    steady = (problem.hold_hours == 0) & np.isinf(problem.flap_limit[problem.option_place]).all(axis=1)
    result: BoolArray = steady[:, None] & (np.arange(problem.shape[1]) >= problem.ready_from[:, None])
    return result


@dataclass(frozen=True, eq=False)
class _Candidates:
    """One machine more in every pool (hot, warm, cold, leased) and block, flat: what it would take from every limit."""

    place: IntArray
    time: IntArray
    cell: IntArray
    share: IntArray
    units: FloatArray
    price: FloatArray
    lease: IntArray


def _candidates(problem: Problem) -> _Candidates:
    options, blocks = problem.hot_price.shape
    place, family = problem.option_place, problem.option_family
    warm_price = np.where(np.isfinite(problem.warm_price), problem.warm_price, 0.0)
    option = [np.arange(options)] * 3
    region = [problem.region[place]] * 3
    price = [problem.hot_price, warm_price, np.zeros((options, blocks))]
    if problem.leases is not None:
        option, region, price = [*option, problem.leases.option], [*region, problem.leases.lender], [*price, problem.leases.price]
    of, where = np.repeat(np.concatenate(option), blocks), np.repeat(np.concatenate(region), blocks)
    time = np.tile(np.arange(blocks), of.size // blocks)
    lease = np.arange(of.size) // blocks - 3 * options
    cell = (where * len(problem.families) + family[of]) * blocks + time
    share = np.where(lease < 0, (place[of] * len(problem.families) + family[of]) * blocks + time, -1)
    return _Candidates(place[of], time, cell, share, problem.option_quota[of], np.concatenate(price).ravel(), lease)


def _chosen(problem: Problem, plan: Plan, costs: list[FloatArray]) -> list[FloatArray]:
    """One machine more (1) or not (0) per pool, best saving first, at most one per place and block, all within the limits together."""
    all_of_them, blocks = _candidates(problem), problem.shape[1]
    cost = np.concatenate([c.ravel() for c in costs])
    order = np.flatnonzero(cost < -_LEAST_SAVING)
    order = order[np.argsort(cost[order], kind="stable")]
    _, first = np.unique((all_of_them.place * blocks + all_of_them.time)[order], return_index=True)
    order = order[np.sort(first)]
    slack = (problem.family_limit - limit_use(problem, plan)).ravel()
    order = order[_fits(all_of_them.cell[order], all_of_them.units[order], slack)]
    order = order[_within_share(problem, plan, all_of_them, order)]
    left = problem.budget_usd - day_usd(problem, plan)
    for day, hours in enumerate(problem.budget_hours if np.isfinite(left).any() else ()):
        usd = all_of_them.price[order] * hours[all_of_them.time[order]]
        order = order[_fits(np.zeros(order.size, dtype=np.int64), usd, left[day : day + 1]) | (usd == 0)]
    if problem.leases is not None:
        order = order[_lendable(problem, problem.leases, plan, all_of_them.lease[order], all_of_them.time[order])]
    taken = np.zeros(cost.size)
    taken[order] = 1
    edges = np.cumsum([c.size for c in costs])[:-1]
    return [part.reshape(c.shape) for part, c in zip(np.split(taken, edges), costs, strict=True)]


def _within_share(problem: Problem, plan: Plan, candidates: _Candidates, order: IntArray) -> BoolArray:
    """Which of the candidates fit into their place's share; a lease takes nothing from it."""
    room = np.append((problem.share_limit - share_use(problem, plan)).ravel(), np.inf)
    return _fits(np.where(candidates.share[order] < 0, room.size - 1, candidates.share[order]), candidates.units[order], room)


def _lendable(problem: Problem, leases: Leases, plan: Plan, lease: IntArray, time: IntArray) -> BoolArray:
    """Which of the candidates, in their order, the lending limits and links let through; those that are no leases pass."""
    blocks = problem.shape[1]
    use = np.zeros(leases.lending_limit.shape)
    units = problem.option_quota[leases.option]
    np.add.at(use, leases.lender, units[:, None] * plan.leased)
    carried = np.zeros((len(leases.links) + 1, blocks))
    np.add.at(carried, leases.link, leases.gbps[:, None] * plan.leased)
    room = np.append(leases.link_capacity, np.full((1, blocks), np.inf), axis=0) - carried
    passes = np.ones(lease.size, dtype=bool)
    lent = np.flatnonzero(lease >= 0)
    which, when = lease[lent], time[lent]
    passes[lent] = _fits(leases.lender[which] * blocks + when, units[which], (leases.lending_limit - use).ravel())
    link = np.where(leases.link[which] < 0, len(leases.links), leases.link[which])
    passes[lent] &= _fits(link * blocks + when, leases.gbps[which], room.ravel())
    return passes


def _fits(group: IntArray, amount: FloatArray, room: FloatArray) -> BoolArray:
    """Which entries, taken in their order, fit into the room of their group together with all before them."""
    order = np.argsort(group, kind="stable")
    sorted_group = group[order]
    total = np.cumsum(amount[order])
    first = np.searchsorted(sorted_group, sorted_group)
    used = total - (total - amount[order])[first]
    result = np.zeros(group.size, dtype=bool)
    result[order] = used <= room[sorted_group] + 1e-9
    return result
