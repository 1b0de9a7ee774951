"""What a forecaster is, and the calendar it may ask for local time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import pandas as pd

from headroom.settings import Settings
from headroom.vocabulary import HORIZON_HOURS
from models.rhythm import HOURLY, Rhythm

__all__ = ["Forecaster", "SeriesCalendar", "StoredForecaster", "restored", "unfitted"]


@dataclass(frozen=True)
class SeriesCalendar:
    """Local time of every series.

    Attributes:
        timezones: unique_id -> IANA time zone; a series that is not listed lives in UTC.
        rhythm: step of all series.
    """

    timezones: Mapping[str, str] = field(default_factory=dict)
    rhythm: Rhythm = HOURLY

    @classmethod
    def from_settings(cls, settings: Settings) -> SeriesCalendar:
        """Every series lives in the time zone of its region."""
        return cls({str(series): settings.regions[series.region].timezone for series in settings.series})

    def local(self, unique_id: str, ds: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """`ds` (UTC) as local time of the series."""
        return ds.tz_convert(self.timezones.get(unique_id, "UTC"))


class Forecaster(Protocol):
    """One candidate: learns from history, then gives quantiles of demand.

    `history` is a long frame `unique_id, ds, y` of steps (`calendar.rhythm`, usually hours) before the issue time; steps may be
    missing. `events` has the schema of the `events` table. Both must hold only what was known: the backtest and `DemandModel` filter them.
    """

    name: str

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:
        """Learn what is shared over time; candidates of single series only remember the calendar."""
        ...

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        """Rows `unique_id, ds, *QUANTILE_COLUMNS` for `ds` = issue_time ... issue_time + (horizon - 1) steps.

        Quantiles are finite, do not cross, and are not negative for a series that never was. The same arguments give the same numbers in every process.
        """
        ...


@runtime_checkable
class StoredForecaster(Forecaster, Protocol):
    """A candidate whose fit is worth keeping; the others are refitted on the history that a forecast is given."""

    def save(self, folder: Path) -> None:
        """Write the fit as plain files."""
        ...

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote."""
        ...


def restored(forecaster: Forecaster, folder: Path, calendar: SeriesCalendar) -> Forecaster:
    """A candidate as it was saved; one that keeps no fit only learns the calendar."""
    return forecaster.load(folder, calendar) if isinstance(forecaster, StoredForecaster) else unfitted(forecaster, calendar)


def unfitted(forecaster: Forecaster, calendar: SeriesCalendar) -> Forecaster:
    """A candidate that has learnt the calendar and nothing else."""
    nothing = pd.DataFrame({"unique_id": [], "ds": [], "y": []})
    return forecaster.fit(nothing, nothing, calendar)
