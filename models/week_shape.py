"""The shape of the week that older series have, for those that are too young to have shown theirs.

Of every segment (`models.ensemble.segment_of`) it is known how a step of the week usually is to the mean of the seven at its time of day: a profile
p of one week, the mean over the weeks of the series that were measured for two or more, each told in its own mean. Its departures from 1 are
multiplied by 1 - 2 v / m, or by 0 when that is less, where m is their mean square and v what the means of so many series, and of so many weeks,
would vary by chance (as in James and Stein 1961). A young series takes part in it by as much as its own days say,

    f = 1 + b (p - 1),     b = (sum x z + k) / (sum x^2 + k),     0 <= b <= 1,

with x and z the departures of its days from their mean, by the profile and as measured: b is 1 where its days do not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.ensemble import segment_of
from models.hourly_grid import Array, fill_rows, places
from models.lag_features import Index
from models.rhythm import Rhythm
from models.smoothing import unseasoned

__all__ = ["WeekShape", "YoungWeeks", "learn_week_shape"]

_FILE: Final = "week-shape.npz"
# What the profile is worth beside a series' own days, in squares of departures from their mean: of a tenth, twice.
_PRIOR: Final = 0.02
# Part of the mean that is added to both sides of a ratio, so that hours without demand give none beyond belief.
_LEAST: Final = 0.02
_LEAST_RATIO: Final = 0.1
# Variances that a departure must stand out from.
_CLEAR: Final = 2.0
# A week counts when so much of it was measured.
_MEASURED: Final = 0.9
Flags = npt.NDArray[np.bool_]


class YoungWeeks(NamedTuple):
    """What the week is to series that were measured for less than two.

    Attributes:
        rows: which of the series they are.
        factors: shape (rows, steps before the end and after it), f.
        age: shape (rows,), steps since the first measurement.
        spread: shape (rows,), standard deviation of the means of their last days, at most seven, without f, in the unit of the series.
    """

    rows: Index
    factors: Array
    age: Index
    spread: Array


@dataclass(frozen=True)
class WeekShape:
    """Attributes:
    segments: names of segments.
    profiles: shape (segments + 1, week), profiles from `end` on; the last one, of all series, serves other segments.
    end: end of the last step that was seen.
    series: how many series they were learnt from.
    """

    segments: tuple[str, ...]
    profiles: Array
    end: pd.Timestamp
    series: int

    def of_young(self, names: list[str], values: Array, end: pd.Timestamp, ahead: int, rhythm: Rhythm) -> YoungWeeks | None:
        """For series whose first measurement lies less than two weeks before `end`; None where there are none.

        Args:
            values: shape (series, steps) before `end`, NaN where nothing was measured.
            ahead: steps after `end`.
        """
        steps, day, week = values.shape[1], rhythm.day, rhythm.week
        known = np.isfinite(values)
        age = np.where(known.any(axis=1), steps - np.argmax(known, axis=1), 0)
        rows = np.flatnonzero((age >= day) & (age < unseasoned(rhythm)))
        if not rows.size or day < 2:
            return None
        own = self.profiles[places(self.segments, list(segment_of(pd.Series([names[row] for row in rows], dtype=str))))]
        late = round((end - self.end) / rhythm.step)
        shape = own[:, (late + np.arange(-steps, ahead)) % week]
        days = _days(fill_rows(values[rows], day), age[rows], day)
        share = _own_share(_days(shape[:, :steps], age[rows], day), days)
        factors = np.maximum(1.0 + share[:, None] * (shape - 1.0), _LEAST_RATIO)
        return YoungWeeks(rows, factors, age[rows], _spread(days / _days(factors[:, :steps], age[rows], day)))

    def save(self, folder: Path) -> None:
        """Write `week-shape.npz`."""
        names, end = np.array(self.segments, dtype=str), np.array(self.end.isoformat())
        np.savez(folder / _FILE, segments=names, profiles=self.profiles, end=end, series=np.array(self.series))

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read what `save` wrote; None when there is nothing, as in models that were saved before there were shapes."""
        if not (folder / _FILE).is_file():
            return None
        with np.load(folder / _FILE, allow_pickle=False) as told:
            return cls(tuple(map(str, told["segments"])), told["profiles"], pd.Timestamp(str(told["end"])), int(told["series"]))


