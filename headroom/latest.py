"""The newest forecast and plan at an issue time, as the summary and the report show them."""

from __future__ import annotations

from typing import Final

import pandas as pd

from headroom.errors import BadInputError
from headroom.lake import Lake

__all__ = ["last_issue_time", "latest_rows"]

# Where to look first: a system that runs has issued something within these days.
_RECENT: Final = pd.Timedelta(days=4)


def last_issue_time(lake: Lake, table: str, *, until: pd.Timestamp | None = None) -> pd.Timestamp | None:
    """The newest issue time in `forecasts` or `plans` that is not after `until`; None when there is none."""
    end = None if until is None else until + pd.Timedelta("1us")
    recent = lake.read(table, start=None if until is None else until - _RECENT, end=end, columns=["issue_time"])
    if recent.empty and until is not None:
        recent = lake.read(table, end=end, columns=["issue_time"])
    return None if recent.empty else recent["issue_time"].max()


def latest_rows(lake: Lake, table: str, *, until: pd.Timestamp | None = None) -> pd.DataFrame:
    """All rows of the newest issue time that is not after `until`.

    Raises:
        BadInputError: when the table has none; the message names the command that makes them.
    """
    found = last_issue_time(lake, table, until=until)
    if found is None:
        command = {"forecasts": "headroom score", "plans": "headroom plan"}[table]
        when = f" up to {until.isoformat()}" if until is not None else ""
        raise BadInputError(f"table {table} has no row{when}; run `{command}` first")
    return lake.read(table, start=found, end=found + pd.Timedelta("1us"))
