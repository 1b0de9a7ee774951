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
from infra.lead_times import boot_lead_hours
from infra.unit_prices import TYPED_LINE, with_unit_prices

__all__ = ["dearest_held_day_usd", "held_usd_by_day", "within_held_budget"]

_HOURS_PER_DAY: Final = 24
_HOUR: Final = pd.Timedelta("1h")
_CENT: Final = 0.01
_ROUNDS: Final = 16
# Of the budget in proportion, which whole machines may miss by a little.
_SLACK: Final = 0.999

Array = npt.NDArray[np.float64]


def held_usd_by_day(settings: Settings, plan: pd.DataFrame, issue_time: pd.Timestamp) -> Array:
    """USD of every day (24 hours from `issue_time`) of a plan, held as `infra.targets.desired_state` asks for it.

    There is an allocation every `policy.hold_hours` from the issue time on. From each to the next, every line and machine type is held at the
    most that it needs in the hours `[allocation, next allocation + lead)`, with the lead of its service's boot: hot, and hot and warm together.

    Args:
        plan: `ds, hot, warm` and the keys; may be empty.
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
    usd = hot * first[["hot_usd"]].to_numpy(float) + (both - hot) * first[["warm_usd"]].to_numpy(float)
    found: Array = np.add.reduceat(usd.sum(axis=0), np.arange(0, usd.shape[1], _HOURS_PER_DAY))
    return found


def dearest_held_day_usd(settings: Settings, plan: pd.DataFrame, issue_time: pd.Timestamp) -> float:
    """USD of the day that costs most (see `held_usd_by_day`); 0 for an empty plan."""
    return float(held_usd_by_day(settings, plan, issue_time).max(initial=0.0))


def within_held_budget(
    settings: Settings, plan_within: Callable[[float], pd.DataFrame], *, usd_per_day: float, issue_time: pd.Timestamp
) -> pd.DataFrame:
    """The plan that `plan_within` makes with a budget for its hours, and whose dearest day costs at most `usd_per_day` as it will be held.

    The hours get the whole budget wherever holding adds nothing that matters; else a smaller one is looked for, between those that are held
    for too much and those that no plan meets.

    Raises:
        BadInputError: as `plan_within` with the whole budget, or when no smaller one is found that does.
    """
    plan, too_little, too_much = plan_within(usd_per_day), 0.0, usd_per_day
    held = dearest_held_day_usd(settings, plan, issue_time)
    for _ in range(_ROUNDS):
        if held <= usd_per_day + _CENT:
            return plan
        tried = too_much * usd_per_day / held * _SLACK
        tried = tried if tried > too_little else (too_little + too_much) / 2
        try:
            plan = plan_within(tried)
        except BadInputError:
            too_little = tried
        else:
            too_much, held = tried, dearest_held_day_usd(settings, plan, issue_time)
    raise BadInputError(
        f"no plan was found that can be held for policy.hold_hours {settings.policy.hold_hours} within policy.budget_usd_per_day: the nearest "
        f"costs {held:,.0f} of {usd_per_day:,.0f} USD a day; allocate more often and lower hold_hours, or raise the budget"
    )


def _held(amount: Array, lead: npt.NDArray[Any], hold: int) -> Array:
    """(L, T) the most of an hour's window: from the allocation before it until the lead after the next one."""
    ahead = amount.copy()
    for hours in range(1, int(lead.max()) + 1):
        later = np.zeros_like(amount)
        later[:, : amount.shape[1] - hours] = amount[:, hours:]
        ahead = np.where(lead >= hours, np.maximum(ahead, later), ahead)
    begins = np.arange(0, amount.shape[1], hold)
    result: Array = np.repeat(np.maximum.reduceat(ahead, begins, axis=1), np.diff(np.append(begins, amount.shape[1])), axis=1)
    return result
