"""Public holidays of a country as events beside a file of series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from models.drivers import EVENT_COLUMNS

if TYPE_CHECKING:
    from models.long_frame import LongFrame

__all__ = ["with_country_holidays"]

# The last forecast reaches some way beyond the file.
_AHEAD: Final = pd.Timedelta(days=60)


def with_country_holidays(events: pd.DataFrame | None, series: LongFrame, code: str | None, timezone: str) -> pd.DataFrame | None:
    """`events` (see `models.drivers.read_events`) and the holidays of the country in the years of `series`, which concern every series.

    Args:
        code: ISO country code such as US or DE-BY; None adds nothing.
        timezone: IANA name of the time zone whose days they are.

    Raises:
        BadInputError: when the country or the time zone is unknown.
    """
    if code is None:
        return events
    from feature_store.calendars.public_holidays import holidays_of_country

    ds = series.rows["ds"]
    days = holidays_of_country(code, timezone, range(ds.min().year, (ds.max() + _AHEAD).year + 1))
    times = {name: days[name].dt.tz_localize(None).astype("datetime64[us]") for name in ("start", "end")}
    unknown = pd.Series(pd.NaT, index=days.index, dtype="datetime64[us]")  # known all along
    made = days.assign(**times, region="", service="", unique_id="", strength=1.0, known_at=unknown)
    given = [events] if events is not None and len(events) else []
    return pd.concat([*given, made[list(EVENT_COLUMNS)]], ignore_index=True).sort_values(["start", "end"], kind="stable", ignore_index=True)
