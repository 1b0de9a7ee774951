"""What a correction changes in the cloud: machines of a group move between standby and running, and none is made or given up for good."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from infra.actions import Action
from infra.group_actions import group_action
from infra.observed import Observed
from infra.stand_ins import relieved
from infra.targets import MachineTarget, Target

__all__ = ["pool_moves"]


def pool_moves(targets: Sequence[Target], observed: Observed, *, region: str, services: Collection[str]) -> list[Action]:
    """One call per group that must change, those that give machines back first, then the most critical service first.

    With `R` machines reserved and `N` in the group, `R + resumed` run and the other `N - R - resumed` stand by. Reservations are not touched. A
    group of another size than the plan's hot and warm is left alone: the plan's own reconciliation is not over there, or somebody else
    changed it.

    Args:
        services: those that were corrected; what others hold stays as it is.
    """
    machines = relieved([target for target in targets if isinstance(target, MachineTarget) and target.service in services], observed)
    found = [action for target in machines if (action := _move(target, observed, region)) is not None]
    return sorted(found, key=lambda action: action.wanted["running"] > action.observed["running"])


def _move(target: MachineTarget, observed: Observed, region: str) -> Action | None:
    group = observed.groups.get(target.group)
    reserved = sum(there.count for there in observed.reserved(target.reservation).values())
    if group is None:
        return None
    there = group.running + group.suspended + group.stopped
    if not reserved <= there <= reserved + target.standby:
        return None
    resumed = min(target.resumed(reserved), there - reserved)
    left = there - reserved - resumed
    suspended = min(max(target.suspended - resumed, 0), left)
    wanted = {"running": reserved + resumed, "suspended": suspended, "stopped": left - suspended}
    before = {"running": group.running, "suspended": group.suspended, "stopped": group.stopped}
    return None if wanted == before else _action(target, wanted, before, region)


def _action(target: MachineTarget, wanted: dict[str, int], before: dict[str, int], region: str) -> Action:
    more = wanted["running"] - before["running"]
    moved = f"{more} from standby to running" if more > 0 else f"{-more} from running to standby"
    what = f"{moved}; {wanted['running']} {target.machine_type} run (now {before['running']})"
    usd = more * target.hot_usd + (wanted["suspended"] - before["suspended"]) * target.warm_usd
    return group_action(target, region, "move", what, wanted=wanted, observed=before, usd_per_hour=usd)
