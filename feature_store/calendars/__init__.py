"""Calendars, feeds and weather as events, each with the moment it became known.

`available_at`, when an event became known, is the first of these that there is:

1. what the source says of this version of the event (`X-HEADROOM-KNOWN-AT`, `CREATED`, a revision time, `known_at`,
   `published`, `generated_at`);
2. its start minus `announced_days`, when the calendar sets it;
3. a weaker stamp of the source (`LAST-MODIFIED`, `DTSTAMP`);
4. the issue time of this ingest.

Only the last depends on when the ingest runs, so a backfill finds what a live run found. It also moves from ingest to
ingest: who stores events keeps the version that was first seen.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from feature_store.calendars.feed import feed_events
from feature_store.calendars.ical import ical_events
from feature_store.calendars.occurrences import Window, events_frame
from feature_store.calendars.public_holidays import holiday_events
from feature_store.calendars.table import table_events
from feature_store.calendars.weather import weather_events
from headroom.errors import BadInputError
from headroom.settings import Settings
from headroom.settings_sources import EventSource, FeedSource, HolidaySource, ICalSource, TableSource

__all__ = ["read_events"]


def read_events(
    source: EventSource, settings: Settings, base: Path, *, issue_time: pd.Timestamp, start: pd.Timestamp, end: pd.Timestamp
) -> pd.DataFrame:
    """Events of one calendar that start in `[start, end)`, in the columns of the lake's `events` table, sorted by start.

    `event_id` is the calendar's name with the event's identity and start, the same in every ingest; a cancelled event
    has strength 0. An event that became known after `issue_time` is there too, and its `available_at` says so.

    Args:
        source: a calendar of `settings.calendars`.
        settings: for the regions' time zones and countries, and the names that events may carry.
        base: folder of capacity.yaml, which relative paths start from.
        issue_time: when this ingest counts as made; tz-aware.
        start, end: tz-aware.

    Raises:
        BadInputError: the calendar is missing or broken; the message names it, and the line where there is one.
        UnavailableError: its address does not answer.
    """
    if any(time.tzinfo is None for time in (issue_time, start, end)):
        raise BadInputError(f"calendar {source.name}: issue_time, start and end need a time zone")
    window = Window(start.tz_convert("UTC"), end.tz_convert("UTC"))
    match source:
        case ICalSource():
            found = ical_events(source, settings, base, window)
        case TableSource():
            found = table_events(source, base)
        case HolidaySource():
            found = holiday_events(source, settings, window)
        case FeedSource():
            found = feed_events(source, base)
        case _:
            found = weather_events(source, base)
    return events_frame(found, source, settings, issue_time=issue_time.tz_convert("UTC"), window=window)