def learn_week_shape(names: list[str], values: Array, end: pd.Timestamp, rhythm: Rhythm) -> WeekShape:
    """Profiles from `values` (series, steps) before `end`: 1 throughout where no series is two weeks old, above 0 in the mean and never below."""
    day, week = rhythm.day, rhythm.week
    weeks = min(values.shape[1], rhythm.context) // week
    recent = values[:, values.shape[1] - weeks * week :].reshape(len(names), weeks, week)
    whole = np.isfinite(recent).mean(axis=2) > _MEASURED
    known, segment = np.unique(segment_of(pd.Series(names, dtype=str)).to_numpy(dtype=str), return_inverse=True)
    old = np.flatnonzero(whole.sum(axis=1) * week >= unseasoned(rhythm))
    filled = fill_rows(recent[old].reshape(old.size, weeks * week), day).reshape(old.size, weeks, week)
    size = np.einsum("swt,sw->s", filled, whole[old]) / (week * np.maximum(whole[old].sum(axis=1), 1))
    told = (size > 0) & (filled >= 0).all(axis=(1, 2))
    relative, group = filled[told] / size[told, None, None] + _LEAST, segment[old[told]]
    profiles = np.ones((len(known) + 1, week))
    if told.any():
        profiles[:] = _profile(relative, whole[old[told]], day)
    for place in np.unique(group):
        mine = group == place
        profiles[place] = _profile(relative[mine], whole[old[told]][mine], day)
    return WeekShape(tuple(map(str, known)), profiles, end, int(told.sum()))


def _profile(weeks: Array, whole: Flags, day: int) -> Array:
    """Shape (week,) from weeks (series, weeks, steps) of which those count that are `whole`; at every time of day its mean is 1."""
    usual = weeks[whole].mean(axis=0).reshape(-1, day)
    days = weeks.reshape(*whole.shape, -1, day).mean(axis=3)
    days = np.where(whole[:, :, None], days / days.mean(axis=2, keepdims=True), np.nan)
    chance = sum(_variance_of_mean(_known_mean(days, axis=over)) for over in (1, 0))
    signal = float(((_known_mean(_known_mean(days, axis=1), axis=0) - 1.0) ** 2).mean())
    believed = max(0.0, 1.0 - _CLEAR * chance / signal) if signal > 0 else 0.0
    profile: Array = np.maximum(1.0 + believed * (usual / usual.mean(axis=0) - 1.0), _LEAST_RATIO).reshape(-1)
    return profile


def _variance_of_mean(rows: Array) -> float:
    """Of the mean of `rows` (rows, days), rows without numbers left out, in the mean over the days; 0 for a single row."""
    known = rows[np.isfinite(rows).all(axis=1)]
    return float(known.var(axis=0, ddof=1).mean()) / len(known) if len(known) > 1 else 0.0


def _known_mean(days: Array, axis: int) -> Array:
    """Mean over `axis` of what is known; NaN where nothing is."""
    count = np.isfinite(days).sum(axis=axis)
    mean: Array = np.divide(np.nansum(days, axis=axis), count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean


def _days(steps: Array, age: Index, day: int) -> Array:
    """Shape (rows, days): means of the last whole days of each row, at most seven, NaN before its first measurement."""
    most = min(7, steps.shape[1] // day)
    means = steps[:, steps.shape[1] - most * day :].reshape(len(steps), most, day).mean(axis=2)
    found: Array = np.where(np.arange(-most, 0) * day >= -age[:, None], means, np.nan)
    return found


def _own_share(shape: Array, days: Array) -> Array:
    """Shape (rows,): b, from the means of a row's days by the profile and as measured."""
    x, z = (part / np.maximum(np.nanmean(np.abs(part), axis=1, keepdims=True), 1e-12) - 1.0 for part in (shape, days))
    share: Array = (np.nansum(x * z, axis=1) + _PRIOR) / (np.nansum(x * x, axis=1) + _PRIOR)
    return np.clip(share, 0.0, 1.0)


def _spread(days: Array) -> Array:
    """Shape (rows,): standard deviation over the days of a row; 0 of a single one."""
    count = np.isfinite(days).sum(axis=1)
    middle = np.nansum(days, axis=1, keepdims=True) / count[:, None]
    spread: Array = np.sqrt(np.nansum((days - middle) ** 2, axis=1) / np.maximum(count - 1, 1))
    return spread
