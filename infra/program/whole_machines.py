"""Whole machines for large problems: rounded option by option, repaired, and verified."""

from __future__ import annotations

import numpy as np

from infra.program.coverage import Coverage
from infra.program.highs import InfeasibleProgramError, LinearSolution, SolverFailedError
from infra.program.integer_plan import integer_plan, remade
from infra.program.kept import broken_rows
from infra.program.layout import Layout
from infra.program.matrix import Program
from infra.program.movement import held_long_enough, in_time
from infra.program.plan import Plan
from infra.program.problem import FloatArray, Problem
from infra.program.repair import within_limits
from infra.program.room import use_room
from infra.program.rounding import guaranteed_capacity, rounded

__all__ = ["whole_machines"]


def whole_machines(
    problem: Problem,
    coverage: Coverage,
    layout: Layout,
    program: Program,
    fractions: Plan,
    optimum: LinearSolution,
) -> Plan:
    """The plan with whole machines, within every limit.

    Each option takes the best path through the whole numbers next to the program's (`best_path`), with the shadow prices in the prices. What
    then exceeds a limit is taken back where it costs least, and room is used where it saves most. A plan that still breaks a limit (a
    minimum hold or a flap budget that rounding broke) is made again by the mixed-integer program.

    Raises:
        InfeasibleProgramError: when no plan of whole machines meets the limits.
        SolverFailedError: when none was found in time.
    """
    plan = rounded(problem, coverage, layout, program, fractions, optimum)
    least = _least(problem, coverage, program, layout, plan)
    start = held_long_enough(problem, in_time(problem, plan))
    # Where starts and stops are counted, the other pools give first: they may change from block to block.
    counted = (problem.hold_hours > 0) | np.isfinite(problem.flap_limit[problem.option_place]).any(axis=1)
    firm = np.where(counted[:, None], np.maximum(start.hot, least), least)
    for bounds in ((firm, least), (least,)) if counted.any() else ((least,),):
        plan = start
        for lowest in bounds:
            plan = within_limits(problem, coverage, layout, plan, lowest)
        plan = use_room(problem, coverage, layout, program, plan)
        broken = broken_rows(problem, coverage, layout, program, plan)
        if not broken.any():
            return plan
        try:
            return remade(problem, layout, program, plan, broken)
        except (InfeasibleProgramError, SolverFailedError):
            continue
    return integer_plan(layout, program)


def _least(problem: Problem, coverage: Coverage, program: Program, layout: Layout, plan: Plan) -> FloatArray:
    """(M, T) hot machines below which no repair goes: floors, and whatever a place with a guarantee holds."""
    floors = program.lower[layout.hot]
    guaranteed = np.asarray((guaranteed_capacity(problem, coverage) > 0).any(axis=2))[problem.option_place]
    return np.where(guaranteed, np.maximum(floors, plan.hot), floors)
