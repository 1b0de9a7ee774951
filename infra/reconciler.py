"""The reconciler: the only writer to the cloud. Observe, diff, act, confirm, until nothing is left to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from headroom.errors import UnavailableError
from headroom.settings import Settings
from infra.actions import Action
from infra.adoptions import adopted, with_adoptions
from infra.cloud import Cloud
from infra.diff import diff
from infra.diff_amounts import bandwidth_facts
from infra.executor import Checkpoint, Executor
from infra.former_groups import with_former_groups
from infra.holdings import failure_facts, held_amount, holdings_of, unmet_of
from infra.ledger import Entry, Fact, Holding, Ledger, Unmet
from infra.ledger_history import held_at_first
from infra.observed import Observed, observe, with_failures
from infra.refusals import is_limit
from infra.stockouts import with_memory
from infra.targets import BandwidthTarget, Target, desired_state

__all__ = ["ReconcileReport", "desired_state", "diff", "reconcile"]

# A search halves the gap, so even thousands of machines in several zones need far fewer rounds.
_MOST_ROUNDS: Final = 100


@dataclass(frozen=True)
class ReconcileReport:
    """What one reconciliation of one region did, or in a dry run would do. JSON-ready by `dataclasses.asdict`.

    Attributes:
        issue_time: ISO 8601.
        actions: rows of the ledger as dicts (`infra.ledger.Entry.as_dict`); in a dry run those that would be written.
        unmet: capacity wanted and not held (`infra.ledger.Unmet` as dicts).
        facts: what the cloud refused or lacks (`infra.ledger.Fact` as dicts).
        held: service -> `hot`, `warm` (machines), `storage` (GiB); the service "" has the region's `bandwidth` (Gbit/s).
        usd_per_hour_added: change of the bill by the actions that are done (in a dry run: by all).
        writes: writing calls made to the cloud.
    """

    region: str
    issue_time: str
    dry_run: bool
    actions: list[dict[str, Any]]
    unmet: list[dict[str, Any]]
    facts: list[dict[str, Any]]
    held: dict[str, dict[str, float]]
    usd_per_hour_added: float
    writes: int


def reconcile(
    settings: Settings,
    ledger: Ledger,
    cloud: Cloud,
    plan: pd.DataFrame,
    *,
    issue_time: pd.Timestamp,
    region: str,
    dry_run: bool = False,
    checkpoint: Checkpoint = lambda _: None,
    settle_seconds: float = 120.0,
) -> ReconcileReport:
    """Make a region hold what the plan wants at an issue time, as far as quota and stock allow.

    Killed at any moment and run again, it ends in the state that one clean run would have left. Run again after the end, it
    makes no writing call. A dry run makes none at all and writes nothing to the ledger.

    Args:
        plan: rows of the `plans` table.
        checkpoint: called before and after every step; raising there, or ending the process, must do no harm.
        settle_seconds: how long to wait for machines to leave a reservation that shrinks.

    Raises:
        BadInputError: when region or plan do not fit the settings.
        CloudRefusedError: when the project may not call the API at all; single refusals become facts.
        UnavailableError: when the cloud does not answer; run again.
    """
    wished = desired_state(settings, plan, issue_time=issue_time, region=region)
    kept = with_adoptions(wished, adopted(ledger, region, at=issue_time))
    targets = with_former_groups(with_memory(kept, ledger, region=region, issue_time=issue_time), ledger, region=region)
    zones = settings.regions[region].zones
    if dry_run:
        observed = observe(cloud, targets, region=region, zones=zones)
        facts, before = ledger.facts(region, issue_time), held_at_first(ledger, region, issue_time)
        wanted = diff(targets, observed, facts, issue_time=issue_time, region=region, before=before)
        return _dry_report(targets, observed, wanted, issue_time=issue_time, region=region)
    executor = Executor(ledger, cloud, issue_time, region, checkpoint, settle_seconds)
    entries = executor.reattach()
    observed = _converge(executor, targets, zones, entries)
    executor.abandon_rest()
    observed = executor.step("failures", with_failures, executor.cloud, observed)
    facts = _final_facts(executor, targets, observed)
    held, missing = holdings_of(targets, observed), unmet_of(targets, observed, facts)
    executor.step("result", ledger.record_result, region, issue_time, held, missing)
    return _report(entries, held, missing, facts, executor)


def _converge(executor: Executor, targets: Sequence[Target], zones: Sequence[str], entries: list[Entry]) -> Observed:
    """Act until the diff is empty or what is left cannot be done; the last observation, which confirms it."""
    hopeless: set[tuple[str, str, str, str]] = set()
    for _ in range(_MOST_ROUNDS):
        observed = executor.step("observe", observe, executor.cloud, targets, region=executor.region, zones=zones)
        facts = executor.ledger.facts(executor.region, executor.issue_time)
        before = held_at_first(executor.ledger, executor.region, executor.issue_time)
        wanted = diff(targets, observed, facts, issue_time=executor.issue_time, region=executor.region, before=before)
        acted = _round(executor, wanted, hopeless)
        entries += acted
        if not acted:
            return observed
    raise UnavailableError(
        f"region {executor.region}: the cloud still differs after {_MOST_ROUNDS} rounds; someone else changes it, run again"
    )


def _round(executor: Executor, wanted: Sequence[Action], hopeless: set[tuple[str, str, str, str]]) -> list[Entry]:
    """One pass over the diff. After a failure, or a race lost to somebody else, the rest of that service waits for the next look.

    Only releases do not wait: what cannot be made must not keep what is not needed. After a refused reservation everything waits: what follows is less critical and must not take what a smaller try may get.
    """
    entries: list[Entry] = []
    waiting: set[str] = set()
    for action in wanted:
        key = (action.kind, action.verb, action.name, action.zone)
        if action.service in waiting and not action.releases:
            continue
        entry = None if key in hopeless else executor.act(action)
        if entry is None:
            waiting.add(action.service)
            continue
        entries.append(entry)
        if entry.state != "done":
            waiting.add(action.service)
        if entry.state == "failed":
            if not (action.searches and is_limit(entry.code)):
                hopeless.add(key)
            elif action.kind == "reservation":
                break
    return entries


def _final_facts(executor: Executor, targets: Sequence[Target], observed: Observed) -> list[Fact]:
    """The facts of this issue time, with what is held in the end."""
    lacking = failure_facts(targets, observed, region=executor.region)
    lacking += [fact for t in targets if isinstance(t, BandwidthTarget) for fact in bandwidth_facts(t, observed, region=executor.region)]
    known = executor.ledger.facts(executor.region, executor.issue_time)
    current = [replace(fact, got=held_amount(observed, fact)) for fact in [*known, *lacking]]
    for fact in current:
        if fact not in known:
            executor.step("fact", executor.ledger.record_fact, executor.issue_time, fact)
    return executor.ledger.facts(executor.region, executor.issue_time)


def _report(
    entries: Sequence[Entry], held: Sequence[Holding], missing: Sequence[Unmet], facts: Sequence[Fact], executor: Executor
) -> ReconcileReport:
    return ReconcileReport(
        region=executor.region,
        issue_time=executor.issue_time.isoformat(),
        dry_run=False,
        actions=[entry.as_dict() for entry in entries],
        unmet=[vars(row) for row in missing],
        facts=[vars(fact) for fact in facts],
        held=_by_service(held),
        usd_per_hour_added=sum(entry.action.usd_per_hour for entry in entries if entry.state == "done"),
        writes=executor.writes,
    )


def _dry_report(
    targets: Sequence[Target], observed: Observed, wanted: Sequence[Action], *, issue_time: pd.Timestamp, region: str
) -> ReconcileReport:
    facts = [fact for t in targets if isinstance(t, BandwidthTarget) for fact in bandwidth_facts(t, observed, region=region)]
    return ReconcileReport(
        region=region,
        issue_time=issue_time.isoformat(),
        dry_run=True,
        actions=[{**action.as_dict(), "state": "would be made"} for action in wanted],
        unmet=[],
        facts=[vars(fact) for fact in facts],
        held=_by_service(holdings_of(targets, observed)),
        usd_per_hour_added=sum(action.usd_per_hour for action in wanted),
        writes=0,
    )


def _by_service(held: Sequence[Holding]) -> dict[str, dict[str, float]]:
    """Service -> pool or resource -> amount; machines of a service that holds several types by pool and type."""
    types: dict[str, set[str]] = {}
    for row in held:
        types.setdefault(row.service, set()).update({row.machine_type} - {""})
    totals: dict[str, dict[str, float]] = {}
    for row in held:
        pools = totals.setdefault(row.service, {})
        pool = row.pool if len(types[row.service]) < 2 else f"{row.pool} {row.machine_type}"
        key = pool if row.resource == "instances" else row.resource
        pools[key] = pools.get(key, 0.0) + row.amount
    return totals
