"""Adoptions: amounts that a person set by hand and wants kept, for a time, against what the plan says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import pandas as pd
from sqlalchemy import insert, select

from headroom.errors import BadInputError
from infra.drift import Drift, accept
from infra.ledger import Ledger
from infra.ledger_tables import adoptions
from infra.targets import BANDWIDTH_STEPS, BandwidthTarget, MachineTarget, StorageTarget, Target

__all__ = ["Adoption", "adopt", "adopted", "with_adoptions"]

Amount = Literal["hot", "suspended", "stopped", "gbps", "gib"]
_SIZES: Final = {step: gbps for gbps, step in BANDWIDTH_STEPS.items()}
_LONGEST: Final = pd.Timedelta("30D")


@dataclass(frozen=True)
class Adoption:
    """What a service (the region's attachment for the service "") shall hold until then, whatever the plan says.

    Attributes:
        what: `hot`, `suspended` or `stopped` machines, `gbps` of the attachment, `gib` of storage.
        machine_type: of the machines.
    """

    region: str
    service: str
    what: Amount
    amount: float
    until: pd.Timestamp
    why: str
    machine_type: str = ""


def adopt(
    ledger: Ledger, drifts: Sequence[Drift], held: dict[str, int], *, service: str, now: pd.Timestamp, lasts: pd.Timedelta, why: str
) -> list[Adoption]:
    """Record that what was changed by hand on a service shall stay for a time; it is no drift any more.

    Args:
        drifts: of one region.
        held: name of a reservation -> its machines over all zones, as found.
        lasts: at most 30 days, for an adoption that nobody remembers is drift of another kind.

    Raises:
        BadInputError: when nothing of the service drifted, the reason is empty, or the time too long.
    """
    if not why.strip():
        raise BadInputError("an adoption without a reason: say why, for whoever wonders about it later")
    if not pd.Timedelta(0) < lasts <= _LONGEST:
        raise BadInputError(f"an adoption lasts more than 0 and at most {_LONGEST.days} days, not {lasts}; change capacity.yaml for good")
    mine = [drift for drift in drifts if drift.service == service]
    if not mine:
        known = sorted({drift.service or "(the attachment)" for drift in drifts}) or ["nothing"]
        raise BadInputError(f"nothing of {service or 'the attachment'} drifted; drifted: {', '.join(known)}")
    mine.sort(key=lambda drift: drift.kind == "reservation")  # what is reserved says more than how large the group is
    amounts = {(what, drift.machine_type): amount for drift in mine for what, amount in _amounts(drift, held)}
    made = [
        Adoption(mine[0].region, service, what, amount, now + lasts, why, machine_type)
        for (what, machine_type), amount in sorted(amounts.items())
    ]
    with ledger.engine.begin() as connection:
        accept(connection, mine, now=now)
        if made:
            connection.execute(insert(adoptions), [{**vars(row), "recorded_at": now} for row in made])
    return made


def adopted(ledger: Ledger, region: str, *, at: pd.Timestamp) -> list[Adoption]:
    """The adoptions that hold at a time, the newest of each amount."""
    query = select(adoptions).where(adoptions.c.region == region, adoptions.c.until > at).order_by(adoptions.c.id)
    with ledger.engine.begin() as connection:
        rows = [Adoption(**{name: row[name] for name in Adoption.__dataclass_fields__}) for row in connection.execute(query).mappings()]
    return list({(row.service, row.machine_type, row.what): row for row in rows}.values())


def with_adoptions(targets: Sequence[Target], held: Sequence[Adoption]) -> list[Target]:
    """The targets with adopted amounts in place of the plan's; storage is never below the plan's, for it does not shrink.

    Machines of a type that the service no longer has count as its first type.
    """
    types = {(target.service, target.machine_type) for target in targets if isinstance(target, MachineTarget)}

    def is_for(row: Adoption, target: Target) -> bool:
        if not isinstance(target, MachineTarget):
            return row.service == ("" if isinstance(target, BandwidthTarget) else target.service)
        known = (row.service, row.machine_type) in types
        return row.service == target.service and (row.machine_type == target.machine_type if known else not target.further)

    return [_with(target, {row.what: row.amount for row in held if is_for(row, target)}) for target in targets]


def _with(target: Target, amounts: Mapping[str, float]) -> Target:
    if isinstance(target, MachineTarget):
        whole = {name: int(amounts.get(name, getattr(target, name))) for name in ("hot", "suspended", "stopped")}
        makes = target.makes or any(whole.values())
        return replace(target, hot=whole["hot"], suspended=whole["suspended"], stopped=whole["stopped"], makes=makes)
    if isinstance(target, StorageTarget):
        return replace(target, gib=max(target.gib, int(amounts.get("gib", 0))))
    return replace(target, gbps=amounts.get("gbps", target.gbps))


def _amounts(drift: Drift, held: dict[str, int]) -> list[tuple[Amount, float]]:
    """What a difference says that the service shall hold: a reservation speaks for its machines in every zone."""
    found: Any = drift.found
    if drift.kind == "reservation":
        return [("hot", held.get(drift.name, 0))]
    if found is None:
        return []
    if drift.kind == "attachment":
        return [("gbps", _SIZES[found])]
    named: dict[str, Amount] = {"running": "hot", "suspended": "suspended", "stopped": "stopped", "gib": "gib"}
    return [(named[drift.field], found)] if drift.field in named else []
