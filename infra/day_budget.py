"""The budget of every UTC day that a plan reaches into: what is left of today's, and which hours of the plan each pays for.

`policy.budget_usd_per_day` binds what is held between midnight and midnight UTC, however often it is planned. What was held since midnight is
spent, so the rest of today has what is left. The days after it have the whole budget, and the last, in which the plan ends, its part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.settings import Settings
from infra.lead_times import boot_lead_hours

__all__ = ["DayBudgets", "SpentToday", "day_budgets"]

_DAY_HOURS: Final = 24
_HOUR: Final = pd.Timedelta("1h")
_CENT: Final = 0.01

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SpentToday:
    """What is known at an issue time of the money of its UTC day.

    Attributes:
        usd: list price of what was held in the full hours since midnight of which it is known.
        known_hours: how many these are. Of the others each counts as its part of the budget.
        beside_usd_per_hour: what is held beside the plans in force (adopted, in use, of services and regions that are not planned), and is taken to
            stay until midnight.
    """

    usd: float = 0.0
    known_hours: int = 0
    beside_usd_per_hour: float = 0.0


@dataclass(frozen=True, eq=False)
class DayBudgets:
    """The budgets of a plan's days.

    Attributes:
        per_day: `policy.budget_usd_per_day`.
        spent: as given.
        begins: (days,) the first hour of each day, counted from the issue time.
        usd: (days,) what may be held in the hours of each; at least 0.
        own: (days, hours) 1 for the hours of each day, 0 for others.
        weights: (days, hours) how much an hour of the plan counts in what is held in each day.

    What is held in an hour is the most of a window of plan hours, from the allocation before it until the lead after the next, so that
    the first hours of a day are paid for by the day before as well. `weights` are the window's means, summed over the hours of the day: they
    add up to its hours, and whatever makes a day dear counts in it.
    """

    per_day: float
    spent: SpentToday
    begins: npt.NDArray[np.int64]
    usd: Array
    own: Array
    weights: Array

    def by_day(self, usd_per_hour: Array) -> Array:
        """(days,) sums of (hours,) what is held; zeros when nothing is."""
        result: Array = np.add.reduceat(usd_per_hour, self.begins) if usd_per_hour.size else np.zeros(self.begins.size)
        return result

    def above(self, held_today_usd: float) -> str:
        """Words for a plan that holds more today than is left, empty for any other."""
        return f"; {self.text(held_today_usd)}" if held_today_usd > self.usd[0] + _CENT else ""

    def text(self, held_today_usd: float) -> str:
        """The money of today in words, with what a plan holds until midnight."""
        beside = self.spent.beside_usd_per_hour
        others = f", {beside:,.2f} USD an hour held beside the plan" if beside > _CENT else ""
        excess = held_today_usd - self.usd[0]
        verdict = (
            f", {excess:,.2f} above what is left ({self.usd[0]:,.2f}): it is the least that can be held"
            if excess > _CENT
            else f" of {self.usd[0]:,.2f} left"
        )
        return (
            f"budget {self.per_day:,.2f} USD/day: {self.spent.usd:,.2f} spent in {self.spent.known_hours} h since 00:00 UTC{others}; "
            f"{held_today_usd:,.2f} held until 24:00{verdict}"
        )


def day_budgets(settings: Settings, *, issue_time: pd.Timestamp, hours: int, spent: SpentToday | None = None) -> DayBudgets:
    """The budgets of a plan of so many `hours` from `issue_time`, a full hour, UTC.

    Args:
        spent: None: nothing is known of the hours before, and each counts as its part of the budget.
    """
    spent, per_day = spent or SpentToday(), settings.policy.budget_usd_per_day
    over = (issue_time - issue_time.normalize()) // _HOUR
    day = (over + np.arange(hours)) // _DAY_HOURS
    begins = np.flatnonzero(np.diff(day, prepend=-1))
    there = np.diff(begins, append=hours)
    usd = per_day * there / _DAY_HOURS
    ahead = _DAY_HOURS - over
    unknown = per_day / _DAY_HOURS * (over - spent.known_hours)
    left = max(per_day - spent.usd - unknown - spent.beside_usd_per_hour * ahead, 0.0)
    usd[0] = left * there[0] / ahead  # a plan that ends today has its part
    lead = max((boot_lead_hours(service.capacity) for service in settings.services.values()), default=0)
    own = np.equal(np.arange(begins.size)[:, None], day).astype(np.float64)
    return DayBudgets(per_day, spent, begins, usd, own, _weights(begins, hours, settings.policy.hold_hours, lead))


def _weights(begins: npt.NDArray[np.int64], hours: int, hold: int, lead: int) -> Array:
    hour = np.arange(hours)
    first = (hour // hold * hold)[:, None]
    window = (hour >= first) & (hour < first + hold + lead)  # (held hour, plan hour)
    result: Array = np.add.reduceat(window / window.sum(axis=1, keepdims=True), begins, axis=0)
    return result
