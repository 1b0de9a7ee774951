"""New levels: history before a lasting change of level, told at the level that came after it.

The logarithm of a series' mean over each day back from now is taken for a weekday's usual one plus a change that came at once, some days
ago, or has been growing evenly since then,

    log level[day] = usual[weekday] + change shape[day] + noise,
    shape[day] = 1 among the last n days, 0 before                  (a step)
               = 0 up to n days ago, rising straight to 1 today     (a ramp),

fitted by least squares for every shape (a search for one change point after the other, as binary segmentation makes it: Scott and Knott 1974).
The shape that explains most is believed when the change is large, clear of the noise, and explains most of what the weekdays leave. Then every
day is multiplied by exp(change (1 - shape)), and the search goes on: a demand that halved three days ago, or has been fading for a week, keeps
its shape of the day and of the week, and no candidate has to unlearn the old level first. Nothing is said of whether a ramp goes on.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from models.hourly_grid import Array
from models.lag_features import Index
from models.rhythm import Rhythm

__all__ = ["level_changes"]

_DAYS: Final = 28
_WEEK: Final = 7
_LEAST_DAYS: Final = 2
_LEAST_RAMP_DAYS: Final = 4
_MOST_CHANGES: Final = 3
_MOST_DAYS: Final = 20
# A smaller change is left to the candidates; the bandwidth of the demo fell by a quarter.
_LEAST_CHANGE: Final = float(np.log(6 / 5))
# What drifts slowly every candidate follows by itself.
_LEAST_RAMP: Final = float(np.log(4 / 3))
# In standard errors of the change.
_CLEAR: Final = 4.0
# Share of the weekdays' residual variance that the step must explain.
_EXPLAINED: Final = 0.5


def level_changes(values: Array, rhythm: Rhythm) -> tuple[Index, Array]:
    """(rows whose level changed, logarithm of what brings each of their last steps to the present level, shape (rows, steps)).

    The four weeks before now are looked at, or as many days, two weeks at least, as have a mean above 0 without a break; what lies before
    them is to be moved like the first of them.

    Args:
        values: shape (series, steps) up to now, NaN where nothing was measured.
    """
    day = rhythm.day
    most = min(_DAYS, values.shape[1] // day)
    moving, moves = [np.empty(0, dtype=np.int64)], [np.empty((0, most * day))]
    if day < 2 or most < 2 * _WEEK:
        return moving[0], moves[0]
    recent = values[:, values.shape[1] - most * day :].reshape(len(values), most, day)
    measured = np.isfinite(recent)
    mean = np.where(measured, recent, 0.0).sum(axis=2) / np.maximum(measured.sum(axis=2), 1)
    told = (measured.sum(axis=2) >= day / 2) & (mean > 0) & ~(recent < 0).any(axis=2)
    whole = np.where(told.all(axis=1), most, np.argmin(told[:, ::-1], axis=1))
    for count in np.unique(whole[whole >= 2 * _WEEK]):
        rows = np.flatnonzero(whole == count)
        found, moved = _changes(np.log(mean[rows, most - count :]), day)
        moving.append(rows[found])
        moves.append(np.pad(moved, ((0, 0), ((most - count) * day, 0)), mode="edge"))
    return np.concatenate(moving), np.concatenate(moves)


def _changes(level: Array, day: int) -> tuple[Index, Array]:
    """`level_changes` from logarithms of daily means, shape (series, days); one change after the other, the clearest first."""
    rows, moved = _clearest(level, day)
    still = np.arange(rows.size)
    for _ in range(_MOST_CHANGES - 1):
        if not still.size:
            break
        found, more = _clearest(level[rows[still]] + moved[still].reshape(still.size, -1, day).mean(axis=2), day)
        still = still[found]
        moved[still] += more
    return rows, moved


def _clearest(level: Array, day: int) -> tuple[Index, Array]:
    """(series with a change that is believed, what takes the one off that explains most, shape (those, steps))."""
    told = _shapes(level.shape[1], day)
    before = ((level @ told.plain) ** 2).sum(axis=1)
    size = (told.left**2).sum(axis=1)
    heights = level @ told.left.T / size
    best = (heights**2 * size).argmax(axis=1)
    change, size = heights[np.arange(len(level)), best], size[best]
    gain = change**2 * size
    error = np.sqrt(np.maximum(before - gain, 0.0) / (level.shape[1] - _WEEK - 1) / size)
    believed = (np.abs(change) >= told.least[best]) & (np.abs(change) >= _CLEAR * error) & (gain >= _EXPLAINED * before)
    rows = np.flatnonzero(believed)
    return rows, change[rows, None] * (1.0 - told.shapes[best[rows]])


class _Shapes(NamedTuple):
    """The changes that are tried.

    Attributes:
        plain: shape (days, days), takes the usual of weekdays off.
        shapes: shape (shapes, steps), 1 at the present level.
        left: shape (shapes, days), their daily means without the usual of weekdays.
        least: shape (shapes,), logarithm of the least change of each that is believed.
    """

    plain: Array
    shapes: Array
    left: Array
    least: Array


@cache
def _shapes(count: int, day: int) -> _Shapes:
    """Those of `count` days."""
    weekday = (np.arange(count) % _WEEK)[:, None] == np.arange(_WEEK)
    plain = np.eye(count) - weekday / weekday.sum(axis=0) @ weekday.T.astype(float)
    left = (np.arange(count * day)[::-1] + 0.5) / day  # days between a step's middle and now
    since = [np.arange(least, min(_MOST_DAYS, count - least) + 1)[:, None] for least in (_LEAST_DAYS, _LEAST_RAMP_DAYS)]
    shapes = np.concatenate([left < since[0], np.clip(1.0 - left / since[1], 0.0, None)])
    least = np.repeat([_LEAST_CHANGE, _LEAST_RAMP], [len(days) for days in since])
    return _Shapes(plain, shapes, shapes.reshape(len(shapes), count, day).mean(axis=2) @ plain, least)
