"""Calls on the group of a service's machines: how many run, how many stand by."""

from __future__ import annotations

from typing import Any

from infra.actions import Action, Verb
from infra.cloud import GroupState
from infra.targets import MachineTarget

__all__ = ["drained", "group_action", "scale", "standby"]


def group_action(
    target: MachineTarget,
    region: str,
    verb: Verb,
    what: str,
    *,
    wanted: dict[str, Any],
    observed: dict[str, Any],
    name: str = "",
    usd_per_hour: float = 0.0,
    amount: float = 0.0,
) -> Action:
    """A call on a group of the target's service.

    Args:
        what: the description behind the group's name.
        name: of the group; by default the target's own.
    """
    group = name or target.group
    return Action(
        verb=verb,
        kind="group",
        region=region,
        zone="",
        service=target.service,
        name=group,
        description=f"group {group}: {what}",
        wanted=wanted,
        observed=observed,
        usd_per_hour=usd_per_hour,
        amount=amount,
        machine_type=target.machine_type,
    )


def scale(target: MachineTarget, region: str, now: int, running: int) -> Action:
    """Run so many machines."""
    what = f"run {running} {target.machine_type} (now {now})"
    return group_action(target, region, "scale", what, wanted={"running": running}, observed={"running": now}, amount=running)


def standby(target: MachineTarget, region: str, group: GroupState | None, *, suspended: int, stopped: int) -> list[Action]:
    """Keep so many in standby; nothing when the group does."""
    before = {"suspended": group.suspended if group else 0, "stopped": group.stopped if group else 0}
    wanted = {"suspended": suspended, "stopped": stopped}
    if before == wanted:
        return []
    what = f"keep {suspended} suspended and {stopped} stopped (now {before['suspended']} and {before['stopped']})"
    usd = (suspended - before["suspended"]) * target.warm_usd
    total = suspended + stopped
    return [group_action(target, region, "standby", what, wanted=wanted, observed=before, usd_per_hour=usd, amount=total)]


def drained(target: MachineTarget, region: str, group: GroupState | None) -> list[Action]:
    """No machines, running or in standby, in a group that the service no longer has."""
    actions = []
    if group and group.running:
        what = "drain, its type is not wanted"
        actions.append(
            group_action(target, region, "scale", what, wanted={"running": 0}, observed={"running": group.running}, name=group.name)
        )
    if group and group.suspended + group.stopped:
        what, none = "keep no standby, its type is not wanted", {"suspended": 0, "stopped": 0}
        before = {"suspended": group.suspended, "stopped": group.stopped}
        actions.append(group_action(target, region, "standby", what, wanted=none, observed=before, name=group.name))
    return actions
