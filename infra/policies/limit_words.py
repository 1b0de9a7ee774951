"""The limits of the optimal plan in the owner's words: what one more of each saves, and which of them leaves demand unserved."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from infra.binding_limit import BindingLimit
from infra.program import Problem, ShadowPrice, Solution, concerned, no_room
from infra.quotas import quota_metric, vcpus_of

__all__ = ["binding_limits", "unserved_because"]

_DOES_NOT_PAY: Final = "machines bought when they are needed come too late or cost more than they are worth"

Texts = npt.NDArray[np.object_]


def binding_limits(problem: Problem, solution: Solution) -> dict[ShadowPrice, BindingLimit]:
    """Those of a plan whose families are quotas by name (`infra.quotas.quota_name`), the dearest first."""
    return {price: _binding(problem, price) for price in solution.shadow_prices}


def unserved_because(problem: Problem, solution: Solution) -> Texts:
    """(D, T) why a place that has too little in an hour has no more: the limit without room for another machine, or that it does not pay."""
    full, share = (_at_places(problem, found) for found in no_room(problem, solution))
    text = np.full(full.shape, _DOES_NOT_PAY, dtype=object)
    for price in solution.shadow_prices:
        if price.kind == "budget":
            text[_at_places(problem, concerned(problem, price))] = "policy.budget_usd_per_day binds"
    for place, region in enumerate(problem.region.tolist()):
        families = sorted({problem.families[f] for f in problem.option_family[problem.option_place == place].tolist()})
        names = " and ".join(quota_metric(name) for name in families)
        verb = "binds" if len(families) == 1 else "bind"
        text[place, share[place]] = f"its fair share of {names} in {problem.regions[region]} {verb}"
        text[place, full[place]] = f"{names} of {problem.regions[region]} {verb}"
    return text


def _at_places(problem: Problem, of_options: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(D, T) whether it is so of all options of a place."""
    result = np.ones((len(problem.places), of_options.shape[1]), dtype=bool)
    np.logical_and.at(result, problem.option_place, of_options)
    return result


def _binding(problem: Problem, price: ShadowPrice) -> BindingLimit:
    region = quota = ""
    if price.kind == "quota":
        region, name = problem.regions[price.of[0]], problem.families[price.of[1]]
        quota, what = quota_metric(name), f"{vcpus_of(name)} quota in {region}"
    elif price.kind == "share":
        what = f"{vcpus_of(problem.families[price.of[1]])} in the fair share of {problem.places[price.of[0]]}"
    elif price.kind == "lending":
        what = f"vCPU lent by {problem.regions[price.of[0]]}"
    elif price.kind == "link":
        what = f"Gbit/s from {price.name}"
    elif price.kind == "budget":
        what = "USD per day of policy.budget_usd_per_day"
    else:
        what = f"start or stop per day of {problem.places[price.of[0]]}"
    return BindingLimit(f"one more {what} saves {price.usd_per_day:,.2f} USD/day", price.usd_per_day, region, quota)
