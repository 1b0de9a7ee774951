"""From a problem to a plan: build the program, solve it, make machines whole, and say what every limit costs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from infra.program.conflict import conflict_error
from infra.program.coverage import Coverage, coverage_of
from infra.program.highs import EXACT, InfeasibleProgramError, LinearSolution, Solver
from infra.program.integer_plan import integer_plan
from infra.program.layout import MARGIN, Layout, layout_of, pattern_of
from infra.program.matrix import Program, build_program
from infra.program.plan import Costs, Plan, costs_of, cover_of
from infra.program.pricing import solve_by_pricing
from infra.program.problem import FloatArray, Problem
from infra.program.regional_start import WORTHWHILE_ROWS, regional_basis
from infra.program.repair import within_limits
from infra.program.shadow_prices import ShadowPrice, shadow_prices
from infra.program.starting_basis import starting_basis
from infra.program.whole_machines import whole_machines

__all__ = ["Seconds", "Solution", "WarmStart", "solve"]

# Up to so many whole numbers the mixed-integer program is solved: a second or so.
_SMALL: Final = 400


@dataclass(frozen=True, eq=False)
class WarmStart:
    """A live solver with the program that it solved last. Each solve that starts from it moves it on."""

    solver: Solver
    layout: Layout


@dataclass(frozen=True)
class Seconds:
    """Wall time of the steps."""

    build: float
    solve: float
    whole: float


@dataclass(frozen=True, eq=False)
class Solution:
    """A plan and what is known about it.

    Attributes:
        status: "optimal": the linear program was solved to optimality (anything else raises).
        hot, warm: (M, T) machines to run, and to hold in standby; whole numbers unless `whole=False`.
        cold: (M, T) machines that there is room to buy within the limits, where these are limited; 0 where they are not.
        leased: (L, T) machines borrowed.
        cover: (3, D, T, K) share of each band covered up to hot (own and leased), up to warm, up to cold.
        costs: what is held, started and lost by expectation. `cost_usd` is their sum, over the horizon.
        bound_usd: the optimum of the linear program: no plan costs less.
        shadow_prices: the limits that bind, with what one unit more of each saves per day.
        seconds: wall time of building, solving and rounding. iterations: of the solver.
        warm_start: hand it to the next `solve`.
    """

    status: str
    hot: FloatArray
    warm: FloatArray
    cold: FloatArray
    leased: FloatArray
    cover: FloatArray
    costs: Costs
    bound_usd: float
    shadow_prices: tuple[ShadowPrice, ...]
    seconds: Seconds
    iterations: int
    warm_start: WarmStart = field(repr=False)

    @property
    def cost_usd(self) -> float:
        """Expected cost of the plan over the horizon, USD."""
        return self.costs.total_usd


def solve(
    problem: Problem,
    *,
    warm_start: Solution | None = None,
    whole: bool = True,
    small: int = _SMALL,
    gap: float = EXACT,
    method: str = "choose",
) -> Solution:
    """The cheapest plan by expectation that keeps every limit.

    Args:
        problem: see `Problem`.
        warm_start: an earlier solution of a problem of the same shape with other numbers; ignored when the shape differs.
        whole: whole machines (within a small gap above `bound_usd`), or the linear program's fractions.
        small: up to so many whole numbers they are the best ones (mixed integer); beyond, rounded and repaired.
        gap: share of the cost that small problems may be above the best whole machines.
        method: HiGHS's `solver` option, for comparisons: anything but "choose" starts without a basis.

    Raises:
        BadInputError: when no plan keeps the limits; names those in conflict and the remedy.
    """
    linear = _solved(problem, warm_start, method)
    coverage, layout, optimum = linear.coverage, linear.layout, linear.optimum
    begin = time.perf_counter()
    plan = _fractions(layout, optimum)
    if whole:
        plan = _whole(problem, linear, plan, small=small, gap=gap)
    cover = cover_of(problem, coverage, layout, plan)
    return Solution(
        status="optimal",
        hot=plan.hot,
        warm=plan.warm,
        cold=plan.cold,
        leased=plan.leased,
        cover=cover,
        costs=costs_of(problem, coverage, plan, cover),
        bound_usd=optimum.objective_usd,
        shadow_prices=shadow_prices(problem, layout, optimum),
        seconds=Seconds(linear.build_seconds, linear.solve_seconds, time.perf_counter() - begin),
        iterations=optimum.iterations,
        warm_start=WarmStart(linear.solver, layout),
    )


@dataclass(frozen=True, eq=False)
class _Linear:
    """The linear program of a problem, and its optimum."""

    coverage: Coverage
    layout: Layout
    program: Program
    solver: Solver
    optimum: LinearSolution
    build_seconds: float
    solve_seconds: float


def _solved(problem: Problem, earlier: Solution | None, method: str) -> _Linear:
    """Build the linear program, or renew the earlier one, and solve it."""
    begin = time.perf_counter()
    coverage = coverage_of(problem)
    warm = _usable(earlier, problem, coverage)
    layout = warm.layout if warm is not None else layout_of(pattern_of(problem, coverage, margin=MARGIN))
    program = build_program(problem, coverage, layout)
    if warm is not None:
        solver = warm.solver
        solver.renew(program)
    else:
        solver = Solver(program, method=method)
    built = time.perf_counter()
    try:
        cold = warm is None and method == "choose"
        optimum = _from_nothing(problem, coverage, layout, program, solver) if cold else solver.solve()
    except InfeasibleProgramError:
        raise conflict_error(problem, layout, program) from None
    return _Linear(coverage, layout, program, solver, optimum, built - begin, time.perf_counter() - built)


def _usable(earlier: Solution | None, problem: Problem, coverage: Coverage) -> WarmStart | None:
    """The earlier program when it can hold the problem."""
    if earlier is None or not earlier.warm_start.layout.pattern.serves(pattern_of(problem, coverage)):
        return None
    return earlier.warm_start


def _from_nothing(problem: Problem, coverage: Coverage, layout: Layout, program: Program, solver: Solver) -> LinearSolution:
    """The optimum from the newsvendor's start; of a large program from its regions' own plans."""
    start = starting_basis(problem, coverage, layout)
    if layout.rows < WORTHWHILE_ROWS or len(problem.regions) == 1:
        solver.start_from(start)
        return solver.solve()
    basis, savings = regional_basis(problem, layout, program, start)
    solver.start_from(basis)
    # Where starts and stops are counted, every lease more makes joining the regions slower.
    return solve_by_pricing(solver, program, layout.leased.ravel(), savings) if layout.pattern.flap.any() else solver.solve()


def _fractions(layout: Layout, optimum: LinearSolution) -> Plan:
    values = np.append(optimum.values, 0.0)  # ABSENT columns are 0
    hot, warm, cold, leased = (np.clip(values[c], 0.0, None) for c in (layout.hot, layout.warm, layout.cold, layout.leased))
    return Plan(hot, warm, cold, leased)


def _whole(problem: Problem, linear: _Linear, fractions: Plan, *, small: int, gap: float) -> Plan:
    """The plan in whole machines: the best ones when they are few, otherwise rounded and repaired."""
    few = fractions.hot.size + fractions.warm.size + fractions.leased.size <= small
    layout, program = linear.layout, linear.program
    try:
        if few:
            best = integer_plan(layout, program, gap=gap)
            # Within the gap there may be machines that serve nobody, beyond limits that demand cannot reach and the program so leaves out.
            return within_limits(problem, linear.coverage, layout, best, program.lower[layout.hot])
        return whole_machines(problem, linear.coverage, layout, program, fractions, linear.optimum)
    except InfeasibleProgramError:
        raise conflict_error(problem, layout, program, whole=True) from None
