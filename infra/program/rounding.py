"""Fractions of machines to whole ones, option by option, until starts and stops keep to their budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from infra.program.coverage import Coverage, option_groups
from infra.program.highs import LinearSolution
from infra.program.layout import Layout
from infra.program.matrix import Program
from infra.program.plan import Plan, capacity_of, summed
from infra.program.problem import BoolArray, FloatArray, IntArray, Problem
from infra.program.whole_path import PathInput, best_path

__all__ = ["guaranteed_capacity", "rounded"]

# Each round makes starts and stops dearer where a place is above its flap budget of a day: twice as dear as before, from this share of an
# hour's price on.
_FLAP_ROUNDS: Final = 16
_FIRST_SURCHARGE: Final = 0.02


@dataclass(frozen=True, eq=False)
class _Rounding:
    """What all options' paths need: the program's fractions, and (4, M, T) prices of hot, warm, cold and starts with shadow prices."""

    problem: Problem
    coverage: Coverage
    layout: Layout
    program: Program
    fractions: Plan
    prices: FloatArray
    unleased: FloatArray

    def run(self, plan: Plan, options: IntArray, surcharge: FloatArray) -> Plan:
        """`plan` with whole machines of `options`, each of another place; `surcharge` (M, T) USD on each start and stop."""
        given = self._path_input(plan, options, surcharge)
        hot, warm, cold = plan.hot.copy(), plan.warm.copy(), plan.cold.copy()
        hot[options], warm[options], cold[options] = best_path(given)
        return Plan(hot, warm, cold, plan.leased)

    def _path_input(self, plan: Plan, options: IntArray, surcharge: FloatArray) -> PathInput:
        problem, coverage = self.problem, self.coverage
        place = problem.option_place[options]
        part = coverage.at(place)
        resources = part.need.shape[3]
        size = coverage.size[options][:, :resources]
        own = np.cumsum(np.stack([plan.hot, plan.warm, plan.cold])[:, options], axis=0)
        there = capacity_of(problem, coverage, plan)[:, place][..., :resources] - own[..., None] * size[:, None, :]
        fractions = np.cumsum(np.stack([self.fractions.hot, self.fractions.warm, self.fractions.cold])[:, options], axis=0)
        least, most = self._bounds(options, there[0], size)
        cold = self.layout.cold[options]
        return PathInput(
            demand=part,
            size=size,
            there=there,
            hot_price=self.prices[0, options],
            warm_price=self.prices[1, options],
            cold_price=self.prices[2, options],
            standby=np.isfinite(problem.warm_price[options]),
            cold_most=np.where(cold >= 0, np.minimum(self.program.upper[cold], 1e9), 0.0),
            target=fractions + self.unleased[options],
            least=least,
            most=most,
            held=problem.held[options],
            start_cost=self.prices[3, options] + surcharge[options],
            stop_cost=surcharge[options],
        )

    def _bounds(self, options: IntArray, there: FloatArray, size: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Hot machines (m, T) at least, for floors and for what is guaranteed beyond `there`, and at most."""
        guarantee = guaranteed_capacity(self.problem, self.coverage)[self.problem.option_place[options]][..., : size.shape[1]] - there
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = np.where(guarantee > 1e-9, np.ceil(guarantee / size[:, None, :] - 1e-9), 0.0).max(axis=2)
        columns = self.layout.hot[options]
        most = np.floor(self.program.upper[columns] + 1e-9)
        return np.minimum(np.maximum(self.program.lower[columns], needed), most), most


def rounded(problem: Problem, coverage: Coverage, layout: Layout, program: Program, fractions: Plan, optimum: LinearSolution) -> Plan:
    """Whole machines next to the program's fractions; leases are rounded down. Common limits may be exceeded by a little.

    Of the options of a place, those that come first are whole when the next is decided, the others still fractions.
    """
    leased = np.floor(fractions.leased + 1e-6)
    unleased = np.zeros(fractions.hot.shape)
    if problem.leases is not None:
        unleased = summed(problem.leases.option, fractions.hot.shape[0], fractions.leased - leased)
    rounding = _Rounding(problem, coverage, layout, program, fractions, _priced(layout, program, optimum), unleased)
    plan = Plan(fractions.hot, fractions.warm, fractions.cold, leased)
    every = np.ones(fractions.hot.shape[0], dtype=bool)
    surcharge = np.zeros(fractions.hot.shape)
    plan = _all(rounding, plan, every, surcharge)
    for number in range(_FLAP_ROUNDS):
        restless = _above_flap_limit(problem, plan)[problem.option_place]
        if not restless.any():
            break
        surcharge = np.where(restless, _FIRST_SURCHARGE * 2.0**number * problem.hot_price, surcharge)
        plan = _all(rounding, plan, np.asarray(restless.any(axis=1)), surcharge)
    return plan


def guaranteed_capacity(problem: Problem, coverage: Coverage) -> FloatArray:
    """(D, T, R) hot capacity that the guaranteed shares take, from the latest lead time of the place on."""
    if not problem.guaranteed.any():
        return np.zeros((*coverage.need.shape[:2], coverage.need.shape[3]))
    latest = np.zeros(len(problem.places), dtype=np.int64)
    np.maximum.at(latest, problem.option_place, problem.ready_from)
    there = np.arange(problem.shape[1]) >= latest[:, None]
    result: FloatArray = (problem.guaranteed[..., None] * coverage.need).sum(axis=2) * there[..., None]
    return result


def _all(rounding: _Rounding, plan: Plan, wanted: BoolArray, surcharge: FloatArray) -> Plan:
    for group in option_groups(rounding.problem, rounding.coverage):
        options = group[wanted[group]]
        if options.size:
            plan = rounding.run(plan, options, surcharge)
    return plan


def _above_flap_limit(problem: Problem, plan: Plan) -> BoolArray:
    """(D, T) blocks of days in which a place has more starts and stops than it may have."""
    if np.isinf(problem.flap_limit).all():
        return np.zeros((len(problem.places), problem.shape[1]), dtype=bool)
    grown = np.diff(plan.hot, axis=1, prepend=problem.held[:, None])
    moves = [summed(problem.option_place, len(problem.places), np.clip(moved, 0, None)) for moved in (grown, -grown)]
    per_day, places = np.zeros(problem.flap_limit.shape), np.arange(len(problem.places))[:, None]
    np.add.at(per_day, (places, problem.move_day), np.stack(moves))
    return np.asarray((per_day > problem.flap_limit + 1e-6)[places, problem.move_day].any(axis=0))


def _priced(layout: Layout, program: Program, optimum: LinearSolution) -> FloatArray:
    """(4, M, T) USD per machine and block in hot, warm, cold, and per start: its price, and its share of every limit at its shadow price."""
    rows = np.concatenate([a[a >= 0] for a in (layout.limit, layout.share, layout.budget, layout.flap, layout.hold)])
    shadow = np.zeros(layout.rows)
    shadow[rows] = optimum.savings[rows]
    with_shadow = np.append(program.cost + program.matrix.T @ shadow, 0.0)
    return np.stack([with_shadow[columns] for columns in (layout.hot, layout.warm, layout.cold, layout.starts)])
