"""Events and readings as the columns of a regression: how much of a step an event covers and what lies before and after it; a reading and its bends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.event_features import driver_hours, driver_kinds, event_kinds
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array
from models.rhythm import HOURLY
from models.visible_events import events_of_series

__all__ = ["EVENT_WIDTH", "READING_WIDTH", "Audience", "DriverLayout", "audiences", "driver_columns", "driver_layout", "unknown_coverage"]

# Hours to the start and since the end at which a ramp has its peaks; it ends at the last number.
_RAMP: Final = (0.0, 2.0, 5.0, 12.0, 20.0)
# Peaks within an event, as shares of its length.
_WITHIN: Final = (0.0, 1 / 3, 2 / 3, 1.0)
# Bends of a reading, in spreads from its middle.
_BENDS: Final = (-1.2, -0.6, 0.0, 0.6, 1.2)
# How far beyond what was read before a reading is taken at its word, in spreads.
_BEYOND: Final = 0.5
# A kind is told per series when series differ in it more than this many times as much as one differs within itself.
_OWN_SCALE: Final = 3.0

# during, its course, before, after.
EVENT_WIDTH: Final = 1 + len(_WITHIN) + 2 * (len(_RAMP) - 1)
READING_WIDTH: Final = 1 + len(_BENDS)


@dataclass(frozen=True)
class Audience:
    """Series that the same rows concern, at the same shift of time.

    Attributes:
        rows: positions of the series.
        events: the rows of the events table that concern them.
        times: true time (UTC) of every step.
    """

    rows: npt.NDArray[np.int64]
    events: pd.DataFrame
    times: pd.DatetimeIndex


@dataclass(frozen=True)
class DriverLayout:
    """What decides the columns.

    Attributes:
        kinds: of events.
        readings: kinds of readings.
        middle: shape (series + 1, readings), what counts as an ordinary reading; the last row is for a series that was not there.
        spread: shape (series + 1, readings), 0 for one that never changes, which then has no effect.
        low: shape (readings,), in spreads: the least reading that is taken at its word.
        high: shape (readings,), the greatest.
    """

    kinds: tuple[str, ...]
    readings: tuple[str, ...]
    middle: Array
    spread: Array
    low: Array
    high: Array

    @property
    def width(self) -> int:
        """Number of columns: first those of every kind of event, then those of every reading."""
        return len(self.kinds) * EVENT_WIDTH + len(self.readings) * READING_WIDTH


def audiences(events: pd.DataFrame, names: Sequence[str], times: pd.DatetimeIndex, calendar: SeriesCalendar) -> list[Audience]:
    """Every series that any event concerns, once; `times` are the steps on the common clock."""
    keys = [name for name in ("region", "service", "unique_id") if name in events.columns]
    told = events[keys].fillna("").astype(str)
    code = told.groupby(keys, sort=True).ngroup().to_numpy()
    addresses = told.assign(code=code).drop_duplicates("code").sort_values("code").reset_index(drop=True)
    own = addresses["unique_id"] if "unique_id" in addresses else pd.Series("", index=addresses.index)
    everyone, single = addresses[own == ""], dict(iter(addresses[own != ""].groupby(own[own != ""])))
    members: dict[tuple[pd.Timedelta, tuple[int, ...]], list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        possible = pd.concat([everyone, single[name]]) if name in single else everyone
        concerned = tuple(sorted(events_of_series(possible, name)["code"])) if len(possible) else ()
        if concerned:
            members[calendar.shifts.get(name, pd.Timedelta(0)), concerned].append(row)
    return [
        Audience(np.array(rows), events[np.isin(code, concerned)], calendar.true(names[rows[0]], times))
        for (_, concerned), rows in members.items()
    ]


def driver_layout(events: pd.DataFrame, groups: Sequence[Audience], series: int, step: pd.Timedelta = HOURLY.step) -> DriverLayout:
    """The most frequent kinds, and what is ordinary for every reading within the times of `groups`.

    Args:
        series: how many there are.
    """
    readings = tuple(driver_kinds(events))
    middle, spread = np.full((series + 1, len(readings)), np.nan), np.zeros((series + 1, len(readings)))
    low, high = np.zeros(len(readings)), np.zeros(len(readings))
    values = [driver_hours(group.events, readings, group.times, step) for group in groups]
    for at in range(len(readings)):
        seen = [part[np.isfinite(part[:, at]), at] for part in values]
        together = np.concatenate([part for part in seen if part.size] or [np.zeros(1)])
        typical, width = float(np.median(together)), float(np.std(together))
        within = [float(np.std(part)) for part in seen if part.size]
        apart = len(within) > 1 and width > _OWN_SCALE * float(np.median(within))
        middle[:, at], spread[:, at] = typical, width
        for group, part in zip(groups, seen, strict=True):
            if apart and part.size:
                middle[group.rows, at], spread[group.rows, at] = np.median(part), np.std(part)
        reach = [
            (part - middle[group.rows[0], at]) / max(spread[group.rows[0], at], 1e-12) for group, part in zip(groups, seen, strict=True)
        ]
        low[at], high[at] = min((z.min() for z in reach if z.size), default=0.0), max((z.max() for z in reach if z.size), default=0.0)
    return DriverLayout(tuple(event_kinds(events)), readings, middle, spread, low - _BEYOND, high + _BEYOND)


def driver_columns(layout: DriverLayout, group: Audience, row: int, step: pd.Timedelta = HOURLY.step) -> tuple[Array, np.ndarray]:
    """(columns of shape (steps, `layout.width`), shape (steps, readings): whether a reading is missing there, and its columns are zero).

    Args:
        row: of the layout, that the series of `group` share.
    """
    parts = [_event_columns(group.events, kind, group.times, step) for kind in layout.kinds]
    values = driver_hours(group.events, layout.readings, group.times, step)
    spread = layout.spread[row]
    z = np.divide(values - layout.middle[row], spread, out=np.zeros_like(values), where=spread > 1e-9 * (1 + np.abs(layout.middle[row])))
    z = np.clip(z, layout.low, layout.high)
    missing = ~np.isfinite(values)
    for at in range(len(layout.readings)):
        bent = np.column_stack([z[:, at], *(np.maximum(z[:, at] - bend, 0.0) - max(-bend, 0.0) for bend in _BENDS)])
        parts.append(np.where(missing[:, at, None], 0.0, bent))
    return (np.hstack(parts) if parts else np.empty((len(group.times), 0))), missing


def unknown_coverage(known: Sequence[str], group: Audience, step: pd.Timedelta = HOURLY.step) -> Array:
    """Shape (steps,): how much of a step events of other kinds than `known` cover, at most 1."""
    others = group.events[group.events["value"].isna() & ~group.events["kind"].isin(list(known))]
    kinds = sorted(others["kind"].unique())
    found = sum((_event_columns(others, kind, group.times, step)[:, 0] for kind in kinds), np.zeros(len(group.times)))
    return np.minimum(found, 1.0)


def _event_columns(events: pd.DataFrame, kind: str, times: pd.DatetimeIndex, step: pd.Timedelta) -> Array:
    """Shape (steps, EVENT_WIDTH). Only the steps around an event are worked on, so that many events cost little."""
    found = np.zeros((len(times), EVENT_WIDTH))
    chosen = events[(events["kind"] == kind) & events["value"].isna()]
    if chosen.empty or not len(times):
        return found
    hour, width = pd.Timedelta(hours=1), step / pd.Timedelta(hours=1)
    start = np.asarray((pd.DatetimeIndex(chosen["start"]) - times[0]) / hour, dtype=float)
    end = np.maximum(np.asarray((pd.DatetimeIndex(chosen["end"]) - times[0]) / hour, dtype=float), start + width)
    first = np.clip(np.floor((start - _RAMP[-1]) / width), 0, len(times)).astype(np.int64)
    last = np.clip(np.ceil((end + _RAMP[-1]) / width), first, len(times)).astype(np.int64)
    count = last - first
    which = np.repeat(np.arange(len(chosen)), count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[which]
    at, begins, ends = place * width, start[which], end[which]
    strength = chosen["strength"].to_numpy(dtype=float)[which]
    cover = np.clip((np.minimum(at + width, ends) - np.maximum(at, begins)) / width, 0.0, 1.0)
    share = np.clip((at + width / 2 - begins) / (ends - begins), 0.0, 1.0)
    ahead, since = begins - at - width, at - ends
    parts = [cover, *(cover * hat for hat in _hats(share, _WITHIN))]
    parts += [np.where(ahead >= 0, hat, 0.0) for hat in _hats(np.maximum(ahead, 0.0), _RAMP)[:-1]]
    parts += [np.where(since >= 0, hat, 0.0) for hat in _hats(np.maximum(since, 0.0), _RAMP)[:-1]]
    for column, part in enumerate(parts):
        found[:, column] = np.bincount(place, strength * part, minlength=len(times))
    return found


def _hats(x: Array, knots: Sequence[float]) -> list[Array]:
    """Piecewise linear functions, each 1 at its knot and 0 at all others."""
    return [np.interp(x, knots, np.eye(len(knots))[at]) for at in range(len(knots))]
