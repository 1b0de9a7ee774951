"""Entries of a news or status feed (RSS or Atom) that match a keyword rule."""

from __future__ import annotations

import calendar
import html
import io
import logging
import re
import time
from pathlib import Path
from typing import Any, Final

import pandas as pd

from feature_store.calendars.occurrences import Occurrence, digest, occurrence_frame
from feature_store.fetch import read_location
from headroom.errors import BadInputError
from headroom.settings_sources import FeedRule, FeedSource

__all__ = ["feed_events"]

_TAG: Final = re.compile(r"<[^>]*>")
_TITLE_CHARACTERS: Final = 200
_log = logging.getLogger(__name__)


def feed_events(source: FeedSource, base: Path) -> pd.DataFrame:
    """One occurrence per entry and rule that matches: from its publication, for the rule's hours.

    A rule matches when the title or the summary contains one of its keywords, whatever the case. An entry that was edited
    (`updated`) is known in this form since the edit. An entry without a date cannot be placed: it is left out and logged.

    Raises:
        BadInputError: the file or address holds no feed.
        UnavailableError: the address does not answer.
    """
    import feedparser

    what = f"calendar {source.name}"
    parsed = feedparser.parse(io.BytesIO(read_location(source.location, base, what=what)))
    if not parsed.get("version") or (parsed.bozo and not parsed.entries):
        raise BadInputError(f"{what}: not an RSS or Atom feed{_why(parsed)}")
    if parsed.bozo:
        _log.warning("calendar %s: the feed is malformed%s; %d entries were read", source.name, _why(parsed), len(parsed.entries))
    found = [
        occurrence
        for entry in parsed.entries
        for rule in source.rules
        if _matches(entry, rule) and (occurrence := _occurrence(entry, rule, source)) is not None
    ]
    return occurrence_frame(found)


def _why(parsed: Any) -> str:
    error = parsed.get("bozo_exception")
    line = getattr(error, "getLineNumber", lambda: None)()
    message = getattr(error, "getMessage", lambda: error)()
    return "" if error is None else f": {f'line {line}: ' if line else ''}{message}"


def _matches(entry: Any, rule: FeedRule) -> bool:
    text = f"{_plain(entry.get('title', ''))}\n{_plain(entry.get('summary', ''))}".casefold()
    return any(keyword.casefold() in text for keyword in rule.keywords)


def _occurrence(entry: Any, rule: FeedRule, source: FeedSource) -> Occurrence | None:
    title = _plain(entry.get("title", ""))
    # Not entry.get: feedparser would give the publication for a missing edit, and warn of it.
    published, updated = _moment(dict.get(entry, "published_parsed")), _moment(dict.get(entry, "updated_parsed"))
    start = published or updated
    if start is None:
        _log.warning("calendar %s: entry %r has no date and is left out", source.name, title)
        return None
    return Occurrence(
        identity=digest(entry.get("id") or entry.get("link") or title, rule.event_kind, rule.region, rule.service),
        kind=rule.event_kind,
        title=title[:_TITLE_CHARACTERS],
        start=start,
        end=start + pd.Timedelta(hours=rule.hours),
        region=rule.region or "",
        service=rule.service or "",
        strength=rule.strength,
        said_at=max(start, updated or start),
    )


def _plain(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", text)).split())


def _moment(parsed: time.struct_time | None) -> pd.Timestamp | None:
    return None if parsed is None else pd.Timestamp(calendar.timegm(parsed), unit="s", tz="UTC")
