"""From the newest measurements to machines that run or stand by, between two plans: wiring that DAG and command line share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from headroom.allocation import known_spent, open_cloud
from headroom.errors import BadInputError, OvertakenError
from headroom.runtime import Runtime
from headroom.vocabulary import HORIZON_HOURS, SHORT_STEP_MINUTES

if TYPE_CHECKING:
    from feature_store.ingestion import IngestReport
    from feature_store.sources import Credentials
    from infra.cloud import Cloud
    from infra.corrections import Correction
    from infra.ledger import Ledger
    from infra.reconciler import ReconcileReport

__all__ = ["CORRECTION_STEP", "UNSET", "Decided", "correct_region", "decide", "ingest_last_minutes"]

# Issue times of corrections are multiples of it.
CORRECTION_STEP: Final = f"{SHORT_STEP_MINUTES}min"
UNSET: Final = (
    "no corrections: set policy.correction in capacity.yaml, for example correction: {minutes: 15, quantile: 0.9} (docs/settings.md)"
)
# What a source gave late is taken in by one of the next corrections.
_READ: Final = pd.Timedelta("15min")
_LONGEST_WAIT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Decided:
    """What was decided for a moment.

    Attributes:
        rows: one per service, region and machine type that can be corrected.
        left_out: series, or regions -> why they are not.
        fitted_at: moment of the forecast's fit; None when no plan is in force anywhere.
    """

    issue_time: pd.Timestamp
    rows: list[Correction]
    left_out: dict[str, str]
    fitted_at: pd.Timestamp | None

    @property
    def regions(self) -> list[str]:
        return sorted({row.region for row in self.rows})

    def of(self, region: str) -> list[Correction]:
        return [row for row in self.rows if row.region == region]

    def facts(self) -> dict[str, Any]:
        """JSON-ready figures."""
        moved, unmet = (sum(getattr(row, name) for row in self.rows) for name in ("resumed", "unmet"))
        return {"issue_time": self.issue_time.isoformat(), "services": len(self.rows), "resumed": moved, "unmet": unmet}


def ingest_last_minutes(opened: Runtime, *, source: str, issue_time: pd.Timestamp, credentials: Credentials | None = None) -> IngestReport:
    """Bring the last quarter of an hour of a source into the lake; the hourly ingestion reads it again and keeps what is refused.

    Raises:
        BadInputError, UnavailableError: as `feature_store.ingestion.ingest_metrics`.
    """
    from feature_store.ingestion import ingest_metrics

    delay = pd.Timedelta(minutes=opened.settings.metric_source(source).delay_minutes).ceil(CORRECTION_STEP)
    start, end = issue_time - _READ - delay, issue_time
    return ingest_metrics(
        opened.settings, opened.lake, opened.base, None, source=source, start=start, end=end, issue_time=issue_time, credentials=credentials
    )


def decide(opened: Runtime, *, issue_time: pd.Timestamp, regions: Sequence[str] | None = None) -> Decided:
    """What shall run in the next minutes, of the plan in force in each region: the newest that was acted upon by `issue_time`.

    Writes nothing but the forecast's cache under `<home>/work/correction`.

    Raises:
        BadInputError: when `policy.correction` is not set, for an unknown region, or when no series has the history for a forecast.
    """
    from infra.adoptions import adopted, with_adoptions
    from infra.corrections import corrections_since
    from infra.forecast_check import chosen_regions
    from infra.ledger import Ledger
    from infra.needed_now import decide_corrections
    from infra.targets import desired_state
    from models.next_minutes import forecast_next_minutes

    settings, ledger = opened.settings, Ledger.open(opened.home.database_url)
    rule = settings.policy.correction
    if rule is None:
        raise BadInputError(UNSET)
    chosen = chosen_regions(settings, regions)
    plans, left_out = _plans_in_force(opened, ledger, issue_time)
    if plans.empty:
        return Decided(issue_time, [], left_out, None)
    told = forecast_next_minutes(settings, opened.lake, opened.home.work / "correction", issue_time=issue_time)
    ahead = told.rows[told.rows["ds"] < issue_time + pd.Timedelta(minutes=rule.minutes)]
    targets = {}
    for region, plan in plans.groupby("region"):
        if region in chosen:
            wished = desired_state(settings, plan, issue_time=plan["issue_time"].iloc[0], region=str(region))
            targets[str(region)] = with_adoptions(wished, adopted(ledger, str(region), at=plan["issue_time"].iloc[0]))
    start = issue_time - pd.Timedelta(hours=max(settings.policy.stabilisation_hours, settings.policy.least_run_hours))
    earlier = [row for region in targets for row in corrections_since(ledger, region, start=start, end=issue_time)]
    spent = known_spent(opened, ledger, issue_time=issue_time.floor("h"), regions=chosen)
    rows = decide_corrections(settings, plans, targets, ahead, issue_time=issue_time, earlier=earlier, spent=spent)
    missing = {name: why for name, why in told.left_out.items() if name.split("/")[0] in chosen}
    return Decided(issue_time, rows, {**{k: v for k, v in left_out.items() if k in chosen}, **missing}, told.fitted_at)


def correct_region(opened: Runtime, rows: Sequence[Correction], *, dry_run: bool, cloud: Cloud | None = None) -> ReconcileReport:
    """Let run in one region what was decided, or with `dry_run` only say what would move.

    Args:
        rows: of one region and moment, at least one.
        cloud: an opened cloud; default the one of the settings, with the environment's credentials.

    Raises:
        OvertakenError: when a newer plan or correction was acted upon there; that one counts.
        UnavailableError: when the cloud does not answer, or the region is being reconciled.
    """
    from infra.ledger import Ledger
    from infra.reconciler import reconcile
    from infra.region_lock import region_lock

    settings, ledger = opened.settings, Ledger.open(opened.home.database_url)
    first = rows[0]
    plan = opened.lake.read("plans", start=first.plan_time, end=first.plan_time + pd.Timedelta("1h"), where={"region": first.region})
    opened_cloud = cloud or open_cloud(opened)
    if dry_run:
        return reconcile(
            settings, ledger, opened_cloud, plan, issue_time=first.plan_time, region=first.region, dry_run=True, corrections=rows
        )
    with region_lock(ledger.engine, first.region, seconds=_LONGEST_WAIT_SECONDS):
        _check_newest(ledger, first)
        return reconcile(settings, ledger, opened_cloud, plan, issue_time=first.plan_time, region=first.region, corrections=rows)


def _plans_in_force(opened: Runtime, ledger: Ledger, issue_time: pd.Timestamp) -> tuple[pd.DataFrame, dict[str, str]]:
    """(rows of the newest plan acted upon of every region, regions without one -> why)."""
    found, left_out = [opened.lake.read("plans", start=issue_time, end=issue_time)], {}
    for region in opened.settings.regions:
        issued = ledger.newest_issue_time(region, until=issue_time)
        if issued is None:
            left_out[region] = "no plan was acted upon; run allocate_capacity, or headroom apply"
        elif issue_time >= issued + pd.Timedelta(hours=HORIZON_HOURS):
            left_out[region] = f"the plan acted upon is of {issued.isoformat()}, and its {HORIZON_HOURS} hours are over; allocate first"
        else:
            plan = opened.lake.read("plans", start=issued, end=issued + pd.Timedelta("1h"), where={"region": region})
            found += [plan]
            if plan.empty:
                left_out[region] = f"the lake has no plan of {issued.isoformat()}, which the ledger says was acted upon"
    return pd.concat([part for part in found if len(part)] or found[:1], ignore_index=True), left_out


def _check_newest(ledger: Ledger, row: Correction) -> None:
    """Raises OvertakenError."""
    planned, confirmed = ledger.newest_issue_time(row.region), ledger.newest_confirmed(row.region)
    if planned is not None and planned != row.plan_time:
        raise OvertakenError(f"{row.region}: the plan of {planned.isoformat()} was acted upon since; the next correction follows it")
    if confirmed is not None and confirmed > row.issue_time:
        raise OvertakenError(
            f"{row.region}: {confirmed.isoformat()} was acted upon; the correction of {row.issue_time.isoformat()} is older"
        )
