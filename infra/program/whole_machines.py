"""Whole machines: for small problems the best ones (mixed integer), for large ones rounded option by option, repaired, and verified."""

from __future__ import annotations

from typing import Final

import numpy as np

from infra.program.coverage import Coverage, option_ranks
from infra.program.highs import LinearSolution, Solver
from infra.program.kept import broken_rows
from infra.program.layout import Layout
from infra.program.matrix import Program
from infra.program.plan import Plan, capacity_of
from infra.program.problem import FloatArray, IntArray, Problem
from infra.program.repair import fit_budget, fit_limits
from infra.program.room import use_room
from infra.program.whole_path import PathInput, best_path

__all__ = ["SMALL", "whole_machines"]

# Up to so many whole numbers the mixed-integer program is solved: a second or so.
SMALL: Final = 400


def whole_machines(
    problem: Problem, coverage: Coverage, layout: Layout, program: Program, fractions: Plan, optimum: LinearSolution, *, small: int = SMALL
) -> Plan:
    """The plan with whole machines, within every limit.

    Each option takes the best path through the whole numbers next to the program's (`best_path`), with the shadow prices in the prices. What
    then exceeds a limit is taken back where it costs least, and room is used where it saves most. A plan that still breaks a limit (a
    minimum hold or a flap budget that rounding broke) is made again by the mixed-integer program.

    Raises:
        SolverFailedError: when no plan of whole machines was found.
    """
    if fractions.hot.size + fractions.warm.size + fractions.leased.size <= small:
        return integer_plan(layout, program)
    plan = _rounded(problem, coverage, layout, program, fractions, optimum)
    least = _least(problem, coverage, program, layout, plan)
    plan = _in_time(problem, plan)
    plan = fit_limits(problem, coverage, layout, plan, least)
    plan = fit_budget(problem, coverage, layout, plan, least)
    plan = use_room(problem, coverage, layout, program, plan)
    if broken_rows(problem, coverage, layout, program, plan).any():
        return integer_plan(layout, program)
    return plan


def integer_plan(layout: Layout, program: Program) -> Plan:
    """The best plan of whole machines, by HiGHS's branch and bound."""
    whole = np.concatenate([a[a >= 0] for a in (layout.hot, layout.warm, layout.cold, layout.leased)])
    values = np.append(Solver(program).solve_whole(whole), 0.0)
    return Plan(*(np.round(values[a]) for a in (layout.hot, layout.warm, layout.cold, layout.leased)))


def _rounded(problem: Problem, coverage: Coverage, layout: Layout, program: Program, fractions: Plan, optimum: LinearSolution) -> Plan:
    """Option by option of a place: those that come first are whole already, the others still fractions."""
    prices = _priced(layout, program, optimum)
    leased = np.floor(fractions.leased + 1e-6)
    plan = Plan(fractions.hot, fractions.warm, fractions.cold, leased)
    lost = np.zeros(fractions.hot.shape)
    if problem.leases is not None:
        np.add.at(lost, problem.leases.option, fractions.leased - leased)
    ranks = option_ranks(problem)
    alone = coverage.single[problem.option_place]
    groups = [np.flatnonzero(alone)] + [np.flatnonzero(~alone & (ranks == rank)) for rank in range(int(ranks.max()) + 1)]
    for options in groups:
        if options.size:
            given = _path_input(problem, coverage, layout, program, plan, options, prices, lost[options])
            hot, warm, cold = plan.hot.copy(), plan.warm.copy(), plan.cold.copy()
            hot[options], warm[options], cold[options] = best_path(given)
            plan = Plan(hot, warm, cold, leased)
    return plan


def _path_input(
    problem: Problem,
    coverage: Coverage,
    layout: Layout,
    program: Program,
    plan: Plan,
    options: IntArray,
    prices: FloatArray,
    lost: FloatArray,
) -> PathInput:
    place = problem.option_place[options]
    own = np.cumsum(np.stack([plan.hot, plan.warm, plan.cold])[:, options], axis=0)
    resources = 1 if coverage.single[place].all() else problem.shape[3]
    size = coverage.size[options][:, :resources]
    there = capacity_of(problem, coverage, plan)[:, place][..., :resources] - own[..., None] * size[:, None, :]
    guarantee = _guarantee(problem, coverage)[place][..., :resources] - there[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(guarantee > 1e-9, np.ceil(guarantee / size[:, None, :] - 1e-9), 0.0).max(axis=2)
    most = np.floor(program.upper[layout.hot[options]] + 1e-9)
    least = np.minimum(np.maximum(program.lower[layout.hot[options]], needed), most)
    cold = layout.cold[options]
    return PathInput(
        need=coverage.need[place][..., :resources],
        weight=coverage.weight[:, place],
        size=size,
        there=there,
        hot_price=prices[0, options],
        warm_price=prices[1, options],
        cold_price=prices[2, options],
        standby=np.isfinite(problem.warm_price[options]),
        cold_most=np.where(cold >= 0, np.minimum(program.upper[cold], 1e9), 0.0),
        target=own + lost,
        least=least,
        most=most,
        held=problem.held[options],
        start_cost=problem.start_cost[options],
    )


def _priced(layout: Layout, program: Program, optimum: LinearSolution) -> FloatArray:
    """(3, M, T) USD per machine and block in each pool: its price, and its share of every limit at the limit's shadow price."""
    rows = np.concatenate([a[a >= 0] for a in (layout.limit, layout.share, layout.budget)])
    shadow = np.zeros(layout.rows)
    shadow[rows] = optimum.savings[rows]
    with_shadow = np.append(program.cost + program.matrix.T @ shadow, 0.0)
    return np.stack([with_shadow[layout.hot], with_shadow[layout.warm], with_shadow[layout.cold]])


def _guarantee(problem: Problem, coverage: Coverage) -> FloatArray:
    """(D, T, R) hot capacity that the guaranteed shares take, from the latest lead time of the place on."""
    latest = np.zeros(len(problem.places), dtype=np.int64)
    np.maximum.at(latest, problem.option_place, problem.ready_from)
    there = np.arange(problem.shape[1]) >= latest[:, None]
    result: FloatArray = (problem.guaranteed[..., None] * coverage.need).sum(axis=2) * there[..., None]
    return result


def _least(problem: Problem, coverage: Coverage, program: Program, layout: Layout, plan: Plan) -> FloatArray:
    """(M, T) hot machines below which no repair goes: floors, and whatever a place with a guarantee holds."""
    floors = program.lower[layout.hot]
    guaranteed = np.asarray((_guarantee(problem, coverage) > 0).any(axis=2))[problem.option_place]
    return np.where(guaranteed, np.maximum(floors, plan.hot), floors)


def _in_time(problem: Problem, plan: Plan) -> Plan:
    """Before an option's lead time no block has more hot and warm machines than the one before."""
    if not (problem.ready_from > 0).any():
        return plan
    hot, warm = plan.hot.copy(), plan.warm.copy()
    there = np.floor(problem.held + problem.held_warm + 1e-9)
    for t in range(int(problem.ready_from.max())):
        early = problem.ready_from > t
        if t >= problem.shape[1]:
            break
        hot[:, t] = np.where(early, np.minimum(hot[:, t], there), hot[:, t])
        warm[:, t] = np.where(early, np.minimum(warm[:, t], there - hot[:, t]), warm[:, t])
        there = np.where(early, hot[:, t] + warm[:, t], there)
    return Plan(hot, warm, plan.cold, plan.leased)
