"""The reward of a choice: minus the realised pinball loss over that of an untuned reference, in [-2, 0] (see `models.tuning.reference`)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS
from models.hourly_grid import Array

__all__ = ["LEAST_MEASURED", "LEAST_REWARD", "realised_rewards", "reward_of"]

# A forecast twice as bad as the reference is as bad as it gets: one wild hour must not drown what was learnt before.
LEAST_REWARD: Final = -2.0
# Share of a horizon's hours that must be measured before its choice is rewarded.
LEAST_MEASURED: Final = 0.9
_COLUMNS: Final = ("segment", "unique_id", "issue_time", "ds", "pinball", "reference_pinball")


def reward_of(pinball: npt.ArrayLike, reference_pinball: npt.ArrayLike) -> Array:
    """-pinball / reference_pinball, at least `LEAST_REWARD`; -1 when both are zero, `LEAST_REWARD` when only the reference's is."""
    own, other = np.asarray(pinball, dtype=float), np.asarray(reference_pinball, dtype=float)
    without = np.where(own > 0, -LEAST_REWARD, 1.0)
    ratio = np.divide(own, other, out=without, where=other > 0)
    rewards: Array = -np.minimum(ratio, -LEAST_REWARD)
    return rewards


def realised_rewards(outcomes: pd.DataFrame, horizon_hours: int = HORIZON_HOURS) -> pd.DataFrame:
    """One reward per segment and issue time of which at least `LEAST_MEASURED` of the hours of all its series were measured.

    Losses are summed per series, so that the ratio has no unit, and the ratios averaged over the series of a segment.

    Args:
        outcomes: `segment, unique_id, issue_time, ds, pinball, reference_pinball`, one row per forecast hour.

    Returns:
        `segment, issue_time, ratio, hours, reward`; `hours` counts series hours, `ratio` is the loss over the reference's before clipping
        (infinite where only the reference's is zero).

    Raises:
        BadInputError: when a column is missing.
    """
    if missing := [name for name in _COLUMNS if name not in outcomes.columns]:
        raise BadInputError(f"rewards: column {missing[0]!r} is missing from the outcomes; a row has {', '.join(_COLUMNS)}")
    rows = outcomes.dropna(subset=["pinball", "reference_pinball"])
    series = rows.groupby(["segment", "issue_time", "unique_id"]).agg(
        pinball=("pinball", "sum"), reference=("reference_pinball", "sum"), hours=("ds", "nunique")
    )
    own, other = series["pinball"].to_numpy(dtype=float), series["reference"].to_numpy(dtype=float)
    ratio = np.divide(own, other, out=np.where(own > 0, np.inf, 1.0), where=other > 0)
    judged = series.assign(ratio=ratio, reward=reward_of(own, other)).groupby(["segment", "issue_time"])
    found = judged.agg(ratio=("ratio", "mean"), hours=("hours", "sum"), series=("hours", "size"), reward=("reward", "mean"))
    whole = found[found["hours"] >= LEAST_MEASURED * horizon_hours * found["series"]]
    return whole.drop(columns="series").reset_index()
