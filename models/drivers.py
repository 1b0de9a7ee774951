"""What drives demand, as a person hands it in beside the series: events, and regressors whose future is known."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from headroom.errors import BadInputError
from headroom.input_table import read_input_table

__all__ = ["EVENT_COLUMNS", "read_events", "read_future"]

EVENT_COLUMNS: Final = ("start", "end", "kind", "title", "region", "service", "unique_id", "strength", "known_at")
_REQUIRED: Final = EVENT_COLUMNS[:3]


def read_events(path: Path) -> pd.DataFrame:
    """Events of a CSV or Parquet table: one row each, `EVENT_COLUMNS`, sorted by start; other columns are ignored.

    `start`, `end` and `kind` are required. `title` defaults to the kind; `region`, `service` and `unique_id` say whom the event
    concerns, "" everyone; `strength` defaults to 1; `known_at` is NaT where it was known all along. Times are UTC without a zone.

    Raises:
        BadInputError: naming the row and what is wrong, for example an end before its start.
    """
    if path.suffix.lower() == ".ics":
        raise BadInputError(f"events {path}: expected a table; write the calendar as CSV with the columns {', '.join(EVENT_COLUMNS)}")
    table = read_input_table(path, "events")
    table.require(_REQUIRED, EVENT_COLUMNS[len(_REQUIRED) :])
    events = pd.DataFrame({column: table.times(column) for column in ("start", "end")})
    backwards = events["end"] < events["start"]
    if backwards.any():
        raise table.refused(backwards, "end", "is before the start of the event; exchange them")
    events["kind"] = table.texts("kind")
    events["title"] = table.texts("title", "").mask(lambda titles: titles == "", events["kind"])
    for column in ("region", "service", "unique_id"):
        events[column] = table.texts(column, "")
    strength = table.numbers("strength").fillna(1.0)
    if (strength < 0).any():
        raise table.refused(strength < 0, "strength", "is below zero; expected a number, 0 (cancelled) or more")
    events["strength"] = strength
    events["known_at"] = table.times("known_at", may_be_empty=True)
    return events[list(EVENT_COLUMNS)].sort_values(["start", "end", "kind", "title"], kind="stable", ignore_index=True)


def read_future(path: Path) -> pd.DataFrame:
    """Regressors per step, past and future, from a CSV or Parquet table `ds[, unique_id], <numeric columns>`.

    Every value counts as known all along: hand in forecasts of weather, never what was measured later.

    Returns:
        `unique_id` ("" concerns every series), `ds` (UTC without a zone), then the regressors as floats, NaN where a cell is
        empty; sorted by series and time.

    Raises:
        BadInputError: naming the row and what is wrong, for example two rows of one series and time.
    """
    table = read_input_table(path, "future")
    table.require(["ds"], ["unique_id", "columns of numbers"])
    names = [str(column) for column in table.frame.columns if column not in ("unique_id", "ds", "y")]
    if not names:
        raise BadInputError(f"{table.what}: there is no regressor; expected columns of numbers beside ds and unique_id")
    future = pd.DataFrame({"unique_id": table.texts("unique_id", ""), "ds": table.times("ds")})
    for name in names:
        future[name] = table.numbers(name)
    again = future.duplicated(["unique_id", "ds"])
    if again.any():
        raise table.refused(again, "ds", "is there twice for one series; keep one row of them")
    return future.sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
