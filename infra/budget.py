"""The day's budget of a plan, and the change in spending that needs a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.capacity_need import INSTANCES

__all__ = ["Approval", "approval_needed", "fit_budget", "plan_usd_per_day"]

_HOURS_PER_DAY: Final = 24
_CENT: Final = 0.01


@dataclass(frozen=True)
class Approval:
    """Whether a person must agree before a plan is applied, and the figures behind it; an `increase` below 0 is a decrease."""

    needed: bool
    plan_usd_per_day: float
    held_usd_per_day: float
    increase_usd_per_day: float
    reason: str


def approval_needed(settings: Settings, plan: pd.DataFrame, *, held_usd_per_day: float) -> Approval:
    """Compare the first 24 hours of a plan with what is held now.

    Args:
        settings: `policy.approval_usd_per_day` is the largest increase that needs nobody, `policy.approval_decrease_usd_per_day` the
            largest decrease (None: any).
        plan: rows in the `plans` schema.
        held_usd_per_day: list price of what the ledger holds now, per day (0 when nothing is held).
    """
    planned = plan_usd_per_day(plan)
    increase = planned - held_usd_per_day
    policy = settings.policy
    name = "approval_usd_per_day" if increase >= 0 else "approval_decrease_usd_per_day"
    limit = policy.approval_usd_per_day if increase >= 0 else policy.approval_decrease_usd_per_day
    needed = limit is not None and abs(increase) > limit
    change = f"{'an increase' if increase >= 0 else 'a decrease'} of {abs(increase):,.2f}"
    verdict = (
        f"is {'above' if needed else 'within'} policy.{name} {limit:,.2f}" if limit is not None else f"waits for nobody (policy.{name})"
    )
    reason = f"plan {planned:,.2f} USD/day, held {held_usd_per_day:,.2f} USD/day: {change} {verdict}"
    return Approval(needed, planned, held_usd_per_day, increase, reason)


def plan_usd_per_day(plan: pd.DataFrame, column: str = "cost_usd") -> float:
    """USD of the plan's first 24 hours; `column` is `cost_usd` or `peak_cost_usd`. A shorter plan is scaled to a day."""
    if plan.empty:
        return 0.0
    first = plan["ds"].min()
    day = plan[plan["ds"] < first + pd.Timedelta(hours=_HOURS_PER_DAY)]
    return float(day[column].sum() / day["ds"].nunique() * _HOURS_PER_DAY)


def fit_budget(settings: Settings, plan: pd.DataFrame, *, usd_per_day: float, issue_time: pd.Timestamp) -> pd.DataFrame:
    """`plan` with no day (24 hours from `issue_time`) whose hours cost more than `usd_per_day`.

    On a day that is above, machines go from hot to warm: first of low, then medium, then high criticality, within one by
    region and name, evenly over the hours and never below `minimum_instances`. Each row that gave says so in `why`. This may undo the lead
    time's early hold; the machines are then in standby.

    Args:
        settings: criticality.
        plan: needs `hot, warm, minimum, hot_usd, warm_usd, why` beside the keys.
        issue_time: where days begin.

    Raises:
        BadInputError: when a day is above the budget even so; the message has the amount that would do.
    """
    plan = plan.copy()
    day = (plan["ds"] - issue_time) // pd.Timedelta(hours=_HOURS_PER_DAY)
    rank = plan["service"].map({name: -s.rank for name, s in settings.services.items()})
    costs = _cost(plan).groupby(day).sum()
    for number in (int(d) for d in day.unique() if costs[d] > usd_per_day):
        cost = float(costs[number])
        givers = plan[(day == number) & (plan["resource"] == INSTANCES)].assign(rank=rank)
        excess = cost - usd_per_day
        for _, rows in givers.groupby(["rank", "region", "service"], sort=True):
            if excess <= 0:
                break
            excess -= _move_to_warm(plan, rows, excess, f"; budget {usd_per_day:,.0f} USD/day exceeded ({cost:,.0f})")
        if excess > _CENT:
            raise BadInputError(
                f"the day from {(issue_time + pd.Timedelta(days=number)).isoformat()} costs {usd_per_day + excess:,.0f} USD even with only "
                f"minimum_instances hot, above policy.budget_usd_per_day {usd_per_day:,.0f}; raise it or lower what services ask for"
            )
    return plan


def _cost(plan: pd.DataFrame) -> pd.Series[float]:
    return plan["hot"] * plan["hot_usd"] + plan["warm"] * plan["warm_usd"]


def _move_to_warm(plan: pd.DataFrame, rows: pd.DataFrame, excess: float, reason: str) -> float:
    """Move machines of `rows` from hot to warm inside `plan` until `excess` USD are saved or none is left; the saving."""
    movable = (rows["hot"] - rows["minimum"]).clip(lower=0)
    saving = movable * (rows["hot_usd"] - rows["warm_usd"]).clip(lower=0)
    if saving.sum() <= 0:
        return 0.0
    moved = np.ceil(movable * min(1.0, excess / saving.sum()) - 1e-9)
    gave = moved[moved > 0]
    plan.loc[gave.index, "hot"] -= gave
    plan.loc[gave.index, "warm"] += gave
    plan.loc[gave.index, "why"] += reason + ": " + gave.map("{:.0f}".format) + " from hot to warm"
    return float((gave * (rows["hot_usd"] - rows["warm_usd"]).loc[gave.index]).sum())
