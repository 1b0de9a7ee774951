"""One clock for series that end at different times: each is moved so that all end together, and the calendar knows by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from models.anomaly_doubt import DOUBTED, with_doubts
from models.forecaster import SeriesCalendar
from models.hourly_grid import numbered, recent
from models.long_frame import LongFrame
from models.rhythm import Rhythm

__all__ = ["EngineClock", "engine_clock"]

# Known all along: before any cutoff.
_EVER: Final = pd.Timestamp("1900-01-01", tz="UTC")
_EVENT_COLUMNS: Final = ("event_id", "kind", "title", "region", "service", "unique_id", "start", "end", "strength", "value", "available_at")


@dataclass(frozen=True)
class EngineClock:
    """What the engine works on.

    Attributes:
        history: `unique_id, ds, y` on the common clock, UTC, and `DOUBTED` (see `models.anomaly_doubt`). Series are categories, so that no window
            and no candidate looks at all their names again.
        events: happenings and readings, as in the `events` table, with `unique_id` beside; in their own time.
        calendar: knows the shift of every series.
        end: first step that no series has.
    """

    history: pd.DataFrame
    events: pd.DataFrame
    calendar: SeriesCalendar
    end: pd.Timestamp

    @property
    def count(self) -> int:
        return int(self.history["unique_id"].nunique())

    @property
    def steps(self) -> int:
        """Length of the longest series."""
        return int((self.end - self.history["ds"].min()) / self.rhythm.step)

    @property
    def rhythm(self) -> Rhythm:
        """Step and horizon of all series."""
        return self.calendar.rhythm

    def cutoff(self, steps: int) -> pd.Timestamp:
        """The moment `steps` before the end."""
        return self.end - steps * self.rhythm.step

    def own_time(self, rows: pd.DataFrame) -> pd.DataFrame:
        """`rows` with `ds` and `cutoff` in each series' own time, without a zone."""
        shift = rows["unique_id"].map(self.calendar.shifts).astype("timedelta64[us]")
        moved = {name: (rows[name] - shift).dt.tz_localize(None).astype("datetime64[us]") for name in ("ds", "cutoff") if name in rows}
        return rows.assign(**moved)

    def left_out(self, served: set[str], steps: int) -> dict[str, str]:
        """Series without a forecast, and why."""
        cutoff = self.cutoff(steps)
        counts = recent(self.history, cutoff, self.rhythm).groupby("unique_id", observed=True)["ds"].size()
        missing = sorted(set(self.history["unique_id"].unique()) - served)
        return {name: self._why(name, int(counts.get(name, 0)), cutoff) for name in missing}

    def _why(self, name: str, measured: int, cutoff: pd.Timestamp) -> str:
        own = (cutoff - self.calendar.shifts.get(name, pd.Timedelta(0))).tz_localize(None)
        rhythm = self.rhythm
        if measured >= rhythm.shortest:
            return f"no candidate could forecast it at {own.isoformat()}; is the file too short for this many windows?"
        days = rhythm.context // rhythm.day
        return f"{measured} measured {rhythm.describe()} in the {days} days before {own.isoformat()}; {rhythm.shortest} are needed"


def engine_clock(series: LongFrame, horizon: int, events: pd.DataFrame | None = None, future: pd.DataFrame | None = None) -> EngineClock:
    """Move every series so that its last measurement is the last step of all.

    Raises:
        BadInputError: when the step is longer than a day.
    """
    rhythm = Rhythm(series.step, horizon)
    own_ends = series.rows.groupby("unique_id")["ds"].max() + rhythm.step
    end = own_ends.max()
    shifts = {str(name): end - own for name, own in own_ends.items()}
    known = [frame for frame in (_happenings(events), _readings(future, rhythm.step)) if len(frame)]
    told = pd.concat(known, ignore_index=True) if known else _happenings(None)
    own = series.rows.assign(ds=series.rows["ds"].dt.tz_localize("UTC").astype("datetime64[us, UTC]"))
    doubted, shift = with_doubts(own, told, step=rhythm.step), own["unique_id"].map(shifts)
    history = doubted.assign(**{name: (doubted[name] + shift).astype("datetime64[us, UTC]") for name in ("ds", DOUBTED)})
    history["unique_id"] = numbered(history["unique_id"])
    return EngineClock(history, told, SeriesCalendar(shifts=shifts, rhythm=rhythm), pd.Timestamp(end).tz_localize("UTC"))


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
