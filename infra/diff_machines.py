"""The machine part of the diff: template, group, reservations, standby."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import pandas as pd

from infra.actions import Action
from infra.cloud import GroupState, ReservationState
from infra.cloud.marks import LABEL
from infra.group_actions import drained, group_action, scale, standby
from infra.ledger_rows import Fact
from infra.names import PREFIX
from infra.observed import Observed
from infra.placement import next_try, place
from infra.prices import list_prices
from infra.targets import MachineTarget

__all__ = ["MachineActions", "Refused", "machine_actions", "stale_reservations"]

Refused = Mapping[tuple[str, str, str], Fact]
_MADE_FOR: Final = re.compile(rf"^{LABEL}: hot capacity for (\S+); issued (\S+)$")
_HOUR: Final = 3600


@dataclass(frozen=True)
class MachineActions:
    """Actions of one service by phase.

    Attributes:
        prepare: make what must exist.
        release: free quota and stock.
        grow: reserve, and keep what is reserved from lapsing.
        run: run machines in the reservations, and keep the standby.
        searching: an amount is being tried; what follows depends on whether it is refused.
    """

    prepare: list[Action]
    release: list[Action]
    grow: list[Action]
    run: list[Action]
    searching: bool

    def without_growth(self) -> MachineActions:
        return replace(self, grow=[], run=[])


def machine_actions(
    target: MachineTarget, observed: Observed, refused: Refused, *, issue_time: pd.Timestamp, region: str
) -> MachineActions:
    """What one service needs changed."""
    held = observed.reserved(target.reservation)
    limits = {zone: fact for zone in target.zones if (fact := refused.get((target.reservation, "reservation", zone))) is not None}
    group = observed.groups.get(target.group)
    now = group.running if group else 0
    # Machines are about to leave their reservation.
    leaving = group is not None and (target.hot + target.resumed(target.hot) < now or group.draining)
    in_use = {} if leaving else {zone: r.in_use for zone, r in held.items()}
    counts = {zone: r.count for zone, r in held.items()}
    placement = place(target.hot, target.zones, counts, limits, in_use, order=target.order)
    reserved = min(target.hot, sum(placement.counts.values()))
    resumed = target.resumed(reserved)
    running = _within(reserved + resumed, now, refused.get((target.group, "running", "")))

    release = [scale(target, region, now, running)] if running < now else []
    release += [action for name in target.former for action in drained(target, region, observed.groups.get(name))]
    grow = []
    for zone, count in placement.counts.items():
        there = held.get(zone)
        before = there.count if there else 0
        if count > before:
            grow.append(_reserve(target, region, zone, there, count, issue_time))
        elif there and count < before:
            release.append(_shrink(target, region, there, count))
        if there and count and _lapses_early(target, there, issue_time):
            grow.append(_extend(target, region, there, issue_time))
    run = [scale(target, region, now, running)] if running > now else []
    run += _standby(target, region, group, refused, resumed)
    return MachineActions(
        prepare=_prepare(target, observed, group, region),
        release=release,
        grow=grow,
        run=[] if placement.searching else run,
        searching=placement.searching,
    )


def stale_reservations(targets: Sequence[MachineTarget], observed: Observed, *, region: str) -> list[Action]:
    """Delete unused reservations of machine types that a service no longer has; those in use lapse by themselves."""
    wanted = {target.service: target for target in reversed(targets)}
    names = {(target.service, target.reservation) for target in targets}
    actions = []
    for reservation in observed.reservations:
        made_for = _MADE_FOR.match(reservation.description)
        target = wanted.get(made_for.group(1)) if made_for else None
        if target is not None and (target.service, reservation.name) not in names and not reservation.in_use:
            actions.append(_shrink(target, region, reservation, 0))
    return actions


def _prepare(target: MachineTarget, observed: Observed, group: GroupState | None, region: str) -> list[Action]:
    if not target.makes:
        return []
    make = partial(Action, region=region, zone="", service=target.service, machine_type=target.machine_type)
    actions = []
    ours = group is None or group.template.startswith(f"{PREFIX}-")  # an owner's own template is left alone
    if ours and target.template not in observed.templates:
        description = f"create template {target.template} of {target.machine_type}"
        actions.append(
            make("create", "template", name=target.template, description=description, wanted={"machine_type": target.machine_type})
        )
    if group is None:
        wanted = {"template": target.template, "zones": list(target.zones)}
        description = f"create group {target.group} over {', '.join(target.zones)}"
        actions.append(make("create", "group", name=target.group, description=description, wanted=wanted))
    elif ours and group.template != target.template:
        what = f"new machines are {target.machine_type} (template {group.template} before)"
        before = {"template": group.template}
        actions.append(group_action(target, region, "set-template", what, wanted={"template": target.template}, observed=before))
    return actions


def _standby(target: MachineTarget, region: str, group: GroupState | None, refused: Refused, resumed: int) -> list[Action]:
    now = group.suspended + group.stopped if group else 0
    total = _within(target.standby - resumed, now, refused.get((target.group, "standby", "")))
    suspended = min(max(target.suspended - resumed, 0), total)
    return standby(target, region, group, suspended=suspended, stopped=total - suspended)


def _reserve(target: MachineTarget, region: str, zone: str, there: ReservationState | None, count: int, issue_time: pd.Timestamp) -> Action:
    before = there.count if there else 0
    wanted: dict[str, object] = {"count": count}
    if there is None:
        description = f"{LABEL}: hot capacity for {target.service}; issued {issue_time.isoformat()}"
        wanted |= {"machine_type": target.machine_type, "description": description, "lifetime_seconds": _seconds(target.keep_hours)}
    return Action(
        verb="resize" if there else "create",
        kind="reservation",
        region=region,
        zone=zone,
        service=target.service,
        name=target.reservation,
        description=f"{zone}: reserve {count} {target.machine_type} for {target.service} (now {before})",
        wanted=wanted,
        observed={"count": before},
        usd_per_hour=(count - before) * target.hot_usd,
        amount=count,
        machine_type=target.machine_type,
    )


def _shrink(target: MachineTarget, region: str, there: ReservationState, count: int) -> Action:
    same = there.machine_type == target.machine_type
    usd = target.hot_usd if same else list_prices().hot_usd_per_hour(there.machine_type, region)
    return Action(
        verb="resize" if count else "delete",
        kind="reservation",
        region=region,
        zone=there.zone,
        service=target.service,
        name=there.name,
        description=f"{there.zone}: release {there.count - count} of {there.count} {there.machine_type} of {target.service}",
        wanted={"count": count},
        observed={"count": there.count, "in_use": there.in_use, "group": target.group},
        usd_per_hour=(count - there.count) * usd,
        machine_type=there.machine_type,
    )


def _extend(target: MachineTarget, region: str, there: ReservationState, issue_time: pd.Timestamp) -> Action:
    lifetime = _seconds(target.keep_hours) + int((issue_time - _issued_at(there)).total_seconds())
    return Action(
        verb="extend",
        kind="reservation",
        region=region,
        zone=there.zone,
        service=target.service,
        name=there.name,
        description=f"{there.zone}: keep the {target.machine_type} of {target.service} for {target.keep_hours:g} h more",
        wanted={"lifetime_seconds": lifetime},
        observed={"lifetime_seconds": there.lifetime_seconds},
        machine_type=target.machine_type,
    )


def _lapses_early(target: MachineTarget, there: ReservationState, issue_time: pd.Timestamp) -> bool:
    """Whether the reservation would be gone before a late successor could extend it; one that never lapses is given an end."""
    if there.lifetime_seconds is None:
        return True
    lapses = _issued_at(there) + pd.Timedelta(seconds=there.lifetime_seconds)
    return bool(lapses < issue_time + pd.Timedelta(hours=target.outlast_hours))


def _issued_at(there: ReservationState) -> pd.Timestamp:
    """The issue time that created the reservation: lifetimes count from there, whatever the wall clock says."""
    made_for = _MADE_FOR.match(there.description)
    stamp = pd.Timestamp(made_for.group(2) if made_for else there.created)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def _within(wanted: int, now: int, fact: Fact | None) -> int:
    """`wanted`, or the next amount to try where that much was refused."""
    return wanted if fact is None or wanted < fact.asked else next_try(now, fact)


def _seconds(hours: float) -> int:
    return math.ceil(hours * _HOUR)
