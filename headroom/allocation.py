"""From the forecasts of an issue time to a plan in the lake, and from the plan to the cloud: wiring that DAG and command line share."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from headroom.demand import hourly_demand
from headroom.errors import BadInputError
from headroom.latest import last_issue_time
from headroom.runtime import Runtime
from headroom.schemas import content_digest
from headroom.settings import Settings
from headroom.signals import measured_signals

if TYPE_CHECKING:
    from infra.boosts import Boost
    from infra.cloud import Cloud
    from infra.day_budget import SpentToday
    from infra.ledger import Ledger
    from infra.planner import Known
    from infra.quota_requests import QuotaRequest
    from infra.reconciler import ReconcileReport

__all__ = ["MadePlan", "known_spent", "make_plan", "newest_plan_acted_upon", "open_cloud", "reconcile_region"]

_LOG: Final = logging.getLogger(__name__)
# A forecast this old still says more than none: when scoring fails, allocation goes on with the last good one.
_LAST_GOOD: Final = pd.Timedelta("24h")
# A correction of the same region is over in seconds; another run of the same plan takes as long as the cloud does.
_LONGEST_WAIT_SECONDS: Final = 600.0


@dataclass(frozen=True)
class MadePlan:
    """What `make_plan` wrote.

    Attributes:
        usd_per_day, peak_usd_per_day: list price of the first 24 hours, and of holding the peak instead.
        approval_needed, approval_text: whether a person must agree before it is applied, and why.
        budget_text: what was spent of today's budget, and what the plan holds of the rest.
        limits: what one more of each limit that binds saves, in words, the dearest first.
        quota_requests: quota increases that the plan would ask for (`infra.quota_requests`); nothing asks for them by itself.
        unplanned: services without a whole forecast, as `service in region`; what they hold stays.
        boosted: boosts that services in trouble have by their signals, in words.
        unboosted: those in trouble for which the budget of boosts has no hours.
        digest: SHA-256 of the rows.
    """

    issue_time: pd.Timestamp
    regions: list[str]
    policy: str
    rows: int
    usd_per_day: float
    peak_usd_per_day: float
    approval_needed: bool
    approval_text: str
    budget_text: str
    limits: list[str]
    quota_requests: list[QuotaRequest]
    unplanned: list[str]
    boosted: list[str]
    unboosted: list[str]
    digest: str

    def facts(self) -> dict[str, Any]:
        """JSON-ready figures for an asset event."""
        names = ("policy", "rows", "usd_per_day", "peak_usd_per_day", "approval_needed", "budget_text")
        found = {name: getattr(self, name) for name in (*names, "unplanned", "boosted", "unboosted", "digest")}
        return found | {"quota_requests": [str(request) for request in self.quota_requests]}


def make_plan(
    opened: Runtime,
    *,
    issue_time: pd.Timestamp,
    regions: Sequence[str] | None = None,
    policy: str | None = None,
    grant_boosts: bool = False,
) -> MadePlan:
    """Plan from the newest forecast known at `issue_time` and write the lake tables `plans` and `quota_requests`; repeating it changes nothing.

    Args:
        opened: the installation.
        issue_time: a full hour.
        regions, policy: see `plan_capacity`.
        grant_boosts: give services in trouble by their signals a boost first; for a plan that is meant to be acted upon.

    Raises:
        BadInputError: when there is no forecast of the last 24 hours, or the plan cannot be made (see `plan_capacity`).
    """
    from infra.budget import approval_needed, plan_usd_per_day
    from infra.forecast_check import chosen_regions, unplanned_services
    from infra.ledger import Ledger
    from infra.planner import plan_capacity
    from infra.quota_requests import quota_requests, requests_in

    settings = opened.settings
    forecasts = _newest_forecast(opened, issue_time)
    ledger = Ledger.open(opened.home.database_url)
    granted, refused = _boosts_by_signal(opened, ledger, issue_time) if grant_boosts else ([], [])
    unplanned = unplanned_services(settings, forecasts, chosen_regions(settings, regions))
    known = _known(opened, ledger, issue_time=issue_time, regions=chosen_regions(settings, regions), unplanned=unplanned)
    planned = plan_capacity(settings, forecasts, issue_time=issue_time, policy=policy, regions=regions, known=known)
    plan, asked = planned.rows, quota_requests(settings, planned.rows, planned.limits, issue_time=issue_time)
    chosen = sorted(plan["region"].unique())
    _write(opened, {"plans": plan, "quota_requests": asked}, issue_time=issue_time, regions=chosen)
    for request in requests_in(asked):
        _LOG.info("quota to ask for: %s", request)
    held = ledger.held()
    held_usd_per_day = float(held.loc[held["region"].isin(chosen), "usd_per_hour"].sum()) * 24
    approval = approval_needed(settings, plan, held_usd_per_day=held_usd_per_day)
    return MadePlan(
        issue_time=issue_time,
        regions=chosen,
        policy=", ".join(sorted(plan["policy"].unique())),
        rows=len(plan),
        usd_per_day=approval.plan_usd_per_day,
        peak_usd_per_day=plan_usd_per_day(plan, "peak_cost_usd"),
        approval_needed=approval.needed,
        approval_text=approval.reason,
        budget_text=_budget_text(settings, plan, known.spent, issue_time),
        limits=[limit.words for limit in planned.limits],
        quota_requests=list(requests_in(asked)),
        unplanned=[f"{service} in {region}" for region, service in unplanned],
        boosted=[str(boost) for boost in granted],
        unboosted=refused,
        digest=content_digest("plans", plan),
    )


def _write(opened: Runtime, tables: Mapping[str, pd.DataFrame], *, issue_time: pd.Timestamp, regions: list[str]) -> None:
    for name, rows in tables.items():
        opened.lake.replace(name, rows, start=issue_time, end=issue_time + pd.Timedelta("1h"), where={"region": regions})


def _budget_text(settings: Settings, plan: pd.DataFrame, spent: SpentToday | None, issue_time: pd.Timestamp) -> str:
    """What a plan takes of today's budget, in words."""
    from infra.day_budget import day_budgets
    from infra.held_cost import held_usd_by_hour

    hours = held_usd_by_hour(settings, plan, issue_time)
    budgets = day_budgets(settings, issue_time=issue_time, hours=hours.size, spent=spent)
    return budgets.text(float(budgets.by_day(hours)[0]))


