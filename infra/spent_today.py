"""What the ledger knows of the money of a UTC day, as of an issue time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import pandas as pd
from sqlalchemy import select

from headroom.settings import Settings
from infra.bill import held_usd
from infra.day_budget import SpentToday
from infra.held_cost import held_usd_by_hour
from infra.ledger import Ledger
from infra.ledger_tables import results

__all__ = ["plans_in_force", "spent_today"]

_HOUR: Final = pd.Timedelta("1h")
_LONGEST_PLAN: Final = pd.Timedelta("72h")


def spent_today(
    settings: Settings,
    ledger: Ledger,
    plan_of: Callable[[pd.Timestamp, str], pd.DataFrame],
    *,
    issue_time: pd.Timestamp,
    planned: Collection[tuple[str, str]],
) -> SpentToday:
    """What the hours of the day before `issue_time` held and cost, by reconciliations of earlier issue times; later ones are not known.

    Args:
        plan_of: rows of the table `plans` of an issue time and region; may be empty.
        issue_time: a full hour, UTC.
        planned: (region, service) pairs that the plan of `issue_time` will hold. What is held now beyond what the plans in force ask for them is
            held beside it.
    """
    midnight, last = issue_time.normalize(), issue_time - _HOUR
    hours = held_usd(ledger, start=min(midnight, last), end=issue_time)
    today = hours[hours["ds"] >= midnight]
    now = hours[hours["ds"] == last].set_index("region")["held_usd"]
    in_force = plans_in_force(ledger, last)
    asked = {region: _asked_usd(settings, plan_of(issued, region), issued, last, planned) for region, issued in in_force.items()}
    beside = sum(max(float(usd) - asked.get(str(region), 0.0), 0.0) for region, usd in now.items())
    return SpentToday(float(today["held_usd"].sum()), int(today["ds"].nunique()), beside)


def plans_in_force(ledger: Ledger, hour: pd.Timestamp) -> dict[str, pd.Timestamp]:
    """Region -> issue time of the newest plan by `hour` whose reconciliation was finished. Plans are of full hours; corrections hardly are."""
    columns = [results.c.region, results.c.issue_time]
    query = select(*columns).where(results.c.issue_time > hour - _LONGEST_PLAN, results.c.issue_time <= hour).order_by(results.c.issue_time)
    with ledger.engine.begin() as connection:
        found = [(str(row.region), pd.Timestamp(row.issue_time)) for row in connection.execute(query)]
    return {region: issued for region, issued in found if issued == issued.floor("h")}


def _asked_usd(
    settings: Settings, plan: pd.DataFrame, issued: pd.Timestamp, hour: pd.Timestamp, planned: Collection[tuple[str, str]]
) -> float:
    """USD per hour that a plan asks to hold of what is `planned`, until it is reconciled again."""
    pairs = pd.Series(list(zip(plan["region"], plan["service"], strict=True)), index=plan.index, dtype=object)
    usd = held_usd_by_hour(settings, plan[pairs.isin(list(planned))], issued)
    number = min((hour - issued) // _HOUR, settings.policy.hold_hours - 1)
    return float(usd[number]) if number < usd.size else 0.0
