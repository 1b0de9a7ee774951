"""Conditions on rows, in the words of Delta (what a write replaces) and of DuckDB (what a read returns)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from headroom.schemas import Table

__all__ = ["Conditions", "Value", "conditions", "part_of_key", "predicate", "values_of"]

Value = str | pd.Timestamp | Sequence[str]


@dataclass
class Conditions:
    """Parts of a WHERE clause and the values of their question marks, in order."""

    parts: list[str] = field(default_factory=list)
    parameters: list[object] = field(default_factory=list)

    def add(self, part: str, *values: str | pd.Timestamp) -> None:
        self.parts.append(part)
        self.parameters += [v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in values]

    def __str__(self) -> str:
        return " AND ".join(self.parts) or "true"


def predicate(table: Table, start: pd.Timestamp, end: pd.Timestamp, where: Mapping[str, Value]) -> str:
    """The rows whose `day_of` is in `[start, end)` and whose columns equal `where`, as a Delta predicate."""
    parts = [
        f"day >= '{_day(start)}'",
        f"day <= '{_day(end - pd.Timedelta('1us'))}'",
        f'"{table.day_of}" >= {_literal(start)}',
        f'"{table.day_of}" < {_literal(end)}',
    ]
    for column, value in where.items():
        values = values_of(value)
        parts.append(f'"{column}" IN ({", ".join(_literal(v) for v in values)})' if values else "false")
    return " AND ".join(parts)


def conditions(table: Table, start: pd.Timestamp | None, end: pd.Timestamp | None, where: Mapping[str, Value]) -> Conditions:
    """The same as `predicate`, for a DuckDB query with parameters; an open end of the range is None."""
    found = Conditions()
    if start is not None:
        found.add(f'day >= ? AND "{table.day_of}" >= ?', _day(start), start)
    if end is not None:
        found.add(f'day <= ? AND "{table.day_of}" < ?', _day(end), end)
    for column, value in where.items():
        values = values_of(value)
        found.add(f'"{column}" IN ({", ".join("?" * len(values))})' if values else "false", *values)
    return found


def part_of_key(table: Table, where: Mapping[str, Value] | None, *, of_key: bool) -> dict[str, Value]:
    """The conditions on columns that are part of the key, or on those that are not."""
    return {column: value for column, value in (where or {}).items() if (column in table.keys) is of_key}


def values_of(value: Value) -> list[str] | list[pd.Timestamp]:
    """The allowed values, when one may stand for a list of one."""
    if isinstance(value, pd.Timestamp):
        return [value]
    return [value] if isinstance(value, str) else list(value)


def _day(stamp: pd.Timestamp) -> str:
    return str(stamp.tz_convert("UTC").strftime("%Y-%m-%d"))


def _literal(value: str | pd.Timestamp) -> str:
    if isinstance(value, pd.Timestamp):
        return f"'{value.tz_convert('UTC').strftime('%Y-%m-%dT%H:%M:%S.%fZ')}'"
    return "'" + value.replace("'", "''") + "'"
