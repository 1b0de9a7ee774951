"""What a plan costs as it will be held: from one allocation to the next, a region holds the most that any hour until the next one takes effect needs.

Where needs rise and fall that is more than the sum of the plan's hours. The budget binds what is held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.day_budget import DayBudgets
from infra.lead_times import boot_lead_hours
from infra.unit_prices import TYPED_LINE, with_unit_prices

__all__ = ["held_usd_by_hour", "within_held_budget"]

_HOUR: Final = pd.Timedelta("1h")
_CENT: Final = 0.01
_ROUNDS: Final = 16
# Of the budget in proportion, which whole machines may miss by a little.
_SLACK: Final = 0.999
# What the last lowering must have saved; else the next is twice as large, at first up to the part below, and twice that every fourth round.
_NOTICED: Final = 0.99
_LARGEST_STEP: Final = 0.05

Array = npt.NDArray[np.float64]


def held_usd_by_hour(settings: Settings, plan: pd.DataFrame, issue_time: pd.Timestamp) -> Array:
    """USD of every hour from `issue_time` on of a plan that is held as `infra.targets.desired_state` asks for it; none of an empty plan.

    There is an allocation every `policy.hold_hours` from the issue time on. From each to the next, every line and machine type is held at the
    most that it needs in the hours `[allocation, next allocation + lead)`, with the lead of its service's boot: hot, and hot and warm together.
    What leased machines send costs egress in the hour itself.

    Args:
        plan: `ds, hot, warm` and the keys, and `leased_usd` where there are leases; may be empty.
    """
    if plan.empty:
        return np.zeros(0)
    lines = plan.groupby(TYPED_LINE, sort=False).ngroup().to_numpy()
    first = with_unit_prices(settings, plan[TYPED_LINE].groupby(lines, sort=True).first())
    hour = ((plan["ds"] - issue_time) // _HOUR).to_numpy(int)
    hot, both = np.zeros((2, len(first), hour.max() + 1))
    hot[lines, hour] = plan["hot"]
    both[lines, hour] = plan["hot"] + plan["warm"]
    leads = {name: boot_lead_hours(service.capacity) for name, service in settings.services.items()}
    lead, hold = first["service"].map(leads).to_numpy(int)[:, None], settings.policy.hold_hours
    hot, both = _held(hot, lead, hold), _held(both, lead, hold)
    usd: Array = hot * first[["hot_usd"]].to_numpy(float) + (both - hot) * first[["warm_usd"]].to_numpy(float)
    found: Array = usd.sum(axis=0) + _egress_usd(plan, hour)
    return found


def within_held_budget(
    settings: Settings,
    plan_within: Callable[[Array, Array], pd.DataFrame],
    budgets: DayBudgets,
    *,
    usd: Array,
    issue_time: pd.Timestamp,
) -> pd.DataFrame:
    """The plan that `plan_within` makes with a budget for its hours in each day, and that costs in no day more than `usd` as it will be held.

    The hours get the whole budget wherever holding adds nothing that matters. In days that are held for too much it is lowered, between
    what is too much and what no plan meets. Today may stay above when nothing helps.

    Args:
        plan_within: takes USD of each day and how much every hour counts in it (at first `budgets.own`, then `budgets.weights`), and may hold more than the first of them, of today, where that is the least.
        usd: (days,) at most `budgets.usd`.

    Raises:
        BadInputError: as `plan_within` with the whole budget, or when no smaller one is found that does.
    """
    plan, tried = plan_within(usd, budgets.own), usd
    held = budgets.by_day(held_usd_by_hour(settings, plan, issue_time))
    low, before = np.zeros(usd.size), (usd, np.full(usd.size, np.inf))
    later = np.arange(usd.size) > 0
    for number in range(_ROUNDS):
        over = held > usd + _CENT
        if not over.any():
            return plan
        lowered = np.where(over, _lowered(tried, held, before, usd * _SLACK, low, _LARGEST_STEP * 2.0 ** (number // 4)), tried)
        try:
            found = plan_within(lowered, budgets.weights)
        except BadInputError:
            low = np.where(over & later, lowered, low)
        else:
            plan, before, tried = found, (tried, held), lowered
            held = budgets.by_day(held_usd_by_hour(settings, plan, issue_time))
    if not (held > usd + _CENT)[later].any():
        return plan
    worst = int(np.argmax(np.where(later, held - usd, -np.inf)))
    raise BadInputError(
        f"no plan was found that can be held for policy.hold_hours {settings.policy.hold_hours} within policy.budget_usd_per_day: the nearest "
        f"costs {held[worst]:,.0f} of {usd[worst]:,.0f} USD a day; allocate more often and lower hold_hours, or raise the budget"
    )


def _lowered(tried: Array, held: Array, before: tuple[Array, Array], target: Array, low: Array, most: float) -> Array:
    """The budgets in proportion, at most half way to `low`.

    Whole machines make steps of what is held: where the last lowering changed little, the next is twice as large, up to the part `most`.
    What is held over the budget of the hours is flat at first, where peaks are held for long, and then steep: a line through two plans goes too far.
    """
    found = tried * target / np.maximum(held, _CENT)
    twice = np.minimum(2 * np.maximum(before[0] - tried, 0.0), most * tried)
    found = np.where(held >= _NOTICED * before[1], np.minimum(found, tried - twice), found)
    return np.maximum(found, (low + tried) / 2)


def _egress_usd(plan: pd.DataFrame, hour: npt.NDArray[Any]) -> Array:
    """(T,) what leases cost beyond their machines: the lenders' prices cancel out in `leased_usd` (`infra.policies.leasing.Loans.moved`)."""
    usd = plan["leased_usd"].to_numpy(float) if "leased_usd" in plan else np.zeros(len(plan))
    found: Array = np.bincount(hour, weights=usd, minlength=hour.max() + 1).astype(np.float64)
    return found


def _held(amount: Array, lead: npt.NDArray[Any], hold: int) -> Array:
    """(L, T) the most of an hour's window: from the allocation before it until the lead after the next one."""
    ahead = amount.copy()
    for hours in range(1, min(int(lead.max()) + 1, amount.shape[1])):
        later = np.zeros_like(amount)
        later[:, : amount.shape[1] - hours] = amount[:, hours:]
        ahead = np.where(lead >= hours, np.maximum(ahead, later), ahead)
    begins = np.arange(0, amount.shape[1], hold)
    result: Array = np.repeat(np.maximum.reduceat(ahead, begins, axis=1), np.diff(np.append(begins, amount.shape[1])), axis=1)
    return result
