"""A plan's machines, what they cover and what they cost by expectation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from infra.program.coverage import Coverage, covered
from infra.program.layout import Layout
from infra.program.problem import FloatArray, IntArray, Problem

__all__ = ["Costs", "Plan", "capacity_of", "costs_of", "cover_of", "summed"]


@dataclass(frozen=True, eq=False)
class Plan:
    """Machines per option and block: hot, warm, cold (M, T) and leased (L, T).

    `cold` counts the machines that there is room for where that is limited, and is 0 where it is not.
    """

    hot: FloatArray
    warm: FloatArray
    cold: FloatArray
    leased: FloatArray


@dataclass(frozen=True)
class Costs:
    """USD over the horizon: what is held, what starts cost, and the expected cost of demand that hot capacity does not serve."""

    held_usd: float
    started_usd: float
    expected_usd: float

    @property
    def total_usd(self) -> float:
        """The objective of the program."""
        return self.held_usd + self.started_usd + self.expected_usd


def capacity_of(problem: Problem, coverage: Coverage, plan: Plan) -> FloatArray:
    """(3, D, T, R) capacity up to hot (own and leased), up to warm and up to cold, in the units of `coverage.need`."""
    upto = np.stack([plan.hot, plan.warm, plan.cold])
    if problem.leases is not None:
        upto[0] += summed(problem.leases.option, upto.shape[1], plan.leased)
    for tier in (1, 2):
        upto[tier] += upto[tier - 1]
    machines = upto.transpose(1, 0, 2)
    served = [summed(problem.option_place, len(problem.places), machines, weight=size) for size in coverage.size.T]
    # Resource after resource in memory, like `coverage.need`.
    return np.stack(served).transpose(2, 1, 3, 0)


def summed(index: IntArray, rows: int, values: FloatArray, *, weight: FloatArray | None = None) -> FloatArray:
    """(rows, ...) sums of the `values` (n, ...), times their `weight` (n,), that go to each row; several times as fast as `np.add.at`."""
    each = np.ones(index.size) if weight is None else weight
    into = sparse.csc_array((each, index, np.arange(index.size + 1)), shape=(rows, index.size))
    result: FloatArray = (into @ values.reshape(index.size, -1)).reshape(rows, *values.shape[1:])
    return result


def cover_of(problem: Problem, coverage: Coverage, layout: Layout, plan: Plan) -> FloatArray:
    """(3, D, T, K) share of each band covered up to hot, up to warm and up to cold.

    Where machines to be bought are not limited, the last is 1 for every band that is worth buying them for.
    """
    capacity = capacity_of(problem, coverage, plan)
    cover = np.stack([covered(coverage, tier) for tier in capacity])
    unlimited = ~layout.pattern.cold_places
    cover[2, unlimited] = np.where(coverage.weight[2, unlimited] > 0, 1.0, cover[1, unlimited])
    return cover


def costs_of(problem: Problem, coverage: Coverage, plan: Plan, cover: FloatArray) -> Costs:
    """What a plan with that cover (`cover_of`) costs, by the same reckoning as the program's objective."""
    hours = problem.block_hours
    warm_price = np.where(np.isfinite(problem.warm_price), problem.warm_price, 0.0)
    held = ((problem.hot_price * plan.hot + warm_price * plan.warm) * hours).sum()
    if problem.leases is not None:
        held += (problem.leases.price * plan.leased * hours).sum()
    rises = np.clip(np.diff(plan.hot, axis=1, prepend=problem.held[:, None]), 0.0, None)
    saved = np.vdot(coverage.weight, cover)
    return Costs(float(held), float((problem.start_cost[:, None] * rises).sum()), coverage.worst_usd - float(saved))
