"""Public holidays of every region that names a country, in the region's own days."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pandas as pd

from feature_store.calendars.occurrences import Occurrence, Window, occurrence_frame
from headroom.errors import BadInputError
from headroom.settings import Settings
from headroom.settings_sources import HolidaySource

__all__ = ["days_off", "holiday_events", "holidays_of_country"]

_KNOWN_DAYS: Final = 365.0
# Said explicitly: left alone the package takes the language of the machine, and titles would differ between machines.
_LANGUAGE: Final = "en_US"


def holiday_events(source: HolidaySource, settings: Settings, window: Window) -> pd.DataFrame:
    """One occurrence per holiday and region, from local midnight to the next, about the window's years.

    A holiday counts as known `announced_days` ahead, 365 when unset. `regions.<name>.holidays` is an ISO country code,
    with a subdivision after a dash (`DE-BY`). Titles are in English where the package has them, else in the country's language.

    Raises:
        BadInputError: naming the region whose country is unknown.
    """
    years = range((window.start - pd.Timedelta(days=1)).year, (window.end + pd.Timedelta(days=1)).year + 1)
    known_days = _KNOWN_DAYS if source.announced_days is None else source.announced_days
    found = []
    for name, region in settings.regions.items():
        if region.holidays is None:
            continue
        for day, title in days_off(region.holidays, years, asked_by=f"regions.{name}.holidays").items():
            start, end = _midnight(day, region.timezone), _midnight(day + dt.timedelta(days=1), region.timezone)
            said = start - pd.Timedelta(days=known_days)
            found.append(Occurrence(identity=name, kind="holiday", title=title, start=start, end=end, region=name, said_at=said))
    return occurrence_frame(found)


def holidays_of_country(code: str, timezone: str, years: range) -> pd.DataFrame:
    """`start, end` (UTC, local midnights), `kind`, `title` of a country's holidays.

    Raises:
        BadInputError: when the country or the time zone is unknown.
    """
    try:
        days = [
            {"start": _midnight(day, timezone), "end": _midnight(day + dt.timedelta(days=1), timezone), "kind": "holiday", "title": title}
            for day, title in days_off(code, years, asked_by="--holidays").items()
        ]
    except KeyError as error:
        raise BadInputError(f"--timezone {timezone!r} is unknown; use an IANA name, for example America/New_York") from error
    return pd.DataFrame(days)


def days_off(code: str, years: range, *, asked_by: str) -> dict[dt.date, str]:
    """Day -> title of the public holidays of an ISO country code, with a subdivision after a dash.

    Raises:
        BadInputError: naming who asked for a country that is unknown.
    """
    import holidays

    country, _, part = code.partition("-")
    try:
        known = holidays.country_holidays(country, subdiv=part or None)
        language = _LANGUAGE if _LANGUAGE in known.supported_languages else known.default_language
        return dict(sorted(holidays.country_holidays(country, subdiv=part or None, years=years, language=language).items()))
    except NotImplementedError as error:
        raise BadInputError(
            f"{asked_by}: {code!r} has no known public holidays; use an ISO country code, for example FR or DE-BY"
        ) from error


def _midnight(day: dt.date, zone: str) -> pd.Timestamp:
    return pd.Timestamp(day).tz_localize(zone, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC")
