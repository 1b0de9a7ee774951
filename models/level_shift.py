"""New levels: history before a lasting change of level, told at the level that came after it.

The logarithm of a series' mean over each day back from now is taken for a weekday's usual one plus a change that came at once, some days
ago, or has been growing evenly since then,

    log level[day] = usual[weekday] + change shape[day] + noise,
    shape[day] = 1 among the last n days, 0 before                  (a step)
               = 0 up to n days ago, rising straight to 1 today     (a ramp),

fitted by least squares for every shape (a search for one change point after the other, as binary segmentation makes it: Scott and Knott 1974).
The shape that explains most is believed when the change is large, clear of the noise, and explains most of what the weekdays leave. Then every
day is multiplied by exp(change (1 - shape)), and the search goes on: a demand that halved a week ago, or has been fading since, keeps its
shape of the day and of the week, and no candidate has to unlearn the old level first. Nothing is said of whether a ramp goes on.

What began lately may as well be an episode: a campaign, an incident, a holiday week. Of a step younger than a week, and of a ramp younger than
two, that share of what its last day still had of it is believed that was there in the mean of the next three days (decision 13): the less the
younger, and less of a ramp, which is at its peak now by its very shape. The days since tell the candidates the rest. A change is believed
whole when no day but those that it began in departs from it by more than a tenth of it: no episode was like that.
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
# Times that the sizes of all changes are told anew, each beside the others.
_SWEEPS: Final = 2
_MOST_DAYS: Final = 20
# A smaller change is left to the candidates; the bandwidth of the demo fell by a quarter.
_LEAST_CHANGE: Final = float(np.log(6 / 5))
# What drifts slowly every candidate follows by itself.
_LEAST_RAMP: Final = float(np.log(4 / 3))
# In standard errors of the change.
_CLEAR: Final = 4.0
# Share of the weekdays' residual variance that the step must explain.
_EXPLAINED: Final = 0.5
# Share of what the last day of a change had of it that the next three days have, by the days ago that it began (decision 13).
_STEP_LASTING: Final = np.repeat([0.55, 0.8, 1.0], [6, 1, 14])
_RAMP_LASTING: Final = np.repeat([0.45, 0.6, 1.0], [6, 8, 7])
# Standard deviation of what is left of it from that, as a share of the change.
_DEVIATION: Final = 0.33
# Share of a change that no day may depart by, for the change to be believed whole however young it is.
_STEADY: Final = 0.1


def level_changes(values: Array, rhythm: Rhythm) -> tuple[Index, Array, Array]:
    """(rows whose level changed, logarithm of what brings each of their last steps to the present level, shape (rows, steps), its deviation).

    The deviation, shape (rows,), is a standard one: how far the level of the next days may be from what is believed of young changes.

    The four weeks before now are looked at, or as many days, two weeks at least, as have a mean above 0 without a break; what lies before
    them is to be moved like the first of them.

    Args:
        values: shape (series, steps) up to now, NaN where nothing was measured.
    """
    day = rhythm.day
    most = min(_DAYS, values.shape[1] // day)
    moving, moves, deviations = [np.empty(0, dtype=np.int64)], [np.empty((0, most * day))], [np.empty(0)]
    if day < 2 or most < 2 * _WEEK:
        return moving[0], moves[0], deviations[0]
    recent = values[:, values.shape[1] - most * day :].reshape(len(values), most, day)
    measured = np.isfinite(recent)
    mean = np.where(measured, recent, 0.0).sum(axis=2) / np.maximum(measured.sum(axis=2), 1)
    told = (measured.sum(axis=2) >= day / 2) & (mean > 0) & ~(recent < 0).any(axis=2)
    whole = np.where(told.all(axis=1), most, np.argmin(told[:, ::-1], axis=1))
    for count in np.unique(whole[whole >= 2 * _WEEK]):
        rows = np.flatnonzero(whole == count)
        found, moved, deviation = _changes(np.log(mean[rows, most - count :]), day)
        moving.append(rows[found])
        moves.append(np.pad(moved, ((0, 0), ((most - count) * day, 0)), mode="edge"))
        deviations.append(deviation)
    return np.concatenate(moving), np.concatenate(moves), np.concatenate(deviations)


def _changes(level: Array, day: int) -> tuple[Index, Array, Array]:
    """`level_changes` from logarithms of daily means, shape (series, days); one change after the other, the clearest first."""
    told = _shapes(level.shape[1], day)
    moved, still, found = level, np.arange(len(level)), []
    for _ in range(_MOST_CHANGES):
        clear, change, best = _clearest(moved[still], told)
        still = still[clear]
        if not still.size:
            break
        moved = moved.copy()
        moved[still] += change[:, None] * (1.0 - told.daily[best])
        found.append((still, change, best))
    if not found:
        return still, np.empty((0, told.shapes.shape[1])), np.empty(0)
    for those, change, best in found * _SWEEPS:
        left = told.left[best]
        more = (moved[those] * left).sum(axis=1) / (left**2).sum(axis=1)
        change += more
        moved[those] += more[:, None] * (1.0 - told.daily[best])
    rows, rest = found[0][0], moved @ told.plain
    believed, variance = np.zeros((rows.size, told.shapes.shape[1])), np.zeros(rows.size)
    for those, change, best in found:
        share, at = _lasting(rest[those] / change[:, None], best, told), np.searchsorted(rows, those)
        believed[at] += (share * change)[:, None] * (1.0 - told.shapes[best])
        variance[at] += np.where(share < 1.0, _DEVIATION * change, 0.0) ** 2
    return rows, believed, np.sqrt(variance)


def _clearest(level: Array, told: _Shapes) -> tuple[Index, Array, Index]:
    """(series with a change, its size, the shape that explains most)."""
    before = ((level @ told.plain) ** 2).sum(axis=1)
    size = (told.left**2).sum(axis=1)
    heights = level @ told.left.T / size
    best = (heights**2 * size).argmax(axis=1)
    change, size = heights[np.arange(len(level)), best], size[best]
    gain = change**2 * size
    error = np.sqrt(np.maximum(before - gain, 0.0) / (level.shape[1] - _WEEK - 1) / size)
    clear = (np.abs(change) >= told.least[best]) & (np.abs(change) >= _CLEAR * error) & (gain >= _EXPLAINED * before)
    return np.flatnonzero(clear), change[clear], best[clear]


def _lasting(rest: Array, best: Index, told: _Shapes) -> Array:
    """Shape (changes,): the share of every change that is believed to last.

    Args:
        rest: shape (changes, days), what every day departs from its weekday's usual by, all changes taken off, as a share of the change.
        best: shape (changes,), the shape of each.
    """
    back, since = np.arange(rest.shape[1])[::-1], told.since[best]
    beginning = (back == since[:, None]) | (back == since[:, None] - 1)
    steady = (np.where(beginning, 0.0, np.abs(rest)) <= _STEADY).all(axis=1)
    # A day is part of its weekday's usual, and so is what it departs by.
    last = 1.0 + rest[:, -1] / (1.0 - _WEEK / rest.shape[1])
    lasting = told.lasting[best]
    found: Array = np.where(steady | (lasting >= 1.0), 1.0, np.clip(lasting * last, 0.0, 1.0))
    return found


class _Shapes(NamedTuple):
    """The changes that are tried.

    Attributes:
        plain: shape (days, days), takes the usual of weekdays off.
        shapes: shape (shapes, steps), 1 at the present level.
        daily: shape (shapes, days), their daily means.
        left: shape (shapes, days), those without the usual of weekdays.
        least: shape (shapes,), logarithm of the least change of each that is believed.
        since: shape (shapes,), days ago that it began.
        lasting: shape (shapes,), share of it that lasts, 1 for one that is too old to be an episode.
    """

    plain: Array
    shapes: Array
    daily: Array
    left: Array
    least: Array
    since: Index
    lasting: Array


@cache
def _shapes(count: int, day: int) -> _Shapes:
    """Those of `count` days."""
    weekday = (np.arange(count) % _WEEK)[:, None] == np.arange(_WEEK)
    plain = np.eye(count) - weekday / weekday.sum(axis=0) @ weekday.T.astype(float)
    left = (np.arange(count * day)[::-1] + 0.5) / day  # days between a step's middle and now
    steps, ramps = (np.arange(least, min(_MOST_DAYS, count - least) + 1) for least in (_LEAST_DAYS, _LEAST_RAMP_DAYS))
    shapes = np.concatenate([left < steps[:, None], np.clip(1.0 - left / ramps[:, None], 0.0, None)])
    least = np.repeat([_LEAST_CHANGE, _LEAST_RAMP], [steps.size, ramps.size])
    lasting = np.concatenate([_STEP_LASTING[steps], _RAMP_LASTING[ramps]])
    daily = shapes.reshape(len(shapes), count, day).mean(axis=2)
    return _Shapes(plain, shapes, daily, daily @ plain, least, np.concatenate([steps, ramps]), lasting)
