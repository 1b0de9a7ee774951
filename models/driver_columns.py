"""Events and readings as the columns of a regression: how much of a step an event covers and what lies before and after it; a reading and its bends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.event_features import driver_kinds, event_kinds
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array
from models.rhythm import HOURLY
from models.visible_events import events_of_series

__all__ = ["EVENT_WIDTH", "READING_WIDTH", "Audience", "DriverLayout", "audiences", "driver_columns", "driver_layout", "unknown_coverage"]

_ADDRESS: Final = ("region", "service", "unique_id")
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
        events: the events that concern them, as in the events table, without readings.
        readings: shape (steps, kinds of readings), their mean within each step, NaN where there is none; kinds as `driver_kinds` has them.
        times: true time (UTC) of every step.
    """

    rows: npt.NDArray[np.int64]
    events: pd.DataFrame
    readings: Array
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


def audiences(
    events: pd.DataFrame, names: Sequence[str], times: pd.DatetimeIndex, calendar: SeriesCalendar, readings: Sequence[str] | None = None
) -> list[Audience]:
    """Every series that any row concerns, once; `times` are the steps.

    Args:
        readings: kinds of them, in order; the most frequent ones when not given.
    """
    kinds = driver_kinds(events) if readings is None else list(readings)
    code, addresses = _addresses(events)
    members: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, concerned in enumerate(_concerned(addresses, names)):
        if concerned:
            members[concerned].append(row)
    happening = events["value"].isna().to_numpy()
    read = ~happening & events["kind"].isin(kinds).to_numpy()
    told = events[read]
    sources = _Readings(
        code=code[read],
        kind=pd.Index(kinds).get_indexer(pd.Index(told["kind"])),
        start=_microseconds(pd.DatetimeIndex(told["start"])),
        value=told["value"].to_numpy(dtype=float),
    ).sorted()
    plain, plain_code = events[happening], code[happening]
    found = []
    for concerned, rows in members.items():
        own = plain[np.isin(plain_code, concerned)] if len(plain) else plain
        found.append(Audience(np.array(rows), own, sources.within(concerned, times, len(kinds), calendar.rhythm.step), times))
    return found


@dataclass(frozen=True)
class _Readings:
    """Rows of the events table that carry a value, as arrays: address, kind, start in microseconds, value."""

    code: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    value: Array

    def sorted(self) -> _Readings:
        order = np.argsort(self.code, kind="stable")
        return _Readings(self.code[order], self.kind[order], self.start[order], self.value[order])

    def within(self, codes: Sequence[int], times: pd.DatetimeIndex, kinds: int, step: pd.Timedelta) -> Array:
        """Shape (steps, kinds): mean of the readings of these addresses that start within each step."""
        if not len(times) or not kinds:
            return np.full((len(times), kinds), np.nan)
        spans = [slice(*np.searchsorted(self.code, [code, code + 1])) for code in codes]
        start, kind, value = (np.concatenate([part[span] for span in spans]) for part in (self.start, self.kind, self.value))
        place = (start - _microseconds(times[:1])[0]) // (step // pd.Timedelta(microseconds=1))
        inside = (place >= 0) & (place < len(times)) & np.isfinite(value)
        cell = (place * kinds + kind)[inside]
        count = np.bincount(cell, minlength=len(times) * kinds)
        total = np.bincount(cell, value[inside], minlength=len(times) * kinds)
        mean: Array = np.divide(total, count, out=np.full(total.size, np.nan), where=count > 0)
        return mean.reshape(len(times), kinds)


def _microseconds(times: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    elapsed = times - pd.Timestamp(0, tz="UTC")
    return np.asarray(elapsed // pd.Timedelta(microseconds=1), dtype=np.int64)


def _addresses(events: pd.DataFrame) -> tuple[npt.NDArray[np.int64], pd.DataFrame]:
    """(number of every row's address, the addresses: `region, service, unique_id, code`)."""
    told = pd.DataFrame({name: events[name].fillna("") if name in events.columns else "" for name in _ADDRESS}, index=events.index)
    code = told.groupby(list(_ADDRESS), sort=True).ngroup().to_numpy()
    first = np.unique(code, return_index=True)[1]
    return code.astype(np.int64), told.iloc[first].assign(code=np.arange(first.size)).reset_index(drop=True)


def _concerned(addresses: pd.DataFrame, names: Sequence[str]) -> list[tuple[int, ...]]:
    """The codes of the addresses that hold a series, for every name: see `events_of_series`, which is asked only where it must be."""
    own = addresses["unique_id"] != ""
    single = {str(name): part for name, part in addresses[own].groupby("unique_id")}
    everyone, narrow = addresses[~own], (addresses["region"] != "") | (addresses["service"] != "")
    if not narrow.any():
        shared = tuple(map(int, everyone["code"]))
        alone = {name: tuple(map(int, part["code"])) for name, part in single.items()}
        return [shared + alone.get(name, ()) for name in names]
    possible = ((name, pd.concat([everyone, single[name]]) if name in single else everyone) for name in names)
    return [tuple(map(int, events_of_series(part, name)["code"])) for name, part in possible]


def driver_layout(events: pd.DataFrame, groups: Sequence[Audience], series: int) -> DriverLayout:
    """The most frequent kinds, and what is ordinary for every reading within the times of `groups`.

    Args:
        series: how many there are.
    """
    readings = tuple(driver_kinds(events))
    values = [group.readings for group in groups]
    middle, spread = np.full((series + 1, len(readings)), np.nan), np.zeros((series + 1, len(readings)))
    low, high = np.zeros(len(readings)), np.zeros(len(readings))
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
    values = group.readings
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
    others = group.events[~group.events["kind"].isin(list(known))]
    kinds = sorted(others["kind"].unique())
    found = sum((_event_columns(others, kind, group.times, step)[:, 0] for kind in kinds), np.zeros(len(group.times)))
    return np.minimum(found, 1.0)


def _event_columns(events: pd.DataFrame, kind: str, times: pd.DatetimeIndex, step: pd.Timedelta) -> Array:
    """Shape (steps, EVENT_WIDTH). Only the steps around an event are worked on, so that many events cost little."""
    found = np.zeros((len(times), EVENT_WIDTH))
    chosen = events[events["kind"] == kind]
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
