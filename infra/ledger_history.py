"""What the ledger's actions add up to: what Headroom made, and what it last asked of each resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import func, select

from infra.ledger import Ledger
from infra.ledger_tables import actions

__all__ = ["Asked", "groups_made", "held_at_first", "kept_by_us", "last_asked", "made_by_us"]


@dataclass(frozen=True)
class Asked:
    """The state in which the finished calls left a resource.

    Attributes:
        content: what the calls set, the later over the earlier: `count`, `running`, `suspended`, `stopped`, `gib`, `bandwidth`, ...
        machine_type: of the machines that it is for; empty for anything else.
        made_at: when its creation was confirmed, by the clock of the ledger; None when others made it.
        changed_at: when its last call was.
    """

    kind: str
    zone: str
    name: str
    service: str
    machine_type: str
    content: dict[str, Any]
    made_at: pd.Timestamp | None
    changed_at: pd.Timestamp


def made_by_us(ledger: Ledger) -> set[tuple[str, str, str]]:
    """`(kind, zone, name)` of everything that a row asked to create, a call under way or a race lost to a neighbour included."""
    query = select(actions.c.kind, actions.c.zone, actions.c.name).where(actions.c.verb == "create", actions.c.state != "failed").distinct()
    with ledger.engine.begin() as connection:
        return {(kind, zone, name) for kind, zone, name in connection.execute(query)}


def kept_by_us(ledger: Ledger, region: str) -> set[tuple[str, str, str]]:
    """`(kind, zone, name)` of everything in a region that took a call of ours."""
    query = select(actions.c.kind, actions.c.zone, actions.c.name).where(actions.c.region == region, actions.c.state.in_(("sent", "done")))
    with ledger.engine.begin() as connection:
        return {(kind, zone, name) for kind, zone, name in connection.execute(query.distinct())}


def groups_made(ledger: Ledger, region: str) -> set[tuple[str, str, str]]:
    """`(name, service, machine type)` of every group that a finished call created in a region."""
    columns = (actions.c.name, actions.c.service, actions.c.machine_type)
    query = select(*columns).where(
        actions.c.region == region, actions.c.kind == "group", actions.c.verb == "create", actions.c.state == "done"
    )
    with ledger.engine.begin() as connection:
        return {(name, service, machine_type) for name, service, machine_type in connection.execute(query.distinct())}


def held_at_first(ledger: Ledger, region: str, issue_time: pd.Timestamp) -> dict[tuple[str, str], int]:
    """`(name, zone)` of every reservation that an issue time changed -> its machines before the first change."""
    query = select(actions.c.name, actions.c.zone, actions.c.observed).where(
        actions.c.region == region,
        actions.c.issue_time == issue_time,
        actions.c.kind == "reservation",
        actions.c.verb.in_(("create", "resize", "delete")),
        actions.c.state == "done",
    )
    with ledger.engine.begin() as connection:
        rows = connection.execute(query.order_by(actions.c.id.desc())).all()
    return {(name, zone): int(observed.get("count") or 0) for name, zone, observed in rows}


def last_asked(ledger: Ledger, region: str) -> list[Asked]:
    """Every resource of a region that exists by the ledger's account, in the order in which they were first asked for.

    Reads one row per resource and verb, however long the history is.
    """
    newest = (
        select(func.max(actions.c.id))
        .where(actions.c.region == region, actions.c.state == "done")
        .group_by(actions.c.kind, actions.c.zone, actions.c.name, actions.c.verb)
    )
    found: dict[tuple[str, str, str], Asked] = {}
    with ledger.engine.begin() as connection:
        for row in connection.execute(select(actions).where(actions.c.id.in_(newest)).order_by(actions.c.id)).mappings():
            key = (row["kind"], row["zone"], row["name"])
            if row["verb"] == "delete":
                found.pop(key, None)
                continue
            created = row["verb"] == "create"
            before = None if created else found.get(key)
            content = {**(before.content if before else {}), **row["wanted"]}
            made_at = row["updated_at"] if created else before.made_at if before else None
            found[key] = Asked(*key, row["service"], row["machine_type"], content, made_at, row["updated_at"])
    return list(found.values())
