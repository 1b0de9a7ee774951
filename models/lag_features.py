"""What a series did lately, seen from an origin and from a target step (usually an hour). Nothing at or after the origin is read.

The naive blend of a target hour joins the last day and the last week, each weighted by the inverse of the squared error that it made
before the origin: w = week^2 / (day^2 + week^2), blend = w y[last day] + (1 - w) y[last week] (inverse-variance weights, Bates and
Granger 1969, without their correlation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from models.hourly_grid import Array, carried
from models.rhythm import HOURLY

__all__ = [
    "ORIGIN_COLUMNS",
    "TARGET_COLUMNS",
    "Index",
    "anchor_lag",
    "day_rms",
    "fill_from_past",
    "origin_features",
    "origin_scale",
    "season_errors",
    "target_features",
]

Index = npt.NDArray[np.int64]
_WEEKS: Final = 4
# The errors of the day are taken two days back: the middle of a horizon of three days.
_DAY_ERROR_LAG: Final = 2
# Up to as many, the steps before each are added up by themselves.
_FEW_ORIGINS: Final = 3
# What is worked on at once stays in the processor's cache.
_SERIES_AT_ONCE: Final = 64
ORIGIN_COLUMNS: Final = (
    "last_vs_day", "last_vs_week", "last3_vs_day", "last3_vs_week", "last6_vs_day", "day_vs_day", "day_vs_week",
    "last3_vs_level", "day_vs_level", "spread_day", "spread_week", "change_of_day",
)  # fmt: skip
TARGET_COLUMNS: Final = (
    "day_1", "day_2", "day_3", "same_hour_mean", "same_hour_spread", "hour_before", "hour_after",
    "week_1", "week_2", "same_week_hour_mean", "week_vs_week", "from_level", "from_last", "from_last_day", "naive_blend",
)  # fmt: skip


def anchor_lag(horizon: Index, day: int = HOURLY.day) -> Index:
    """Steps back from a target, `horizon` steps ahead, to the last step before the origin at the same time of day."""
    lag: Index = day * ((horizon + day - 1) // day)
    return lag


def fill_from_past(values: Array, day: int = HOURLY.day) -> Array:
    """Shape (series, steps): a missing step takes the last earlier value at its time of day; NaN where there is none."""
    if np.isfinite(values).all():
        return values
    return carried(values, day)


def season_errors(filled: Array, origins: Index, steps: int, day: int = HOURLY.day) -> tuple[Array, Array]:
    """Mean absolute errors of the two naives (day and week) over the `steps` before each origin, of shape (series, origins) each."""
    by_day, by_week = (_mean_change(filled, lag, np.abs, origins, steps) for lag in (_DAY_ERROR_LAG * day, 7 * day))
    return by_day, by_week


def origin_scale(filled: Array, origins: Index, steps: int, errors: tuple[Array, Array]) -> Array:
    """Shape (series, origins): the better naive's mean absolute error, of the `season_errors` over the `steps` before each origin.

    At least a thousandth of the mean absolute value; 0 for a series of zeros.
    """
    by_day, by_week = errors
    return np.nan_to_num(np.fmax(np.fmin(by_day, by_week), 1e-3 * _mean(np.abs(filled), origins, steps)))


def day_rms(filled: Array, origins: Index, steps: int, day: int = HOURLY.day) -> Array:
    """Shape (series, origins): root mean square of the change from one day to the next over the `steps` before each origin.

    At least a thousandth of the mean absolute value; 0 for a series of zeros.
    """
    change = _mean_change(filled, day, np.square, origins, steps)
    return np.nan_to_num(np.fmax(np.sqrt(change), 1e-3 * _mean(np.abs(filled), origins, steps)))


def origin_features(filled: Array, origins: Index, day: int = HOURLY.day) -> Array:
    """Shape (series, origins, ORIGIN_COLUMNS), in the unit of the series."""

    def mean(steps: int, back: int = 0) -> Array:
        return _mean(filled, origins - back, steps)

    week = 7 * day
    level = mean(week)
    columns = [
        mean(1) - mean(1, day),
        mean(1) - mean(1, week),
        mean(3) - mean(3, day),
        mean(3) - mean(3, week),
        mean(6) - mean(6, day),
        mean(day) - mean(day, day),
        mean(day) - mean(day, week),
        mean(3) - level,
        mean(day) - level,
        _spread(filled, origins, day),
        _spread(filled, origins, week),
        _mean_change(filled, day, np.abs, origins, day),
    ]
    return np.stack(columns, axis=-1)


def target_features(
    filled: Array, origins: Index, horizon: Index, errors: tuple[Array, Array], anchor: Array, day: int = HOURLY.day
) -> Array:
    """Features of shape (series, origins, horizons, TARGET_COLUMNS).

    Args:
        horizon: shape (origins, horizons), steps ahead from 1.
        errors: see `season_errors`; they weigh day and week.
        anchor: shape (series, origins, horizons), what the features depart from.

    Features are differences from the anchor, in the unit of the series.
    """
    target = origins[:, None] + horizon - 1
    lag, week = anchor_lag(horizon, day), 7 * day

    def back(by: Index | int) -> Array:
        at = target - by
        known = (at >= 0) & (at < origins[:, None])
        return np.where(known, filled[:, np.where(known, at, 0)], np.nan)

    days = np.stack([back(lag + day * earlier) for earlier in range(7)])
    weeks = np.stack([back(week * earlier) for earlier in range(1, _WEEKS + 1)])
    blend = _blend(days[0], weeks[0], *errors)
    usual = _nanmean(days)
    columns = [
        *(days[:3] - anchor),
        usual - anchor,
        np.sqrt(_nanmean((days - usual) ** 2)),
        back(lag + 1) - anchor,
        back(lag - 1) - anchor,
        *(weeks[:2] - anchor),
        _nanmean(weeks) - anchor,
        weeks[0] - weeks[1],
        anchor - _mean(filled, origins, week)[:, :, None],
        anchor - _mean(filled, origins, 1)[:, :, None],
        anchor - _mean(filled, origins, day)[:, :, None],
        blend - anchor,
    ]
    return np.stack(columns, axis=-1)


def _blend(day: Array, week: Array, day_error: Array, week_error: Array) -> Array:
    total = day_error**2 + week_error**2
    weight = np.divide(week_error**2, total, out=np.ones_like(total), where=total > 0)[:, :, None]
    return np.where(np.isfinite(week), weight * day + (1.0 - weight) * week, day)


def _mean_change(values: Array, lag: int, size: Callable[[Array], Array], origins: Index, steps: int) -> Array:
    """Mean over the `steps` before each origin of the `size` of what changed in `lag` steps."""
    values, origins = _needed(values, origins, steps + lag)
    found = np.empty((len(values), origins.size))
    for first in range(0, len(values), _SERIES_AT_ONCE):
        part = values[first : first + _SERIES_AT_ONCE]
        found[first : first + _SERIES_AT_ONCE] = _mean(size(part[:, :-lag] - part[:, lag:]), origins - lag, steps)
    return found


def _needed(values: Array, origins: Index, steps: int) -> tuple[Array, Index]:
    """`values` and `origins` without the steps that lie more than `steps` before the first origin, or after the last one."""
    first, last = (max(0, int(end)) for end in (origins.min(initial=values.shape[1]) - steps, origins.max(initial=0)))
    return values[:, first:last], origins - first


def _mean(values: Array, origins: Index, steps: int) -> Array:
    """Mean of the measured ones of the `steps` steps before each origin; NaN when none is."""
    if origins.size <= _FEW_ORIGINS:
        parts = [values[:, max(0, origin - steps) : max(0, origin)].T for origin in origins]
        return np.stack([_nanmean(part) for part in parts], axis=1) if parts else np.empty((len(values), 0))
    known = np.isfinite(values)
    zero = np.zeros((values.shape[0], 1))
    total = np.hstack([zero, np.cumsum(np.where(known, values, 0.0), axis=1)])
    count = np.hstack([zero, np.cumsum(known, axis=1)])
    last, first = np.clip(origins, 0, None), np.clip(origins - steps, 0, None)
    found = count[:, last] - count[:, first]
    mean: Array = np.divide(total[:, last] - total[:, first], found, out=np.full(found.shape, np.nan), where=found > 0)
    return mean


def _spread(values: Array, origins: Index, steps: int) -> Array:
    centre = _nanmean(values.T)[:, None]
    values, origins = _needed(values, origins, steps)
    centred = values - centre  # squares of large values would lose digits
    variance = _mean(centred**2, origins, steps) - _mean(centred, origins, steps) ** 2
    return np.sqrt(np.clip(variance, 0.0, None))


def _nanmean(stack: Array) -> Array:
    """Mean over the first axis of what is measured; NaN where nothing is."""
    plain: Array = stack.sum(axis=0) / max(len(stack), 1)
    if len(stack) and np.isfinite(plain).all():
        return plain
    known = np.isfinite(stack)
    count = known.sum(axis=0)
    mean: Array = np.divide(np.where(known, stack, 0.0).sum(axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean
