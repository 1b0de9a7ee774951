"""A small recorded world for the tests of the replay: two series with a day's rhythm, and forecasts that know it with some doubt."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from headroom.vocabulary import QUANTILES
from infra.replay.forecasts import Issued, issued_from
from infra.replay.scene import Scene, scene_of
from infra.replay.world import World

HOUR = pd.Timedelta(hours=1)
START = pd.Timestamp("2026-01-05")
HISTORY_DAYS, DAYS, HORIZON = 8, 3, 14


def rows(seed: int = 0, days: int = HISTORY_DAYS + DAYS) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    parts = []
    for name, level in (("a/web/cpu", 100.0), ("b/web/cpu", 40.0)):
        y = level * (1 + 0.5 * np.sin(2 * np.pi * hours / 24)) * np.exp(random.normal(0, 0.08, hours.size))
        parts.append(pd.DataFrame({"unique_id": name, "ds": pd.date_range(START, periods=hours.size, freq="h", unit="us"), "y": y}))
    return pd.concat(parts, ignore_index=True)


def scene(seed: int = 0, world: World | None = None) -> Scene:
    begin = START + pd.Timedelta(days=HISTORY_DAYS)
    return scene_of(rows(seed), HOUR, begin, begin + pd.Timedelta(days=DAYS), world or World(machines_at_peak=12))


def forecasts(walked: Scene, spread: float = 0.08, horizon: int = HORIZON) -> Issued:
    """Issued every hour: the true rhythm, lognormal with `spread`; what happens is in none of them."""
    steps = walked.demand.shape[1]
    at = np.arange(steps)[:, None] + np.arange(horizon)
    rhythm = 1 + 0.5 * np.sin(2 * np.pi * (at + 24 * HISTORY_DAYS) / 24)
    quantiles = np.exp(spread * norm.ppf(QUANTILES))
    levels = np.array([100.0, 40.0])
    values = (levels[None, :, None, None] * rhythm[:, None, :, None] * quantiles).astype(np.float32)
    return issued_from(walked, walked.series, list(walked.times), values)
