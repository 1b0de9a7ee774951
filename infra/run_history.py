"""What the ledger knows of the machines that ran before an issue time."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final

import pandas as pd

from headroom.settings import Settings
from infra.bill import held_hours, held_usd
from infra.capacity_need import INSTANCES
from infra.lead_times import boot_lead_hours
from infra.ledger import Ledger
from infra.running import MACHINES, RunHistory
from infra.spent_today import plans_in_force

__all__ = ["run_history"]

_HOUR: Final = pd.Timedelta("1h")
_NOTHING: Final = pd.DataFrame(columns=[*MACHINES, "hot", "leased"]).astype({"hot": float, "leased": float})


def run_history(
    settings: Settings, ledger: Ledger, plan_of: Callable[[pd.Timestamp, str], pd.DataFrame], *, issue_time: pd.Timestamp
) -> RunHistory:
    """The machines of the hours since midnight and of the last `policy.least_run_hours`, by reconciliations of earlier issue times.

    A service is known where the plan in force in the last hour has it, or machines of it ran. Standby that ran for a correction does not count.

    Args:
        plan_of: rows of the table `plans` of an issue time and region; may be empty.
        issue_time: a full hour, UTC.
    """
    first = min(issue_time.normalize(), issue_time - ceil(settings.policy.least_run_hours) * _HOUR) - _HOUR
    hours = pd.date_range(first, issue_time, freq=_HOUR, inclusive="left")
    rows = held_hours(ledger, start=first, end=issue_time, resumed=False)
    machines = rows[(rows["resource"] == INSTANCES) & (rows["pool"] == "hot")]
    hot = machines.pivot_table(index=MACHINES, columns="ds", values="amount", aggfunc="sum").reindex(columns=hours).fillna(0.0)
    begin = held_usd(ledger, start=first, end=issue_time).groupby("region")["ds"].min()
    in_force = plans_in_force(ledger, issue_time - _HOUR)
    plans = [_asked(settings, plan_of(issued, region), issued) for region, issued in in_force.items()]
    asked = pd.concat([plan for plan in plans if len(plan)] or [_NOTHING])
    pairs = {*hot.index.droplevel("machine_type"), *asked[MACHINES[:2]].itertuples(index=False, name=None)}
    return RunHistory(issue_time, hot, {pair: begin[pair[0]] for pair in pairs if pair[0] in begin.index}, _lent(asked))


def _asked(settings: Settings, plan: pd.DataFrame, issued: pd.Timestamp) -> pd.DataFrame:
    """Rows of machines of a plan that say what is held until the next one (see `infra.targets.desired_state`)."""
    leads = {name: boot_lead_hours(service.capacity) for name, service in settings.services.items()}
    ends = issued + pd.to_timedelta(plan["service"].map(leads).fillna(0) + settings.policy.hold_hours, unit="h")
    return plan[(plan["resource"] == INSTANCES) & (plan["ds"] < ends)]


def _lent(asked: pd.DataFrame) -> pd.Series[float]:
    """What stands there for peers, of what is held: the most of all less the most of what is not lent."""
    most = asked.assign(own=asked["hot"] + asked["leased"].clip(upper=0.0)).groupby(MACHINES)[["hot", "own"]].max()
    found: pd.Series[float] = (most["hot"] - most["own"]).astype(float)
    return found
