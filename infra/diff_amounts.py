"""The part of the diff that is an amount of one resource: bandwidth of an attachment, size of a disk or pool."""

from __future__ import annotations

from typing import Final

from infra.actions import Action
from infra.diff_machines import Refused
from infra.ledger_rows import Fact
from infra.observed import Observed
from infra.placement import next_try
from infra.refusals import is_quota
from infra.targets import BANDWIDTH_STEPS, BandwidthTarget, StorageTarget, allowed_below

__all__ = ["DEDICATED", "bandwidth_actions", "bandwidth_facts", "storage_actions"]

DEDICATED: Final = "DEDICATED"
_SIZES: Final = {step: gbps for gbps, step in BANDWIDTH_STEPS.items()}


def bandwidth_actions(target: BandwidthTarget, observed: Observed, refused: Refused, *, region: str) -> list[Action]:
    """Set the attachment's step, up or down, unless as much was refused."""
    attachment = observed.attachment
    if attachment is None or attachment.type != DEDICATED or attachment.bandwidth == target.step:
        return []
    before = _SIZES.get(attachment.bandwidth, 0.0)
    size = _SIZES[target.step]
    fact = refused.get((attachment.name, "attachment", ""))
    if fact is not None and size >= fact.asked:
        return []
    return [
        Action(
            verb="set-bandwidth",
            kind="attachment",
            region=region,
            zone="",
            service="",
            name=attachment.name,
            description=f"attachment {attachment.name}: {size:g} Gbit/s for {target.gbps:.2f} needed (now {before:g})",
            wanted={"bandwidth": target.step},
            observed={"bandwidth": attachment.bandwidth},
            usd_per_hour=(size - before) * target.usd_per_gbps,
            amount=size,
        )
    ]


def bandwidth_facts(target: BandwidthTarget, observed: Observed, *, region: str) -> list[Fact]:
    """Why bandwidth cannot be held at all: an attachment is a cable in a building, which no call of ours makes."""
    name = target.attachment or ""
    if not name:
        code, message = (
            "NO_ATTACHMENT",
            f"bandwidth is wanted but regions.{region}.interconnect is not set; name a DEDICATED attachment there",
        )
    elif observed.attachment is None:
        code = "ATTACHMENT_MISSING"
        message = (
            f"{name} does not exist in {region}; order the interconnect, create the attachment, or correct regions.{region}.interconnect"
        )
    elif observed.attachment.type != DEDICATED:
        code = "ATTACHMENT_NOT_DEDICATED"
        message = f"{name} is of type {observed.attachment.type}, whose bandwidth its partner sets; name a DEDICATED attachment"
    else:
        return []
    fact = Fact(region=region, zone="", service="", name=name, resource="attachment", code=code, message=message, asked=target.gbps)
    return [fact]


def storage_actions(target: StorageTarget, observed: Observed, refused: Refused, *, region: str) -> list[Action]:
    """Create or grow a disk or pool; a disk that is larger than needed stays as it is."""
    there = observed.disks.get(target.name)
    facts = {zone: fact for zone in ("", *target.zones) if (fact := refused.get((target.name, target.kind, zone))) is not None}
    for zone in _zones(target, there.zone if there else None):
        now = there.gib if there else 0
        fact = facts.get(zone)
        gib = target.gib if fact is None or target.gib < fact.asked else allowed_below(target, next_try(now, fact))
        if gib > now:
            return [_storage(target, region, zone, now, gib)]
        if fact is None or is_quota(fact.code):  # enough is there, or no zone of the region has more
            break
    return []


def _zones(target: StorageTarget, present: str | None) -> tuple[str, ...]:
    """Where the storage is, else where it may be made, in order of preference."""
    if target.kind == "regional-disk":
        return ("",)
    return target.zones if present is None else (present,)


def _storage(target: StorageTarget, region: str, zone: str, now: int, gib: int) -> Action:
    wanted: dict[str, object] = {"gib": gib}
    if not now:
        wanted["type"] = target.type
        if target.kind == "regional-disk":
            wanted["zones"] = list(target.zones[:2])
    return Action(
        verb="resize" if now else "create",
        kind=target.kind,
        region=region,
        zone=zone,
        service=target.service,
        name=target.name,
        description=f"{zone or region}: {target.kind} {target.name} of {gib} GiB for {target.service} (now {now})",
        wanted=wanted,
        observed={"gib": now},
        usd_per_hour=(gib - now) * target.usd_per_gib,
        amount=gib,
    )
