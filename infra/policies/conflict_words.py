"""Why no optimal plan exists, in the words of the settings: the keys whose values are in each other's way, with the hour."""

from __future__ import annotations

from typing import Final

import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.policies.plan_lines import Lines
from infra.program import Conflict, PlanConflictError, Problem
from infra.quotas import quota_metric, quota_of, vcpus_of

__all__ = ["conflict_words"]

_NAMED: Final = 3
_DAY: Final = pd.Timedelta("24h")
_CENT: Final = 0.01


def conflict_words(settings: Settings, lines: Lines, error: PlanConflictError, *, start: pd.Timestamp) -> BadInputError:
    """The error of a plan whose first hour is `start`, for the owner of the settings."""
    if not error.conflicts:
        return error
    problem = error.problem
    told = [_told(settings, problem, lines, conflict, start) for conflict in error.conflicts[:_NAMED]]
    more = f"; and {len(error.conflicts) - _NAMED} more" if len(error.conflicts) > _NAMED else ""
    asking = [problem.places[place] for place in sorted(set(problem.option_place[problem.floors.max(axis=1) > 0].tolist()))]
    others = f" and {len(asking) - _NAMED} more" if len(asking) > _NAMED else ""
    whose = f"minimum_instances of {', '.join(asking[:_NAMED])}{others}" if asking else "limits together"
    what = "no plan of whole machines" if error.whole else "no plan"
    return BadInputError(f"{what} meets the {whose}: {'; '.join(told)}{more}. Raise these limits or lower minimum_instances")


def _told(settings: Settings, problem: Problem, lines: Lines, conflict: Conflict, start: pd.Timestamp) -> str:
    if conflict.kind == "budget":
        when = f"on {start.normalize() + conflict.when * _DAY:%Y-%m-%d}"
    elif conflict.kind == "flaps":
        when = f"on the day from {start + conflict.when * _DAY:%Y-%m-%d %H:%M}"
    else:
        when = f"at {start + int(lines.first_hour[conflict.when]) * pd.Timedelta('1h'):%Y-%m-%d %H:%M}"
    limit, needed = f"{conflict.limit:,.6g}", f"{conflict.needed:,.6g}"
    if conflict.kind == "quota":
        region, name = problem.regions[conflict.of[0]], problem.families[conflict.of[1]]
        quota = quota_of(settings, region, name)
        left = f", of which services of other policies leave {limit}" if conflict.limit < quota else ""
        return f"regions.{region}.quotas {quota_metric(name)} is {quota:,.6g}{left}, {quota + conflict.needed - conflict.limit:,.6g} would do {when}"
    if conflict.kind == "budget":
        budget = settings.policy.budget_usd_per_day
        left = f", of which storage and services of other policies leave {conflict.limit:,.2f}" if budget - conflict.limit > _CENT else ""
        return f"policy.budget_usd_per_day is {budget:,.6g}{left}, {budget + conflict.needed - conflict.limit:,.2f} would do {when}"
    if conflict.kind == "lending":
        return f"regions.{problem.regions[conflict.of[0]]}.lends_vcpus is {limit}, {needed} would do {when}"
    if conflict.kind == "flaps":
        return f"policy.flaps_per_day is {limit}, {needed} would do for {problem.places[conflict.of[0]]} {when}"
    if conflict.kind == "share":
        place, family = conflict.of
        return f"the fair share of {problem.places[place]} is {limit} {vcpus_of(problem.families[family])}, {needed} would do {when}"
    return f"{conflict.name} is {limit} {conflict.unit}, {needed} would do {when}"
