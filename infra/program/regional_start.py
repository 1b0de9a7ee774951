"""A better start for large problems: region after region alone, then all together.

Most of a plan is decided within its region; only the budget and the leases join regions. The regions' programs are small and quick, and their
optimal bases together are nearly that of the whole.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from infra.program.highs import InfeasibleProgramError, Solver, SolverFailedError
from infra.program.layout import Layout
from infra.program.matrix import Program
from infra.program.problem import FloatArray, IntArray, Problem
from infra.program.starting_basis import BASIC, LOWER, Basis

__all__ = ["WORTHWHILE_ROWS", "regional_basis"]

# Below so many rows the whole program is solved as quickly.
WORTHWHILE_ROWS: Final = 30_000


def regional_basis(problem: Problem, layout: Layout, program: Program, start: Basis) -> tuple[Basis, FloatArray]:
    """The optimal bases of the regions' own programs, without leases and budget, in one, and what their rows save (0 for those of no region).

    Args:
        start: where each region's solve starts; it stays where a region has no plan of its own.
    """
    columns, rows = start.columns.copy(), start.rows.copy()
    savings = np.zeros(layout.rows)
    column_region, row_region = _regions(problem, layout)
    for g in range(len(problem.regions)):
        mine, own = np.flatnonzero(column_region == g), np.flatnonzero(row_region == g)
        if not own.size:
            continue
        solver = Solver(_part(program, mine, own))
        solver.start_from(Basis(start.columns[mine], start.rows[own]))
        try:
            optimum = solver.solve()
        except (InfeasibleProgramError, SolverFailedError):
            continue
        found = solver.basis()
        columns[mine], rows[own], savings[own] = found.columns, found.rows, optimum.savings
    leased = layout.leased[layout.leased >= 0]
    columns[leased] = LOWER
    rows[row_region < 0] = BASIC
    return Basis(columns, rows), savings


def _part(program: Program, columns: IntArray, rows: IntArray) -> Program:
    return Program(
        cost=program.cost[columns],
        lower=program.lower[columns],
        upper=program.upper[columns],
        row_upper=program.row_upper[rows],
        matrix=program.matrix[:, columns][rows].tocsc(),
        offset=0.0,
    )


def _regions(problem: Problem, layout: Layout) -> tuple[IntArray, IntArray]:
    """The region of each column and row; -1 for leases and for the limits that regions share."""
    columns, rows = np.full(layout.columns, -1), np.full(layout.rows, -1)
    place, option = problem.region, problem.region[problem.option_place]
    for target, numbers, region in (
        *((columns, a, option[:, None]) for a in (layout.hot, layout.warm, layout.cold, layout.starts)),
        (columns, layout.cover, place[None, :, None, None]),
        *((rows, a, option[:, None]) for a in (layout.start, layout.hold, layout.early)),
        *((rows, a, place[None, :, None, None]) for a in (layout.capacity, layout.order)),
        (rows, layout.limit, np.arange(len(problem.regions))[:, None, None]),
        (rows, layout.share, place[:, None, None]),
        (rows, layout.flap, place[:, None]),
    ):
        there = numbers >= 0
        target[numbers[there]] = np.broadcast_to(region, numbers.shape)[there]
    return columns, rows
