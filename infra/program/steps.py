"""What one machine more or less in one pool and block costs: for repairing plans and for explaining them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.program.coverage import Coverage, option_groups, saved_usd
from infra.program.layout import Layout
from infra.program.plan import Plan, capacity_of
from infra.program.problem import FloatArray, Problem

__all__ = ["Steps", "step_costs"]


@dataclass(frozen=True, eq=False)
class Steps:
    """USD that a plan costs more after one step, everything else staying; starts are included.

    Attributes:
        hot, warm, cold: (M, T) one machine less (or more). leased: (L, T) the same.
        moved: (M, T) one machine from hot to warm (or from warm to hot).
    """

    hot: FloatArray
    warm: FloatArray
    cold: FloatArray
    leased: FloatArray
    moved: FloatArray


def step_costs(problem: Problem, coverage: Coverage, layout: Layout, plan: Plan, *, change: int) -> Steps:
    """The cost of `change` (-1 or 1) machines in every pool and block; inf where there is nothing to take away."""
    lost = _lost(problem, coverage, layout, plan, change)
    hours = problem.block_hours
    standby = np.isfinite(problem.warm_price)
    warm_price = np.where(standby, problem.warm_price, 0.0)
    leased = np.zeros(plan.leased.shape)
    if problem.leases is not None:
        leased = lost[0][problem.leases.option] + change * problem.leases.price * hours
    hot = lost[0] + change * problem.hot_price * hours + _start_change(problem, plan.hot, change)
    warm = lost[1] + change * warm_price * hours
    moved = lost[0] - lost[1] + change * (problem.hot_price - warm_price) * hours + _start_change(problem, plan.hot, change)
    if change > 0:
        return Steps(hot, np.where(standby, warm, np.inf), lost[2], leased, np.where(plan.warm >= 1, moved, np.inf))
    pools = ((plan.hot, hot), (plan.warm, warm), (plan.cold, lost[2]), (plan.leased, leased), (plan.hot, moved))
    return Steps(*(np.where(pool >= 1, step, np.inf) for pool, step in pools))


def _lost(problem: Problem, coverage: Coverage, layout: Layout, plan: Plan, change: int) -> FloatArray:
    """(3, M, T) USD of expected loss more: the capacity up to hot serves all tiers, the one up to cold only the last."""
    capacity = capacity_of(problem, coverage, plan)
    usd = np.zeros((3, *plan.hot.shape))
    tiers = (np.ones(len(problem.places), dtype=bool), layout.pattern.warm_places, layout.pattern.cold_places)
    for group in option_groups(problem, coverage):
        part = coverage.at(problem.option_place[group])
        resources = part.need.shape[3]
        size = coverage.size[group][:, None, :resources]
        for tier in range(3):
            there = tiers[tier][problem.option_place[group]]
            if there.any():
                now = capacity[tier][problem.option_place[group], :, :resources]
                then = np.clip(now + change * size, 0, None)
                usd[tier, group] = np.where(there[:, None], saved_usd(part, tier, now) - saved_usd(part, tier, then), 0.0)
    return np.cumsum(usd[::-1], axis=0)[::-1]


def _start_change(problem: Problem, hot: FloatArray, change: int) -> FloatArray:
    """(M, T) USD of starts more: towards the block before, and from it to the block after."""
    before = np.concatenate([problem.held[:, None], hot[:, :-1]], axis=1)
    after = np.concatenate([hot[:, 1:], hot[:, -1:] - 2], axis=1)  # no block after the last
    moved = hot + change
    rises = (
        np.clip(moved - before, 0, None) + np.clip(after - moved, 0, None) - np.clip(hot - before, 0, None) - np.clip(after - hot, 0, None)
    )
    result: FloatArray = problem.start_cost[:, None] * rises
    return result