def known_spent(
    opened: Runtime, ledger: Ledger, *, issue_time: pd.Timestamp, regions: Sequence[str], unplanned: Collection[tuple[str, str]] = ()
) -> SpentToday:
    """What the ledger knows at `issue_time`, a full hour, of the day's money (`infra.spent_today`), for a plan of these regions."""
    from infra.spent_today import spent_today

    planned = {(region, service) for region in regions for service in opened.settings.services} - set(unplanned)
    return spent_today(opened.settings, ledger, partial(_plan_of, opened), issue_time=issue_time, planned=planned)


def _plan_of(opened: Runtime, issued: pd.Timestamp, region: str) -> pd.DataFrame:
    return opened.lake.read("plans", start=issued, end=issued + pd.Timedelta("1h"), where={"region": region})


def newest_plan_acted_upon(opened: Runtime) -> pd.Timestamp | None:
    """Issue time of the newest plan that the reconciler has acted upon; None when it never has."""
    from infra.ledger import Ledger

    return Ledger.open(opened.home.database_url).newest_issue_time()


def reconcile_region(
    opened: Runtime, *, issue_time: pd.Timestamp, region: str, dry_run: bool, cloud: Cloud | None = None
) -> ReconcileReport:
    """Bring one region to the plan of `issue_time`, or with `dry_run` only say what would be done.

    Args:
        cloud: an opened cloud; default the one of the settings, with the environment's credentials.

    Raises:
        BadInputError: when there is no such plan, or a newer one has been acted upon.
        UnavailableError: when the cloud does not answer.
    """
    from infra.ledger import Ledger
    from infra.reconciler import reconcile
    from infra.region_lock import region_lock

    settings, ledger = opened.settings, Ledger.open(opened.home.database_url)
    plan = opened.lake.read("plans", start=issue_time, end=issue_time + pd.Timedelta("1h"), where={"region": region})
    if plan.empty:
        raise BadInputError(f"no plan of {issue_time.isoformat()} for {region}: run headroom plan --as-of {issue_time.isoformat()} first")
    opened_cloud = cloud or open_cloud(opened)
    if dry_run:
        return reconcile(settings, ledger, opened_cloud, plan, issue_time=issue_time, region=region, dry_run=True)
    with region_lock(ledger.engine, region, seconds=_LONGEST_WAIT_SECONDS):
        newest = ledger.newest_issue_time()
        if newest is not None and newest > issue_time:
            raise BadInputError(
                f"the plan of {issue_time.isoformat()} is older than the one of {newest.isoformat()} that was acted upon; "
                "going back would release capacity that is needed. Use --dry-run, or plan for a later time"
            )
        return reconcile(settings, ledger, opened_cloud, plan, issue_time=issue_time, region=region)


