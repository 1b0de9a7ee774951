"""What a series did lately, seen from an origin and from a target hour. Nothing at or after the origin is read.

The naive blend of a target hour joins the last day and the last week, each weighted by the inverse of the squared error that it made
before the origin: w = week^2 / (day^2 + week^2), blend = w y[last day] + (1 - w) y[last week] (inverse-variance weights, Bates and
Granger 1969, without their correlation).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.hourly_grid import Array

__all__ = [
    "ORIGIN_COLUMNS",
    "TARGET_COLUMNS",
    "Index",
    "anchor_lag",
    "day_rms",
    "fill_from_past",
    "origin_features",
    "origin_scale",
    "target_features",
]

Index = npt.NDArray[np.int64]
_DAY: Final = 24
_WEEK: Final = 168
_WEEKS: Final = 4
# The errors of the day are taken two days back: the middle of a horizon of three days.
_DAY_ERROR_LAG: Final = 48
ORIGIN_COLUMNS: Final = (
    "last_vs_day", "last_vs_week", "last3_vs_day", "last3_vs_week", "last6_vs_day", "day_vs_day", "day_vs_week",
    "last3_vs_level", "day_vs_level", "spread_day", "spread_week", "change_of_day",
)  # fmt: skip
TARGET_COLUMNS: Final = (
    "day_1", "day_2", "day_3", "same_hour_mean", "same_hour_spread", "hour_before", "hour_after",
    "week_1", "week_2", "same_week_hour_mean", "week_vs_week", "from_level", "from_last", "from_last_day", "naive_blend",
)  # fmt: skip


def anchor_lag(horizon: Index) -> Index:
    """Hours back from a target hour, `horizon` hours ahead, to the last hour before the origin at the same time of day."""
    lag: Index = _DAY * ((horizon + _DAY - 1) // _DAY)
    return lag


def fill_from_past(values: Array) -> Array:
    """Shape (series, hours): a missing hour takes the last earlier value at its time of day; NaN where there is none."""
    frame = pd.DataFrame(values.T)
    filled: Array = frame.groupby(np.arange(len(frame)) % _DAY).ffill().to_numpy(dtype=float).T
    return filled


def origin_scale(filled: Array, origins: Index, hours: int) -> Array:
    """Shape (series, origins): mean absolute error of the better naive (day or week) over the `hours` before each origin.

    At least a thousandth of the mean absolute value; 0 for a series of zeros.
    """
    day, week = _season_errors(filled, origins, hours)
    return np.nan_to_num(np.fmax(np.fmin(day, week), 1e-3 * _mean(np.abs(filled), origins, hours)))


def day_rms(filled: Array, origins: Index, hours: int) -> Array:
    """Shape (series, origins): root mean square of the change from one day to the next over the `hours` before each origin.

    At least a thousandth of the mean absolute value; 0 for a series of zeros.
    """
    change = _mean((_shifted(filled, _DAY) - filled) ** 2, origins, hours)
    return np.nan_to_num(np.fmax(np.sqrt(change), 1e-3 * _mean(np.abs(filled), origins, hours)))


def origin_features(filled: Array, origins: Index) -> Array:
    """Shape (series, origins, ORIGIN_COLUMNS), in the unit of the series."""

    def mean(hours: int, back: int = 0) -> Array:
        return _mean(filled, origins - back, hours)

    level = mean(_WEEK)
    columns = [
        mean(1) - mean(1, _DAY),
        mean(1) - mean(1, _WEEK),
        mean(3) - mean(3, _DAY),
        mean(3) - mean(3, _WEEK),
        mean(6) - mean(6, _DAY),
        mean(_DAY) - mean(_DAY, _DAY),
        mean(_DAY) - mean(_DAY, _WEEK),
        mean(3) - level,
        mean(_DAY) - level,
        _spread(filled, origins, _DAY),
        _spread(filled, origins, _WEEK),
        _mean(np.abs(_shifted(filled, _DAY) - filled), origins, _DAY),
    ]
    return np.stack(columns, axis=-1)


def target_features(filled: Array, origins: Index, horizon: Index, hours: int, anchor: Array) -> Array:
    """Features of shape (series, origins, horizons, TARGET_COLUMNS).

    Args:
        horizon: shape (origins, horizons), hours ahead from 1.
        hours: before the origin that weigh day and week.
        anchor: shape (series, origins, horizons), what the features depart from.

    Features are differences from the anchor, in the unit of the series.
    """
    target = origins[:, None] + horizon - 1
    lag = anchor_lag(horizon)

    def back(by: Index | int) -> Array:
        at = target - by
        known = (at >= 0) & (at < origins[:, None])
        return np.where(known, filled[:, np.where(known, at, 0)], np.nan)

    days = np.stack([back(lag + _DAY * day) for day in range(7)])
    weeks = np.stack([back(_WEEK * week) for week in range(1, _WEEKS + 1)])
    blend = _blend(days[0], weeks[0], *_season_errors(filled, origins, hours))
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
        anchor - _mean(filled, origins, _WEEK)[:, :, None],
        anchor - _mean(filled, origins, 1)[:, :, None],
        anchor - _mean(filled, origins, _DAY)[:, :, None],
        blend - anchor,
    ]
    return np.stack(columns, axis=-1)


def _season_errors(filled: Array, origins: Index, hours: int) -> tuple[Array, Array]:
    day, week = (_mean(np.abs(_shifted(filled, lag) - filled), origins, hours) for lag in (_DAY_ERROR_LAG, _WEEK))
    return day, week


def _blend(day: Array, week: Array, day_error: Array, week_error: Array) -> Array:
    total = day_error**2 + week_error**2
    weight = np.divide(week_error**2, total, out=np.ones_like(total), where=total > 0)[:, :, None]
    return np.where(np.isfinite(week), weight * day + (1.0 - weight) * week, day)


def _shifted(values: Array, hours: int) -> Array:
    head = np.full((values.shape[0], min(hours, values.shape[1])), np.nan)
    return np.hstack([head, values[:, :-hours]])


def _mean(values: Array, origins: Index, hours: int) -> Array:
    """Mean of the measured ones of the `hours` hours before each origin; NaN when none is."""
    known = np.isfinite(values)
    zero = np.zeros((values.shape[0], 1))
    total = np.hstack([zero, np.cumsum(np.where(known, values, 0.0), axis=1)])
    count = np.hstack([zero, np.cumsum(known, axis=1)])
    last, first = np.clip(origins, 0, None), np.clip(origins - hours, 0, None)
    found = count[:, last] - count[:, first]
    mean: Array = np.divide(total[:, last] - total[:, first], found, out=np.full(found.shape, np.nan), where=found > 0)
    return mean


def _spread(values: Array, origins: Index, hours: int) -> Array:
    centred = values - _nanmean(values.T)[:, None]  # squares of large values would lose digits
    variance = _mean(centred**2, origins, hours) - _mean(centred, origins, hours) ** 2
    return np.sqrt(np.clip(variance, 0.0, None))


def _nanmean(stack: Array) -> Array:
    """Mean over the first axis of what is measured; NaN where nothing is."""
    known = np.isfinite(stack)
    count = known.sum(axis=0)
    mean: Array = np.divide(np.where(known, stack, 0.0).sum(axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean
