"""Machines of one type that stand in for those of another that cannot be had, within the types that a service may use.

Pure functions of the plan's targets, of what is seen, and of what the issue time has learnt, so that a run that is killed and taken up
again asks for the same. What is short of a type, in machines, takes as many of another as carry the same of every resource, rounded up;
types are taken in the order of their price for that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from infra.diff_machines import Refused
from infra.ledger_rows import Fact
from infra.machine_types import machines_for_one
from infra.observed import Observed
from infra.placement import place
from infra.refusals import is_stockout
from infra.targets import MachineTarget

__all__ = ["relieved", "stood_in_for", "with_stand_ins"]

_NOISE = 1e-9


def with_stand_ins(
    targets: Sequence[MachineTarget], observed: Observed, refused: Refused, *, before: Mapping[tuple[str, str], int]
) -> list[MachineTarget]:
    """The targets in their order, some with more hot machines than the plan wants of their type.

    - A type of which every zone has refused more for want of stock: what is still missing is asked for in the other types.
    - What stands in already stays as long as the type it stands in for was short at the beginning of the issue time: the first machines
      leave when the others have had the time from one allocation to the next to start.

    Args:
        refused: amounts that this issue time was refused.
        before: `(reservation, zone)` -> machines at the beginning of the issue time, for reservations that changed since.
    """
    result = []
    for service in dict.fromkeys(target.service for target in targets):
        mine = [target for target in targets if target.service == service]
        result += mine if len(mine) == 1 else _Types(mine, observed, refused, before).asked()
    return result


def stood_in_for(targets: Sequence[MachineTarget], observed: Observed) -> dict[tuple[str, str], int]:
    """`(service, machine type)` -> machines of it that the plan wants and that what is held of other types carries in its place."""
    found: dict[tuple[str, str], int] = {}
    for service in dict.fromkeys(target.service for target in targets):
        mine = [target for target in targets if target.service == service]
        if len(mine) > 1:
            types = _Types(mine, observed, {}, {})
            for target in mine:
                missing = max(target.hot - types.held(target), 0)
                found[service, target.machine_type] = missing - math.ceil(types.kept_for(target, missing) - _NOISE)
    return found


def relieved(targets: Sequence[MachineTarget], observed: Observed) -> list[MachineTarget]:
    """The targets; where machines of other types carry what is missing, fewer need to come out of standby for a correction."""
    if not any(target.run_now for target in targets):
        return list(targets)
    stood_in = stood_in_for(targets, observed)
    return [
        replace(target, run_now=max(target.run_now - stood_in.get((target.service, target.machine_type), 0), 0))
        if target.run_now
        else target
        for target in targets
    ]


@dataclass
class _Types:
    """The types of one service in one region; `extra` counts the machines above the plan that are spoken for."""

    targets: Sequence[MachineTarget]
    observed: Observed
    refused: Refused
    before: Mapping[tuple[str, str], int]
    extra: dict[str, int] = field(default_factory=dict)

    def asked(self) -> list[MachineTarget]:
        for target in self.targets:
            self.kept_for(target, max(target.hot - self.held(target, at_first=True), 0))
        kept = dict(self.extra)
        self.extra = {}
        for target in self.targets:
            missing = self.kept_for(target, max(target.hot - self.held(target), 0))
            if self._out_of_stock(target):
                self._ask_others(target, missing)
        return [
            replace(target, hot=target.hot + extra, makes=True)
            if (extra := max(kept.get(target.machine_type, 0), self.extra.get(target.machine_type, 0)))
            else target
            for target in self.targets
        ]

    def held(self, target: MachineTarget, *, at_first: bool = False) -> int:
        zones = self.observed.reserved(target.reservation)
        return sum(
            min(zones[zone].count, self.before.get((target.reservation, zone), zones[zone].count)) if at_first else zones[zone].count
            for zone in target.zones
            if zone in zones
        )

    def kept_for(self, short: MachineTarget, missing: float) -> float:
        """Speak for machines of other types that are there above the plan; what then is still missing, in machines of the short type."""
        for other, each in self._others(short):
            spare = max(self.held(other) - other.hot - self.extra.get(other.machine_type, 0), 0)
            taken = min(math.ceil(missing * each - _NOISE), spare)
            self._take(other, taken)
            missing = max(missing - taken / each, 0.0)
        return missing

    def _ask_others(self, short: MachineTarget, missing: float) -> None:
        for other, each in self._others(short):
            if missing <= _NOISE:
                return
            more = math.ceil(missing * each - _NOISE)
            wanted = replace(other, hot=other.hot + self.extra.get(other.machine_type, 0) + more)
            self._take(other, more)
            if not self._refused_in_all_zones(wanted):
                return  # it is tried first
            # What there is of it was spoken for above, so it carries nothing more.

    def _others(self, short: MachineTarget) -> list[tuple[MachineTarget, float]]:
        """The other types, the one that carries what the short type would at the lowest price first, with machines of it for one."""
        pairs = [(other, machines_for_one(short.carries, other.carries)) for other in self.targets if other is not short]
        return sorted(pairs, key=lambda pair: pair[0].hot_usd * pair[1])

    def _take(self, other: MachineTarget, machines: int) -> None:
        if machines:
            self.extra[other.machine_type] = self.extra.get(other.machine_type, 0) + machines

    def _out_of_stock(self, target: MachineTarget) -> bool:
        return self._refused_in_all_zones(target) and all(is_stockout(fact.code) for fact in self._limits(target).values())

    def _refused_in_all_zones(self, target: MachineTarget) -> bool:
        """Whether it holds less than it wants and no zone is left to be asked for more."""
        counts = {zone: there.count for zone, there in self.observed.reserved(target.reservation).items()}
        placement = place(target.hot, target.zones, counts, self._limits(target), order=target.order)
        there = {zone: counts.get(zone, 0) for zone in target.zones}
        return sum(there.values()) < target.hot and placement.counts == there

    def _limits(self, target: MachineTarget) -> dict[str, Fact]:
        return {zone: fact for zone in target.zones if (fact := self.refused.get((target.reservation, "reservation", zone))) is not None}
