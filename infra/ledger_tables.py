"""The ledger's tables."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    JSON,
    Column,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateColumn

from headroom.sql_engine import UtcTime

__all__ = [
    "accepted",
    "actions",
    "adoptions",
    "boosts",
    "corrections",
    "create_tables",
    "facts",
    "held_history",
    "holdings",
    "results",
    "unmet",
]

_BOOTSTRAP_LOCK: Final = 0x48656164  # any number that only this bootstrap uses

_METADATA = MetaData()


def _id() -> Column[Any]:
    return Column("id", Integer, primary_key=True)


def _when_and_where() -> list[Column[Any]]:
    return [Column("issue_time", UtcTime, nullable=False), Column("region", String(63), nullable=False)]


def _held() -> list[Column[Any]]:
    """The columns of `infra.ledger_rows.Holding`."""
    return [
        Column("zone", String(63), nullable=False),
        Column("service", String(63), nullable=False),
        Column("resource", String(32), nullable=False),
        Column("pool", String(16), nullable=False),
        Column("name", String(63), nullable=False),
        Column("amount", Float, nullable=False),
        Column("unit", String(16), nullable=False),
        Column("usd_per_hour", Float, nullable=False),
        Column("machine_type", String(63), nullable=False, server_default=""),
    ]


# One row per writing call, written before the call. `intent` is what is wanted and why; `request_id` is the intent plus
# the number of times that it was finished before, so a retry replays and a later genuine need is a new request.
actions = Table(
    "ledger_actions",
    _METADATA,
    _id(),
    *_when_and_where(),
    Column("zone", String(63), nullable=False),
    Column("service", String(63), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", String(63), nullable=False),
    Column("verb", String(32), nullable=False),
    Column("description", Text, nullable=False),
    Column("wanted", JSON, nullable=False),
    Column("observed", JSON, nullable=False),
    Column("usd_per_hour", Float, nullable=False),
    Column("amount", Float, nullable=False),
    Column("machine_type", String(63), nullable=False),
    Column("intent", String(36), nullable=False),
    Column("request_id", String(36), nullable=False, unique=True),
    Column("operation", String(128), nullable=False, default=""),
    Column("state", String(16), nullable=False),
    Column("code", String(128), nullable=False, default=""),
    Column("message", Text, nullable=False, default=""),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("ledger_actions_region_state", "region", "state"),
    Index("ledger_actions_intent", "intent"),
)

# What the cloud refused: amounts are totals at that resource, `asked` the smallest refused, `got` what was held then.
facts = Table(
    "ledger_facts",
    _METADATA,
    _id(),
    *_when_and_where(),
    Column("zone", String(63), nullable=False),
    Column("service", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("resource", String(32), nullable=False),
    Column("machine_type", String(63), nullable=False),
    Column("code", String(128), nullable=False),
    Column("message", Text, nullable=False),
    Column("asked", Float, nullable=False),
    Column("got", Float, nullable=False),
    Column("hint", Float, nullable=True),
    Column("recorded_at", UtcTime, nullable=False),
    UniqueConstraint("issue_time", "region", "zone", "name", "resource", name="ledger_facts_key"),
)

unmet = Table(
    "ledger_unmet",
    _METADATA,
    _id(),
    *_when_and_where(),
    Column("service", String(63), nullable=False),
    Column("resource", String(32), nullable=False),
    Column("pool", String(16), nullable=False),
    Column("unit", String(16), nullable=False),
    Column("wanted", Float, nullable=False),
    Column("held", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("machine_type", String(63), nullable=False, server_default=""),
    Column("recorded_at", UtcTime, nullable=False),
    Index("ledger_unmet_region_time", "region", "issue_time"),
)

# What the last reconciliation of a region confirmed by looking.
holdings = Table(
    "ledger_holdings",
    _METADATA,
    _id(),
    *_when_and_where(),
    *_held(),
    Column("confirmed_at", UtcTime, nullable=False),
    Index("ledger_holdings_region", "region"),
)

# Which reconciliations have confirmed something, and what: `holdings` of every issue time, kept for the bill.
results = Table(
    "ledger_results",
    _METADATA,
    _id(),
    *_when_and_where(),
    Column("confirmed_at", UtcTime, nullable=False),
    UniqueConstraint("region", "issue_time", name="ledger_results_key"),
)

held_history = Table(
    "ledger_held_history",
    _METADATA,
    _id(),
    *_when_and_where(),
    *_held(),
    Index("ledger_held_history_region_time", "region", "issue_time"),
)

# Amounts set by hand that shall stay for a time, and who wanted it why.
adoptions = Table(
    "ledger_adoptions",
    _METADATA,
    _id(),
    Column("region", String(63), nullable=False),
    Column("service", String(63), nullable=False),
    Column("what", String(16), nullable=False),
    Column("amount", Float, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("why", Text, nullable=False),
    Column("machine_type", String(63), nullable=False, server_default=""),
    Column("recorded_at", UtcTime, nullable=False),
    Index("ledger_adoptions_region_until", "region", "until"),
)

# Services that weigh more for a while, and who wanted it why.
boosts = Table(
    "ledger_boosts",
    _METADATA,
    _id(),
    Column("service", String(63), nullable=False),
    Column("start", UtcTime, nullable=False),
    Column("end", UtcTime, nullable=False),
    Column("why", Text, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Index("ledger_boosts_end", "end"),
)

# Machines that run for the next minutes, between two plans: what was decided, when, for which plan, and why.
corrections = Table(
    "ledger_corrections",
    _METADATA,
    _id(),
    Column("region", String(63), nullable=False),
    Column("service", String(63), nullable=False),
    Column("machine_type", String(63), nullable=False),
    Column("issue_time", UtcTime, nullable=False),
    Column("plan_time", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("needed", Integer, nullable=False),
    Column("hot", Integer, nullable=False),
    Column("warm", Integer, nullable=False),
    Column("resumed", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    UniqueConstraint("region", "service", "machine_type", "issue_time", name="ledger_corrections_key"),
)

# What was found changed by hand and is no drift any more: it counts as asked for until the next call on the resource.
accepted = Table(
    "ledger_accepted",
    _METADATA,
    _id(),
    Column("region", String(63), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("zone", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("field", String(32), nullable=False),
    Column("found", JSON, nullable=True),
    Column("recorded_at", UtcTime, nullable=False),
    Index("ledger_accepted_region", "region"),
)


def create_tables(engine: Engine) -> None:
    """Create the tables that do not exist, and columns that have a default in tables that lack them; safe to repeat and to race."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # SQLite's transactions exclude each other anyway
            connection.execute(select(func.pg_advisory_xact_lock(_BOOTSTRAP_LOCK)))
        _METADATA.create_all(connection)
        known = inspect(connection)
        for table in _METADATA.sorted_tables:
            there = {column["name"] for column in known.get_columns(table.name)}
            for column in (c for c in table.columns if c.server_default is not None and c.name not in there):
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {CreateColumn(column).compile(connection)}"))
