"""Public holidays of every region that names a country, in the region's own days."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pandas as pd

from feature_store.calendars.occurrences import Occurrence, Window, occurrence_frame
from headroom.errors import BadInputError
from headroom.settings import Settings
from headroom.settings_sources import HolidaySource

__all__ = ["holiday_events"]

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
        for day, title in _days_off(name, region.holidays, years).items():
            start, end = _midnight(day, region.timezone), _midnight(day + dt.timedelta(days=1), region.timezone)
            said = start - pd.Timedelta(days=known_days)
            found.append(Occurrence(identity=name, kind="holiday", title=title, start=start, end=end, region=name, said_at=said))
    return occurrence_frame(found)


def _days_off(region: str, code: str, years: range) -> dict[dt.date, str]:
    import holidays

    country, _, part = code.partition("-")
    try:
        known = holidays.country_holidays(country, subdiv=part or None)
        language = _LANGUAGE if _LANGUAGE in known.supported_languages else known.default_language
        return dict(sorted(holidays.country_holidays(country, subdiv=part or None, years=years, language=language).items()))
    except NotImplementedError as error:
        raise BadInputError(
            f"regions.{region}.holidays: {code!r} has no known public holidays; use an ISO country code, for example FR or DE-BY"
        ) from error


def _midnight(day: dt.date, zone: str) -> pd.Timestamp:
    return pd.Timestamp(day).tz_localize(zone, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC")
