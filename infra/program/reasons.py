"""Why a plan holds what it holds: the quantile that it buys, what one machine less or more would cost, and the limits that bind there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.program.coverage import coverage_of
from infra.program.plan import Plan
from infra.program.problem import BoolArray, FloatArray, Problem
from infra.program.shadow_prices import ShadowPrice
from infra.program.solve import Solution
from infra.program.steps import step_costs

__all__ = ["Reasons", "binding_limits", "concerned", "reasons_of"]


@dataclass(frozen=True, eq=False)
class Reasons:
    """What stands behind the lines of a plan.

    Attributes:
        hot_level, warm_level: (D, T) probability with which demand stays within what is hot (own and leased), and within hot and warm. 1
            where every band is covered.
        less_usd, more_usd: (M, T) USD that the plan would cost more with one hot machine less, and one more, in this block alone; inf where
            there is none to take away. Both are at least 0 at the best plan but where a limit or a lead time stands between.
        warm_less_usd, warm_more_usd: (M, T) the same for standby.
    """

    hot_level: FloatArray
    warm_level: FloatArray
    less_usd: FloatArray
    more_usd: FloatArray
    warm_less_usd: FloatArray
    warm_more_usd: FloatArray


def reasons_of(problem: Problem, solution: Solution) -> Reasons:
    """Quantiles bought and costs of single steps, for every line of a plan."""
    coverage, layout = coverage_of(problem), solution.warm_start.layout
    plan = Plan(solution.hot, solution.warm, solution.cold, solution.leased)
    less, more = (step_costs(problem, coverage, layout, plan, change=change) for change in (-1, 1))
    levels = _levels(problem.reach)
    hot, warm = (_reached(levels, cover) for cover in solution.cover[:2])
    return Reasons(hot, warm, less.hot, more.hot, less.warm, more.warm)


def binding_limits(problem: Problem, solution: Solution, *, place: int, block: int) -> tuple[ShadowPrice, ...]:
    """The limits that bind for a place in a block, dearest first."""
    options = problem.option_place == place
    return tuple(price for price in solution.shadow_prices if concerned(problem, price)[options, block].any())


def concerned(problem: Problem, price: ShadowPrice) -> BoolArray:
    """(M, T) options and blocks in which a limit stands in the way of more machines, leased ones included."""
    place, family, leases = problem.option_place, problem.option_family, problem.leases
    options = np.zeros(place.size, dtype=bool)
    if price.kind == "quota":
        region, limited = price.of
        options = (problem.region[place] == region) & (family == limited)
        if leases is not None:
            options[leases.option[(leases.lender == region) & (family[leases.option] == limited)]] = True
    elif price.kind == "share":
        options = (place == price.of[0]) & (family == price.of[1])
    elif price.kind == "flaps":
        options = place == price.of[0]
    elif price.kind == "budget":
        options[:] = True
    elif leases is not None:
        options[leases.option[(leases.lender if price.kind == "lending" else leases.link) == price.of[0]]] = True
    blocks = np.zeros(problem.block_hours.size, dtype=bool)
    if price.kind == "budget":  # its blocks are days
        blocks = np.asarray((problem.budget_hours[list(price.blocks)] > 0).any(axis=0))
    elif price.kind == "flaps":  # and so are these, those of a start and those of a stop
        blocks = np.asarray(np.isin(problem.move_day[:, price.of[0]], price.blocks).any(axis=0))
    else:
        blocks[list(price.blocks)] = True
    result: BoolArray = options[:, None] & blocks
    return result


def _levels(reach: FloatArray) -> FloatArray:
    """(D, T, K) probability level at the upper end of each band.

    A band's chance is one minus the middle of its two levels, so they follow one after the other from 0. Merged bands carry means, so a
    level is kept between the middles of its two bands.
    """
    levels = np.zeros(reach.shape)
    below = np.zeros(reach.shape[:2])
    for k in range(reach.shape[2]):
        middle = 1 - reach[:, :, k]
        above = 1 - reach[:, :, k + 1] if k + 1 < reach.shape[2] else np.ones(below.shape)
        below = np.clip(2 * middle - below, middle, above)
        levels[:, :, k] = below
    return levels


def _reached(levels: FloatArray, cover: FloatArray) -> FloatArray:
    """(D, T) the level at which the cover ends, linear within a band; 1 where all is covered."""
    steps = np.diff(levels, axis=2, prepend=0.0)
    level: FloatArray = (steps * cover).sum(axis=2)
    return np.where(np.asarray((cover >= 1 - 1e-9).all(axis=2)), 1.0, level)
