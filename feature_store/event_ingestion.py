"""Ingestion of events: read every calendar, and add what is new, changed or gone as versions."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from feature_store.calendars import read_events
from feature_store.versions import later_than_held
from headroom.errors import BadInputError, UnavailableError
from headroom.issue_time import as_utc
from headroom.lake import Lake
from headroom.settings import Settings
from headroom.settings_sources import EventSource

__all__ = ["CalendarReport", "EventReport", "ingest_events"]

_log = logging.getLogger(__name__)
_KEY = ("event_id",)
_CONTENT: Final = ["event_id", "kind", "title", "region", "service", "start", "end", "strength", "value"]
_LOOK_BACK: Final = pd.Timedelta("60D")
_LOOK_AHEAD: Final = pd.Timedelta("30D")


@dataclass(frozen=True)
class CalendarReport:
    """One calendar.

    Attributes:
        rows: events that it gave for the window.
        added: versions written: new events, changed ones, cancelled ones.
        cancelled: how many of them say that an event is gone.
        error: why the calendar could not be read, or None.
    """

    rows: int = 0
    added: int = 0
    cancelled: int = 0
    error: str | None = None


@dataclass(frozen=True)
class EventReport:
    """One ingestion of all calendars.

    Attributes:
        issue_time, window_start, window_end: ISO 8601.
        sources: calendar -> what happened.
    """

    issue_time: str
    window_start: str
    window_end: str
    sources: dict[str, CalendarReport]

    @property
    def added(self) -> int:
        return sum(report.added for report in self.sources.values())

    @property
    def errors(self) -> dict[str, str]:
        return {name: report.error for name, report in self.sources.items() if report.error is not None}


def ingest_events(
    settings: Settings,
    lake: Lake,
    base: Path,
    *,
    issue_time: pd.Timestamp,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
) -> EventReport:
    """Bring the events that start in `[start, end)` of every calendar into the lake.

    Doing it again changes nothing. An event that was not there before is known since its calendar says; one that
    changed is another version, known from `issue_time` on; one that starts after `issue_time` and is gone from a calendar
    that was read is cancelled (strength 0) from `issue_time` on. A calendar that cannot be read is reported and keeps the
    events that it had; the others go on.

    Args:
        settings: capacity.yaml.
        lake: where to.
        base: folder of capacity.yaml.
        issue_time: when the calendars are read.
        start, end: default 60 days before the issue time and 30 days after it.

    Raises:
        BadInputError: no calendar could be read, and trying again cannot help.
        UnavailableError: no calendar could be read, and one of them may answer later.
    """
    issue_time = as_utc(issue_time, "issue time")
    start = issue_time - _LOOK_BACK if start is None else as_utc(start, "start")
    end = issue_time + _LOOK_AHEAD if end is None else as_utc(end, "end")
    reports: dict[str, CalendarReport] = {}
    failures: list[BadInputError | UnavailableError] = []
    for calendar in settings.calendars:
        try:
            reports[calendar.name] = _ingest(calendar, settings, lake, base, issue_time=issue_time, start=start, end=end)
        except (BadInputError, UnavailableError) as error:
            _log.warning("calendar %s keeps the events that it had: %s", calendar.name, error)
            reports[calendar.name] = CalendarReport(error=str(error))
            failures.append(error)
    if failures and len(failures) == len(settings.calendars):
        message = "no calendar could be read:\n" + "\n".join(map(str, failures))
        raise UnavailableError(message) if any(isinstance(f, UnavailableError) for f in failures) else BadInputError(message)
    report = EventReport(issue_time.isoformat(), start.isoformat(), end.isoformat(), reports)
    _log.info("events: %s added, %s of %s calendars failed", report.added, len(failures), len(settings.calendars))
    return report


def _ingest(
    calendar: EventSource, settings: Settings, lake: Lake, base: Path, *, issue_time: pd.Timestamp, start: pd.Timestamp, end: pd.Timestamp
) -> CalendarReport:
    found = read_events(calendar, settings, base, issue_time=issue_time, start=start, end=end)
    cancelled = 0

    def choose(held: pd.DataFrame) -> pd.DataFrame:
        nonlocal cancelled
        gone = _gone(found, held, issue_time)
        fresh = _fresh(pd.concat([found, gone], ignore_index=True) if len(gone) else found, held, issue_time)
        cancelled = int(fresh["event_id"].isin(gone["event_id"]).sum())
        return fresh

    added = lake.add("events", choose, start=start, end=end, where={"source": calendar.name})
    return CalendarReport(rows=len(found), added=added, cancelled=cancelled)


def _gone(found: pd.DataFrame, held: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    """Events known at the issue time, still to come, and no longer in the calendar, with strength 0."""
    known = _newest(held[held["available_at"] <= issue_time])
    gone = known[(known["strength"] > 0) & (known["start"] > issue_time) & ~known["event_id"].isin(found["event_id"])]
    return gone.assign(strength=0.0, available_at=issue_time)


def _fresh(found: pd.DataFrame, held: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    """The versions to add.

    An event that was never held keeps all its versions and their times. Of one that is held, what the calendar says for
    now counts from the issue time on, unless the lake says so already (or says so for later: then this is a rerun of an
    old run, which must not make known what was not); what it announces for later keeps its time.
    """
    is_held = found["event_id"].isin(held["event_id"])
    first = found[~is_held]
    again = found[is_held]
    now = _newest(again[again["available_at"] <= issue_time]).assign(available_at=issue_time)
    later = again[again["available_at"] > issue_time]
    said_now = _newest(held[held["available_at"] <= issue_time])
    said_later = held[held["available_at"] > issue_time]
    now = now[~_among(now, pd.concat([said_now, said_later]))]
    later = later[~_among(later, said_later)]
    changed = pd.concat([now, later])
    changed = changed.assign(available_at=later_than_held(changed["available_at"], changed, held, key=_KEY))
    return pd.concat([frame for frame in (first, changed) if len(frame)] or [first], ignore_index=True)


def _newest(versions: pd.DataFrame) -> pd.DataFrame:
    return versions.sort_values("available_at", kind="stable").drop_duplicates("event_id", keep="last")


def _among(rows: pd.DataFrame, others: pd.DataFrame) -> pd.Series[bool]:
    """Which rows say the same as one of the others; the time at which it became known is not part of what they say."""
    said = rows[_CONTENT].merge(others[_CONTENT].drop_duplicates(), on=_CONTENT, how="left", indicator=True)["_merge"]
    return pd.Series((said == "both").to_numpy(), index=rows.index)
