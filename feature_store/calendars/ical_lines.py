"""The structure of an iCalendar text (RFC 5545), checked line by line so that an error can name its line.

The parser takes a file that is cut off, or is something else altogether, for a calendar without events. That would
lose every event silently, so the structure is checked before it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from headroom.errors import BadInputError

__all__ = ["event_lines"]

_LINE: Final = re.compile(r"(?P<name>[A-Za-z0-9-]+)(?:;.*)?:(?P<value>.*)", re.DOTALL)


def event_lines(text: str, what: str) -> list[int]:
    """Line numbers (from 1) of every `BEGIN:VEVENT`, in the order of the file.

    Raises:
        BadInputError: naming the line that is no `NAME:value`, closes what is not open, or opens what is never closed.
    """
    open_parts: list[tuple[str, int]] = []
    events, calendars = [], 0
    for number, line in _unfolded(text):
        match = _LINE.fullmatch(line)
        if match is None:
            raise BadInputError(f"{what} line {number}: {line[:60]!r} is not NAME:value; expected an iCalendar file")
        name, value = match["name"].upper(), match["value"].strip().upper()
        if name == "BEGIN":
            open_parts.append((value, number))
            events += [number] if value == "VEVENT" else []
            calendars += value == "VCALENDAR"
        elif name == "END":
            if not open_parts or open_parts[-1][0] != value:
                inside = f"{open_parts[-1][0]} of line {open_parts[-1][1]} is open" if open_parts else "nothing is open"
                raise BadInputError(f"{what} line {number}: END:{value}, but {inside}")
            open_parts.pop()
    if open_parts:
        raise BadInputError(f"{what} line {open_parts[-1][1]}: {open_parts[-1][0]} is never closed; the file is cut off")
    if not calendars:
        raise BadInputError(f"{what}: no BEGIN:VCALENDAR; expected an iCalendar file")
    return events


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with the number of their first line: a line that begins with a blank continues the one before."""
    current, first = "", 0
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if line[:1] in {" ", "\t"} and current:
            current += line[1:]
            continue
        if current:
            yield first, current
        current, first = line, number
    if current:
        yield first, current
