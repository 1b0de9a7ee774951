"""What each hour held and cost, beside its plan and beside doing nothing.

An amount that a reconciliation confirmed is held from its issue time until the next one of the region. Costs are list prices,
as in plans; machines that outlive their reservation cost the same. The egress of leases, which nobody holds, is in none of them.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
from sqlalchemy import Select, select, true

from headroom.errors import BadInputError
from infra.ledger import Ledger
from infra.ledger_tables import held_history, results

__all__ = ["held_hours", "held_usd", "hourly_bill"]

_HOUR: Final = pd.Timedelta("1h")
_HELD: Final = ["service", "resource", "pool", "machine_type", "amount", "unit", "usd_per_hour"]


def held_hours(ledger: Ledger, *, start: pd.Timestamp, end: pd.Timestamp, region: str | None = None, resumed: bool = True) -> pd.DataFrame:
    """What was held in each hour: `region, ds, issue_time, service, resource, pool, machine_type, amount, unit, usd_per_hour`.

    Args:
        start, end: hours of `[start, end)`; an hour before the first reconciliation of its region has no rows. An hour that
            nothing was held in has none either, and is in `hourly_bill` with a cost of 0.
        resumed: count standby machines that a correction lets run as hot; otherwise they are left out.

    Raises:
        BadInputError: when `end` is not after `start`, or one of them is not on the hour.
    """
    return _held(ledger, _confirmed(ledger, start, end, region), resumed=resumed)


def held_usd(ledger: Ledger, *, start: pd.Timestamp, end: pd.Timestamp, region: str | None = None) -> pd.DataFrame:
    """`region, ds, issue_time, held_usd`: what was held in each hour cost; one row per region and hour from its first reconciliation on.

    Reconciliations of `end` or later are not known.

    Raises:
        BadInputError: as `held_hours`.
    """
    hours = _confirmed(ledger, start, end, region)
    held = _held(ledger, hours).groupby(["region", "ds"], as_index=False)["usd_per_hour"].sum()
    return hours.merge(held, on=["region", "ds"], how="left").fillna({"usd_per_hour": 0.0}).rename(columns={"usd_per_hour": "held_usd"})


def hourly_bill(ledger: Ledger, plans: pd.DataFrame, *, start: pd.Timestamp, end: pd.Timestamp, region: str | None = None) -> pd.DataFrame:
    """`region, ds, held_usd, plan_usd, unchanged_usd, peak_usd`: one row per region and hour from its first reconciliation on.

    `held_usd` is the cost of what was held; `plan_usd` that of the hour in the plan of the newest issue time that is not after
    it; `unchanged_usd` that of what the region held in the first of these hours, had nobody changed it since; `peak_usd` that
    of holding the plan's peak all the time. The plan's two are NaN where no plan has the hour.

    Args:
        plans: rows of the table `plans`; other regions and hours are ignored.

    Raises:
        BadInputError: as `held_hours`.
    """
    bill = held_usd(ledger, start=start, end=end, region=region)
    bill["unchanged_usd"] = bill.groupby("region")["held_usd"].transform("first")
    planned = _in_force(plans).rename(columns={"cost_usd": "plan_usd", "peak_cost_usd": "peak_usd"})
    merged = bill.merge(planned, on=["region", "ds"], how="left")
    return merged[["region", "ds", "held_usd", "plan_usd", "unchanged_usd", "peak_usd"]]


def _confirmed(ledger: Ledger, start: pd.Timestamp, end: pd.Timestamp, region: str | None) -> pd.DataFrame:
    """`region, ds, issue_time`: which reconciliation says what an hour held."""
    if start >= end or start != start.floor("h") or end != end.floor("h"):
        raise BadInputError(f"hours from {start.isoformat()} to {end.isoformat()}: both must be whole hours, the end after the start")
    query = select(results.c.region, results.c.issue_time).where(results.c.issue_time < end)
    known = _frame(ledger, query if region is None else query.where(results.c.region == region), ["region", "issue_time"])
    grid = (
        known[["region"]]
        .drop_duplicates()
        .merge(pd.DataFrame({"ds": _stamps(pd.date_range(start, end, freq=_HOUR, inclusive="left"))}), how="cross")
    )
    found = pd.merge_asof(grid.sort_values("ds"), known.sort_values("issue_time"), left_on="ds", right_on="issue_time", by="region")
    return found.dropna(subset="issue_time").sort_values(["region", "ds"], ignore_index=True)


def _held(ledger: Ledger, hours: pd.DataFrame, *, resumed: bool = True) -> pd.DataFrame:
    """What the reconciliations that `hours` names confirmed, in each of the hours."""
    keys, rows = ["region", "issue_time"], held_history.c
    named = [rows[key].in_(list(hours[key].unique())) for key in keys]
    # Reservations are zonal, what a group resumes is not.
    counted = true() if resumed else (rows.pool != "hot") | (rows.zone != "")
    confirmed = _frame(ledger, select(held_history).where(*named, counted).order_by(rows.id), [*keys, *_HELD])
    summed = confirmed.groupby([*keys, "service", "resource", "pool", "machine_type", "unit"], as_index=False)[
        ["amount", "usd_per_hour"]
    ].sum()
    return hours.merge(summed, on=keys)[["region", "ds", "issue_time", *_HELD]]


def _in_force(plans: pd.DataFrame) -> pd.DataFrame:
    """`region, ds, cost_usd, peak_cost_usd` of the newest plan that was made by the hour."""
    rows = plans.assign(ds=_stamps(plans["ds"]), issue_time=_stamps(plans["issue_time"]))
    made = rows[rows["issue_time"] <= rows["ds"]]
    sums = made.groupby(["region", "ds", "issue_time"], as_index=False)[["cost_usd", "peak_cost_usd"]].sum()
    return sums.sort_values("issue_time").drop_duplicates(["region", "ds"], keep="last").drop(columns="issue_time")


def _frame(ledger: Ledger, query: Select[Any], columns: list[str]) -> pd.DataFrame:
    with ledger.engine.begin() as connection:
        rows = connection.execute(query).mappings().all()
    frame = pd.DataFrame([{name: row[name] for name in columns} for row in rows], columns=columns)
    return frame.assign(issue_time=_stamps(frame["issue_time"]))


def _stamps(values: pd.Series[pd.Timestamp] | pd.DatetimeIndex) -> pd.Series[pd.Timestamp]:
    return pd.Series(pd.to_datetime(values, utc=True)).dt.as_unit("us")
