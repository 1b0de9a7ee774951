"""Double seasonal exponential smoothing of many series with many smoothing parameters in one pass over time.

Every row of values has a level l, a season of the day d and one of the week w, of m1 and m2 steps, and the error e of the last step:

    forecast of step t + h:   l[t] + d[t + h - m1] + w[t + h - m2] + persistence^h e[t]
    error:                    e[t] = y[t] - (l[t-1] + d[t-m1] + w[t-m2]),  e[t] = persistence e[t-1] when nothing was measured
    level:                    l[t] = l[t-1] + a e[t],             a = max(level, 1 / (steps measured before + 1))
    seasons:                  d[t] = d[t-m1] + (1 - a) day e[t],  w[t] = w[t-m2] + (1 - a) (1 - day) week e[t]

(Taylor 2003, "Short-term electricity demand forecasting using double seasonal exponential smoothing"; Taylor 2010, "Triple seasonal methods
for short-term electricity demand forecasting", in its form with one source of error). What e departs from persistence e[t-1] is cut
off at a few times its usual size, so that no outlier enters a season (Gelper, Fried and Croux 2010, "Robust forecasting with exponential
and Holt-Winters smoothing"). The gains of a step add up to at most 1 and seasons repeat, so nothing explodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from models.hourly_grid import Array, fill_rows
from models.lag_features import Index
from models.rhythm import HOURLY, Rhythm

__all__ = ["Gains", "Last", "Seasons", "Smoothing", "first_forecast", "unseasoned"]

_DAYS_BEFORE_START: Final = 2
_WEEKS_BEFORE_START: Final = 2
# A departure of more than this many usual ones is cut off there; the usual one follows the last two days or so.
_FARTHEST: Final = 4.0
_FORGETTING: Final = 0.02
# Outliers count for the usual departure, up to a reach, so that a new level is believed after some steps.
_OUTLIER_WEIGHT: Final = 1.2
_OUTLIER_REACH: Final = 3.0
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Gains:
    """Smoothing parameters, each of shape (choices, rows) or (choices, 1), from 0 to 1.

    Attributes:
        level: 0 means the mean of all steps so far.
        day: of the season of the day.
        week: of the season of the week; 0 means that there is none.
        persistence: of the last error.
    """

    level: Array
    day: Array
    week: Array
    persistence: Array

    def chosen(self, choices: Index) -> Self:
        """The gains of `choices` (choices, rows), which count along the first axis."""
        return type(self)(*(gain[choices, 0] for gain in (self.level, self.day, self.week, self.persistence)))


@dataclass(frozen=True)
class Seasons:
    """Profiles of the day and of the week to start from, or where a pass ended.

    Attributes:
        day: shape (day, choices, rows); the first one is of the first step of the values, or of the first after them. NaN where none is known.
        week: shape (week, choices, rows), the same.
        last: where the pass ended; to start from it, the first step of the values must be the first after it.
    """

    day: Array
    week: Array
    last: Last | None = None


@dataclass(frozen=True)
class Last:
    """The rest of a state, each of shape (choices, rows): level, last error, usual departure and steps measured (shape (rows,))."""

    level: Array
    error: Array
    spread: Array
    seen: Array


def first_forecast(rhythm: Rhythm) -> int:
    """Steps after its first measurement from which on a row is forecast."""
    return _DAYS_BEFORE_START * rhythm.day


def unseasoned(rhythm: Rhythm) -> int:
    """Steps from its first measurement on in which a row has no season of the week yet."""
    return _WEEKS_BEFORE_START * rhythm.week


class Smoothing:
    """One pass over time.

    A forecast reads only the steps before its origin. Without seasons to start from, a row starts from the mean and the profile of its first
    two days, and takes up its season of the week after two weeks; an origin before its start gets zeros.

    Level, seasons and last error of every choice and row have the shape (choices, rows), the seasons with the step of the period first.

    Args:
        values: shape (rows, steps), NaN where nothing was measured.
        start: seasons known before (choices may be 1); a row that has some is at its level of the first two days from its first step on, so
            that origins within these know what comes after them.
    """

    def __init__(self, values: Array, gains: Gains, rhythm: Rhythm = HOURLY, start: Seasons | None = None) -> None:
        self.values, self.gains, self.rhythm = np.ascontiguousarray(values.T), gains, rhythm
        self.measured = np.isfinite(self.values)
        self.day_steps, self.week_steps, self.memory = rhythm.day, rhythm.week, rhythm.context
        self.filled = fill_rows(values, rhythm.day)
        rows, length = values.shape
        shape = (gains.level.shape[0], rows)
        self.level, self.error, self.spread, self.level_gain = np.zeros((4, *shape))
        self.day, self.week = np.zeros((rhythm.day, *shape)), np.zeros((rhythm.week, *shape))
        # At full size, because a product of arrays of one shape takes a third of the time of one that repeats a column.
        self.persistence, self.least_level, self.day_gain = (
            np.array(np.broadcast_to(gain, shape)) for gain in (gains.persistence, gains.level, gains.day)
        )
        if rhythm.day == 1:
            self.day_gain[:] = 0.0
        self.week_gain, self.week_share = np.zeros(shape), np.zeros(shape)
        self.seen, self.started = np.zeros(rows), np.zeros(rows, dtype=bool)
        self.moving = self.weekly = self.settled = False
        first = np.argmax(self.measured, axis=0) if length else np.zeros(rows, dtype=np.int64)
        self.day_start = np.minimum(first + first_forecast(rhythm), length)
        week_start = first + unseasoned(rhythm)
        # A season that would be known from the last step on was never tried.
        self.week_start = np.where(week_start < length, week_start, -1)
        if start is not None:
            self._resume(first, start)
        self.starts = set(self.day_start.tolist()) | set(self.week_start.tolist())

    def forecasts(self, origins: Index, horizon: Index) -> Iterator[tuple[int, Array]]:
        """(place of an origin, forecasts from it of shape (horizons, choices, rows)), while the pass goes on to the last step.

        Args:
            origins: first steps not known, ascending, at most as many as there are steps.
            horizon: steps ahead, from 1.
        """
        wanted = {int(origin): at for at, origin in enumerate(origins)}
        decay = self.persistence ** horizon[:, None, None]
        steps = len(self.values)
        for step in range(steps + 1):
            self._start(step)
            if step in wanted:
                yield wanted[step], self._ahead(step, horizon, decay)
            if step < steps:
                self._advance(step)

    def seasons(self) -> Seasons:
        """What the pass ended with."""
        steps = len(self.values)
        last = Last(self.level, self.error, self.spread, self.seen)
        week = np.roll(self.week, -steps, axis=0) if self.weekly else self.week
        return Seasons(np.roll(self.day, -steps, axis=0), week, last)

    def _start(self, step: int) -> None:
        """Take up the rows, and the seasons of the week, whose time has come."""
        if step not in self.starts:
            return
        rows = np.flatnonzero(self.day_start == step)
        if rows.size:
            self._start_day(rows, step)
        rows = np.flatnonzero(self.week_start == step)
        if rows.size:
            self._start_week(rows, step)

    def _ahead(self, step: int, horizon: Index, decay: Array) -> Array:
        """Forecasts of shape (horizons, choices, rows) with all before `step` known; `decay` is persistence^horizon, horizons first."""
        target = step + horizon - 1
        found = self.day[target % self.day_steps]
        if self.weekly:
            found += self.week[target % self.week_steps]
        found += self.level
        found += decay * self.error
        return found

    def _advance(self, step: int) -> None:
        """Learn the measurements of `step`. Works in place: this is where all the time goes."""
        day, week = self.day[step % self.day_steps], self.week[step % self.week_steps]
        known = self.measured[step] & self.started
        whole = bool(known.all())
        expected = self.persistence * self.error
        news = self.level + day
        if self.weekly:
            news += week
        np.subtract(self.values[step], news, out=news)
        if not whole:
            news = np.where(known, news, 0.0)
        news -= expected
        usual = self._usual(np.abs(news), known, whole=whole)
        limit = _FARTHEST * self.spread
        np.minimum(news, limit, out=news)
        np.maximum(news, np.negative(limit, out=limit), out=news)
        news += expected
        self.spread = usual
        self.error = news if whole else np.where(known, news, expected)
        error = news if whole else np.where(known, news, 0.0)
        moved = self._level_gain() * error
        self.seen += known
        self.level += moved
        rest = np.subtract(error, moved, out=moved)
        day += self.day_gain * rest
        if self.weekly:
            week += self.week_share * rest

    def _level_gain(self) -> Array:
        if not self.settled:
            self.level_gain = np.maximum(self.least_level, 1 / (np.minimum(self.seen, self.memory) + 1))
            self.settled = bool((self.seen >= self.memory).all())
        return self.level_gain

    def _usual(self, size: Array, known: Flags, *, whole: bool) -> Array:
        """The usual departure after ones of `size`, in which an outlier counts up to a reach."""
        usual = np.minimum(size, _OUTLIER_REACH * _FARTHEST * self.spread)
        usual *= _FORGETTING * _OUTLIER_WEIGHT
        usual += (1 - _FORGETTING) * self.spread
        if not self.moving:
            # A row that never moved has no usual departure: its first one is.
            usual = np.where(self.spread > 0, usual, size)
            self.moving = bool(usual.all())
        return usual if whole else np.where(known, usual, self.spread)

    def _start_day(self, rows: Index, step: int) -> None:
        """The mean, profile and usual change of the two days before `step`."""
        day = self.rhythm.day
        days = self.filled[rows, max(0, step - first_forecast(self.rhythm)) : step].reshape(rows.size, -1, day)
        mean = days.mean(axis=2)
        profile = (days - mean[:, :, None]).mean(axis=1)
        self.day[(step + np.arange(day))[:, None] % day, :, rows] = profile.T[:, :, None]
        self.level[:, rows] = mean[:, -1]
        self.spread[:, rows] = np.abs(np.diff(days.reshape(rows.size, -1), axis=1)).mean(axis=1)
        self.seen[rows], self.started[rows], self.moving, self.settled = day, True, False, False

    def _start_week(self, rows: Index, step: int) -> None:
        """What the profile of the two weeks before `step` has beyond the profile of their days."""
        day, week = self.rhythm.day, self.rhythm.week
        weeks = self.filled[rows, step - _WEEKS_BEFORE_START * week : step].reshape(rows.size, -1, week).mean(axis=1)
        profile = weeks - np.tile(weeks.reshape(rows.size, -1, day).mean(axis=1), week // day)
        self._take_week(rows, np.roll(profile, step % week, axis=1).T[:, None])

    def _take_week(self, rows: Index, profile: Array) -> None:
        """Use `profile` (week, choices or 1, rows) for the choices that have a season of the week."""
        self.weekly = True
        self.week_gain[:, rows] = np.broadcast_to(self.gains.week, self.week_gain.shape)[:, rows]
        self.week_share = (1 - self.day_gain) * self.week_gain
        self.week[:, :, rows] = profile * (self.week_gain[:, rows] > 0)

    def _resume(self, first: Index, start: Seasons) -> None:
        """Start the rows whose seasons are known: at the level that their first two days have without them."""
        rows = np.flatnonzero(np.isfinite(start.week[0, 0]))
        if rows.size:
            self._take_week(rows, start.week[:, :, rows])
        self.week_start[rows] = -1
        rows = np.flatnonzero(np.isfinite(start.day[0, 0]))
        if rows.size == self.started.size:
            self.day[:] = start.day
        else:
            self.day[:, :, rows] = start.day[:, :, rows]
        self.started[rows], self.day_start[rows] = True, -1
        if start.last is not None:
            for now, then in ((self.level, start.last.level), (self.error, start.last.error), (self.spread, start.last.spread)):
                now[:, rows] = then[:, rows]
            self.seen[rows] = start.last.seen[rows]
            return
        steps = np.minimum(first[rows] + np.arange(first_forecast(self.rhythm))[:, None], len(self.filled.T) - 1)
        moved = self.filled[rows, steps]
        seasons = self.day[steps % self.day_steps, :, rows] + self.week[steps % self.week_steps, :, rows]
        self.level[:, rows] = (moved[:, :, None] - seasons).mean(axis=0).T
        self.spread[:, rows] = np.abs(np.diff(moved, axis=0)).mean(axis=0)
        self.seen[rows] = self.day_steps
