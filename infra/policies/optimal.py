"""The optimal policy: all services, regions and hours in one linear program (`infra.program`), from the forecast's quantiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.capacity_need import LINE, STEPS
from infra.failures import Scarce
from infra.policies.late_service import late_service, pool_words
from infra.policies.leasing import Loans
from infra.policies.machine_options import Options, options_of
from infra.policies.plan_lines import BANDWIDTH, Array, lines_of, places_of
from infra.policies.plan_problem import problem_of
from infra.policies.reasons import reasons
from infra.policies.tiered import confidence_tier
from infra.policies.type_rows import parts_of_need, rows_by_type
from infra.program import Problem, Solution, least_first_day_usd, share_fairly, solve

__all__ = ["optimal_pools"]

# Installations of a handful of lines get the best whole machines, to a five-hundredth of the cost, in a few seconds: where a line has two or three
# machines rounding is far off. Larger ones are rounded.
_SMALL: Final = 1000
_GAP: Final = 2e-3
# Machines of an option below which the program does not use it.
_UNUSED: Final = 1e-6
_NOT_SCARCE: Final[Scarce] = {}
# What float noise may take of the least that today costs.
_CENT: Final = 0.01


def optimal_pools(
    settings: Settings,
    rows: pd.DataFrame,
    need: pd.DataFrame,
    *,
    budget_usd: Array,
    budget_weights: Array,
    boosted: pd.Series[bool],
    scarce: Scarce = _NOT_SCARCE,
) -> pd.DataFrame:
    """`need` with `hot, warm, cold, leased, leased_usd, tier, why, first_type`: the cheapest plan by expectation within quotas and budget.

    A service in a region is a place of the program, with machines of the types that it may use there; its bandwidth is one of its own,
    because attachments are bought by the Gbit/s and what is not reserved may still be there. Storage is held as needed: a disk cannot wait.
    Machines that a service leases from a peer region are hot on its line in that region, and `leased` on both (see the table `plans`).

    The rows keep their labels. A line that uses other machine types than the one its need is counted in has further rows with the same
    labels, `first_type` false; `needed` is then in every row the part of the need that falls to its type.

    Args:
        rows: what `usable_forecast` let through, for the services that are planned.
        need: their `capacity_need`; says what counts as needed.
        budget_usd: (days,) for the machines and the bandwidth of these rows; storage is not in it. Where no plan keeps that of the first day,
            today, it is held at the least.
        budget_weights: (days, hours) how much an hour counts in each day.
        boosted: rows of `need` whose value counts `policy.boost_factor` times.
        scarce: shares of zones that lately had no stock, by region and machine type.

    Raises:
        BadInputError: when no plan keeps quotas, floors and the budgets of the days after today; names those in conflict.
    """
    hours = int(need.groupby(LINE)["ds"].size().iloc[0])
    ordered = need.sort_values([*LINE, "ds"], kind="stable")
    lines = lines_of(settings, rows, ordered, hours)
    plan = ordered.assign(
        hot=ordered["needed"],
        warm=0.0,
        leased=0.0,
        leased_usd=0.0,
        why=np.where(ordered["resource"] == "storage", "held as needed: a disk cannot wait", ""),
        first_type=True,
    )
    if lines.keys:
        at = places_of(ordered, lines)
        hourly = np.where(boosted.loc[ordered.index], settings.policy.boost_factor, 1.0)[at >= 0].reshape(len(lines.keys), hours)
        times = np.maximum.reduceat(hourly, lines.first_hour, axis=1)
        made_of = partial(
            problem_of, settings, lines, ordered, budget_usd=budget_usd, budget_weights=budget_weights, times=times, scarce=scarce
        )
        options = _worth_using(settings, options_of(settings, lines, ordered), made_of)
        problem, loans = made_of(options)
        solution = _solved(_fair(settings, problem), whole=True)
        step = np.where(options.machines, 1.0, STEPS[BANDWIDTH])[:, None]
        hot, warm = (np.round(machines * step, 6)[:, lines.block_of_hour] for machines in (loans.placed(solution), solution.warm))
        needed, minimum = (ordered.loc[at >= 0, name].to_numpy(float).reshape(len(lines.keys), hours) for name in ("needed", "minimum"))
        leased, leased_usd = (moved[:, lines.block_of_hour] for moved in loans.moved(solution))
        part = parts_of_need(options, lines.asked, hot + leased + warm, needed, minimum.max(axis=1))
        pools = pool_words(settings, options, solution.warm, late_service(settings, options, scarce).on_spot)
        why = (reasons(problem, solution, lines.demand) + pools + loans.words(solution))[:, lines.block_of_hour]
        values = {"needed": part, "hot": hot, "warm": warm, "leased": leased, "leased_usd": leased_usd, "why": why}
        plan = rows_by_type(plan, options, at, values=values)
    plan["cold"] = (plan["needed"] - plan["hot"] - plan["leased"] - plan["warm"]).clip(lower=0).round(6)
    plan["tier"] = confidence_tier(settings.policy, plan["confidence"])
    return plan


def _worth_using(settings: Settings, options: Options, made_of: Callable[[Options], tuple[Problem, Loans]]) -> Options:
    """The options that the program uses when machines need not be whole: rounding shall not scatter a line over types that gain nothing."""
    if not options.several.any():
        return options
    problem, loans = made_of(options)
    solution = _solved(_fair(settings, problem), whole=False)
    machines = loans.placed(solution) + solution.warm
    np.add.at(machines, loans.borrower, solution.leased)
    return options.only(np.asarray((machines > _UNUSED).any(axis=1)))


def _solved(problem: Problem, *, whole: bool) -> Solution:
    """The solution; where only today's budget is too small for what must be held, with the least that will do."""
    try:
        return solve(problem, whole=whole, small=_SMALL, gap=_GAP)
    except BadInputError:
        least = least_first_day_usd(problem)
        if least <= problem.budget_usd[0]:
            raise
        raised = replace(problem, budget_per_day=np.append(least + _CENT, problem.budget_per_day[1:]))
        return solve(raised, whole=whole, small=_SMALL, gap=_GAP)


def _fair(settings: Settings, problem: Problem) -> Problem:
    return problem if settings.policy.fairness == "bids" else share_fairly(problem, rule=settings.policy.fairness)
