"""The issue time of a run: the one moment that decides what the run may know.

Every DAG task and command takes the time from here, never from the wall clock, so that a backfill of a past hour
sees what a live run of that hour saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from headroom.errors import BadInputError

__all__ = ["EVENT_KEY", "as_utc", "issue_time", "run_type"]

EVENT_KEY = "issue_time"


def as_utc(value: object, name: str = "time") -> pd.Timestamp:
    """`value` as a UTC timestamp; a value without a zone is taken as UTC.

    Raises:
        BadInputError: when `value` is not a point in time.
    """
    try:
        stamp = pd.Timestamp(value)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise BadInputError(f"{name} {value!r} is not a time: use ISO 8601, for example 2026-07-08T00:00:00Z") from error
    if pd.isna(stamp):
        raise BadInputError(f"{name} {value!r} is not a time: use ISO 8601, for example 2026-07-08T00:00:00Z")
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def issue_time(context: Mapping[str, Any], now: pd.Timestamp, *, step: str = "h") -> pd.Timestamp:
    """The issue time of a run, floored to `step`, from the first of these that the run has.

    1. partition date (runs of partitioned timetables);
    2. the `as_of` param, when a person triggered the run;
    3. the issue times in the asset events that triggered the run: the latest of them;
    4. the end of the data interval of a run that the clock or a backfill made (one for the hour 10-11 is issued at 11);
    5. the logical date (a person who triggers a run for 11:00 means 11:00, whatever interval the timetable makes of it);
    6. `now`.

    Args:
        context: Airflow's task context, or any mapping with the same keys.
        now: the wall clock, used by a run that has no time of its own.
        step: what issue times of this kind of run are multiples of, as pandas writes it.
    """
    run = context.get("dag_run")
    scheduled = run_type(run) in {"scheduled", "backfill"}
    as_of = None if scheduled else (context.get("params") or {}).get("as_of")
    interval_end = (context.get("data_interval_end") or getattr(run, "data_interval_end", None)) if scheduled else None
    candidates = (
        getattr(run, "partition_date", None),
        as_of,
        _latest_event(context.get("triggering_asset_events")),
        interval_end,
        context.get("logical_date") or getattr(run, "logical_date", None),
        now,
    )
    return next(as_utc(c, "issue time") for c in candidates if c).floor(step)


def run_type(run: object) -> str:
    """`manual`, `scheduled`, `backfill`, `asset_triggered`, ...; Airflow's enumerations name their members differently, their values agree."""
    kind = getattr(run, "run_type", "")
    return str(getattr(kind, "value", kind))


def _latest_event(events: object) -> pd.Timestamp | None:
    lists: Iterable[Any] = events.values() if isinstance(events, Mapping) else ()
    stamps = [as_utc(event.extra[EVENT_KEY]) for group in lists for event in group if EVENT_KEY in (event.extra or {})]
    return max(stamps, default=None)
