"""A forecaster cheap enough to try every arm on every day: a weighted seasonal profile and an adapting level, for all series at once.

It takes its parameters from `Tuning`: history length and half-life weigh the days of the profile, shrinkage draws the hours of the week
towards the hours of the day, the learning rate moves the level after every day. Prophet's flexibility has no counterpart here.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.vocabulary import QUANTILES
from models.tuning.arms import Tuning

# Presets that differ in what this forecaster takes, from one that forgets nothing to one that believes the last days.
PRESETS = {
    "default": Tuning(90, 365.0, 0.08, 0.5, 0.05),
    "settled": Tuning(180, 365.0, 0.03, 0.2, 0.01),
    "pooled": Tuning(90, 60.0, 0.15, 0.9, 0.05),
    "fading": Tuning(60, 14.0, 0.15, 0.5, 0.1),
    "recent": Tuning(28, 7.0, 0.3, 0.3, 0.2),
    "agile": Tuning(14, 3.0, 0.6, 0.7, 0.5),
}
Array = npt.NDArray[np.float64]
HORIZON_DAYS = 3
# Days of history before the first issue day: one week to repeat, and one day more.
FIRST_DAY = 8
LEVELS = np.array(QUANTILES)
SCORES = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])


def daily_grid(long: pd.DataFrame) -> tuple[list[str], Array]:
    """(series, values of shape (series, whole days, 24)); gaps are interpolated."""
    wide = long.pivot(index="ds", columns="unique_id", values="y").asfreq("h")
    first, last = wide.index[0].ceil("D"), (wide.index[-1] + pd.Timedelta(hours=1)).floor("D")
    wide = wide[(wide.index >= first) & (wide.index < last)].interpolate(limit_direction="both")
    return [str(name) for name in wide.columns], wide.to_numpy(dtype=float).T.reshape(wide.shape[1], -1, 24)


def arm_losses(values: Array) -> tuple[Array, Array]:
    """Mean pinball loss over the horizon (issue days, arms, series) of every arm, and (issue days, series) of repeating last week."""
    days = range(FIRST_DAY, values.shape[1] - HORIZON_DAYS + 1)
    own, naive = [], []
    for day in days:
        past, truth = values[:, :day], values[:, day : day + HORIZON_DAYS]
        own.append([pinball(truth, forecast(past, tuning)).mean(axis=(1, 2)) for tuning in PRESETS.values()])
        naive.append(np.abs(truth - past[:, -7:][:, :HORIZON_DAYS]).mean(axis=(1, 2)) / 2)
    return np.array(own), np.array(naive)


def forecast(past: Array, tuning: Tuning) -> Array:
    """Quantiles of shape (series, days ahead, 24, levels) of the three days after `past` (series, days, 24)."""
    days = past[:, -tuning.history_days :]
    age = np.arange(days.shape[1])[::-1]
    weight = 0.5 ** (age / tuning.half_life_days)
    of_day = weighted_mean(days, weight)[:, None]
    of_week = np.stack([weighted_mean(days[:, age % 7 == back], weight[age % 7 == back]) for back in range(7)], axis=1)
    profile = tuning.weight_shrinkage * of_day + (1 - tuning.weight_shrinkage) * of_week  # by days back within the week
    left = days - profile[:, age % 7]
    # level <- level + rate (error - level), day by day from zero
    steps = tuning.learning_rate * (1 - tuning.learning_rate) ** age
    level = (left.mean(axis=2) @ steps)[:, None, None]
    variance = weighted_mean(np.square(left - level), weight)
    spread = (np.sqrt(variance) + np.sqrt(variance.mean(axis=1, keepdims=True))) / 2
    ahead = profile[:, [6, 5, 4]] + level
    quantiles = ahead[..., None] + spread[:, None, :, None] * SCORES
    floor = np.where(past.min(axis=(1, 2)) >= 0, 0.0, -np.inf)[:, None, None, None]
    return np.asarray(np.maximum(quantiles, floor))


def weighted_mean(days: Array, weight: Array) -> Array:
    """Mean over the days, of shape (series, 24)."""
    return np.asarray(np.einsum("sdh,d->sh", days, weight) / weight.sum())


def pinball(truth: Array, quantiles: Array) -> Array:
    """Mean pinball loss over the levels; works on any leading shape."""
    error = truth[..., None] - quantiles
    return np.asarray(np.maximum(LEVELS * error, (LEVELS - 1) * error).mean(axis=-1))
