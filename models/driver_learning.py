"""Learns what events and readings do to every series.

The effect of a kind is added to demand, or is a share of what is usual at that time, or both; which of them, and how finely it is told, is
what forecasts blocks of time best that it was not learnt on. A kind that forecasts none better has no effect at all. See
`models.driver_regression` for the estimate and `models.driver_columns` for the columns.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import pandas as pd

from models.driver_columns import EVENT_WIDTH, READING_WIDTH, DriverLayout, audiences, driver_layout
from models.driver_design import DriverTask, demand_scale, steps_until
from models.driver_effects import DriverEffects
from models.driver_regression import Evidence, choose_columns, choose_spread, posterior
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array
from models.lag_features import Index
from models.last_answer import LastAnswer
from models.rhythm import Rhythm
from models.visible_events import events_digest

__all__ = ["learn_effects"]

# At most this many series choose the columns, and this many sums of products.
_SAMPLE: Final = 60
_MOST_SUMS: Final = 20_000_000
_MOST_BLOCKS: Final = 24
_LEAST_BLOCKS: Final = 3
# Steps with at least this much of an event (strength times share) are its own.
_OWN_STEP: Final = 0.1
# How much of the columns of a kind is tried: an event's presence, its course too, what is before and after too; a straight line, its bends too.
_EVENT_CUTS: Final = (1, 5, EVENT_WIDTH)
_READING_CUTS: Final = (1, READING_WIDTH)
# Standard deviation that a common weight may have, in scales (or shares of the usual): of presence and the straight line; of their course.
_MAIN: Final = 2.0
_COURSE: Final = 1.0
# Standard errors between a gain and chance. Events are not alike, which is most of the error of their gain; a reading moves at every step and
# has many chances to look useful.
_SURE_EVENT: Final = 2.0
_SURE_READING: Final = 3.0
# An excess of squares that few steps show by chance, in standard errors.
_DOUBT: Final = 2.0
_LAST: Final = LastAnswer[DriverEffects | None]()


def learn_effects(
    names: list[str], values: Array, end: pd.Timestamp, events: pd.DataFrame, calendar: SeriesCalendar
) -> DriverEffects | None:
    """Learn from `values` (series, steps) up to `end`, NaN where nothing was measured; None when no row of `events` concerns any series.

    What was learnt last is remembered, because all candidates of a training ask for the same.

    Args:
        events: those that are known, in the version that stands now.
    """
    return _LAST.to(_digest(names, values, end, events, calendar), lambda: _learnt(names, values, end, events, calendar))


def _learnt(names: list[str], values: Array, end: pd.Timestamp, events: pd.DataFrame, calendar: SeriesCalendar) -> DriverEffects | None:
    rhythm = calendar.rhythm
    groups = audiences(events, names, steps_until(end, values.shape[1], 0, rhythm), calendar)
    if not groups:
        return None
    layout = driver_layout(events, groups, len(names))
    scale = demand_scale(values)
    task = DriverTask(groups, layout, np.divide(values, scale[:, None], where=scale[:, None] > 0, out=np.full_like(values, np.nan)), rhythm)
    prior = _prior(layout)
    rho, columns, spread = _chosen(task, prior)
    series = len(names)
    gram, cross = np.zeros((series, columns.size, columns.size)), np.zeros((series, columns.size))
    noise, tally = np.full(series, np.nan), np.zeros((len(layout.kinds) + 1, 3))
    whole = np.zeros(values.shape[1], dtype=np.int64)
    for rows, plain, found in task.evidence(np.arange(series), columns, prior[columns], whole, rho):
        gram[rows], cross[rows], noise[rows] = found.gram[:, 0], found.cross[:, 0], found.noise
        tally += _tally(plain, found, len(layout.kinds))
    scatter, unknown = _scatter(tally, float(np.nanmedian(noise)) if np.isfinite(noise).any() else 1.0)
    return DriverEffects(tuple(names), layout, columns, scale, posterior(gram, cross, prior[columns], spread), scatter, unknown)


def _chosen(task: DriverTask, prior: Array) -> tuple[float, Index, float]:
    """(rho of the whitening, columns, how far series are apart) that forecast left out blocks of time best, on a sample of the series."""
    steps, width = task.scaled.shape[1], task.layout.width
    block = _blocks(steps, task.rhythm)
    concerned = np.sort(np.concatenate([group.rows for group in task.groups]))
    most = int(np.clip(_MOST_SUMS // ((block[-1] + 1) * (2 * width) ** 2), 1, _SAMPLE))
    some = concerned[np.unique(np.linspace(0, concerned.size - 1, min(most, concerned.size)).astype(np.int64))]
    parts = [found for _, _, found in task.evidence(some, np.arange(2 * width), prior, block, None)]
    rho = float(np.median([part.rho for part in parts]))
    gram, cross, square = (np.concatenate([getattr(part, what) for part in parts]) for what in ("gram", "cross", "square"))
    whole = Evidence(gram, cross, square, rho, np.empty(0), np.empty(0), np.empty(0))
    options = _options(task.layout)
    picks = choose_columns(whole, prior, options, _sure(task.layout)) if block[-1] + 1 >= _LEAST_BLOCKS else (-1,) * len(options)
    chosen = [option[pick] for option, pick in zip(options, picks, strict=True) if pick >= 0]
    columns = np.concatenate([*chosen, np.empty(0, dtype=np.int64)])
    here = Evidence(gram[:, :, columns[:, None], columns], cross[:, :, columns], square, rho, np.empty(0), np.empty(0), np.empty(0))
    return rho, columns, choose_spread(here, prior[columns])


def _options(layout: DriverLayout) -> list[list[Index]]:
    """For every kind the sets of columns that may tell its effect: added, as a share of the usual, or both."""
    found, first = [], 0
    for width, cuts in [(EVENT_WIDTH, _EVENT_CUTS)] * len(layout.kinds) + [(READING_WIDTH, _READING_CUTS)] * len(layout.readings):
        added = [first + np.arange(cut) for cut in cuts]
        shares = [columns + layout.width for columns in added]
        found.append([*added, *shares, *map(np.concatenate, zip(added, shares, strict=True))])
        first += width
    return found


def _sure(layout: DriverLayout) -> list[float]:
    """How many standard errors above zero the gain of every kind must be."""
    return [_SURE_EVENT] * len(layout.kinds) + [_SURE_READING] * len(layout.readings)


def _prior(layout: DriverLayout) -> Array:
    """Shape (2 x layout.width,): standard deviation that a common weight may have."""
    event, reading = np.full(EVENT_WIDTH, _COURSE), np.full(READING_WIDTH, _COURSE)
    event[0] = reading[0] = _MAIN
    return np.tile(np.concatenate([*[event] * len(layout.kinds), *[reading] * len(layout.readings)]), 2)


def _tally(plain: Array, found: Evidence, kinds: int) -> Array:
    """Shape (kinds + 1, 3): steps, and sums of squares of departures and of what was left of them, within events and, last, outside all."""
    cover = plain[:, [at * EVENT_WIDTH for at in range(kinds)]] >= _OWN_STEP
    inside = np.column_stack([cover, ~cover.any(axis=1)]).astype(float)
    told = np.isfinite(found.left)
    squares = [told.astype(float), np.where(told, found.departure, 0.0) ** 2, np.where(told, found.left, 0.0) ** 2]
    return np.column_stack([inside.T @ part.sum(axis=0) for part in squares])


def _scatter(tally: Array, noise: float) -> tuple[Array, float]:
    """(by how much single events of every kind depart from what was learnt, NaN for a kind never seen; what an unknown kind may do)."""
    count = np.maximum(tally[:, 0], 1.0)
    departed, left = tally[:, 1] / count, tally[:, 2] / count
    doubt = 1 + _DOUBT * np.sqrt(2 / count[:-1])
    seen = tally[:-1, 0] > 0
    scatter = np.where(seen, np.sqrt(np.maximum(left[:-1] - doubt * left[-1], 0.0)), np.nan)
    moved = np.maximum(departed[:-1] - left[-1], 0.0)[seen]
    return scatter, max(float(np.sqrt(moved.mean())) if moved.size else 0.0, noise)


def _blocks(steps: int, rhythm: Rhythm) -> Index:
    """The block of every step: weeks, or days of a short history."""
    count = steps // rhythm.week if steps >= 6 * rhythm.week else min(steps // rhythm.day, 8)
    return np.asarray(np.arange(steps) * int(np.clip(count, 1, _MOST_BLOCKS)) // steps, dtype=np.int64)


def _digest(names: list[str], values: Array, end: pd.Timestamp, events: pd.DataFrame, calendar: SeriesCalendar) -> str:
    """Of all that decides what is learnt."""
    told = hashlib.blake2b(np.ascontiguousarray(values).tobytes())
    told.update(repr((events_digest(events), names, values.shape, end, calendar.rhythm)).encode())
    return told.hexdigest()
