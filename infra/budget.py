"""The day's budget of a plan, and the change in spending that needs a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.capacity_need import INSTANCES
from infra.day_budget import DayBudgets

__all__ = ["Approval", "approval_needed", "fit_budget", "plan_usd_per_day"]

_HOURS_PER_DAY: Final = 24
_BANDWIDTH: Final = "bandwidth"
_CENT: Final = 0.01

# Moves what it can of some rows, in the plan: (plan, rows, their share in the day, USD wanted, reason) -> USD saved.
_Give: TypeAlias = "Callable[[pd.DataFrame, pd.DataFrame, pd.Series[float], float, str], float]"


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


def fit_budget(
    plan: pd.DataFrame,
    budgets: DayBudgets,
    *,
    usd: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    rank: Mapping[str, int],
    issue_time: pd.Timestamp,
) -> pd.DataFrame:
    """`plan` with no UTC day whose hours cost more than `usd`, except today, which is then held at the least.

    On a day that is above, machines go from hot to warm: first of low, then medium, then high criticality, within one by
    region and name, evenly over the hours and never below `minimum_instances`. Where that is not enough, machines that stand by and bandwidth go to
    cold in the same order. Each row that gave says so in `why`. This may undo the lead time's early hold.

    Args:
        plan: needs `hot, warm, cold, minimum, hot_usd, warm_usd, why` beside the keys.
        budgets: the days.
        usd: (days,) what the hours of each may cost.
        weights: (days, hours) how much each counts.
        rank: of every service, the least critical first.
        issue_time: a full hour.

    Raises:
        BadInputError: when a day after today is above the budget even so; the message has the amount that would do.
    """
    plan = plan.copy()
    hour = ((plan["ds"] - issue_time) // pd.Timedelta("1h")).to_numpy(int)
    for day, (counts, limit) in enumerate(zip(weights, usd, strict=True)):
        share = pd.Series(counts[hour], index=plan.index)
        cost = float((_cost(plan) * share).sum())
        excess, words = cost - limit, f"; {_named(budgets, day, limit)} exceeded ({cost:,.0f})"
        for gives in (_hot_to_warm, _to_cold):
            if excess > 0:
                excess -= _saved(plan, gives, share, rank, excess, words)
        if excess > _CENT and day > 0:
            raise BadInputError(
                f"the day from {(issue_time + pd.Timedelta(hours=int(budgets.begins[day]))).isoformat()} costs {limit + excess:,.0f} USD even with only "
                f"minimum_instances hot, above policy.budget_usd_per_day {limit:,.0f}; raise it or lower what services ask for"
            )
    return plan


def _named(budgets: DayBudgets, day: int, usd: float) -> str:
    return f"{usd:,.0f} USD left of today's budget" if day == 0 and budgets.usd[0] < budgets.per_day else f"budget {usd:,.0f} USD/day"


def _cost(plan: pd.DataFrame) -> pd.Series[float]:
    return plan["hot"] * plan["hot_usd"] + plan["warm"] * plan["warm_usd"]


def _saved(plan: pd.DataFrame, gives: _Give, share: pd.Series[float], rank: Mapping[str, int], excess: float, reason: str) -> float:
    """USD that services gave, one after the other, until `excess` is reached."""
    counted, saved = plan[share > 0], 0.0
    for _, rows in counted.groupby([counted["service"].map(rank), "region", "service"], sort=True):
        if saved >= excess:
            break
        saved += gives(plan, rows, share.loc[rows.index], excess - saved, reason)
    return saved


def _hot_to_warm(plan: pd.DataFrame, rows: pd.DataFrame, share: pd.Series[float], excess: float, reason: str) -> float:
    """Move machines of `rows` from hot to warm inside `plan` until `excess` USD are saved or none is left; the saving."""
    movable = (rows["hot"] - rows["minimum"]).clip(lower=0).where(rows["resource"] == INSTANCES, 0.0)
    usd = (rows["hot_usd"] - rows["warm_usd"]).clip(lower=0)
    gave = _parts(movable, usd * share, excess)
    if gave.empty:
        return 0.0
    plan.loc[gave.index, "hot"] -= gave
    plan.loc[gave.index, "warm"] += gave
    plan.loc[gave.index, "why"] += reason + ": " + gave.map("{:.0f}".format) + " from hot to warm"
    return float((gave * (usd * share).loc[gave.index]).sum())


def _to_cold(plan: pd.DataFrame, rows: pd.DataFrame, share: pd.Series[float], excess: float, reason: str) -> float:
    """The same for machines from warm to cold, and for bandwidth from hot to cold."""
    machines, saving = rows["resource"] == INSTANCES, 0.0
    for pool, of in (("warm", machines), ("hot", rows["resource"] == _BANDWIDTH)):
        usd = rows[f"{pool}_usd"] * share
        gave = _parts(rows[pool].where(of, 0.0), usd, excess - saving)
        if gave.empty:
            continue
        plan.loc[gave.index, pool] -= gave
        plan.loc[gave.index, "cold"] += gave
        plan.loc[gave.index, "why"] += reason + ": " + gave.map("{:g}".format) + f" from {pool} to cold"
        saving += float((gave * usd.loc[gave.index]).sum())
    return saving


def _parts(movable: pd.Series[float], usd: pd.Series[float], excess: float) -> pd.Series[float]:
    """The same part of every row, in whole units where the row has no fraction, so that `excess` USD are saved or nothing is left; those above 0."""
    most = float((movable * usd).sum())
    if most <= 0 or excess <= 0:
        return movable[:0]
    moved = pd.Series(np.ceil(movable * min(1.0, excess / most) - 1e-9), index=movable.index).clip(upper=movable)
    return moved[(moved > 0) & (usd > 0)]
