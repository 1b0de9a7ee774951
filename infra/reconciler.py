"""The reconciler: the only writer to the cloud. Observe, diff, act, confirm, until nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import pandas as pd

from headroom.errors import UnavailableError
from headroom.settings import Settings
from infra.actions import Action
from infra.adoptions import adopted, with_adoptions
from infra.cloud import Cloud
from infra.corrections import Correction, corrections_in_force, record_corrections, with_corrections
from infra.diff import diff
from infra.diff_amounts import bandwidth_facts
from infra.executor import Checkpoint, Executor
from infra.former_groups import with_former_groups
from infra.holdings import failure_facts, held_amount, holdings_of, unmet_of
from infra.installations import without_others
from infra.ledger import Ledger
from infra.ledger_history import held_at_first
from infra.ledger_rows import Entry, Fact, Holding, Unmet
from infra.observed import Observed, observe, with_failures
from infra.pool_moves import pool_moves
from infra.refusals import is_limit
from infra.stockouts import with_memory
from infra.targets import BandwidthTarget, Target, desired_state

__all__ = ["ReconcileReport", "desired_state", "diff", "reconcile"]

# A search halves the gap, so even thousands of machines in several zones need far fewer rounds.
_MOST_ROUNDS: Final = 100

# What to change, from what is seen and what was refused at this issue time.
Differ = Callable[[Observed, list[Fact]], list[Action]]


@dataclass(frozen=True)
class ReconcileReport:
    """What one reconciliation of one region did, or in a dry run would do. JSON-ready by `dataclasses.asdict`.

    Attributes:
        issue_time: ISO 8601.
        actions: rows of the ledger as dicts (`infra.ledger_rows.Entry.as_dict`); in a dry run those that would be written.
        unmet: capacity wanted and not held (`infra.ledger_rows.Unmet` as dicts).
        facts: what the cloud refused or lacks (`infra.ledger_rows.Fact` as dicts).
        held: service -> `hot`, `warm` (machines), `storage` (GiB); the service "" has the region's `bandwidth` (Gbit/s).
        usd_per_hour_added: change of the bill by the actions that are done (in a dry run: by all).
        writes: writing calls made to the cloud.
        corrections: of a correction, what was decided (`infra.corrections.Correction` as dicts, times in ISO 8601).
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
    corrections: list[dict[str, Any]] = field(default_factory=list)


def reconcile(
    settings: Settings,
    ledger: Ledger,
    cloud: Cloud,
    plan: pd.DataFrame,
    *,
    issue_time: pd.Timestamp,
    region: str,
    dry_run: bool = False,
    corrections: Sequence[Correction] | None = None,
    checkpoint: Checkpoint = lambda _: None,
    settle_seconds: float = 120.0,
) -> ReconcileReport:
    """Make a region hold what the plan wants at an issue time, as far as quota and stock allow.

    What a correction lets run beyond the plan's hot machines at that time, or since, keeps running. With `corrections` only that is done: the machines
    of the services that they name move between standby and running (`infra.pool_moves`), under the issue time of the plan that they correct.

    Killed at any moment and run again, it ends in the state that one clean run would have left. Run again after the end, it
    makes no writing call. A dry run makes none at all and writes nothing to the ledger.

    Args:
        plan: rows of the `plans` table.
        corrections: of this plan in this region, of one moment; None reconciles the plan itself.
        checkpoint: called before and after every step; raising there, or ending the process, must do no harm.
        settle_seconds: how long to wait for machines to leave a reservation that shrinks.

    Raises:
        BadInputError: when region or plan do not fit the settings, or another installation of the project has a name that the plan needs.
        CloudRefusedError: when the project may not call the API at all; single refusals become facts.
        UnavailableError: when the cloud does not answer; run again.
    """
    kept = with_adoptions(desired_state(settings, plan, issue_time=issue_time, region=region), adopted(ledger, region, at=issue_time))
    known = corrections_in_force(ledger, region, at=issue_time)
    now = [*known, *(corrections or ())]  # of two for the same machines the later one counts
    remembered = with_memory(with_corrections(kept, now), ledger, region=region, issue_time=issue_time)
    targets = with_former_groups(remembered, ledger, region=region)
    zones = settings.regions[region].zones
    changes: Differ = partial(_plan_changes, targets, ledger, issue_time, region)
    if corrections is not None:
        changes = partial(_moves, targets, region, {row.service for row in corrections})
    if dry_run:
        observed = _look(cloud, ledger, targets, region=region, zones=zones)
        wanted = changes(observed, ledger.facts(region, issue_time))
        return _dry_report(targets, observed, wanted, corrections or (), issue_time=issue_time, region=region)
    executor = Executor(ledger, cloud, issue_time, region, checkpoint, settle_seconds)
    entries = executor.reattach()
    if corrections is not None:
        executor.step("corrections", record_corrections, ledger, _told(corrections, known))
    observed = _converge(executor, targets, zones, changes, entries)
    executor.abandon_rest()
    observed = executor.step("failures", with_failures, executor.cloud, observed)
    facts = _final_facts(executor, targets, observed)
    held = holdings_of(targets, observed)
    missing = unmet_of(targets, observed, held, facts, now)
    # What is held now counts on the bill from the newest correction on; the plan's own hour is the plan's.
    latest = max((row.issue_time for row in now), default=issue_time)
    since = [latest] if corrections else [issue_time, max(latest, issue_time)]
    executor.step("result", ledger.record_result, region, issue_time, held, missing, since=since)
    return _report(entries, held, missing, facts, corrections or (), executor)


