"""Events of an iCalendar file or address: time zones, all-day events, recurrences, cancellations."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from feature_store.calendars.ical_lines import event_lines
from feature_store.calendars.occurrences import Occurrence, Window, digest, occurrence_frame
from feature_store.fetch import read_location
from headroom.errors import BadInputError
from headroom.issue_time import as_utc
from headroom.settings import Settings
from headroom.settings_sources import ICalSource

if TYPE_CHECKING:
    import icalendar

__all__ = ["ical_events"]

# An all-day event or a floating time is placed in its region's zone, at most this far from UTC.
_ZONES: Final = pd.Timedelta(days=1)
# The forecast's step: an event that does not say how long it lasts counts for one hour.
_UNSAID_LENGTH: Final = pd.Timedelta(hours=1)


def ical_events(source: ICalSource, settings: Settings, base: Path, window: Window) -> pd.DataFrame:
    """Occurrences that overlap the window, recurrences unfolded.

    Honoured beside the standard: `X-HEADROOM-REGION`, `X-HEADROOM-SERVICE`, `X-HEADROOM-STRENGTH`, `X-HEADROOM-KNOWN-AT`.
    The first of `CATEGORIES` is the kind. All-day events and times without a zone are in the region's time zone, or UTC
    without a region. A version is known when it was created, or last modified once its `SEQUENCE` counts a revision.

    Raises:
        BadInputError: naming the calendar, the line and what is wrong there.
        UnavailableError: the address does not answer.
    """
    import icalendar
    import recurring_ical_events

    what = f"calendar {source.name}"
    try:
        text = read_location(source.location, base, what=what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{what}: not UTF-8 text: {error}; expected an iCalendar file") from error
    lines = event_lines(text, what)
    try:
        calendars = icalendar.Calendar.from_ical(text, multiple=True)
    except ValueError as error:
        raise BadInputError(f"{what}: not a readable iCalendar file: {error}") from error
    events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    for event, line in zip(events, lines, strict=True):
        _check_event(event, f"{what} line {line}")
    first, last = (window.start - _ZONES).to_pydatetime(), (window.end + _ZONES).to_pydatetime()
    try:
        unfolded = [event for calendar in calendars for event in recurring_ical_events.of(calendar).between(first, last)]
    except ValueError as error:
        raise BadInputError(f"{what}: a recurrence cannot be unfolded: {error}") from error
    return occurrence_frame([_occurrence(event, source, settings) for event in unfolded])


def _check_event(event: icalendar.Event, where: str) -> None:
    name = str(event.get("SUMMARY", event.get("UID", "without a name")))
    if event.errors:
        key, problem = event.errors[0]
        raise BadInputError(f"{where}: event {name!r}: {key or 'a line'}: {problem}")
    if "DTSTART" not in event:
        raise BadInputError(f"{where}: event {name!r} has no DTSTART")
    for key in ("DTSTART", "DTEND", "RECURRENCE-ID"):
        zone = event[key].params.get("TZID") if key in event else None
        if zone and isinstance(event[key].dt, dt.datetime) and event[key].dt.tzinfo is None:
            raise BadInputError(
                f"{where}: event {name!r}: {key}: time zone {zone!r} is unknown; use an IANA name, for example Europe/Paris"
            )
    if "DTEND" in event and _moment(event["DTEND"].dt, "UTC") < _moment(event["DTSTART"].dt, "UTC"):
        raise BadInputError(f"{where}: event {name!r} ends before it starts")
    for key, read in (("X-HEADROOM-STRENGTH", _strength), ("X-HEADROOM-KNOWN-AT", as_utc)):
        try:
            read(str(event[key])) if key in event else None
        except (ValueError, BadInputError) as error:
            raise BadInputError(f"{where}: event {name!r}: {key}: {error}") from error


def _occurrence(event: icalendar.Event, source: ICalSource, settings: Settings) -> Occurrence:
    region = str(event.get("X-HEADROOM-REGION", source.region or ""))
    zone = settings.regions[region].timezone if region in settings.regions else "UTC"
    start = _moment(event["DTSTART"].dt, zone)
    title = str(event.get("SUMMARY", ""))
    cancelled = str(event.get("STATUS", "")).upper() == "CANCELLED"
    said, stamped = _said_at(event)
    return Occurrence(
        identity=str(event.get("UID", digest(title))),
        kind=_kind(event, source.event_kind),
        title=title,
        start=start,
        end=_end(event, start, zone),
        region=region,
        service=str(event.get("X-HEADROOM-SERVICE", source.service or "")),
        strength=0.0 if cancelled else _strength(str(event.get("X-HEADROOM-STRENGTH", "1"))),
        said_at=said,
        stamped_at=stamped,
    )


def _strength(text: str) -> float:
    strength = float(text)
    if not 0 <= strength < math.inf:
        raise ValueError(f"{text!r} is not a number, 0 or more")
    return strength


def _moment(value: dt.date, zone: str) -> pd.Timestamp:
    """A date is its local midnight; a time that a clock change skips or doubles is the first moment after or of it."""
    stamp = pd.Timestamp(value)
    if stamp.tzinfo is None:
        stamp = stamp.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    return stamp.tz_convert("UTC")


def _end(event: icalendar.Event, start: pd.Timestamp, zone: str) -> pd.Timestamp:
    """As written; an event whose end is its start says no length."""
    end = _moment(event["DTEND"].dt, zone) if "DTEND" in event else start
    return start + _UNSAID_LENGTH if end == start else end


def _kind(event: icalendar.Event, default: str) -> str:
    categories = event.get("CATEGORIES")
    lists: list[Any] = categories if isinstance(categories, list) else [categories] if categories is not None else []
    names = [str(name).strip().lower() for group in lists for name in group.cats]
    return next((name for name in names if name), default)


def _said_at(event: icalendar.Event) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """When this version became known as the event says it, and the weaker stamp.

    An event that was revised (`SEQUENCE` above 0) was not known in this form when it was created.
    """
    times = {key: _moment(event[key].dt, "UTC") for key in ("CREATED", "LAST-MODIFIED", "DTSTAMP") if key in event}
    stamped = times.get("LAST-MODIFIED", times.get("DTSTAMP"))
    if "X-HEADROOM-KNOWN-AT" in event:
        return as_utc(str(event["X-HEADROOM-KNOWN-AT"])), stamped
    if int(event.get("SEQUENCE", 0)) > 0 and "LAST-MODIFIED" in times:
        return times["LAST-MODIFIED"], stamped
    return times.get("CREATED"), stamped
