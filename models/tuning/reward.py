"""The reward of a choice: minus the realised pinball loss over that of repeating the last week, in [-2, 0]."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS
from models.hourly_grid import Array

__all__ = ["LEAST_MEASURED", "LEAST_REWARD", "realised_rewards", "reward_of", "with_naive_pinball"]

# A forecast twice as bad as repeating last week is as bad as it gets: one wild hour must not drown what was learnt before.
LEAST_REWARD: Final = -2.0
# Share of a horizon's hours that must be measured before its choice is rewarded.
LEAST_MEASURED: Final = 0.9
_WEEK: Final = pd.Timedelta(days=7)
_COLUMNS: Final = ("segment", "unique_id", "issue_time", "ds", "pinball", "naive_pinball")


def reward_of(pinball: npt.ArrayLike, naive_pinball: npt.ArrayLike) -> Array:
    """-pinball / naive_pinball, at least `LEAST_REWARD`; -1 when both are zero, `LEAST_REWARD` when only the naive's is."""
    own, naive = np.asarray(pinball, dtype=float), np.asarray(naive_pinball, dtype=float)
    without = np.where(own > 0, -LEAST_REWARD, 1.0)
    ratio = np.divide(own, naive, out=without, where=naive > 0)
    rewards: Array = -np.minimum(ratio, -LEAST_REWARD)
    return rewards


def with_naive_pinball(outcomes: pd.DataFrame, demand: pd.DataFrame) -> pd.DataFrame:
    """`outcomes` with `naive_pinball`, the loss of repeating the last week; hours whose hour a week before is unknown are left out.

    All quantiles of a repetition are one value, and our levels lie symmetrically around one half, so its mean pinball loss is half its
    absolute error.

    Args:
        outcomes: rows with `unique_id, ds, y`, at most a week ahead of their issue time.
        demand: `unique_id, ds, y` of the weeks before them, as known at the time of learning.
    """
    before = demand.dropna(subset=["y"]).assign(ds=lambda rows: rows["ds"] + _WEEK).rename(columns={"y": "last_week"})
    rows = outcomes.merge(before[["unique_id", "ds", "last_week"]], on=["unique_id", "ds"], how="inner")
    return rows.assign(naive_pinball=(rows["y"] - rows["last_week"]).abs() / 2).drop(columns="last_week")


def realised_rewards(outcomes: pd.DataFrame, horizon_hours: int = HORIZON_HOURS) -> pd.DataFrame:
    """One reward per segment and issue time of which at least `LEAST_MEASURED` of the hours of all its series were measured.

    Losses are summed per series, so that the ratio has no unit, and the ratios averaged over the series of a segment.

    Args:
        outcomes: `segment, unique_id, issue_time, ds, pinball, naive_pinball`, one row per forecast hour.

    Returns:
        `segment, issue_time, ratio, hours, reward`; `hours` counts series hours, `ratio` is the loss over the naive's before clipping
        (infinite where only the naive's is zero).

    Raises:
        BadInputError: when a column is missing.
    """
    if missing := [name for name in _COLUMNS if name not in outcomes.columns]:
        raise BadInputError(f"rewards: column {missing[0]!r} is missing from the outcomes; a row has {', '.join(_COLUMNS)}")
    rows = outcomes.dropna(subset=["pinball", "naive_pinball"])
    series = rows.groupby(["segment", "issue_time", "unique_id"]).agg(
        pinball=("pinball", "sum"), naive=("naive_pinball", "sum"), hours=("ds", "nunique")
    )
    own, naive = series["pinball"].to_numpy(dtype=float), series["naive"].to_numpy(dtype=float)
    ratio = np.divide(own, naive, out=np.where(own > 0, np.inf, 1.0), where=naive > 0)
    judged = series.assign(ratio=ratio, reward=reward_of(own, naive)).groupby(["segment", "issue_time"])
    found = judged.agg(ratio=("ratio", "mean"), hours=("hours", "sum"), series=("hours", "size"), reward=("reward", "mean"))
    whole = found[found["hours"] >= LEAST_MEASURED * horizon_hours * found["series"]]
    return whole.drop(columns="series").reset_index()
