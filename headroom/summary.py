"""The summary of a run: what is expected, what is held, what it costs, who forecast it, and on which data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from headroom.corrected import Corrected, corrected_until
from headroom.holdings import database_exists, held_now
from headroom.home import Home
from headroom.lake import Lake
from headroom.latest import last_issue_time, latest_rows
from headroom.schemas import empty_frame
from headroom.settings import Settings
from headroom.spent import Spent, spent_until
from headroom.summary_text import print_summary
from headroom.vocabulary import MEDIAN, UNITS
from infra.budget import plan_usd_per_day
from infra.prices import list_prices
from infra.quota_requests import QuotaRequest, requests_in
from models.promotion_log import Promotion, PromotionLog
from models.registry import MODEL_NAME

__all__ = ["DataQuality", "DemandPeak", "PoolLine", "ServiceSummary", "Summary", "print_summary", "summarise"]

_HOUR: Final = pd.Timedelta("1h")
_POOLED: Final = ("instances", "bandwidth", "storage")


@dataclass(frozen=True)
class DemandPeak:
    """The highest hour of a forecast's median, with its 80 % interval, in the resource's unit."""

    resource: str
    unit: str
    at: pd.Timestamp
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class PoolLine:
    """What is held of one resource, or of one machine type; `planned` is true where the ledger has nothing yet and the plan's first hour stands in.

    `cold` is that of the plan's first hour, `unmet` the most that any hour of the plan leaves unserved.
    """

    resource: str
    unit: str
    machine_type: str
    hot: float
    warm: float
    cold: float
    unmet: float
    planned: bool


@dataclass(frozen=True)
class ServiceSummary:
    """One service in one region.

    `confidence` and `tier` are those of the hour that needs most. `usd_per_day` is the plan's first 24 hours,
    `peak_usd_per_day` the same day with the highest need of the forecast held hot.
    """

    region: str
    service: str
    criticality: str
    demands: tuple[DemandPeak, ...]
    confidence: float
    tier: str
    tier_hours: dict[str, int]
    pools: tuple[PoolLine, ...]
    usd_per_day: float
    peak_usd_per_day: float
    why: str


@dataclass(frozen=True)
class DataQuality:
    """Rows in the lake up to the issue time."""

    ingested: int
    quarantined: int
    by_rule: dict[str, int]
    first: pd.Timestamp | None
    last: pd.Timestamp | None


@dataclass(frozen=True)
class Summary:
    """Everything the end of a run prints, and the head of the report shows.

    `held_usd_per_day` is the list price of what the ledger holds, attachments at their step and amounts that last until
    the next allocation included; None when no reconciliation has run. `spent` is the bill of the last seven days, `corrected` what ran between
    plans in them; None where `policy.correction` is not set. `quota_requests` are the increases that the plan would ask for.
    """

    issue_time: pd.Timestamp
    planned_at: pd.Timestamp | None
    hours: int
    fallbacks: tuple[str, ...]
    services: tuple[ServiceSummary, ...]
    quota_requests: tuple[QuotaRequest, ...]
    held_usd_per_day: float | None
    spent: Spent | None
    corrected: Corrected | None
    champion: Promotion | None
    data: DataQuality
    report: Path

    @property
    def usd_per_day(self) -> float:
        return sum(s.usd_per_day for s in self.services)

    @property
    def peak_usd_per_day(self) -> float:
        return sum(s.peak_usd_per_day for s in self.services)


def summarise(settings: Settings, home: Home, lake: Lake, *, issue_time: pd.Timestamp | None = None) -> Summary:
    """The state at the newest forecast that is not after `issue_time`; None takes the newest of all.

    Raises:
        BadInputError: when there is no forecast yet.
    """
    forecasts = latest_rows(lake, "forecasts", until=issue_time)
    issued = forecasts["issue_time"].iloc[0]
    plan = _plan(lake, issue_time)
    held = held_now(home)
    asked = lake.read("quota_requests", start=plan["issue_time"].min(), end=plan["issue_time"].max() + _HOUR) if len(plan) else None
    forecast_pairs = set(zip(forecasts["region"], forecasts["service"], strict=True))
    configured = [(region, name) for region in settings.regions for name, service in settings.services.items() if region in service.regions]
    return Summary(
        issue_time=issued,
        planned_at=None if plan.empty else plan["issue_time"].iloc[0],
        hours=int(forecasts["ds"].nunique()),
        fallbacks=tuple(sorted(set(forecasts["fallback_reason"]) - {""})),
        services=tuple(_service(settings, *pair, forecasts, plan, held) for pair in configured if pair in forecast_pairs),
        quota_requests=() if asked is None else requests_in(asked),
        held_usd_per_day=None if held.empty else float(held["usd_per_hour"].sum()) * 24,
        spent=spent_until(home, lake, issued),
        corrected=corrected_until(settings, home, issued, issue_time=issue_time),
        champion=_champion(home, issued),
        data=_data_quality(lake, issue_time or issued),
        report=home.report,
    )


def _plan(lake: Lake, until: pd.Timestamp | None) -> pd.DataFrame:
    if last_issue_time(lake, "plans", until=until) is None:
        return empty_frame("plans")
    return latest_rows(lake, "plans", until=until)


def _service(
    settings: Settings, region: str, service: str, forecasts: pd.DataFrame, plan: pd.DataFrame, held: pd.DataFrame
) -> ServiceSummary:
    mine = forecasts[(forecasts["region"] == region) & (forecasts["service"] == service)]
    rows = plan[(plan["region"] == region) & (plan["service"] == service)].sort_values("ds", kind="stable")
    demands = tuple(_peak(resource, mine[mine["resource"] == resource]) for resource in UNITS if resource in set(mine["resource"]))
    machines = rows[rows["resource"] == "instances"]
    leading = _hours(machines) if len(machines) else rows.assign(whole=rows["needed"])
    peak = leading.loc[leading["whole"].idxmax()] if len(leading) else None
    return ServiceSummary(
        region=region,
        service=service,
        criticality=settings.services[service].criticality,
        demands=demands,
        confidence=float(mine["confidence"].min() if peak is None else peak["confidence"]),
        tier="no plan" if peak is None else str(peak["tier"]),
        tier_hours={str(tier): int(count) for tier, count in leading["tier"].value_counts().items()},
        pools=tuple(pool for resource in _POOLED for pool in _pools(rows[rows["resource"] == resource], held)),
        usd_per_day=plan_usd_per_day(rows, "cost_usd"),
        peak_usd_per_day=plan_usd_per_day(rows, "peak_cost_usd"),
        why="" if peak is None else str(peak["why"]),
    )


def _peak(resource: str, rows: pd.DataFrame) -> DemandPeak:
    top = rows.loc[rows[MEDIAN].idxmax()]
    return DemandPeak(
        resource, UNITS[resource], rows["ds"].loc[rows[MEDIAN].idxmax()], float(top[MEDIAN]), float(top["0.1"]), float(top["0.9"])
    )


def _hours(machines: pd.DataFrame) -> pd.DataFrame:
    """One row per hour, that of the type with the largest part of the need in vCPU; `whole` is the need of all its types in vCPU."""
    prices = list_prices()
    vcpus = machines["machine_type"].map({name: prices.machine_type(name).vcpu for name in machines["machine_type"].unique()})
    part = machines.assign(part=machines["needed"] * vcpus)
    part["whole"] = part.groupby("ds")["part"].transform("sum")
    return part.sort_values(["ds", "part"], ascending=[True, False], kind="stable").drop_duplicates("ds")


def _pools(rows: pd.DataFrame, held: pd.DataFrame) -> list[PoolLine]:
    """A line per machine type that is planned for the first hour or held; one line for another resource."""
    unmet = rows["unmet"].astype(float).fillna(0.0).groupby(rows["machine_type"]).max()
    first = rows[rows["ds"] == rows["ds"].min()].assign(unmet=lambda now: now["machine_type"].map(unmet))
    if not (first["resource"] == "instances").any():
        return [_pool(row, held) for _, row in first.head(1).iterrows()]
    region, service = first["region"].iloc[0], first["service"].iloc[0]
    types = held.loc[(held["region"] == region) & (held["service"] == service) & (held["resource"] == "instances"), "machine_type"]
    unplanned = [
        first.head(1).assign(machine_type=name, hot=0.0, warm=0.0, cold=0.0, unmet=0.0)
        for name in sorted({*types} - {"", *first["machine_type"]})
    ]
    lines = [_pool(row, held) for _, row in pd.concat([first, *unplanned]).iterrows()]
    return [line for line in lines if line.hot or line.warm or line.cold or line.unmet] or lines[:1]


def _pool(first: pd.Series[Any], held: pd.DataFrame) -> PoolLine:
    """The pools of one resource: the ledger's where it has confirmed some, else the plan's first hour.

    A region's attachment is shared: once it is confirmed, every service holds its planned share of it.
    """
    mine = held[(held["region"] == first["region"]) & (held["service"] == first["service"]) & (held["resource"] == first["resource"])]
    of_type = mine[mine["machine_type"].isin(["", first["machine_type"]])]
    attached = (held["region"] == first["region"]) & (held["resource"] == first["resource"]) & (held["service"] == "")
    amounts = of_type.groupby("pool")["amount"].sum() if len(mine) else pd.Series({p: first[p] for p in ("hot", "warm")}, dtype=float)
    return PoolLine(
        resource=str(first["resource"]),
        unit=str(first["unit"]),
        machine_type=str(first["machine_type"]),
        hot=float(amounts.get("hot", 0.0)),
        warm=float(amounts.get("warm", 0.0)),
        cold=float(first["cold"]),
        unmet=float(first["unmet"]),
        planned=mine.empty and not attached.any(),
    )


def _champion(home: Home, until: pd.Timestamp) -> Promotion | None:
    """Who forecast at that issue time, by the promotion log."""
    if not database_exists(home):
        return None
    with PromotionLog.open(home.database_url) as log:
        return log.champion_as_of(MODEL_NAME, until)


def _data_quality(lake: Lake, until: pd.Timestamp) -> DataQuality:
    rows = lake.read("metrics", end=until, columns=["ds"])
    refused = lake.read("quarantine", end=until, columns=["rule"])
    return DataQuality(
        ingested=len(rows),
        quarantined=len(refused),
        by_rule={str(rule): int(count) for rule, count in refused["rule"].value_counts().items()},
        first=None if rows.empty else rows["ds"].min(),
        last=None if rows.empty else rows["ds"].max(),
    )
