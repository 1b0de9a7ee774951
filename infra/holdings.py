"""What was seen in the cloud, in the plan's terms: held, and wanted but not held."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from infra.corrections import Correction
from infra.ledger_rows import Fact, Holding, Unmet
from infra.observed import Observed
from infra.stand_ins import stood_in_for
from infra.targets import BANDWIDTH_STEPS, BandwidthTarget, MachineTarget, StorageTarget, Target

__all__ = ["failure_facts", "held_amount", "holdings_of", "unmet_of"]

# Service, resource, pool, unit, machine type.
_Key: TypeAlias = tuple[str, str, str, str, str]
_SIZES = {step: gbps for gbps, step in BANDWIDTH_STEPS.items()}


def holdings_of(targets: Sequence[Target], observed: Observed) -> list[Holding]:
    """Capacity that was seen, one row per resource; amounts of zero are left out."""
    rows = [row for target in targets for row in _held(target, observed)]
    return [row for row in rows if row.amount > 0]


def unmet_of(
    targets: Sequence[Target], observed: Observed, held: Sequence[Holding], facts: Sequence[Fact], corrections: Sequence[Correction] = ()
) -> list[Unmet]:
    """What is wanted beyond what is held; the reason is what the cloud said.

    Where the next minutes need more machines than the plan has, as many more are wanted, for the correction's reason. What machines of other
    types carry in place of missing hot ones (`infra.stand_ins`) counts as held.

    Args:
        held: `holdings_of` the same targets and observation.
        corrections: of two for the same machines the later one counts.
    """
    wants = dict(pair for target in targets for pair in _wanted(target))
    machines = [target for target in targets if isinstance(target, MachineTarget)]
    has = defaultdict(float, {_hot(*type_of): float(stood_in) for type_of, stood_in in stood_in_for(machines, observed).items()})
    for there in held:
        has[there.service, there.resource, there.pool, there.unit, there.machine_type] += there.amount
    several = Counter(target.service for target in machines)
    rows = {
        key: Unmet(*key[:4], wanted, has[key], _reason(key[0], facts, key[4] if several[key[0]] > 1 else ""), key[4])
        for key, wanted in wants.items()
        if wanted > has[key]
    }
    for row in {(row.service, row.machine_type): row for row in corrections}.values():
        if row.unmet:
            key = _hot(row.service, row.machine_type)
            wanted = max(wants.get(key, 0.0), has[key]) + row.unmet
            rows[key] = Unmet(*key[:4], wanted, has[key], row.why, row.machine_type)
    return list(rows.values())


def failure_facts(targets: Sequence[Target], observed: Observed, *, region: str) -> list[Fact]:
    """One fact per group that could not get all its machines."""
    facts = []
    for target in targets:
        failures = observed.failures.get(target.group, []) if isinstance(target, MachineTarget) else []
        if isinstance(target, MachineTarget) and failures:
            group = observed.groups[target.group]
            asked = group.running + group.suspended + group.stopped
            facts.append(
                Fact(
                    region=region,
                    zone="",
                    service=target.service,
                    name=group.name,
                    resource="machines",
                    code=failures[0].code,
                    message=failures[0].message,
                    asked=asked,
                    got=asked - len(failures),
                    machine_type=target.machine_type,
                )
            )
    return facts


def held_amount(observed: Observed, fact: Fact) -> float:
    """The total now held at the resource of a fact."""
    if fact.resource == "reservation":
        return float(sum(r.count for zone, r in observed.reserved(fact.name).items() if zone == fact.zone))
    if fact.resource in ("running", "standby"):
        group = observed.groups.get(fact.name)
        return 0.0 if group is None else float(group.running if fact.resource == "running" else group.suspended + group.stopped)
    if fact.resource == "machines":
        return fact.got
    if fact.resource == "attachment":
        return _SIZES.get(observed.attachment.bandwidth, 0.0) if observed.attachment else 0.0
    disk = observed.disks.get(fact.name)
    return float(disk.gib) if disk is not None and disk.zone == fact.zone else 0.0


def _held(target: Target, observed: Observed) -> Iterator[Holding]:
    if isinstance(target, MachineTarget):
        for zone, there in observed.reserved(target.reservation).items():
            usd = there.count * target.hot_usd
            yield Holding(zone, target.service, "instances", "hot", there.name, there.count, "instances", usd, target.machine_type)
        group = observed.groups.get(target.group)
        if group is not None:
            missing = Counter(failure.wanted for failure in observed.failures.get(group.name, []))
            reserved = sum(there.count for there in observed.reserved(target.reservation).values())
            resumed = min(target.resumed(reserved), group.running - missing["RUNNING"] - reserved)
            usd = resumed * target.hot_usd
            yield Holding("", target.service, "instances", "hot", group.name, resumed, "instances", usd, target.machine_type)
            suspended, stopped = group.suspended - missing["SUSPENDED"], group.stopped - missing["STOPPED"]
            usd = suspended * target.warm_usd
            standby = suspended + stopped
            yield Holding("", target.service, "instances", "warm", group.name, standby, "instances", usd, target.machine_type)
    elif isinstance(target, StorageTarget):
        disk = observed.disks.get(target.name)
        if disk is not None:
            yield Holding(disk.zone, target.service, "storage", "hot", disk.name, disk.gib, "GiB", disk.gib * target.usd_per_gib)
    elif observed.attachment is not None:
        gbps = _SIZES.get(observed.attachment.bandwidth, 0.0)
        yield Holding("", "", "bandwidth", "hot", observed.attachment.name, gbps, "Gbit/s", gbps * target.usd_per_gbps)


def _hot(service: str, machine_type: str) -> _Key:
    return service, "instances", "hot", "instances", machine_type


def _wanted(target: Target) -> Iterator[tuple[_Key, float]]:
    if isinstance(target, MachineTarget):
        resumed = target.resumed(target.hot)
        yield _hot(target.service, target.machine_type), target.hot + resumed
        yield (target.service, "instances", "warm", "instances", target.machine_type), target.standby - resumed
    elif isinstance(target, BandwidthTarget):
        yield ("", "bandwidth", "hot", "Gbit/s", ""), target.gbps
    else:
        yield (target.service, "storage", "hot", "GiB", ""), target.gib


def _reason(service: str, facts: Sequence[Fact], machine_type: str) -> str:
    """What was said of the service; with a machine type, each time of which."""
    said = [
        f"{fact.zone or fact.region}: {fact.code} for {fact.asked:g}{f' {fact.machine_type}' if machine_type else ''}"
        for fact in facts
        if fact.service == service
    ]
    return "; ".join(said) or "refused without a recorded reason; see the ledger's failed actions"
