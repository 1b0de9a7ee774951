"""Simple forecasts of a target hour that a regression may weigh: what was last, the usual at that time of day, the usual in that week hour.

Each reads only what lies before the origin. Differences between them carry no level, so that weights learnt on one series mean the same on
another one of any size.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.hourly_grid import Array
from models.lag_features import Index
from models.rhythm import HOURLY

__all__ = ["BASES", "REFERENCE", "base_forecasts"]

# `last` n steps' mean; the same time of the last n `day`s; of the last n `week`s; those moved by how far the last hours are from then.
BASES: Final = (
    "day_1", "last_1", "last_3", "last_day", "last_week", "day_3", "day_7", "week_1", "week_2", "week_4",
    "week_1_moved_by_day", "week_1_moved_by_3", "day_1_moved_by_3",
)  # fmt: skip
_DAYS: Final = (1, 3, 7)
_WEEKS: Final = (1, 2, 4)
# The base that the others are told as departures from.
REFERENCE: Final = BASES[0]


def base_forecasts(filled: Array, origins: Index, horizon: Index, one_day: int = HOURLY.day) -> Array:
    """Shape (series, origins, horizons, BASES), in the unit of the series.

    A week that is not known takes the days; a day that is not known takes the nearest known hour.

    Args:
        filled: shape (series, steps), without gaps.
        origins: first steps not known, at least 1 each.
        horizon: shape (origins, horizons), steps ahead from 1.
        one_day: steps in a day.
    """
    one_week = 7 * one_day
    target = origins[:, None] + horizon - 1
    day, week = one_day * -(-horizon // one_day), one_week * -(-horizon // one_week)
    total = np.concatenate([np.zeros((filled.shape[0], 1)), np.cumsum(filled, axis=1)], axis=1)

    def last(steps: int, back: int = 0) -> Array:
        end = np.clip(origins - back, 1, None)
        start = np.clip(end - steps, 0, end - 1)
        mean: Array = (total[:, end] - total[:, start]) / (end - start)
        return np.broadcast_to(mean[:, :, None], (filled.shape[0], *horizon.shape))

    def usual(lag: Index, season: int, counts: tuple[int, ...]) -> list[tuple[Array, Array]]:
        """(mean of the last `count` seasons, how many of them are known) for every count."""
        found, known, means = np.zeros((filled.shape[0], *horizon.shape)), np.zeros(horizon.shape), []
        first = filled[:, np.clip(target - lag, 0, origins[:, None] - 1)]
        for back in range(max(counts)):
            at = target - lag - season * back
            found += filled[:, at] if (at >= 0).all() else np.where(at >= 0, filled[:, np.clip(at, 0, None)], 0.0)
            known += at >= 0
            if back + 1 in counts:
                means.append((np.where(known > 0, found / np.maximum(known, 1), first), known.copy()))
        return means

    days = {count: mean for count, (mean, _) in zip(_DAYS, usual(day, one_day, _DAYS), strict=True)}
    weeks = {count: np.where(known > 0, mean, days[7]) for count, (mean, known) in zip(_WEEKS, usual(week, one_week, _WEEKS), strict=True)}
    both = (origins >= one_week + one_day)[None, :, None]
    columns = [
        days[1], last(1), last(3), last(one_day), last(one_week), days[3], days[7], weeks[1], weeks[2], weeks[4],
        weeks[1] + np.where(both, last(one_day) - last(one_day, one_week), 0.0),
        weeks[1] + np.where(both, last(3) - last(3, one_week), 0.0),
        days[1] + last(3) - last(3, one_day),
    ]  # fmt: skip
    return np.stack(columns, axis=-1)
