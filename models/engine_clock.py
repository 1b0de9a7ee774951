"""What the engine works on: the history of all series, when each of them ends, and what was known of events when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import pandas as pd

from models.anomaly_doubt import with_doubts
from models.engine_rounds import usual_end
from models.forecaster import SeriesCalendar
from models.hourly_grid import numbered
from models.long_frame import LongFrame
from models.rhythm import Rhythm

__all__ = ["EngineClock", "engine_clock", "without_zone"]

# Known all along: before any cutoff.
_EVER: Final = pd.Timestamp("1900-01-01", tz="UTC")
_EVENT_COLUMNS: Final = ("event_id", "kind", "title", "region", "service", "unique_id", "start", "end", "strength", "value", "available_at")


@dataclass(frozen=True)
class EngineClock:
    """What the engine works on.

    Attributes:
        history: `unique_id, ds, y`, UTC, and `DOUBTED` (see `models.anomaly_doubt`). Series are categories, so that no window
            and no candidate looks at all their names again.
        events: happenings and readings, as in the `events` table, with `unique_id` beside.
        rhythm: step and horizon of all series.
    """

    history: pd.DataFrame
    events: pd.DataFrame
    rhythm: Rhythm

    @cached_property
    def ends(self) -> pd.Series[pd.Timestamp]:
        """unique_id -> the first step that the series does not have."""
        last = self.history.groupby("unique_id", observed=True)["ds"].max()
        return (last + self.rhythm.step).rename(index=str)

    @cached_property
    def by_end(self) -> dict[pd.Timestamp, pd.DataFrame]:
        """The history of the series that end at the same time."""
        if len(self.ends.unique()) == 1:
            return {self.usual_end: self.history}
        ends = self.history["unique_id"].astype(object).map(self.ends)
        return {pd.Timestamp(end): rows for end, rows in self.history.groupby(ends)}

    @property
    def usual_end(self) -> pd.Timestamp:
        """The end that most series have."""
        return usual_end(self.ends)

    @property
    def calendar(self) -> SeriesCalendar:
        """All series live in UTC."""
        return SeriesCalendar(rhythm=self.rhythm)

    @property
    def count(self) -> int:
        return len(self.ends)

    @cached_property
    def steps(self) -> int:
        """Length of the longest series."""
        first = self.history.groupby("unique_id", observed=True)["ds"].min().rename(index=str)
        return int((self.ends - first).max() / self.rhythm.step)

    def left_out(self, served: set[str], steps: int) -> dict[str, str]:
        """Series without a forecast, and why; `steps` before its end the first of its windows begins."""
        cutoffs = self.ends - steps * self.rhythm.step
        missing = sorted(set(self.ends.index) - served)
        rows = self.history[self.history["unique_id"].isin(missing)]
        own = rows["unique_id"].astype(object).map(cutoffs)
        inside = (rows["ds"] < own) & (rows["ds"] >= own - self.rhythm.context * self.rhythm.step)
        counts = rows.loc[inside, "unique_id"].astype(object).value_counts()
        return {name: self._why(int(counts.get(name, 0)), cutoffs[name]) for name in missing}

    def _why(self, measured: int, cutoff: pd.Timestamp) -> str:
        own, rhythm = cutoff.tz_localize(None), self.rhythm
        if measured >= rhythm.shortest:
            return f"no candidate could forecast it at {own.isoformat()}; is the file too short for this many windows?"
        days = rhythm.context // rhythm.day
        return f"{measured} measured {rhythm.describe()} in the {days} days before {own.isoformat()}; {rhythm.shortest} are needed"


def engine_clock(series: LongFrame, horizon: int, events: pd.DataFrame | None = None, future: pd.DataFrame | None = None) -> EngineClock:
    """The history of `series` with what is doubted in it, and events and readings beside.

    Raises:
        BadInputError: when the step is longer than a day.
    """
    rhythm = Rhythm(series.step, horizon)
    known = [frame for frame in (_happenings(events), _readings(future, rhythm.step)) if len(frame)]
    told = pd.concat(known, ignore_index=True) if known else _happenings(None)
    own = series.rows.assign(ds=series.rows["ds"].dt.tz_localize("UTC").astype("datetime64[us, UTC]"))
    history = with_doubts(own, told, step=rhythm.step)
    history["unique_id"] = numbered(history["unique_id"])
    return EngineClock(history, told, rhythm)


def without_zone(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with `ds` and `cutoff` as a file has them: UTC without a zone."""
    times = {name: rows[name].dt.tz_localize(None).astype("datetime64[us]") for name in ("ds", "cutoff") if name in rows}
    return rows.assign(**times)


def _happenings(events: pd.DataFrame | None) -> pd.DataFrame:
    if events is None or events.empty:
        empty = pd.DataFrame({name: pd.Series(dtype=object) for name in _EVENT_COLUMNS})
        times = {name: pd.Series(dtype="datetime64[us, UTC]") for name in ("start", "end", "available_at")}
        return empty.assign(**times, strength=pd.Series(dtype=float), value=pd.Series(dtype=float))
    utc = {name: events[name].dt.tz_localize("UTC").astype("datetime64[us, UTC]") for name in ("start", "end")}
    known = events["known_at"].dt.tz_localize("UTC").fillna(_EVER).astype("datetime64[us, UTC]")
    named = events.assign(**utc, available_at=known, value=float("nan"), event_id=[f"event-{n}" for n in range(len(events))])
    return named[list(_EVENT_COLUMNS)]


def _readings(future: pd.DataFrame | None, step: pd.Timedelta) -> pd.DataFrame:
    """Every regressor's value as a reading of one step, known all along."""
    if future is None or future.empty:
        return _happenings(None)
    long = future.melt(id_vars=["unique_id", "ds"], var_name="kind", value_name="value").dropna(subset=["value"])
    start = long["ds"].dt.tz_localize("UTC").astype("datetime64[us, UTC]")
    rows = long.assign(start=start, end=start + step, available_at=_EVER, strength=1.0, title="", region="", service="")
    rows = rows.assign(available_at=rows["available_at"].astype("datetime64[us, UTC]"), event_id=[f"reading-{n}" for n in range(len(rows))])
    return rows[list(_EVENT_COLUMNS)]
