"""Why no plan exists: the limits in conflict, by name, with what would resolve it.

The program is relaxed elastically: every limit that the owner set may be exceeded at a price per unit, while floors, guarantees and physics
stay; the least total excess says which limits are in the way and by how much. The floors and guarantees that ask for what the limits do not
give are named beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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

__all__ = ["Conflict", "PlanConflictError", "conflict_error", "elastic", "least_first_day_usd"]

_TOLERANCE: Final = 1e-6
_NAMED: Final = 3


@dataclass(frozen=True)
class Conflict:
    """A limit that floors and guarantees cannot keep, in the block or day in which it is most short.

    Attributes:
        kind, of: as in `infra.program.shadow_prices.ShadowPrice`. name: of the problem's field, and what is limited.
        limit: what it is, in `unit`. needed: what would do. when: index of the block; of the day for the budget and flaps.
    """

    kind: str
    of: tuple[int, ...]
    name: str
    limit: float
    needed: float
    unit: str
    when: int

    def __str__(self) -> str:
        """In the problem's words."""
        of_time = "day" if self.kind in ("budget", "flaps") else "block"
        return f"{self.name} is {self.limit:,.6g} {self.unit} in {of_time} {self.when}, {self.needed:,.6g} would do"


class PlanConflictError(BadInputError):
    """No plan of `problem` keeps the limits; `conflicts` are those in the way, `whole` is true where only whole machines do not fit."""

    def __init__(self, message: str, problem: Problem, conflicts: Sequence[Conflict] = (), *, whole: bool = False) -> None:
        super().__init__(message)
        self.problem = problem
        self.conflicts = tuple(conflicts)
        self.whole = whole


def conflict_error(problem: Problem, layout: Layout, program: Program, *, whole: bool = False) -> PlanConflictError:
    """The error that names the limits in conflict, how far they would have to be raised, and who asks for it.

    With `whole`, fractions of machines would do and whole ones do not.
    """
    rows = np.concatenate([a[a >= 0] for a in (layout.limit, layout.share, layout.lending, layout.link, layout.budget, layout.flap)])
    try:
        solver = Solver(elastic(program, rows, price=1.0 / np.maximum(np.abs(program.row_upper[rows]), 1.0)))
        values = solver.solve_whole(machine_columns(layout)) if whole else solver.solve().values
    except InfeasibleProgramError:
        return PlanConflictError(
            f"no plan meets the {_demands(problem)} within the lead times and what is held now; lower them, or make them "
            "start after ready_from",
            problem,
        )
    excess = np.zeros(layout.rows)
    excess[rows] = values[program.cost.size :]
    limits = _limits(problem, layout, excess)
    if not limits:
        return PlanConflictError(
            "the program has no solution and no limit is in the way; its numbers differ too much in size: use larger units", problem
        )
    named = "; ".join(map(str, limits[:_NAMED])) + (f"; and {len(limits) - _NAMED} more" if len(limits) > _NAMED else "")
    what = "no plan of whole machines" if whole else "no plan"
    message = f"{what} meets the {_demands(problem)}: {named}. Raise the limits or lower the floors and guarantees"
    return PlanConflictError(message, problem, limits, whole=whole)


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


def _limits(problem: Problem, layout: Layout, excess: FloatArray) -> list[Conflict]:
    """The limits that are exceeded, each at its worst block or day."""
    regions, families, places, leases = problem.regions, problem.families, problem.places, problem.leases
    quotas = [f"family_limit of {family} in {region}" for region in regions for family in families]
    shares = [f"share_limit of {family} for {place}" for place in places for family in families]
    found = _exceeded("quota", quotas, "units", layout.limit, problem.family_limit, excess)
    if leases is not None:
        found += _exceeded(
            "lending", [f"lending_limit of {region}" for region in regions], "units", layout.lending, leases.lending_limit, excess
        )
        found += _exceeded(
            "link", [f"link_capacity of {link}" for link in leases.links], "Gbit/s", layout.link, leases.link_capacity, excess
        )
    found += _exceeded("share", shares, "units", layout.share, problem.share_limit, excess)
    found += _exceeded("budget", ["budget_per_day"], "USD", layout.budget, problem.budget_usd, excess)
    return found + _exceeded(
        "flaps", [f"flap_limit of {place}" for place in places], "starts and stops", layout.flap, problem.flap_limit, excess
    )


def _exceeded(kind: str, names: Sequence[str], unit: str, rows: IntArray, limits: FloatArray, excess: FloatArray) -> list[Conflict]:
    """Of limits whose rows (..., T) run over the blocks or days; `names` in the order of the axes before."""
    over = np.where(rows >= 0, excess[rows], 0.0)
    found = []
    for name, of in zip(names, np.ndindex(rows.shape[:-1]), strict=True):
        worst = int(np.argmax(over[of])) if over[of].size else 0
        if over[of].size and over[of][worst] > _TOLERANCE:
            limit = float(limits[of][worst])
            found.append(Conflict(kind, of, name, limit, limit + float(over[of][worst]), unit, worst))
    return found


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
