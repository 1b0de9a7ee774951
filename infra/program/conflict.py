"""Why no plan exists: the limits in conflict, by name, with what would resolve it.

The program is relaxed elastically: every limit that the owner set may be exceeded at a price per unit, while floors, guarantees and physics
stay; the least total excess says which limits are in the way and by how much. The floors and guarantees that ask for what the limits do not
give are named beside them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from scipy import sparse

from headroom.errors import BadInputError
from infra.program.coverage import coverage_of
from infra.program.highs import InfeasibleProgramError, Solver
from infra.program.integer_plan import machine_columns
from infra.program.layout import Layout, layout_of, pattern_of
from infra.program.matrix import Program, build_program
from infra.program.problem import FloatArray, IntArray, Problem

__all__ = ["conflict_error", "elastic", "least_first_day_usd"]

_TOLERANCE: Final = 1e-6
_NAMED: Final = 3


def conflict_error(problem: Problem, layout: Layout, program: Program, *, whole: bool = False) -> BadInputError:
    """The error that names the limits in conflict, how far they would have to be raised, and who asks for it.

    With `whole`, fractions of machines would do and whole ones do not.
    """
    rows = np.concatenate([a[a >= 0] for a in (layout.limit, layout.share, layout.lending, layout.link, layout.budget, layout.flap)])
    try:
        solver = Solver(elastic(program, rows, price=1.0 / np.maximum(np.abs(program.row_upper[rows]), 1.0)))
        values = solver.solve_whole(machine_columns(layout)) if whole else solver.solve().values
    except InfeasibleProgramError:
        return BadInputError(
            f"no plan meets the {_demands(problem)} within the lead times and what is held now; lower them, or make them "
            "start after ready_from"
        )
    excess = np.zeros(layout.rows)
    excess[rows] = values[program.cost.size :]
    limits = _limits(problem, layout, excess)
    if not limits:
        return BadInputError(
            "the program has no solution and no limit is in the way; its numbers differ too much in size: use larger units"
        )
    named = "; ".join(limits[:_NAMED]) + (f"; and {len(limits) - _NAMED} more" if len(limits) > _NAMED else "")
    what = "no plan of whole machines" if whole else "no plan"
    return BadInputError(f"{what} meets the {_demands(problem)}: {named}. Raise the limits or lower the floors and guarantees")


def least_first_day_usd(problem: Problem) -> float:
    """USD that the first day of the budget costs at least, in whole machines, when its own budget does not count; inf where the other limits conflict."""
    free = replace(problem, budget_per_day=np.append(np.inf, problem.budget_per_day[1:]))
    coverage = coverage_of(free)
    layout = layout_of(pattern_of(free, coverage))
    program = build_program(free, coverage, layout)
    cost, hours = np.zeros(layout.columns), problem.budget_hours[0]
    pools = [(layout.hot, problem.hot_price), (layout.warm, np.where(np.isfinite(problem.warm_price), problem.warm_price, 0.0))]
    for columns, price in [*pools, (layout.leased, problem.leases.price)] if problem.leases is not None else pools:
        cost[columns[columns >= 0]] = (price * hours)[columns >= 0]
    try:
        values = Solver(replace(program, cost=cost, offset=0.0)).solve_whole(machine_columns(layout))
    except InfeasibleProgramError:
        return np.inf
    return float(cost @ values)


def elastic(program: Program, rows: IntArray, *, price: FloatArray) -> Program:
    """The program with a column of excess for each of `rows`, at a price each, and no other cost.

    Prices in shares of the limits make dollars and machines compare.
    """
    slack = sparse.csc_array((-np.ones(rows.size), (rows, np.arange(rows.size))), shape=(program.row_upper.size, rows.size))
    zero = np.zeros(program.cost.size)
    return Program(
        cost=np.append(zero, price),
        lower=np.append(program.lower, np.zeros(rows.size)),
        upper=np.append(program.upper, np.full(rows.size, np.inf)),
        row_upper=program.row_upper,
        matrix=sparse.hstack([program.matrix, slack]).tocsc(),
        offset=0.0,
    )


def _limits(problem: Problem, layout: Layout, excess: FloatArray) -> list[str]:
    found = []
    for g, region in enumerate(problem.regions):
        for f, family in enumerate(problem.families):
            found += _worst(
                layout.limit[g, f], problem.family_limit[g, f], excess, f"family_limit of {family} in {region}", "units", "block"
            )
    if problem.leases is not None:
        for g, region in enumerate(problem.regions):
            found += _worst(layout.lending[g], problem.leases.lending_limit[g], excess, f"lending_limit of {region}", "units", "block")
        for i, link in enumerate(problem.leases.links):
            found += _worst(layout.link[i], problem.leases.link_capacity[i], excess, f"link_capacity of {link}", "Gbit/s", "block")
    for d, place in enumerate(problem.places):
        for f, family in enumerate(problem.families):
            found += _worst(layout.share[d, f], problem.share_limit[d, f], excess, f"share_limit of {family} for {place}", "units", "block")
    found += _worst(layout.budget, problem.budget_usd, excess, "budget_per_day", "USD", "day")
    for d, place in enumerate(problem.places):
        found += _worst(layout.flap[d], problem.flap_limit[d], excess, f"flap_limit of {place}", "starts and stops", "day")
    return found


def _worst(rows: IntArray, limits: FloatArray, excess: FloatArray, name: str, unit: str, when: str) -> list[str]:
    """The limit at its worst block or day, in words; nothing when it is not exceeded."""
    over = np.where(rows >= 0, excess[rows], 0.0)
    worst = int(np.argmax(over))
    if over[worst] <= _TOLERANCE:
        return []
    return [f"{name} is {limits[worst]:,.6g} {unit} in {when} {worst}, {limits[worst] + over[worst]:,.6g} would do"]


def _demands(problem: Problem) -> str:
    """Which floors and guarantees ask for machines, by place."""
    floors = np.unique(problem.option_place[problem.floors.max(axis=1) > 0])
    guaranteed = np.flatnonzero(np.asarray((problem.guaranteed > 0).any(axis=(1, 2))))
    parts = [
        f"{what} of {', '.join(problem.places[d] for d in who[:_NAMED])}{f' and {who.size - _NAMED} more' if who.size > _NAMED else ''}"
        for what, who in (("floors", floors), ("guarantees", guaranteed))
        if who.size
    ]
    return " and the ".join(parts) or "limits together"
