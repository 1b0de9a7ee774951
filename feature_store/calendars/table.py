"""Events of a CSV or Parquet table."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, Final

import pandas as pd

from feature_store.calendars.occurrences import digest
from feature_store.fetch import read_location
from feature_store.times import utc_times
from headroom.errors import BadInputError
from headroom.settings_sources import TableSource

__all__ = ["table_events"]

_REQUIRED: Final = ("start", "end", "kind", "title")
_OPTIONAL: Final = ("region", "service", "strength", "known_at")
_REMEDY: Final = {"times": "ISO 8601, for example 2026-07-08T18:00:00Z", "numbers": "a number, 0 or more"}


def table_events(source: TableSource, base: Path) -> pd.DataFrame:
    """One occurrence per row; columns beside the known ones are ignored.

    `start`, `end`, `kind`, `title` are required. `region`, `service` (empty: all), `strength` (empty: 1) and `known_at` are
    optional. Times without a zone are UTC.

    Raises:
        BadInputError: naming the table, the row (from 1, the header not counted), the column and what is expected.
    """
    what = f"calendar {source.name}: {source.path}"
    table = _read(source, base, what)
    missing = [column for column in _REQUIRED if column not in table.columns]
    if missing:
        raise BadInputError(
            f"{what}: column {missing[0]!r} is missing; expected {', '.join(_REQUIRED)} and optionally {', '.join(_OPTIONAL)}, "
            f"found {', '.join(map(str, table.columns))}"
        )
    table = table.reindex(columns=[*_REQUIRED, *_OPTIONAL])
    for column in ("kind", "title", "region", "service"):
        table[column] = table[column].astype("object").where(table[column].notna(), "").astype(str).str.strip()
    for column, may_be_empty in (("start", False), ("end", False), ("known_at", True)):
        times = utc_times(_text(table[column]))
        _check(times, table[column], column, what, "times", may_be_empty=may_be_empty)
        table[column] = times
    strength = pd.to_numeric(_text(table["strength"]), errors="coerce")
    _check(strength.where((strength >= 0) & (strength < math.inf)), table["strength"], "strength", what, "numbers", may_be_empty=True)
    table["strength"] = strength.fillna(1.0)
    texts = table[["kind", "title", "region", "service"]]
    return table.assign(identity=texts.agg("\x1f".join, axis="columns").map(digest)).rename(columns={"known_at": "said_at"})


def _read(source: TableSource, base: Path, what: str) -> pd.DataFrame:
    data = io.BytesIO(read_location(source.path, base, what=what))
    try:
        if source.path.lower().endswith(".parquet"):
            return pd.read_parquet(data)
        return pd.read_csv(data, dtype="object", encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # pandas' parser errors and Arrow's are ValueErrors
        raise BadInputError(
            f"{what}: not a readable table: {error}; expected CSV or Parquet with columns {', '.join(_REQUIRED)}"
        ) from error


def _text(column: pd.Series[str]) -> pd.Series[str]:
    """Parquet may hold real times and numbers: they are read like their text."""
    text: pd.Series[str] = column.astype("object").map(str, na_action="ignore")
    return text


def _check(parsed: pd.Series[Any], original: pd.Series[str], column: str, what: str, kind: str, *, may_be_empty: bool) -> None:
    wrong = parsed.isna() & (original.notna() if may_be_empty else True)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        cell = repr(original.iloc[row]) if pd.notna(original.iloc[row]) else "is empty"
        raise BadInputError(f"{what}: row {row + 1}: {column} {cell}; expected {_REMEDY[kind]}")