def _plan_changes(
    targets: Sequence[Target], ledger: Ledger, issue_time: pd.Timestamp, region: str, observed: Observed, facts: list[Fact]
) -> list[Action]:
    before = held_at_first(ledger, region, issue_time)
    return diff(targets, observed, facts, issue_time=issue_time, region=region, before=before)


def _moves(targets: Sequence[Target], region: str, services: set[str], observed: Observed, facts: list[Fact]) -> list[Action]:
    del facts  # a move that was refused is not made smaller: the next correction looks anew
    return pool_moves(targets, observed, region=region, services=services)


def _told(corrections: Sequence[Correction], known: Sequence[Correction]) -> list[Correction]:
    """Those that say something: machines run beside the plan's hot ones, are missing, or ran until now."""
    before = {(row.service, row.machine_type) for row in known}
    return [row for row in corrections if row.resumed or row.unmet or (row.service, row.machine_type) in before]


def _look(cloud: Cloud, ledger: Ledger, targets: Sequence[Target], *, region: str, zones: Sequence[str]) -> Observed:
    """What is there that is ours; refuses what another installation has under a name that a target needs."""
    observed = observe(cloud, targets, region=region, zones=zones)
    return without_others(observed, targets, ledger, region=region, installation=cloud.installation)


def _converge(executor: Executor, targets: Sequence[Target], zones: Sequence[str], changes: Differ, entries: list[Entry]) -> Observed:
    """Act until the diff is empty or what is left cannot be done; the last observation, which confirms it."""
    hopeless: set[tuple[str, str, str, str]] = set()
    for _ in range(_MOST_ROUNDS):
        observed = executor.step("observe", _look, executor.cloud, executor.ledger, targets, region=executor.region, zones=zones)
        facts = executor.ledger.facts(executor.region, executor.issue_time)
        wanted = changes(observed, facts)
        acted = _round(executor, wanted, hopeless)
        entries += acted
        if not acted:
            return observed
    raise UnavailableError(
        f"region {executor.region}: the cloud still differs after {_MOST_ROUNDS} rounds; someone else changes it, run again"
    )


def _round(executor: Executor, wanted: Sequence[Action], hopeless: set[tuple[str, str, str, str]]) -> list[Entry]:
    """One pass over the diff. After a failure, or a race lost to somebody else, the rest of that service waits for the next look.

    Its releases do not wait: what cannot be made must not keep what is not needed. A refused reservation ends the pass: what follows it in the
    diff is less critical and must not take what a smaller try may get.
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
    entries: Sequence[Entry],
    held: Sequence[Holding],
    missing: Sequence[Unmet],
    facts: Sequence[Fact],
    corrections: Sequence[Correction],
    executor: Executor,
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
        corrections=[row.as_dict() for row in corrections],
    )


def _dry_report(
    targets: Sequence[Target],
    observed: Observed,
    wanted: Sequence[Action],
    corrections: Sequence[Correction],
    *,
    issue_time: pd.Timestamp,
    region: str,
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
        corrections=[row.as_dict() for row in corrections],
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
