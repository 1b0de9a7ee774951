"""The optimal policy: all services, regions and hours in one linear program (`infra.program`), from the forecast's quantiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.settings import Settings
from infra.capacity_need import LINE, STEPS
from infra.failures import Scarce
from infra.policies.conflict_words import conflict_words
from infra.policies.late_service import pool_words
from infra.policies.limit_words import binding_limits, unserved_because
from infra.policies.machine_options import Options, options_of
from infra.policies.movement import Movement
from infra.policies.plan_lines import BANDWIDTH, Array, lines_of, places_of
from infra.policies.plan_problem import Circumstances, Written, problem_of
from infra.policies.reasons import reasons
from infra.policies.tiered import confidence_tier
from infra.policies.type_rows import parts_of_need, rows_by_type
from infra.policies.unserved import served_late, unserved_words
from infra.program import (
    PlanConflictError,
    Problem,
    Solution,
    bought,
    least_first_day_usd,
    no_room,
    share_fairly,
    solve,
    with_least_change,
)
from infra.quota_fit import Taken
from infra.running import RunHistory

__all__ = ["optimal_pools"]

# Installations of a handful of lines get the best whole machines, to a five-hundredth of the cost, in a few seconds: where a line has two or three
# machines rounding is far off. Larger ones are rounded.
_SMALL: Final = 1000
_GAP: Final = 2e-3
# Machines of an option below which the program does not use it.
_UNUSED: Final = 1e-6
# What the least that must be held is raised by, in USD: more than the solver may miss a limit by, less than a machine in standby costs.
_HAIR: Final = 1e-4


def optimal_pools(
    settings: Settings,
    rows: pd.DataFrame,
    need: pd.DataFrame,
    *,
    budget_usd: Array,
    budget_weights: Array,
    taken: Taken,
    boosted: pd.Series[bool],
    history: RunHistory | None,
    scarce: Scarce,
) -> pd.DataFrame:
    """`need` with `hot, warm, cold, unmet, leased, leased_usd, tier, why, first_type, limits`: the cheapest plan by expectation within quotas and budget.

    A service in a region is a place of the program, with machines of the types that it may use there; its bandwidth is one of its own,
    because attachments are bought by the Gbit/s and what is not reserved may still be there. Storage is held as needed: a disk cannot wait.
    What is neither held nor bought when it is needed, by the program, is `unmet`, and `why` says what stands in the way.
    Machines that a service leases from a peer region are hot on its line in that region, and `leased` on both (see the table `plans`).

    The rows keep their labels. A line that uses other machine types than the one its need is counted in has further rows with the same
    labels, `first_type` false; `needed` is then in every row the part of the need that falls to its type.

    `limits` are those that bind anywhere in the plan, the same in every row; None when nothing was planned by the program.

    Args:
        rows: what `usable_forecast` let through, for the services that are planned.
        need: their `capacity_need`; says what counts as needed.
        budget_usd: (days,) for the machines and the bandwidth of these rows; storage is not in it. Where no plan keeps that of the first day,
            today, it is held at the least.
        budget_weights: (days, hours) how much an hour counts in each day.
        taken: vCPU of the quotas that other services have; they are not there for these.
        boosted: rows of `need` whose value, and weight in fair shares, count `policy.boost_factor` times.
        history: what ran before. None: nothing is known, and the first hour starts nothing that it needs.
        scarce: shares of zones that lately had no stock, by region and machine type.

    Raises:
        BadInputError: when no plan keeps quotas, floors and the budgets of the days after today; names the settings in conflict, with the hour.
    """
    hours = int(need.groupby(LINE)["ds"].size().iloc[0])
    ordered = need.sort_values([*LINE, "ds"], kind="stable")
    lines = lines_of(settings, rows, ordered, hours)
    plan = _unplanned(ordered)
    if lines.keys:
        at = places_of(ordered, lines)
        hourly = np.where(boosted.loc[ordered.index], settings.policy.boost_factor, 1.0)[at >= 0].reshape(len(lines.keys), hours)
        given = Circumstances(
            settings=settings,
            lines=lines,
            need=ordered,
            movement=Movement(settings, lines, ordered["ds"].min(), history),
            budget_usd=budget_usd,
            budget_weights=budget_weights,
            taken=taken,
            times=np.maximum.reduceat(hourly, lines.first_hour, axis=1),
            scarce=scarce,
        )
        plan = _planned(given, plan, at)
    plan["tier"] = confidence_tier(settings.policy, plan["confidence"])
    return plan


def _unplanned(need: pd.DataFrame) -> pd.DataFrame:
    """What the program does not plan is there as it is needed."""
    return need.assign(
        hot=need["needed"],
        warm=0.0,
        cold=0.0,
        unmet=0.0,
        leased=0.0,
        leased_usd=0.0,
        why=np.where(need["resource"] == "storage", "held as needed: a disk cannot wait", "bought as it is used"),
        first_type=True,
        limits=None,
    )


def _planned(given: Circumstances, plan: pd.DataFrame, at: npt.NDArray[np.int64]) -> pd.DataFrame:
    """`plan`, the rows of `given.need`, with what the program makes of them; `at` is the place of each (`places_of`)."""
    made = _machines(given)
    plan = rows_by_type(plan, made.options, at, values=_amounts(given, given.need[at >= 0], made))
    limits = tuple(binding_limits(made.problem, made.solution).values())
    plan["limits"] = pd.Series([limits] * len(plan), index=plan.index)
    return plan


@dataclass(frozen=True)
class _Made:
    """What the program made of the lines.

    Attributes:
        written: as the settings put it. asked: its problem, with fair shares. problem: the one that has a solution.
    """

    options: Options
    written: Written
    asked: Problem
    problem: Problem
    solution: Solution


def _machines(given: Circumstances) -> _Made:
    options = _worth_using(given, options_of(given.settings, given.lines, given.need))
    written = problem_of(given, options)
    asked = _fair(given, written.problem)
    return _Made(options, written, asked, *_solved(given, asked))


def _amounts(given: Circumstances, ordered: pd.DataFrame, made: _Made) -> dict[str, npt.NDArray[Any]]:
    """Columns of the plan by option and hour; `ordered` are the rows of the places."""
    lines, block = given.lines, given.lines.block_of_hour
    options, problem, solution, loans = made.options, made.problem, made.solution, made.written.loans
    step = np.where(options.machines, 1.0, STEPS[BANDWIDTH])[:, None]
    hot, warm = (np.round(machines * step, 6)[:, block] for machines in (loans.placed(solution), solution.warm))
    needed, minimum = (ordered[name].to_numpy(float).reshape(len(lines.keys), -1) for name in ("needed", "minimum"))
    leased, leased_usd = (moved[:, block] for moved in loans.moved(solution))
    held, buys = hot + leased + warm, np.round(bought(problem, solution) * step, 6)[:, block]
    part = parts_of_need(options, lines.asked, held + buys, needed, minimum.max(axis=1))
    cold, unmet = served_late(part, held, buys)
    pools = pool_words(given.settings, options, solution.warm, made.written.late.on_spot)
    told = reasons(problem, solution, lines.demand) + pools + loans.words(solution) + given.movement.words(made.asked, problem)
    why = told[:, block] + unserved_words(options, unmet, unserved_because(problem, solution)[options.place][:, block])
    amounts = {"needed": part, "hot": hot, "warm": warm, "cold": cold, "unmet": unmet, "leased": leased, "leased_usd": leased_usd}
    return {**amounts, "why": why}


def _worth_using(given: Circumstances, options: Options) -> Options:
    """The options that the program uses when machines need not be whole: rounding shall not scatter a line over types that gain nothing.

    One that is only bought counts where the first type's quota is used up. Those that run stay as well, where starts and stops count.
    """
    if not options.several.any():
        return options
    written = problem_of(given, options)
    problem, solution = _solved(given, _fair(given, written.problem), whole=False)
    machines = written.loans.placed(solution) + solution.warm + given.movement.counted(options)[:, None]
    np.add.at(machines, written.loans.borrower, solution.leased)
    used_up = no_room(problem, solution, at_least=_UNUSED)[0][options.first][options.place]
    return options.only(np.asarray((machines + np.where(used_up, solution.cold, 0.0) > _UNUSED).any(axis=1)))


def _solved(given: Circumstances, problem: Problem, *, whole: bool = True) -> tuple[Problem, Solution]:
    """The problem that has a solution, and it.

    Money comes before starts, stops and running times: where these leave no plan, as few more of them are allowed as will do. Where only today's
    budget is too small for what must be held, it is the least that will do.
    """
    tried = partial(solve, whole=whole, small=_SMALL, gap=_GAP)
    told = partial(conflict_words, given.settings, given.lines, start=given.need["ds"].iloc[0])
    try:
        return problem, tried(problem)
    except PlanConflictError as error:
        least = least_first_day_usd(_unmoved(problem))
        raised = least > problem.budget_usd[0]
        eased = replace(problem, budget_per_day=np.append(least + _HAIR, problem.budget_per_day[1:])) if raised else problem
        mended = with_least_change(eased)
        if mended is problem:
            raise told(error) from error
    try:
        return mended, tried(mended)
    except PlanConflictError as error:
        raise told(error) from error


def _unmoved(problem: Problem) -> Problem:
    """The problem in which starts and stops, and what was started before, do not count."""
    return replace(problem, flap_limit=np.asarray(np.inf), young=np.asarray(0.0))


def _fair(given: Circumstances, problem: Problem) -> Problem:
    """The problem with the fair shares that the settings ask for."""
    rule = given.settings.policy.fairness
    if rule == "bids":
        return problem
    weight = given.times * np.array([service.weight for service in given.services])[:, None]
    return replace(problem, share_limit=share_fairly(_unmoved(problem), rule=rule, weight=weight).share_limit)
