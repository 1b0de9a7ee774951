"""Drift: what somebody else changed on resources that Headroom keeps, since its last finished call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from sqlalchemy import Connection, insert, select

from infra.cloud import Cloud
from infra.ledger import Ledger
from infra.ledger_history import Asked, last_asked
from infra.ledger_tables import accepted

__all__ = ["Drift", "accept", "find_drift"]

# What is compared, by kind. A lifetime is not: it is extended when it becomes too short, and a longer one does no harm.
_COMPARED: Final = {
    "reservation": ("count",),
    "group": ("running", "suspended", "stopped", "template"),
    "attachment": ("bandwidth",),
    "disk": ("gib",),
    "regional-disk": ("gib",),
    "storage-pool": ("gib",),
}


@dataclass(frozen=True)
class Drift:
    """One difference; `found` is None when the resource is gone."""

    region: str
    kind: str
    zone: str
    name: str
    service: str
    field: str
    asked: Any
    found: Any
    machine_type: str = ""

    def __str__(self) -> str:
        now = "gone" if self.found is None else f"{self.field} is {self.found}"
        return f"{self.zone or self.region}: {self.kind} {self.name}: {now}, {self.field} {self.asked} was asked for"


def find_drift(ledger: Ledger, cloud: Cloud, *, region: str, now: pd.Timestamp) -> list[Drift]:
    """What differs in a region from what the finished calls left there; makes reading calls only, one per resource.

    A reservation whose lifetime is over has lapsed, which is no drift. A region with calls under way has none either: what they
    change is not known before they are finished.

    Args:
        now: by the clock that the ledger's stamps are from.
    """
    if ledger.unfinished(region):
        return []
    known = _accepted(ledger, region)
    rows = []
    for asked in last_asked(ledger, region):
        if asked.kind in _COMPARED:
            differences = _differences(region, asked, _found(cloud, region, asked), now)
            rows += [row for row in differences if not _is_known(row, known, asked.changed_at)]
    return rows


def accept(connection: Connection, drifts: Sequence[Drift], *, now: pd.Timestamp) -> None:
    """What was found counts as asked for, until Headroom's next call on the resource."""
    names = ("region", "kind", "zone", "name", "field", "found")
    connection.execute(insert(accepted), [{**{name: getattr(drift, name) for name in names}, "recorded_at": now} for drift in drifts])


def _accepted(ledger: Ledger, region: str) -> dict[tuple[str, str, str, str], tuple[Any, pd.Timestamp]]:
    """`(kind, zone, name, field)` -> what was accepted last, and when."""
    query = select(accepted).where(accepted.c.region == region).order_by(accepted.c.id)
    with ledger.engine.begin() as connection:
        rows = connection.execute(query).mappings().all()
    return {(row["kind"], row["zone"], row["name"], row["field"]): (row["found"], row["recorded_at"]) for row in rows}


def _is_known(drift: Drift, known: dict[tuple[str, str, str, str], tuple[Any, pd.Timestamp]], asked_at: pd.Timestamp) -> bool:
    found = known.get((drift.kind, drift.zone, drift.name, drift.field))
    return found is not None and found[0] == drift.found and found[1] >= asked_at


def _differences(region: str, asked: Asked, found: dict[str, Any] | None, now: pd.Timestamp) -> list[Drift]:
    fields: Sequence[str] = [name for name in _COMPARED[asked.kind] if name in asked.content]
    where = (region, asked.kind, asked.zone, asked.name, asked.service)
    if found is None:
        gone = fields[:1] if not _lapsed(asked, now) else []
        return [Drift(*where, name, asked.content[name], None, asked.machine_type) for name in gone]
    return [
        Drift(*where, name, asked.content[name], found[name], asked.machine_type) for name in fields if found[name] != asked.content[name]
    ]


def _lapsed(asked: Asked, now: pd.Timestamp) -> bool:
    """Whether a reservation's lifetime is over; one that others made tells nothing of its own."""
    seconds = asked.content.get("lifetime_seconds")
    return (
        asked.kind == "reservation"
        and asked.made_at is not None
        and seconds is not None
        and now >= asked.made_at + pd.Timedelta(seconds=seconds)
    )


def _found(cloud: Cloud, region: str, asked: Asked) -> dict[str, Any] | None:
    """The compared fields as the cloud has them."""
    state: Any
    if asked.kind == "reservation":
        state = cloud.reservation(asked.zone, asked.name)
    elif asked.kind == "group":
        state = cloud.group(region, asked.name)
    elif asked.kind == "attachment":
        state = cloud.attachment(region, asked.name)
    elif asked.kind == "regional-disk":
        state = cloud.regional_disk(region, asked.name)
    else:
        state = (cloud.pool if asked.kind == "storage-pool" else cloud.disk)(asked.zone, asked.name)
    return None if state is None else {name: getattr(state, name) for name in _COMPARED[asked.kind]}
