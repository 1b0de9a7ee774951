"""Whether a plan keeps every limit, by the program's own rows."""

from __future__ import annotations

import numpy as np

from infra.program.coverage import Coverage
from infra.program.layout import Layout
from infra.program.matrix import Program
from infra.program.plan import Plan, capacity_of
from infra.program.problem import BoolArray, FloatArray, Problem

__all__ = ["broken_rows"]

_TOLERANCE = 1e-6


def broken_rows(problem: Problem, coverage: Coverage, layout: Layout, program: Program, plan: Plan) -> BoolArray:
    """(rows + 2,) limits of the program that a plan breaks; the last two: a bound of its columns, and a guaranteed share."""
    values = np.zeros(layout.columns)
    pools = ((layout.hot, plan.hot), (layout.warm, plan.warm), (layout.cold, plan.cold), (layout.leased, plan.leased))
    for columns, machines in pools:
        there = columns >= 0
        values[columns[there]] = machines[there]
    rises = np.clip(np.diff(plan.hot, axis=1, prepend=problem.held[:, None]), 0, None)
    values[layout.starts[layout.starts >= 0]] = rises[layout.starts >= 0]
    over = program.matrix @ values - program.row_upper
    over[layout.capacity[layout.capacity >= 0]] = 0.0
    over[layout.order[layout.order >= 0]] = 0.0
    machines = np.concatenate([c[c >= 0] for c, _ in pools])
    bound = (values[machines] > program.upper[machines] + _TOLERANCE) | (values[machines] < program.lower[machines] - _TOLERANCE)
    short = problem.guaranteed.any() and _short(coverage, layout, program, capacity_of(problem, coverage, plan)[0])
    scale = np.maximum(np.abs(program.row_upper), 1.0)
    return np.append(over > _TOLERANCE * scale, [bound.any(), short])


def _short(coverage: Coverage, layout: Layout, program: Program, capacity: FloatArray) -> bool:
    """Whether hot `capacity` (D, T, R) is below what the guaranteed shares take."""
    share = np.where(layout.cover[0] >= 0, program.lower[layout.cover[0]] / np.maximum(program.upper[layout.cover[0]], 1e-300), 0.0)
    needed = (share[..., None] * coverage.need).sum(axis=2)
    return bool((needed > capacity * (1 + 1e-9) + _TOLERANCE).any())
