"""What events and readings do to every series: learnt from history, told for any step with how uncertain it is.

The effect of a kind is added to demand, or is a share of what is usual at that time; which of the two, and how finely it is told, is what
forecasts blocks of time best that it was not learnt on. A kind that forecasts none better has no effect at all. See
`models.driver_regression` for the estimate and `models.driver_columns` for the columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.driver_columns import (
    EVENT_WIDTH,
    READING_WIDTH,
    Audience,
    DriverLayout,
    audiences,
    driver_columns,
    driver_layout,
    unknown_coverage,
)
from models.driver_regression import (
    Evidence,
    Posterior,
    choose_columns,
    choose_spread,
    evidence_of,
    neighbour_lag,
    posterior,
)
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, fill_rows
from models.lag_features import Index
from models.rhythm import Rhythm

__all__ = ["DriverEffects", "Told", "fit_effects"]

_FILE: Final = "drivers.npz"
# At most this many series choose the columns, and this many sums of products; numbers in one batch of designs.
_SAMPLE: Final = 60
_MOST_SUMS: Final = 20_000_000
_BATCH: Final = 2_000_000
_MOST_BLOCKS: Final = 24
_LEAST_BLOCKS: Final = 3
# Steps with at least this much of an event are its own.
_OWN_STEP: Final = 0.5
# How much of the columns of a kind is tried: an event's presence, its course too, what is before and after too; a straight line, its bends too.
_EVENT_CUTS: Final = (1, 5, EVENT_WIDTH)
_READING_CUTS: Final = (1, READING_WIDTH)
# Standard deviation that a common weight may have, in scales (or shares of the usual): of presence and the straight line; of their course.
_MAIN: Final = 2.0
_COURSE: Final = 1.0
_SURE: Final = 2.0
# Between the first and the last tenth of a normal distribution, in standard deviations.
_DECILES: Final = 2.563

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Told:
    """Effects at steps, in the unit of the series.

    Attributes:
        effect: shape (series, steps).
        deviation: shape (series, steps ahead), the standard deviation of the last of them, which lie ahead.
    """

    effect: Array
    deviation: Array


@dataclass(frozen=True)
class DriverEffects:
    """What was learnt. The first axis of arrays is the series; the last entry stands for a series that was not there.

    Attributes:
        names: of the series.
        layout: of the columns.
        columns: columns in use; from `layout.width` on they are shares of the usual.
        scale: shape (series,), unit of the weights.
        posterior: weights of the columns in use.
        scatter: shape (kinds,), how much occurrences of a kind differ among themselves, in scales; NaN for a kind that was never seen.
        unknown: what an event of a kind that was never seen may do, in scales.
    """

    names: tuple[str, ...]
    layout: DriverLayout
    columns: Index
    scale: Array
    posterior: Posterior
    scatter: Array
    unknown: float

    def at(
        self, names: list[str], values: Array, end: pd.Timestamp, ahead: int, events: pd.DataFrame, calendar: SeriesCalendar
    ) -> Told | None:
        """Effects at the steps of `values` and the `ahead` steps after them; None where no row of `events` concerns any series.

        Args:
            values: shape (series, steps), demand up to `end`; decides what is usual, for effects that are shares of it.
        """
        rhythm = calendar.rhythm
        times = _times(end, values.shape[1], ahead, rhythm)
        groups = audiences(events, names, times, calendar)
        if not groups:
            return None
        place = {name: row for row, name in enumerate(self.names)}
        row_of = np.array([place.get(name, len(self.names)) for name in names])
        scale = np.append(self.scale, 0.0)[row_of]
        new = row_of == len(self.names)
        scale[new] = _scale(values[new])
        known = [kind for kind, scatter in zip(self.layout.kinds, self.scatter, strict=True) if np.isfinite(scatter)]
        effect, variance = np.zeros((len(names), len(times))), np.zeros((len(names), ahead))
        shares = (self.columns >= self.layout.width).any()
        usual = _usual(values / np.where(scale > 0, scale, 1.0)[:, None], ahead, rhythm) if shares else None
        for rows, group, plain, missing in _batches(groups, self.layout, row_of, self.columns.size, rhythm):
            own = row_of[rows]
            design = _design(plain, usual[rows] if usual is not None else None, self.columns, rows.size)
            effect[rows] = np.matmul(design, self.posterior.weights[own][..., None])[..., 0]
            future = design[:, values.shape[1] :]
            moved = np.matmul(future, self.posterior.covariance[own])
            variance[rows] = np.einsum("ntk,ntk->nt", moved, future) + self._beside(plain, missing, group, known, rhythm)[values.shape[1] :]
        size = scale[:, None]
        return Told(effect * size, np.sqrt(np.maximum(variance, 0.0)) * size)

    def _beside(self, plain: Array, missing: Mask, group: Audience, known: list[str], rhythm: Rhythm) -> Array:
        """Shape (steps,): variance that is not of the weights: of single occurrences, of unknown kinds, of readings that are not there."""
        found = (self.unknown * unknown_coverage(known, group, rhythm.step)) ** 2
        for at, scatter in enumerate(np.nan_to_num(self.scatter)):
            found = found + (scatter * np.minimum(plain[:, at * EVENT_WIDTH], 1.0)) ** 2
        common = self.posterior.weights[-1]
        for at in range(len(self.layout.readings)):
            first = len(self.layout.kinds) * EVENT_WIDTH + at * READING_WIDTH
            straight = common[np.isin(self.columns, [first, first + self.layout.width])]
            found = found + missing[:, at] * float((straight**2).sum())
        return np.asarray(found)

    def save(self, folder: Path) -> None:
        """Write `drivers.npz`."""
        folder.mkdir(parents=True, exist_ok=True)
        layout = self.layout
        np.savez(
            folder / _FILE,
            names=np.array(self.names, dtype=str),
            kinds=np.array(layout.kinds, dtype=str),
            readings=np.array(layout.readings, dtype=str),
            **{part: getattr(layout, part) for part in ("middle", "spread", "low", "high")},
            **{part: getattr(self, part) for part in ("columns", "scale", "scatter", "unknown")},
            weights=self.posterior.weights,
            covariance=self.posterior.covariance,
        )

    @staticmethod
    def forget(folder: Path) -> None:
        """Remove what an earlier `save` wrote."""
        (folder / _FILE).unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path) -> DriverEffects | None:
        """Read what `save` wrote; None when nothing was learnt."""
        if not (folder / _FILE).is_file():
            return None
        with np.load(folder / _FILE, allow_pickle=False) as told:
            kinds, readings = (tuple(map(str, told[part])) for part in ("kinds", "readings"))
            layout = DriverLayout(kinds, readings, told["middle"], told["spread"], told["low"], told["high"])
            learnt = Posterior(told["weights"], told["covariance"])
            return cls(
                tuple(map(str, told["names"])), layout, told["columns"], told["scale"], learnt, told["scatter"], float(told["unknown"])
            )


def fit_effects(names: list[str], values: Array, end: pd.Timestamp, events: pd.DataFrame, calendar: SeriesCalendar) -> DriverEffects | None:
    """Learn from `values` (series, steps) up to `end`, NaN where nothing was measured; None when no event concerns any series.

    Args:
        events: those that are known, in the version that stands now.
    """
    rhythm = calendar.rhythm
    groups = audiences(events, names, _times(end, values.shape[1], 0, rhythm), calendar)
    if not groups:
        return None
    layout = driver_layout(events, groups, len(names), rhythm.step)
    scale = _scale(values)
    task = _Task(groups, layout, np.divide(values, scale[:, None], where=scale[:, None] > 0, out=np.full_like(values, np.nan)), rhythm)
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


@dataclass(frozen=True)
class _Task:
    """What is regressed: demand in scales, shape (series, steps), and who is concerned by what."""

    groups: list[Audience]
    layout: DriverLayout
    scaled: Array
    rhythm: Rhythm

    def evidence(
        self, series: Index, columns: Index, prior: Array, block: Index, rho: float | None
    ) -> Iterator[tuple[Index, Array, Evidence]]:
        """(positions of some of `series`, their columns without the shares of the usual, their evidence), batch by batch."""
        lag = neighbour_lag(self.scaled[series], self.rhythm.day)
        usual = _usual(self.scaled, 0, self.rhythm) if (columns >= self.layout.width).any() else None
        everyone = np.arange(self.scaled.shape[0])
        for rows, _, plain, missing in _batches(self.groups, self.layout, everyone, columns.size, self.rhythm, only=series):
            there = np.isfinite(self.scaled[rows]) & ~missing[:, _covered(missing)].any(axis=1)
            design = _design(plain, usual[rows] if usual is not None else None, columns, rows.size)
            yield rows, plain, evidence_of(design, self.scaled[rows], there, prior, lag, block, rho)


def _chosen(task: _Task, prior: Array) -> tuple[float, Index, float]:
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
    picks = choose_columns(whole, prior, options) if block[-1] + 1 >= _LEAST_BLOCKS else (-1,) * len(options)
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


def _prior(layout: DriverLayout) -> Array:
    """Shape (2 x layout.width,): standard deviation that a common weight may have."""
    event, reading = np.full(EVENT_WIDTH, _COURSE), np.full(READING_WIDTH, _COURSE)
    event[0] = reading[0] = _MAIN
    return np.tile(np.concatenate([*[event] * len(layout.kinds), *[reading] * len(layout.readings)]), 2)


def _batches(
    groups: list[Audience], layout: DriverLayout, row_of: Index, width: int, rhythm: Rhythm, only: Index | None = None
) -> Iterator[tuple[Index, Audience, Array, Mask]]:
    """(positions of series, who they are, their columns, which readings are missing) so that `width` columns of a batch fit into memory.

    Args:
        row_of: row of the layout of every series.
        only: positions that are asked for.
    """
    for group in groups:
        wanted = group.rows if only is None else group.rows[np.isin(group.rows, only)]
        new = row_of[wanted] == len(layout.middle) - 1
        for part in (wanted[~new], wanted[new]):
            if not part.size:
                continue
            plain, missing = driver_columns(layout, group, int(row_of[part[0]]), rhythm.step)
            size = max(1, _BATCH // (len(group.times) * max(width, 1)))
            for first in range(0, part.size, size):
                yield part[first : first + size], group, plain, missing


def _design(plain: Array, usual: Array | None, columns: Index, series: int) -> Array:
    """Shape (series, steps, columns)."""
    width = plain.shape[1]
    design = np.broadcast_to(plain[:, columns % max(width, 1)], (series, plain.shape[0], columns.size)).copy()
    if usual is not None:
        design[..., columns >= width] *= usual[..., None]
    return design


def _covered(missing: Mask) -> Mask:
    """Readings that are there about as often as any other; without the others a step can be learnt from."""
    there = (~missing).sum(axis=0)
    often: Mask = there >= there.max(initial=1) / 2
    return often


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
    doubt = 1 + _SURE * np.sqrt(2 / count[:-1])
    seen = tally[:-1, 0] > 0
    scatter = np.where(seen, np.sqrt(np.maximum(left[:-1] - doubt * left[-1], 0.0)), np.nan)
    moved = np.maximum(departed[:-1] - left[-1], 0.0)[seen]
    return scatter, max(float(np.sqrt(moved.mean())) if moved.size else 0.0, noise)


def _scale(values: Array) -> Array:
    """Shape (series,): how far demand usually is from its middle; at least a thousandth of its size, 0 for zeros."""
    if not values.size:
        return np.zeros(len(values))
    low, high = np.nanquantile(values, [0.1, 0.9], axis=1)
    found: Array = np.maximum((high - low) / _DECILES, 0.25 * np.nanstd(values, axis=1))
    return np.asarray(np.maximum(found, 1e-3 * np.nanmean(np.abs(values), axis=1)))


def _usual(scaled: Array, ahead: int, rhythm: Rhythm) -> Array:
    """Shape (series, steps + ahead): what is usual at that time of day and on that day of the week, in scales; 0 for a series that was negative.

    Told anew for every context of steps, counted from the end, so that a trend is followed; the last one also tells what lies ahead.
    """
    steps, day = scaled.shape[1], rhythm.day
    found = np.zeros((scaled.shape[0], steps + ahead))
    edges = [*range(steps, rhythm.context // 2, -rhythm.context), 0][::-1]
    for start, end in pairwise(edges):
        until = end + (ahead if end == steps else 0)
        part = fill_rows(scaled[:, start:end], day)
        phase = np.arange(start, until) % day
        week_day = (np.arange(start, until) // day) % 7
        inside = end - start
        by_time = np.column_stack([np.median(part[:, phase[:inside] == at], axis=1) for at in range(day)])[:, phase]
        against = np.divide(part, by_time[:, :inside], out=np.ones_like(part), where=by_time[:, :inside] > 1e-9)
        by_day = np.column_stack([np.median(against[:, week_day[:inside] == at], axis=1) for at in range(7)])[:, week_day]
        found[:, start:until] = by_time * (by_day if inside >= 2 * rhythm.week else 1.0)
    negative = np.asarray(scaled < 0).any(axis=1, keepdims=True)
    return np.where(negative, 0.0, np.maximum(found, 0.0))


def _blocks(steps: int, rhythm: Rhythm) -> Index:
    """The block of every step: weeks, or days of a short history."""
    count = steps // rhythm.week if steps >= 6 * rhythm.week else min(steps // rhythm.day, 8)
    return np.asarray(np.arange(steps) * int(np.clip(count, 1, _MOST_BLOCKS)) // steps, dtype=np.int64)


def _times(end: pd.Timestamp, steps: int, ahead: int, rhythm: Rhythm) -> pd.DatetimeIndex:
    return pd.date_range(end - steps * rhythm.step, periods=steps + ahead, freq=rhythm.step)
