"""Starts, stops and releases beyond what is allowed, where no plan has fewer: what runs at first need not fit the other limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from infra.program.conflict import elastic
from infra.program.coverage import coverage_of
from infra.program.highs import InfeasibleProgramError, Solver
from infra.program.integer_plan import machine_columns
from infra.program.layout import layout_of, pattern_of
from infra.program.matrix import Program, build_program
from infra.program.problem import FloatArray, IntArray, Problem

__all__ = ["with_least_change"]

_NOISE: Final = 1e-6
# A share of the excess: the least there is below a hundred starts and stops.
_GAP: Final = 1e-2
# Up to so many whole numbers the least excess is found in machines, in some seconds; beyond, in fractions of them, rounded up.
_MANY: Final = 50_000


def with_least_change(problem: Problem) -> Problem:
    """The problem with flap limits raised, and machines let go before their least running time, by as little as all its other limits allow.

    As little: to a hundredth, in whole machines; in large problems in fractions of machines, rounded up for each place and day (machine and block).
    A start or stop too many counts like a machine that runs a block too short. It is the problem as given where that does not help.
    """
    coverage = coverage_of(problem)
    layout = layout_of(pattern_of(problem, coverage))
    program = build_program(problem, coverage, layout)
    bound = (layout.hold >= 0) & (problem.young > 0)
    rows = np.concatenate([layout.flap[layout.flap >= 0], layout.hold[bound]])
    loose = elastic(program, rows, price=np.ones(rows.size))
    upper = loose.upper.copy()
    upper[upper.size - int(bound.sum()) :] = problem.young[bound]
    try:
        values = _least_excess(replace(loose, upper=upper), machine_columns(layout))
    except InfeasibleProgramError:
        return problem
    excess = np.zeros(layout.rows)
    excess[rows] = values[program.cost.size :]
    return replace(
        problem,
        flap_limit=problem.flap_limit + _of(excess, layout.flap),
        young=np.clip(problem.young - _of(excess, layout.hold), 0.0, None),
    )


def _least_excess(program: Program, machines: IntArray) -> FloatArray:
    solver = Solver(program)
    return solver.solve_whole(machines, gap=_GAP) if machines.size <= _MANY else solver.solve().values


def _of(excess: FloatArray, rows: IntArray) -> FloatArray:
    """The excess of rows, 0 for those that the program does not have; whole but for noise."""
    found = np.where(rows >= 0, excess[rows], 0.0)
    result: FloatArray = np.where(found > _NOISE, np.ceil(found - _NOISE), 0.0)
    return result
