"""The recordings that forecasts are measured on, cut into windows: the last horizons of every series that do not overlap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.country_holidays import with_country_holidays
from headroom.vocabulary import QUANTILE_COLUMNS
from models.drivers import read_events
from models.hourly_grid import fill_gaps
from models.long_frame import LongFrame, read_long_frame

Array = npt.NDArray[np.float64]
HOUR = pd.Timedelta(hours=1)
DEVELOPED_ON = ("servers", "grid", "matches", "gpu_queues", "fleet")
M4 = "m4_hourly"
# Name -> (horizon, windows).
SHAPES = {**dict.fromkeys(DEVELOPED_ON, (72, 3)), M4: (48, 1)}
# Whose public holidays are known, as an installation says it of its regions: country and time zone.
HOLIDAYS = {"grid": ("US", "America/New_York")}
# An hour's distance to the events around it is told up to this many hours.
NEAR_HOURS = 12.0


@dataclass(frozen=True)
class Recording:
    """Measured series and what was known ahead of them; `events` as `models.drivers.read_events` gives them."""

    name: str
    series: LongFrame
    horizon: int
    windows: int
    events: pd.DataFrame | None


@dataclass(frozen=True)
class Case:
    """One series in one window: `history` ends before `cutoff`; hours that were not measured are filled from other days."""

    unique_id: str
    window: int
    cutoff: pd.Timestamp
    history: Array


def read_recording(folder: Path, name: str) -> Recording:
    horizon, windows = SHAPES[name]
    series, table = read_long_frame(folder / f"{name}.parquet"), folder / f"{name}_events.csv"
    events = read_events(table) if table.exists() else None
    if name in HOLIDAYS:
        events = with_country_holidays(events, series, *HOLIDAYS[name])
    return Recording(name, series, horizon, windows, events)


def cases_of(recording: Recording) -> list[Case]:
    """Every series in every window, by window, the oldest first."""
    found = []
    for back in range(recording.windows, 0, -1):
        for unique_id, rows in recording.series.rows.groupby("unique_id", sort=True):
            cutoff = rows["ds"].max() + HOUR - back * recording.horizon * HOUR
            seen = rows[rows["ds"] < cutoff].set_index("ds")["y"]
            hours = pd.date_range(seen.index[0], cutoff - HOUR, freq="h")
            history = fill_gaps(seen.reindex(hours).to_numpy(dtype=float))
            found.append(Case(str(unique_id), recording.windows - back, cutoff, history))
    return found


def as_forecasts(recording: Recording, cases: list[Case], quantiles: Array, candidate: str) -> pd.DataFrame:
    """Rows as of a backtest (`unique_id, cutoff, ds, candidate, *QUANTILE_COLUMNS, y`) of an array (cases, horizon, quantiles)."""
    steps = recording.horizon
    rows = pd.DataFrame(np.sort(quantiles, axis=-1).reshape(-1, len(QUANTILE_COLUMNS)), columns=list(QUANTILE_COLUMNS))
    cutoffs = np.repeat(np.array([case.cutoff for case in cases], dtype="datetime64[us]"), steps)
    ahead = np.tile(np.arange(steps) * np.timedelta64(1, "h"), len(cases))
    keys = pd.DataFrame({"unique_id": np.repeat([case.unique_id for case in cases], steps), "cutoff": cutoffs, "ds": cutoffs + ahead})
    return keys.assign(candidate=candidate).join(rows).merge(recording.series.rows, on=["unique_id", "ds"], how="left")


def event_columns(events: pd.DataFrame, hours: pd.DatetimeIndex) -> pd.DataFrame:
    """What a peer is told of events, hour by hour: the share that one covers, hours to the next start, hours since the last end.

    All columns lie between 0 and 1; distances are 1 from `NEAR_HOURS` on.
    """
    first = (hours.to_numpy(dtype="datetime64[s]").astype(float) / 3600.0)[:, None]
    start, end = (events[name].to_numpy(dtype="datetime64[s]").astype(float)[None, :] / 3600.0 for name in ("start", "end"))
    covered = np.clip(np.minimum(end, first + 1) - np.maximum(start, first), 0.0, None).sum(axis=1)
    to_next = np.where(start >= first, start - first, np.inf).min(axis=1)
    since = np.where(end <= first, first - end, np.inf).min(axis=1)
    near = {name: np.minimum(gap, NEAR_HOURS) / NEAR_HOURS for name, gap in (("event_to_next", to_next), ("event_since", since))}
    return pd.DataFrame({"event_on": np.minimum(covered, 1.0), **near}, index=hours)