def open_cloud(opened: Runtime) -> Cloud:
    """The cloud of the settings, with the environment's credentials."""
    from infra.cloud import Cloud

    settings = opened.settings.cloud
    return Cloud(
        settings.project,
        opened.home.cloud_endpoint or settings.endpoint,
        timeout=settings.operation_timeout_seconds,
        installation=settings.installation or "",
    )


def _known(
    opened: Runtime, ledger: Ledger, *, issue_time: pd.Timestamp, regions: Sequence[str], unplanned: Collection[tuple[str, str]]
) -> Known:
    """What lake and ledger knew at the issue time, beside the forecast."""
    from infra.boosts import boosts_of
    from infra.measured_need import measured_since
    from infra.planner import Known
    from infra.run_history import run_history
    from infra.stockouts import scarce_types

    settings = opened.settings
    return Known(
        boosts=boosts_of(ledger, issue_time),
        measured=hourly_demand(opened.lake, settings, start=measured_since(settings, issue_time), end=issue_time, as_of=issue_time),
        spent=known_spent(opened, ledger, issue_time=issue_time, regions=regions, unplanned=unplanned),
        history=run_history(settings, ledger, partial(_plan_of, opened), issue_time=issue_time),
        scarce=scarce_types(settings, ledger, issue_time=issue_time),
    )


def _boosts_by_signal(opened: Runtime, ledger: Ledger, issue_time: pd.Timestamp) -> tuple[list[Boost], list[str]]:
    """See `infra.trouble.grant_wanted`; nothing when a newer plan has been acted upon."""
    from infra.trouble import boosts_wanted, grant_wanted

    newest = ledger.newest_issue_time()
    if newest is not None and newest > issue_time:
        return [], []
    hour = issue_time - pd.Timedelta("1h")
    measured = measured_signals(opened.lake, opened.settings, start=hour, end=issue_time, as_of=issue_time)
    granted, refused = grant_wanted(opened.settings, ledger, boosts_wanted(opened.settings, measured, issue_time=issue_time))
    for words in (*(f"boosted {boost}" for boost in granted), *refused):
        _LOG.warning(words)
    return granted, refused


def _newest_forecast(opened: Runtime, issue_time: pd.Timestamp) -> pd.DataFrame:
    start, end = issue_time - _LAST_GOOD, issue_time + pd.Timedelta("1h")
    known = opened.lake.read("forecasts", start=start, end=end, as_of=issue_time)
    if known.empty:
        last = last_issue_time(opened.lake, "forecasts", until=issue_time)
        other = f"; or plan for {last.isoformat()}, the newest there is, with --as-of" if last is not None else ""
        raise BadInputError(
            f"no forecast between {start.isoformat()} and {issue_time.isoformat()}: run headroom score --as-of {issue_time.isoformat()} first{other}"
        )
    newest: pd.DataFrame = known[known["issue_time"] == known["issue_time"].max()]
    return newest.reset_index(drop=True)
