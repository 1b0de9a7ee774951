"""The optimal policy: all services, regions and hours in one linear program (`infra.program`), from the forecast's quantiles."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.settings import Settings
from infra.capacity_need import LINE, STEPS
from infra.policies.plan_lines import lines_of, places_of
from infra.policies.plan_problem import problem_of
from infra.policies.reasons import reasons
from infra.policies.tiered import confidence_tier
from infra.program import share_fairly, solve

__all__ = ["optimal_pools"]

# Installations of a handful of lines get the best whole machines, to a five-hundredth of the cost, in a few seconds: where a line has two or three
# machines rounding is far off. Larger ones are rounded.
_SMALL: Final = 1000
_GAP: Final = 2e-3


def optimal_pools(
    settings: Settings, rows: pd.DataFrame, need: pd.DataFrame, *, budget_usd_per_day: float, boosted: pd.Series[bool]
) -> pd.DataFrame:
    """`hot, warm, cold, leased, leased_usd, tier, why` on the index of `need`: the cheapest plan by expectation within quotas and budget.

    A service in a region is a place of the program, with machines of its type; its bandwidth is one of its own, because attachments are
    bought by the Gbit/s and what is not reserved may still be there. Storage is held as needed: a disk cannot wait. Machines that a
    service leases from a peer region are hot on its line in that region, and `leased` on both (see the table `plans`).

    Args:
        rows: what `usable_forecast` let through, for the services that are planned.
        need: their `capacity_need`; says what counts as needed, and gives the rows of the result.
        budget_usd_per_day: for the machines and the bandwidth of these rows; storage is not in it.
        boosted: rows of `need` whose value counts `policy.boost_factor` times.

    Raises:
        BadInputError: when no plan keeps quotas, floors and budget; names those in conflict.
    """
    hours = int(need.groupby(LINE)["ds"].size().iloc[0])
    order = need.sort_values([*LINE, "ds"], kind="stable").index
    sorted_need = need.loc[order]
    lines = lines_of(settings, rows, sorted_need, hours)
    result = pd.DataFrame(
        {
            "hot": sorted_need["needed"],
            "warm": 0.0,
            "cold": 0.0,
            "leased": 0.0,
            "leased_usd": 0.0,
            "why": np.where(sorted_need["resource"] == "storage", "held as needed: a disk cannot wait", ""),
        },
        index=order,
    )
    if lines.keys:
        at = places_of(sorted_need, lines)
        planned = at >= 0
        hourly = np.where(boosted.loc[order], settings.policy.boost_factor, 1.0)[planned].reshape(len(lines.keys), hours)
        times = np.maximum.reduceat(hourly, lines.first_hour, axis=1)
        problem, loans = problem_of(settings, lines, sorted_need, budget_usd_per_day=budget_usd_per_day, times=times)
        if settings.policy.fairness != "bids":
            problem = share_fairly(problem, rule=settings.policy.fairness)
        solution = solve(problem, small=_SMALL, gap=_GAP)
        place, block = at[planned], np.tile(lines.block_of_hour, len(at) // hours)[planned]
        step = sorted_need.loc[planned, "resource"].map(STEPS).to_numpy(float)
        for pool, machines in (("hot", loans.placed(solution)), ("warm", solution.warm)):
            result.loc[order[planned], pool] = np.round(machines[place, block] * step, 6)
        for column, moved in zip(("leased", "leased_usd"), loans.moved(solution, problem.hot_price), strict=True):
            result.loc[order[planned], column] = moved[place, block]
        why = reasons(problem, solution, lines.demand) + loans.words(solution, lines.keys)
        result.loc[order[planned], "why"] = why[place, block]
    result["cold"] = (sorted_need["needed"] - result["hot"] - result["leased"] - result["warm"]).clip(lower=0).round(6)
    result["tier"] = confidence_tier(settings.policy, sorted_need["confidence"])
    return result.reindex(need.index)
