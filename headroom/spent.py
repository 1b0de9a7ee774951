"""What the last week cost beside its plans and beside doing nothing, as the ledger knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from headroom.holdings import database_exists
from headroom.home import Home
from headroom.lake import Lake

__all__ = ["Spent", "spent_until"]

_WEEK: Final = pd.Timedelta("7D")
_LONGEST_PLAN: Final = pd.Timedelta("72h")
_HOUR: Final = pd.Timedelta("1h")


@dataclass(frozen=True)
class Spent:
    """USD at list prices over the hours of a window that have both a reconciliation and a plan.

    Attributes:
        hours: how many, counted once however many regions there are.
        unchanged_usd: had every region gone on holding what it held in its first hour.
    """

    hours: int
    held_usd: float
    plan_usd: float
    unchanged_usd: float


def spent_until(home: Home, lake: Lake, issue_time: pd.Timestamp) -> Spent | None:
    """The seven days up to and with the hour of `issue_time`; None when no hour of them was both planned and reconciled."""
    if not database_exists(home):
        return None
    from infra.bill import hourly_bill
    from infra.ledger import Ledger

    end = issue_time.floor("h") + _HOUR
    plans = lake.read("plans", start=end - _WEEK - _LONGEST_PLAN, end=end)
    rows = hourly_bill(Ledger.open(home.database_url), plans, start=end - _WEEK, end=end).dropna(subset="plan_usd")
    if rows.empty:
        return None
    sums = rows[["held_usd", "plan_usd", "unchanged_usd"]].sum()
    return Spent(int(rows["ds"].nunique()), float(sums["held_usd"]), float(sums["plan_usd"]), float(sums["unchanged_usd"]))
