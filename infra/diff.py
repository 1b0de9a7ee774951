"""What to change, so that the cloud holds what is wanted: a pure function of targets, observation and recorded refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from infra.actions import Action
from infra.diff_amounts import bandwidth_actions, storage_actions
from infra.diff_machines import machine_actions, stale_reservations
from infra.ledger_rows import Fact
from infra.observed import Observed
from infra.refusals import is_limit
from infra.stand_ins import relieved, with_stand_ins
from infra.targets import BandwidthTarget, MachineTarget, StorageTarget, Target

__all__ = ["diff"]

# What frees quota and stock goes before what needs it, of whatever service.
_PHASES: Final = ("grow", "run")


def diff(
    targets: Sequence[Target],
    observed: Observed,
    facts: Sequence[Fact],
    *,
    issue_time: pd.Timestamp,
    region: str,
    before: Mapping[tuple[str, str], int] | None = None,
) -> list[Action]:
    """The writing calls to make, in order; empty when the cloud already holds what can be held.

    Order: what must exist first (templates, groups); then releases (groups first, so that machines of all services leave at the
    same time; then the reservations that they used, the dearest first); then reservations, the most critical service first;
    then the machines that run in them; then bandwidth and storage.

    Args:
        facts: what this issue time has learnt; an amount that was refused for lack of quota or stock is not asked for again.
        before: `(reservation, zone)` -> machines at the beginning of the issue time, where it has changed since.
    """
    refused = {(fact.name, fact.resource, fact.zone): fact for fact in facts if is_limit(fact.code)}
    planned = relieved([target for target in targets if isinstance(target, MachineTarget)], observed)
    machines = with_stand_ins(planned, observed, refused, before=before or {})
    phased = []
    searching = False
    for machine in machines:
        part = machine_actions(machine, observed, refused, issue_time=issue_time, region=region)
        phased.append(part.without_growth() if searching else part)
        searching |= part.searching  # scarce machines are for the more critical services first
    stale = stale_reservations(machines, observed, region=region)
    releases = sorted([*stale, *(action for part in phased for action in part.release)], key=_dearest_first)
    ordered = [action for part in phased for action in part.prepare] + releases
    ordered += [action for phase in _PHASES for part in phased for action in getattr(part, phase)]
    for target in targets:
        if isinstance(target, BandwidthTarget):
            ordered += bandwidth_actions(target, observed, refused, region=region)
        elif isinstance(target, StorageTarget):
            ordered += storage_actions(target, observed, refused, region=region)
    return ordered


def _dearest_first(action: Action) -> tuple[bool, float]:
    return action.kind == "reservation", action.usd_per_hour
