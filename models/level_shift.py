"""New levels: history before a lasting change of level, told at the level that came after it.

The logarithm of a series' mean over each day back from now is taken for a weekday's usual one plus a step some days ago,

    log level[day] = usual[weekday] + change (day is among the last n) + noise,

fitted by least squares for every n (a search for one change point after the other, as binary segmentation makes it: Scott and Knott 1974). The n
that explains most is believed when the change is large, clear of the noise, and explains most of what the weekdays leave. Then everything
before is multiplied by exp(change), and the search goes on: a demand that halved three days ago keeps its shape of the day and of the week, and no candidate has to
unlearn the old level first.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from models.hourly_grid import Array
from models.lag_features import Index
from models.rhythm import Rhythm

__all__ = ["level_changes"]

_DAYS: Final = 28
_WEEK: Final = 7
_LEAST_DAYS: Final = 2
_MOST_CHANGES: Final = 3
_MOST_DAYS: Final = 20
# A smaller change is left to the candidates; the bandwidth of the demo fell by a quarter.
_LEAST_CHANGE: Final = float(np.log(6 / 5))
# In standard errors of the change.
_CLEAR: Final = 4.0
# Share of the weekdays' residual variance that the step must explain.
_EXPLAINED: Final = 0.5


def level_changes(values: Array, rhythm: Rhythm) -> Array:
    """Logarithm of what brings each of the last days to the present level, shape (series, days), the last column being the day up to now.

    0 where the level did not change since. The four weeks before now are looked at, or as many days, two weeks at least, as have a mean
    above 0 without a break; what lies before them is to be moved like the first of them.

    Args:
        values: shape (series, steps) up to now, NaN where nothing was measured.
    """
    most = min(_DAYS, values.shape[1] // rhythm.day)
    changes = np.zeros((len(values), most))
    if rhythm.day < 2 or most < 2 * _WEEK:
        return changes
    recent = values[:, values.shape[1] - most * rhythm.day :].reshape(len(values), most, rhythm.day)
    measured = np.isfinite(recent)
    mean = np.where(measured, recent, 0.0).sum(axis=2) / np.maximum(measured.sum(axis=2), 1)
    told = (measured.sum(axis=2) >= rhythm.day / 2) & (mean > 0) & ~(recent < 0).any(axis=2)
    whole = np.where(told.all(axis=1), most, np.argmin(told[:, ::-1], axis=1))
    for count in np.unique(whole[whole >= 2 * _WEEK]):
        rows = np.flatnonzero(whole == count)
        found = _changes(np.log(mean[rows, most - count :]))
        changes[rows, most - count :] = found
        changes[rows, : most - count] = found[:, :1]
    return changes


def _changes(level: Array) -> Array:
    """`level_changes` of logarithms of daily means, shape (series, days); one change after the other, the clearest first."""
    moved = np.zeros_like(level)
    rows = np.arange(len(level))
    for _ in range(_MOST_CHANGES):
        days, change = _clearest(level[rows] + moved[rows])
        found = days > 0
        rows, days, change = rows[found], days[found], change[found]
        if not rows.size:
            break
        moved[rows] += np.where(np.arange(level.shape[1]) < (level.shape[1] - days)[:, None], change[:, None], 0.0)
    return moved


def _clearest(level: Array) -> tuple[Index, Array]:
    """(days since the change that explains most, its logarithm) of every series; 0 and 0.0 where none is believed."""
    count = level.shape[1]
    plain, steps = _projections(count)
    before = ((level @ plain) ** 2).sum(axis=1)
    found = [_step(level, plain, step) for step in steps]
    best, rows = np.stack([gain for gain, _, _ in found]).argmax(axis=0), np.arange(len(level))
    gain, change, spread = (np.stack([part[at] for part in found])[best, rows] for at in range(3))
    error = np.sqrt(np.maximum(before - gain, 0.0) / (count - _WEEK - 1)) * spread
    believed = (np.abs(change) >= _LEAST_CHANGE) & (np.abs(change) >= _CLEAR * error) & (gain >= _EXPLAINED * before)
    return np.where(believed, best + _LEAST_DAYS, 0), np.where(believed, change, 0.0)


def _step(level: Array, plain: Array, step: Array) -> tuple[Array, Array, Array]:
    """(sum of squares that a step explains beyond the weekdays, its height, its standard error over the noise's) of every series."""
    left = step @ plain
    size = float(left @ left)
    height = level @ left / size
    return height**2 * size, height, np.full(len(level), 1 / np.sqrt(size))


@cache
def _projections(count: int) -> tuple[Array, list[Array]]:
    """What takes weekdays off `count` days, and the steps that are tried."""
    weekday = (np.arange(count) % _WEEK)[:, None] == np.arange(_WEEK)
    usual = weekday / weekday.sum(axis=0)
    plain = np.eye(count) - usual @ weekday.T.astype(float)
    last = min(_MOST_DAYS, count - _LEAST_DAYS)
    return plain, [(np.arange(count) >= count - days).astype(float) for days in range(_LEAST_DAYS, last + 1)]
