"""Occurrences as calendars give them, and the events frame made of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import NamedTuple

import pandas as pd

from headroom.errors import BadInputError
from headroom.schemas import TABLES
from headroom.settings import Settings
from headroom.settings_sources import EventSource

__all__ = ["Occurrence", "Window", "digest", "events_frame", "occurrence_frame"]

_log = logging.getLogger(__name__)
_TIMES = ("start", "end", "said_at", "stamped_at")


class Window(NamedTuple):
    """Half-open range of UTC times."""

    start: pd.Timestamp
    end: pd.Timestamp


@dataclass(frozen=True)
class Occurrence:
    """One event at one time; times are UTC.

    Attributes:
        identity: what it is in its calendar, without its start.
        region, service: empty means all of them.
        strength: 0 cancels.
        value: a driver's reading (weather).
        said_at: when the source says that this version became known.
        stamped_at: a weaker sign of it, used when there is no other.
    """

    identity: str
    kind: str
    title: str
    start: pd.Timestamp
    end: pd.Timestamp
    region: str = ""
    service: str = ""
    strength: float = 1.0
    value: float | None = None
    said_at: pd.Timestamp | None = None
    stamped_at: pd.Timestamp | None = None


def occurrence_frame(found: Sequence[Occurrence]) -> pd.DataFrame:
    """The occurrences as a frame, one column per attribute."""
    return pd.DataFrame([asdict(one) for one in found], columns=[field.name for field in fields(Occurrence)])


def events_frame(found: pd.DataFrame, source: EventSource, settings: Settings, *, issue_time: pd.Timestamp, window: Window) -> pd.DataFrame:
    """The occurrences that start in the window, in the columns of the `events` table, sorted by start.

    Args:
        found: columns as the attributes of `Occurrence`; those with a default may be missing.

    Raises:
        BadInputError: an event ends before it starts.
    """
    given = {field.name: field.default for field in fields(Occurrence) if field.name not in found and field.default is not MISSING}
    frame = found.assign(**given)
    for column in _TIMES:
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
    frame = frame[(frame["start"] >= window.start) & (frame["start"] < window.end)]
    _check_ends(frame, source)
    _remark_unknown(frame, source, settings)
    frame = frame.assign(
        event_id=source.name + ":" + frame["identity"].astype("object") + frame["start"].dt.strftime(":%Y%m%dT%H%MZ").astype("object"),
        source=source.name,
        available_at=_known_at(frame, source.announced_days, issue_time),
        strength=frame["strength"].astype("float64"),
        value=frame["value"].astype("float64"),
    )
    return _without_doubles(frame, source)[list(TABLES["events"].columns)]


def digest(*parts: object) -> str:
    """A short stable name of what the parts say."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()[:16]


def _known_at(frame: pd.DataFrame, announced_days: float | None, issue_time: pd.Timestamp) -> pd.Series[pd.Timestamp]:
    """The rule of `feature_store.calendars`."""
    if announced_days is not None:
        known = frame["said_at"].fillna(frame["start"] - pd.Timedelta(days=announced_days))
    else:
        known = frame["said_at"].fillna(frame["stamped_at"]).fillna(issue_time)
    return known.astype("datetime64[us, UTC]")


def _check_ends(frame: pd.DataFrame, source: EventSource) -> None:
    wrong = frame[frame["end"] <= frame["start"]]
    if len(wrong):
        first = wrong.iloc[0]
        raise BadInputError(
            f"calendar {source.name}: event {first['title']!r} starts {first['start'].isoformat()} and ends {first['end'].isoformat()}; "
            "an event ends after its start"
        )


def _remark_unknown(frame: pd.DataFrame, source: EventSource, settings: Settings) -> None:
    """A shared calendar may speak of regions that are not ours: such events are kept, match no series, and are named."""
    for column, known in (("region", settings.regions), ("service", settings.services)):
        unknown = sorted(set(frame[column]) - set(known) - {""})
        if unknown:
            _log.warning("calendar %s: %s %r is not in capacity.yaml; its events match no series", source.name, column, unknown[0])


def _without_doubles(frame: pd.DataFrame, source: EventSource) -> pd.DataFrame:
    doubled = frame.duplicated(["event_id", "available_at"], keep="last")
    if doubled.any():
        _log.warning("calendar %s: %d events come twice, the later entry counts", source.name, int(doubled.sum()))
    return frame[~doubled].sort_values(["start", "event_id", "available_at"], kind="stable", ignore_index=True)
