"""What a recurrent network sees: a window of recent steps in units of its own swing, and what is known of the steps ahead.

With x the window, m the mean of its last day, a its mean absolute deviation, and s the mean absolute error of the better naive (last day or
last week) within it, the network reads (x - m) / a and a / s, and answers (y - anchor) / s, where the anchor is the last day repeated. So
one network serves series of any size, and a forecast of nothing new repeats the last day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.event_features import COLUMNS_PER_KIND, driver_hours, driver_kinds, event_hours, event_kinds, known_at_each_origin
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, fill_rows
from models.lag_features import Index, anchor_lag
from models.visible_events import events_of_series

__all__ = ["Outlook", "Single", "Windows", "outlook", "windows"]

Single = npt.NDArray[np.float32]
_DAYS_OF_WEEK: Final = 7
_CLOCK_COLUMNS: Final = 4
# A weekday that was seen less often than this is remembered rather than learnt: on three weeks of queues the loss rose by half.
_LEAST_WEEKS: Final = 5
_REACH_HOURS: Final = 24.0
# Readings beyond this many of their deviations are outliers.
_FARTHEST_READING: Final = 5.0
# A window whose values differ by less than this share of their size is constant.
_CONSTANT: Final = 1e-9


@dataclass(frozen=True)
class Outlook:
    """What is told of the steps ahead, besides their time; kept with the network.

    Attributes:
        kinds: kinds of events.
        drivers: kinds of readings.
        centre: mean of each kind of reading.
        spread: standard deviation of each, above 0.
        weekdays: whether the weekday is told.
    """

    kinds: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    centre: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    weekdays: bool = False

    @property
    def columns(self) -> int:
        """Numbers per step ahead."""
        clock = _CLOCK_COLUMNS + _DAYS_OF_WEEK * self.weekdays
        return clock + 3 * (len(self.kinds) * len(COLUMNS_PER_KIND) + len(self.drivers))


class Windows(NamedTuple):
    """Inputs of the network; the first axis is the window.

    Attributes:
        recent: shape (windows, context), in swings `a` from the mean of the last day.
        ratio: shape (windows,), swing over scale; 0 for a constant window.
        anchor: shape (windows, horizon), as `recent`.
        ahead: shape (windows, horizon, `Outlook.columns`).
    """

    recent: Single
    ratio: Single
    anchor: Single
    ahead: Single

    def some(self, rows: Index) -> Windows:
        """The windows at these places."""
        return Windows(self.recent[rows], self.ratio[rows], self.anchor[rows], self.ahead[rows])


def outlook(events: pd.DataFrame, weeks: float) -> Outlook:
    """The kinds in `events`, the size of their readings, and the weekday when the history is `weeks` long enough."""
    drivers = driver_kinds(events)
    readings = [events.loc[(events["kind"] == kind), "value"].dropna().to_numpy(dtype=float) for kind in drivers]
    centre = tuple(float(values.mean()) for values in readings)
    spread = tuple(float(values.std()) or 1.0 for values in readings)
    return Outlook(tuple(event_kinds(events)), tuple(drivers), centre, spread, weeks >= _LEAST_WEEKS)


def windows(
    names: Sequence[str],
    values: Array,
    end: pd.Timestamp,
    series: Index,
    origins: Index,
    events: pd.DataFrame,
    calendar: SeriesCalendar,
    known: Outlook,
) -> tuple[Windows, Array, Array]:
    """(inputs, anchors of shape (windows, horizon), scales of shape (windows,)); the last two in the unit of the series.

    Nothing at or after the origin of a window is read, but for events that are known there. A constant window has scale 0.

    Args:
        values: shape (series, steps), NaN where nothing was measured; the last column ends at `end`.
        series: row of `values` that each window is of, in order.
        origins: first step of `values` that each window does not know, at most the number of steps.
    """
    rhythm = calendar.rhythm
    padded = np.hstack([np.full((len(names), rhythm.context), np.nan), values])
    at = origins[:, None] + np.arange(rhythm.context)
    measured = padded[series[:, None], at]
    recent = _filled(measured, rhythm.day)
    level, swing, scale = _units(measured, recent, rhythm.day, rhythm.week)
    steps = np.arange(1, rhythm.horizon + 1)
    back = (rhythm.context + steps - 1 - anchor_lag(steps, rhythm.day)).clip(min=0)
    anchor = recent[:, back]
    ahead = np.empty((len(origins), rhythm.horizon, known.columns), dtype=np.float32)
    start = end - values.shape[1] * rhythm.step
    times = pd.date_range(start - rhythm.context * rhythm.step, periods=padded.shape[1] + rhythm.horizon, freq=rhythm.step)
    for row in np.unique(series):
        mine = slice(*np.searchsorted(series, [row, row + 1]))
        own = origins[mine]
        ahead[mine] = _ahead(names[row], events_of_series(events, names[row]), times, own + rhythm.context, calendar, known)
    unit = np.where(swing > 0, swing, 1.0)
    ratio = np.divide(swing, scale, out=np.zeros_like(scale), where=scale > 0)
    near, goal = ((part - level[:, None]) / unit[:, None] for part in (recent, anchor))
    inputs = Windows(near.astype(np.float32), ratio.astype(np.float32), goal.astype(np.float32), ahead)
    return inputs, anchor, scale


def _filled(measured: Array, day: int) -> Array:
    """Windows without gaps. What lies before the first measurement repeats the last day, so that it departs from the anchor by nothing."""
    filled, steps = fill_rows(measured, day), np.arange(measured.shape[1])
    last = steps.size - day + (steps - steps.size) % day
    return np.where(steps < np.argmax(np.isfinite(measured), axis=1)[:, None], filled[:, last], filled)


def _units(measured: Array, recent: Array, day: int, week: int) -> tuple[Array, Array, Array]:
    """(mean of the last day, swing, scale) of every window."""
    size = np.abs(recent).mean(axis=1)
    swing = np.maximum(np.abs(recent - recent.mean(axis=1, keepdims=True)).mean(axis=1), 1e-3 * size)
    better = np.fmin(_mean_change(measured, day), _mean_change(measured, week))
    scale = np.nan_to_num(np.fmax(better, 1e-3 * size))
    high, low = recent.max(axis=1), recent.min(axis=1)
    constant = high - low <= _CONSTANT * np.maximum(np.abs(high), np.abs(low))
    return recent[:, -day:].mean(axis=1), np.where(constant, 0.0, swing), np.where(constant, 0.0, scale)


def _mean_change(measured: Array, lag: int) -> Array:
    """Mean absolute change over `lag` steps where both ends were measured; NaN where none was."""
    change = np.abs(measured[:, lag:] - measured[:, :-lag])
    seen = np.isfinite(change)
    count = seen.sum(axis=1)
    total = np.where(seen, change, 0.0).sum(axis=1)
    mean: Array = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean


def _ahead(name: str, events: pd.DataFrame, times: pd.DatetimeIndex, origins: Index, calendar: SeriesCalendar, known: Outlook) -> Single:
    """Shape (origins, horizon, columns) of one series: the clock, and events and readings there, a day's anchor and a week before."""
    rhythm = calendar.rhythm
    steps = np.arange(1, rhythm.horizon + 1)
    target = origins[:, None] + steps - 1
    local = calendar.local(name, times)
    turn = 2 * np.pi * (local.hour.to_numpy() + local.minute.to_numpy() / 60.0) / 24.0
    parts = [np.column_stack([np.sin(turn), np.cos(turn), np.sin(2 * turn), np.cos(2 * turn)])[target]]
    if known.weekdays:
        parts.append(np.eye(_DAYS_OF_WEEK)[local.weekday.to_numpy()][target])
    if known.kinds or known.drivers:
        always = _outside(events, times, calendar, known)
        now = always[target]
        for place, seen in known_at_each_origin(events, times[origins], rhythm.hours(rhythm.horizon)).items():
            now[place] = _outside(seen, times[target[place]], calendar, known)
        before = [always[np.clip(target - lag, 0, None)] for lag in (anchor_lag(steps, rhythm.day), rhythm.week)]
        parts += [now, *(now - then for then in before)]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def _outside(events: pd.DataFrame, times: pd.DatetimeIndex, calendar: SeriesCalendar, known: Outlook) -> Array:
    """Shape (times, events and readings); hours to and from an event as shares of the reach, a missing reading as the mean one."""
    step = calendar.rhythm.step
    by_event = event_hours(events, known.kinds, times, step)
    by_event = by_event / np.tile([1.0, _REACH_HOURS, _REACH_HOURS], len(known.kinds))
    readings = (driver_hours(events, known.drivers, times, step) - np.array(known.centre)) / np.array(known.spread)
    return np.hstack([by_event, np.clip(np.nan_to_num(readings), -_FARTHEST_READING, _FARTHEST_READING)])
