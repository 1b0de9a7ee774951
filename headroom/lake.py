"""The lake: Delta tables with declared schemas, idempotent writes and as-of reads.

A write replaces the rows that a condition names (`day` always among them), so a retry or a backfill never doubles a
row. A read as of an issue time sees, per key, the newest version with `available_at <= as_of`, and nothing later.
A table that was made before a column was declared is read with that column empty, and gets it with the next write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import pandas as pd
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from headroom.conditions import Value, conditions, part_of_key, predicate, values_of
from headroom.errors import BadInputError, UnavailableError
from headroom.schemas import TABLES, Table, conform, empty_frame

__all__ = ["Lake"]

# Concurrent mapped tasks replace disjoint rows of one day: the loser of a commit reads again and tries again.
_ATTEMPTS: Final = 30


@dataclass(frozen=True)
class Lake:
    """All tables under one folder or bucket prefix."""

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def create(self) -> None:
        """Create every table that does not exist; safe to repeat."""
        for table in TABLES.values():
            self._create(table)

    def replace(
        self, name: str, frame: pd.DataFrame, *, start: pd.Timestamp, end: pd.Timestamp, where: Mapping[str, Value] | None = None
    ) -> int:
        """Make `frame` the only rows whose `day_of` time is in `[start, end)` and whose columns equal `where`.

        Args:
            name: table.
            frame: rows in the declared schema, `day` not needed; may be empty (then the rows are deleted).
            start, end: half-open range of the table's partition time (`day_of`).
            where: column -> value, or a list of allowed values.

        Returns:
            Number of rows written.

        Raises:
            BadInputError: when the frame breaks the schema or holds a row outside the condition.
            UnavailableError: when other writers won every attempt.
        """
        table = _table(name)
        rows = _checked(table, frame, start, end, where or {})
        self._create(table)
        for attempt in range(_ATTEMPTS):
            if self._commit(self._location(table), rows, predicate(table, start, end, where or {})):
                return len(rows)
            _wait(attempt)
        raise _lost(table)

    def add(
        self,
        name: str,
        choose: Callable[[pd.DataFrame], pd.DataFrame],
        *,
        start: pd.Timestamp,
        end: pd.Timestamp,
        where: Mapping[str, Value] | None = None,
    ) -> int:
        """Add versions beside those that the table holds; what others write at the same time is seen and kept.

        Args:
            name: table.
            choose: given every version of the rows in the range, the rows to add; called again when another writer was first.
            start, end, where: the rows concerned, as in `replace`.

        Returns:
            Number of rows added; when there are none nothing is written.

        Raises:
            BadInputError: when the rows break the schema, repeat a version or are outside the range.
            UnavailableError: when other writers won every attempt.
        """
        table = _table(name)
        self._create(table)
        for attempt in range(_ATTEMPTS):
            snapshot = self._open(table)
            held = self._versions(table, snapshot, start, end, where or {})
            chosen = choose(held)
            if chosen.empty:
                return 0
            rows = _checked(table, pd.concat([held, chosen], ignore_index=True) if len(held) else chosen, start, end, where or {})
            if self._commit(snapshot, rows, predicate(table, start, end, where or {})):
                return len(chosen)
            _wait(attempt)
        raise _lost(table)

    def read(
        self,
        name: str,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        where: Mapping[str, Value] | None = None,
        as_of: pd.Timestamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Rows of a table, newest version per key, sorted by key.

        The newest version is chosen first and filtered then: an event that was moved out of the range is not in it.

        Args:
            start, end: half-open range of the table's partition time (`day_of`).
            where: column -> value, or a list of allowed values.
            as_of: rows that became available later do not exist; None reads the newest of everything.
            columns: what to return; default all but `day`.
        """
        table = _table(name)
        fixed = table.day_of in table.keys  # else a later version may have another day
        inner = conditions(table, start if fixed else None, end if fixed else None, part_of_key(table, where, of_key=True))
        if as_of is not None:
            inner.add("available_at <= ?", as_of)
        outer = conditions(table, None if fixed else start, None if fixed else end, part_of_key(table, where, of_key=False))
        keys = ", ".join(f'"{k}"' for k in table.keys)
        ties = ', "source"' if "source" in table.columns else ""
        query = (
            f"SELECT * FROM stored WHERE {inner} "  # noqa: S608 - names come from the declared schemas, values are parameters
            f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY available_at DESC{ties}) = 1"
        )
        rest = f"({query}) WHERE {outer} ORDER BY {keys}"
        return _select(table, self._open(table), columns or list(table.columns), rest, inner.parameters + outer.parameters)

    def versions(self, name: str, *, start: pd.Timestamp, end: pd.Timestamp, where: Mapping[str, Value] | None = None) -> pd.DataFrame:
        """Every version of the rows in a range, for the writer that must keep the older ones."""
        table = _table(name)
        return self._versions(table, self._open(table), start, end, where or {})

    def open_table(self, name: str) -> DeltaTable | None:
        """The newest state of a table; None when it was never made."""
        return self._open(_table(name))

    def _versions(
        self, table: Table, snapshot: DeltaTable | None, start: pd.Timestamp, end: pd.Timestamp, where: Mapping[str, Value]
    ) -> pd.DataFrame:
        wanted = conditions(table, start, end, where)
        order = ", ".join(f'"{k}"' for k in (*table.keys, "available_at"))
        return _select(table, snapshot, list(table.columns), f"stored WHERE {wanted} ORDER BY {order}", wanted.parameters)

    def _location(self, table: Table) -> str:
        return f"{self.uri.rstrip('/')}/{table.name}"

    def _open(self, table: Table) -> DeltaTable | None:
        options = dict(self.storage_options) or None
        if not DeltaTable.is_deltatable(self._location(table), options):
            return None
        return DeltaTable(self._location(table), storage_options=options)

    def _create(self, table: Table) -> None:
        if (held := self._open(table)) is not None:
            _add_columns(table, held)
            return
        if "://" not in self.uri:
            Path(self._location(table)).mkdir(parents=True, exist_ok=True)
        try:
            DeltaTable.create(
                self._location(table),
                schema=table.schema,
                mode="ignore",
                partition_by=["day"],
                storage_options=dict(self.storage_options) or None,
            )
        except DeltaError:
            if self._open(table) is None:  # else another task created it first
                raise

    def _commit(self, target: str | DeltaTable | None, rows: pa.Table, replaced: str) -> bool:
        """Overwrite the rows of the predicate `replaced`; False when another writer committed since `target` was opened."""
        if target is None:
            raise UnavailableError(f"a table of the lake {self.uri} disappeared; retry the task")
        try:
            write_deltalake(
                target,
                rows,
                mode="overwrite",
                predicate=replaced,
                storage_options=(dict(self.storage_options) or None) if isinstance(target, str) else None,
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            return False
        return True


def _add_columns(table: Table, held: DeltaTable) -> None:
    if lacking := _lacking(table, held):
        held.alter.add_columns([field for field in Schema.from_arrow(table.schema).fields if field.name in lacking])


def _lacking(table: Table, held: DeltaTable) -> set[str]:
    return set(table.schema.names) - {field.name for field in held.schema().fields}


def _select(table: Table, snapshot: DeltaTable | None, columns: Sequence[str], rest: str, parameters: list[object]) -> pd.DataFrame:
    """The query `SELECT columns FROM rest`, where the table is called `stored`."""
    if snapshot is None:
        return empty_frame(table.name)[list(columns)]
    picked = ", ".join(f'"{c}"' for c in columns)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        stored = snapshot.to_pyarrow_dataset()
        connection.register("stored", stored.replace_schema(table.schema) if _lacking(table, snapshot) else stored)
        query = f"SELECT {picked} FROM {rest}"  # noqa: S608 - names come from the declared schemas, values are parameters
        frame = connection.sql(query, params=parameters).to_arrow_table().to_pandas()
    return _with_utc(frame)


def _checked(table: Table, frame: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, where: Mapping[str, Value]) -> pa.Table:
    rows = conform(table, frame)
    if len(frame):
        _check_inside(table, frame, start, end, where)
    return rows


def _wait(attempt: int) -> None:
    time.sleep(min(0.02 * 2**attempt, 1.0))


def _lost(table: Table) -> UnavailableError:
    return UnavailableError(f"table {table.name}: {_ATTEMPTS} commits lost to other writers; retry the task")


def _table(name: str) -> Table:
    if name not in TABLES:
        raise BadInputError(f"no table {name!r}; the lake has {', '.join(TABLES)}")
    return TABLES[name]


def _check_inside(table: Table, frame: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, where: Mapping[str, Value]) -> None:
    stamps = frame[table.day_of]
    outside = (stamps < start) | (stamps >= end)
    for column, value in where.items():
        outside |= ~frame[column].isin(values_of(value))
    if outside.any():
        row = frame.loc[outside].iloc[0]
        raise BadInputError(
            f"table {table.name}: row {dict(row[list(table.keys)])} is outside the replaced range "
            f"{start.isoformat()} .. {end.isoformat()} {dict(where)}; it would be doubled by a retry"
        )


def _with_utc(frame: pd.DataFrame) -> pd.DataFrame:
    """DuckDB labels UTC as Etc/UTC; frames at our boundaries say UTC."""
    for column in frame.columns:
        if isinstance(frame[column].dtype, pd.DatetimeTZDtype):
            frame[column] = frame[column].dt.tz_convert("UTC")
    return frame
