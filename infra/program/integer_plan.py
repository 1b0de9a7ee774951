"""Plans of whole machines by branch and bound: for small problems, and for the places that rounding left at odds with a limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from infra.program.highs import EXACT, Solver
from infra.program.layout import Layout
from infra.program.matrix import Program
from infra.program.plan import Plan
from infra.program.problem import BoolArray, IntArray, Problem

__all__ = ["integer_plan", "machine_columns", "remade"]


def integer_plan(layout: Layout, program: Program, *, gap: float = EXACT) -> Plan:
    """The best plan of whole machines, to the share `gap` of its cost, by HiGHS's branch and bound.

    Raises:
        InfeasibleProgramError: when no plan of whole machines meets the limits.
        SolverFailedError: when none was found in its time.
    """
    values = np.append(Solver(program).solve_whole(machine_columns(layout), gap=gap), 0.0)
    return Plan(*(np.round(values[a]) for a in _pools(layout)))


def machine_columns(layout: Layout) -> IntArray:
    """The columns that count machines."""
    return np.concatenate([a[a >= 0] for a in _pools(layout)])


def remade(problem: Problem, layout: Layout, program: Program, plan: Plan, broken: BoolArray) -> Plan:
    """`plan` with the options that take part in a broken row planned again, all others as they are.

    Args:
        broken: as `broken_rows` gives it.

    Raises:
        InfeasibleProgramError: when the others leave no such plan.
        SolverFailedError: when none was found in time.
    """
    again = _taking_part(layout, program, broken)
    machines = (plan.hot, plan.warm, plan.cold, plan.leased)
    options = (np.arange(plan.hot.shape[0]),) * 3 + (
        (problem.leases.option,) if problem.leases is not None else (np.zeros(0, dtype=np.int64),)
    )
    lower, upper = program.lower.copy(), program.upper.copy()
    for columns, pool, option in zip(_pools(layout), machines, options, strict=True):
        fixed = (columns >= 0) & ~again[option][:, None]
        lower[columns[fixed]] = upper[columns[fixed]] = pool[fixed]
    return integer_plan(layout, replace(program, lower=lower, upper=upper))


def _pools(layout: Layout) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    return layout.hot, layout.warm, layout.cold, layout.leased


def _taking_part(layout: Layout, program: Program, broken: BoolArray) -> BoolArray:
    """(M,) options with a column in a broken row; all of them when what is broken is no row."""
    if broken[-2:].any():
        return np.ones(layout.hot.shape[0], dtype=bool)
    touched = np.append(np.asarray(abs(program.matrix).T @ broken[:-2].astype(float)) > 0, False)
    result = np.zeros(layout.hot.shape[0], dtype=bool)
    for columns in (layout.hot, layout.warm, layout.cold, layout.starts):
        result |= np.asarray(touched[columns].any(axis=1))
    return result
