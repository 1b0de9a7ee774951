"""Versions: what is already in the lake stays, and what is new or different is added after it.

A value is a version of its key, told apart by `available_at`. Adding versions instead of changing them is what keeps a
read as of an earlier moment as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

__all__ = ["changed_rows", "later_than_held"]

_TICK: Final = pd.Timedelta("1us")


def changed_rows(found: pd.DataFrame, held: pd.DataFrame, *, key: Sequence[str], compared: Sequence[str]) -> pd.Series[bool]:
    """True for the rows of `found` whose key is not held, or is held with other values.

    Args:
        found: rows, unique per key.
        held: every version that the lake holds.
        key: columns that identify a row.
        compared: columns whose difference makes a new version; two empty values are equal.
    """
    newest = _newest(held, key)
    beside = found[list(key)].merge(newest[[*key, *compared]].assign(is_held=True), on=list(key), how="left")
    beside.index = found.index
    same = beside["is_held"].notna()
    for column in compared:
        same &= (found[column] == beside[column]) | (found[column].isna() & beside[column].isna())
    return ~same


def later_than_held(
    available_at: pd.Series[pd.Timestamp], found: pd.DataFrame, held: pd.DataFrame, *, key: Sequence[str]
) -> pd.Series[pd.Timestamp]:
    """`available_at`, moved just behind the newest held version of the same key where it is not later already.

    A correction that came with the rerun of an old run would otherwise change what was seen at that time.
    """
    newest = _newest(held, key)
    last = found[list(key)].merge(newest[[*key, "available_at"]], on=list(key), how="left")["available_at"]
    last.index = found.index
    return available_at.where(last.isna() | (available_at > last), last + _TICK)


def _newest(held: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    return held.sort_values("available_at", kind="stable").drop_duplicates(list(key), keep="last")
