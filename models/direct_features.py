"""The table a direct multi-horizon model learns from: one row per series, origin and horizon.

The target is scaled per series and anchored on a simple forecast: (y - anchor) / scale. So one model serves series of any size, and what it
learns is how far demand departs from that.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.event_features import COLUMNS_PER_KIND, driver_hours, driver_kinds, event_hours, event_kinds, known_at_each_origin
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array
from models.lag_features import (
    ORIGIN_COLUMNS,
    TARGET_COLUMNS,
    Index,
    anchor_lag,
    fill_from_past,
    origin_features,
    origin_scale,
    season_errors,
    target_features,
)
from models.other_series import DEPARTURES, others_departures, part_codes, part_names, scopes
from models.rhythm import Rhythm
from models.visible_events import events_of_series

__all__ = ["DirectTable", "Layout", "direct_table"]

_CALENDAR_COLUMNS: Final = ("series", "horizon", "hour", "weekday", "anchor_weekday", "step_in_day")


@dataclass(frozen=True)
class Layout:
    """What decides the columns; kept with the model, so that a forecast has the columns it was trained with.

    Attributes:
        series: known series, in the order of their codes; another one gets no code.
        kinds: kinds of events.
        drivers: kinds of readings.
        scopes: among which series a series is looked at; see `models.other_series`. Models saved before there were these have none.
        parts: what the parts of the names are called, likewise.
    """

    series: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: Sequence[str], events: pd.DataFrame) -> Layout:
        """What is to be learnt of these series and events."""
        return cls(tuple(names), tuple(event_kinds(events)), tuple(driver_kinds(events)), scopes(names), part_names(names))

    @property
    def categories(self) -> list[int]:
        """Places of the columns whose numbers are codes."""
        parts = self.columns.index(f"name:{self.parts[0]}") if self.parts else 0
        return [0, *range(parts, parts + len(self.parts))]

    @property
    def columns(self) -> list[str]:
        """Names of the features, in order."""
        events = [f"{kind}:{part}{where}" for where in ("", "@anchor", "@week") for kind in self.kinds for part in COLUMNS_PER_KIND]
        drivers = [f"{kind}{where}" for where in ("", "-anchor", "-week") for kind in self.drivers]
        others = [f"{column}@{scope}" for scope in self.scopes for column in DEPARTURES]
        parts = [f"name:{part}" for part in self.parts]
        return [*_CALENDAR_COLUMNS, *ORIGIN_COLUMNS, *TARGET_COLUMNS, *others, *parts, *events, *drivers]


@dataclass(frozen=True)
class DirectTable:
    """Arrays whose first axes are (series, origins, horizons).

    Attributes:
        features: float32, last axis as `Layout.columns`.
        anchor: the forecast that was handed in, in the unit of the series.
        scale: what departures from the anchor are divided by; 0 for a series of zeros, which departs by nothing.
    """

    features: npt.NDArray[np.float32]
    anchor: Array
    scale: Array


def direct_table(
    names: Sequence[str],
    values: Array,
    end: pd.Timestamp,
    origins: Index,
    horizon: Index,
    events: pd.DataFrame,
    calendar: SeriesCalendar,
    layout: Layout,
    anchor: Array,
) -> DirectTable:
    """The rows of `origins` (columns of `values`, whose last one ends at `end`; an origin is the first step not known).

    Args:
        values: shape (series, steps), NaN where nothing was measured.
        horizon: shape (origins, horizons), steps ahead from 1; the same width for every origin.
        anchor: shape (series, origins, horizons), the forecast that the target departs from.
    """
    rhythm = calendar.rhythm
    filled = fill_from_past(values, rhythm.day)
    errors = season_errors(filled, origins, rhythm.context, rhythm.day)
    scale = np.repeat(origin_scale(filled, origins, rhythm.context, errors)[:, :, None], horizon.shape[1], axis=2)
    by_target = target_features(filled, origins, horizon, errors, anchor, rhythm.day)
    by_origin = np.repeat(origin_features(filled, origins, rhythm.day)[:, :, None, :], horizon.shape[1], axis=2)
    lags = np.concatenate([by_origin, by_target], axis=-1)
    lags = np.divide(lags, scale[..., None], out=np.full_like(lags, np.nan), where=scale[..., None] > 0)
    departures = lags[:, :, 0, [ORIGIN_COLUMNS.index(column) for column in DEPARTURES]]
    beside = [others_departures(departures, names, scope)[:, :, None, :] for scope in layout.scopes]
    beside += [part_codes(names, part, layout.series)[:, None, None, None] for part in range(len(layout.parts))]
    start = end - values.shape[1] * rhythm.step
    times = pd.date_range(start, periods=int(max(values.shape[1], (origins[:, None] + horizon).max())), freq=rhythm.step)
    first, code = len(_CALENDAR_COLUMNS), {name: float(place) for place, name in enumerate(layout.series)}
    features = np.empty((len(names), *horizon.shape, len(layout.columns)), dtype=np.float32)
    features[..., 0] = np.array([code.get(name, np.nan) for name in names])[:, None, None]
    told = first
    for columns in (lags, *beside):
        features[..., told : told + columns.shape[-1]] = columns
        told += columns.shape[-1]
    for rows in _alike([calendar.timezones.get(name) for name in names]):
        features[rows, ..., 1:first] = _calendar_columns(calendar.local(names[rows[0]], times), origins, horizon, rhythm)
    if layout.kinds or layout.drivers:
        for rows in _alike(_addressed(events, names)):
            own = events_of_series(events, names[rows[0]])
            features[rows, ..., told:] = _event_columns(own, times, origins, horizon, layout, rhythm)
    return DirectTable(features=features, anchor=anchor, scale=scale)


def _alike(keys: Sequence[Hashable]) -> list[Index]:
    """Positions of equal keys, together."""
    found: dict[Hashable, list[int]] = {}
    for position, key in enumerate(keys):
        found.setdefault(key, []).append(position)
    return [np.array(positions, dtype=np.int64) for positions in found.values()]


def _addressed(events: pd.DataFrame, names: Sequence[str]) -> list[tuple[str, ...]]:
    """What every name has in common with the addresses of events: those with the same have the same `events_of_series`."""
    parts = {name: set(events[name].fillna("")) for name in ("region", "service", "unique_id") if name in events.columns}
    places = parts.get("region", set()) | parts.get("service", set())
    named = parts.get("unique_id", set())
    found = []
    for name in names:
        address = name.split("/")
        shared = [part if part in places else "" for part in address]
        found.append((str(len(address)), *shared, name if name in named else ""))
    return found


def _calendar_columns(local: pd.DatetimeIndex, origins: Index, horizon: Index, rhythm: Rhythm) -> Array:
    """All of `_CALENDAR_COLUMNS` but the first, of series with the same local time."""
    hour, weekday = (local.hour + local.minute / 60).to_numpy(dtype=float), local.weekday.to_numpy(dtype=float)
    target = origins[:, None] + horizon - 1
    columns = [
        horizon.astype(float),
        hour[target],
        weekday[target],
        weekday[np.clip(target - anchor_lag(horizon, rhythm.day), 0, None)],
        ((horizon - 1) % rhythm.day).astype(float),
    ]
    return np.stack(columns, axis=-1)


def _event_columns(events: pd.DataFrame, times: pd.DatetimeIndex, origins: Index, horizon: Index, layout: Layout, rhythm: Rhythm) -> Array:
    """Events and readings at the target step, and at the steps it is compared with (the anchor's and last week's)."""
    target = origins[:, None] + horizon - 1
    at_event, at_driver = event_hours(events, layout.kinds, times, rhythm.step), driver_hours(events, layout.drivers, times, rhythm.step)
    now_event, now_driver = at_event[target], at_driver[target]
    reach = rhythm.hours(int(horizon.max()))
    for position, known in known_at_each_origin(events, times[origins.clip(max=len(times) - 1)], reach).items():
        ahead = target[position]
        now_event[position] = event_hours(known, layout.kinds, times[ahead], rhythm.step)
        now_driver[position] = driver_hours(known, layout.drivers, times[ahead], rhythm.step)
    anchor, week = (np.clip(target - lag, 0, None) for lag in (anchor_lag(horizon, rhythm.day), rhythm.week))
    parts = [now_event, at_event[anchor], at_event[week], now_driver, now_driver - at_driver[anchor], now_driver - at_driver[week]]
    return np.concatenate(parts, axis=-1)
