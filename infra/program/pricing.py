"""Columns that are hardly ever used stay out until the duals of the others say that they pay."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from infra.program.highs import InfeasibleProgramError, LinearSolution, Solver
from infra.program.matrix import Program
from infra.program.problem import BoolArray, FloatArray, IntArray

__all__ = ["solve_by_pricing"]

# The solver's own tolerance.
_PAYS: Final = -1e-7


def solve_by_pricing(solver: Solver, program: Program, waiting: IntArray, savings: FloatArray) -> LinearSolution:
    """The optimum of the solver's program, where `waiting` are columns of which few are used.

    They are kept at their lower bound, priced with the rows' `savings`, at first those given, then those of each solve, and let in when they
    pay, until none does (column generation: Gilmore and Gomory, Operations Research 1961).

    Raises:
        InfeasibleProgramError: when no plan meets the limits.
        SolverFailedError: when HiGHS gives up; names its status.
    """
    waiting = waiting[~_pay(program, waiting, savings)]
    solver.limit_columns(waiting, program.lower[waiting])
    iterations, done = 0, False
    while not done:
        try:
            found = solver.solve()
        except InfeasibleProgramError:
            if not waiting.size:
                raise
            let_in, waiting = waiting, waiting[:0]  # they may be what is missing
        else:
            iterations += found.iterations
            pay = _pay(program, waiting, found.savings)
            done = not pay.any()
            let_in, waiting = (waiting, waiting) if done else (waiting[pay], waiting[~pay])
        solver.limit_columns(let_in, program.upper[let_in])
    return replace(found, iterations=iterations)


def _pay(program: Program, columns: IntArray, savings: FloatArray) -> BoolArray:
    result: BoolArray = (program.cost + program.matrix.T @ savings)[columns] < _PAYS
    return result
