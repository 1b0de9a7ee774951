"""Calibration that goes on after training: quantiles follow what was really used.

For a quantile q, a horizon bucket and a series, let g be the share of newly judged hours with demand above the quantile, less 1 - q.
The offset moves by a step against the miscoverage,

    offset <- offset + gain x days x g          (quantile tracking: Gibbs and Candes 2021; Angelopoulos, Candes and Tibshirani 2023)

in units of the forecast's 80 % interval (`models.calibration.interval_scale`). A forecast h hours ahead is judged h hours late, so the
gain per day of judged hours falls with the bucket's horizon: an offset must not be moved again and again before its first move shows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.lake import Lake
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.calibration import OFFSET_COLUMNS

__all__ = ["GAIN_PER_DAY", "learnt_offsets", "moved_offsets"]

GAIN_PER_DAY: Final = {"1-6": 0.6, "7-24": 0.4, "25-72": 0.2}
# One call never moves an offset by more than two days' worth, and no offset leaves this range.
_MOST_DAYS: Final = 2.0
_BOUND: Final = 2.0
# Offsets that were not renewed for this long are forgotten.
_LIFETIME: Final = pd.Timedelta(days=14)
_GROUP: Final = ["unique_id", "bucket"]
_LEVELS: Final = list(QUANTILE_COLUMNS)


def learnt_offsets(lake: Lake, issue_time: pd.Timestamp) -> pd.DataFrame:
    """`model_version` and `OFFSET_COLUMNS`: per series and version the newest offsets learnt before `issue_time`.

    What is learnt in an hour serves from the next one on: scoring and learning of one hour run side by side, and a backfill must
    not depend on which of them was first.
    """
    rows = lake.read("calibration", start=issue_time - _LIFETIME, end=issue_time, as_of=issue_time)
    newest = rows.groupby(["unique_id", "model_version"])["issue_time"].transform("max")
    kept = rows[rows["issue_time"] == newest]
    return kept[["model_version", *OFFSET_COLUMNS]].reset_index(drop=True)


def moved_offsets(judged: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """`OFFSET_COLUMNS` after the newly judged rows, for every series and bucket in either frame.

    Args:
        judged: forecast rows of one model version with `unique_id, ds, bucket, y, *QUANTILE_COLUMNS`.
        before: offsets of that version until now, `OFFSET_COLUMNS`.
    """
    old = before.pivot_table(index=_GROUP, columns="quantile", values="offset", aggfunc="sum").reindex(columns=_LEVELS)
    above = judged[_LEVELS].lt(judged["y"], axis=0).astype(float)
    groups = [judged[name] for name in _GROUP]
    miss = above.groupby(groups).mean() - (1.0 - np.array(QUANTILES))
    counted = judged.groupby(_GROUP)["ds"]
    days = (counted.nunique() / 24).clip(upper=_MOST_DAYS)
    gain = days.index.get_level_values("bucket").map(GAIN_PER_DAY) * days
    index = miss.index.union(old.index)
    moved = old.reindex(index).fillna(0.0) + miss.mul(gain, axis=0).reindex(index).fillna(0.0)
    long = moved.clip(-_BOUND, _BOUND).reset_index().melt(_GROUP, _LEVELS, var_name="quantile", value_name="offset")
    rows = counted.size().reindex(pd.MultiIndex.from_frame(long[_GROUP]), fill_value=0)
    return long.assign(rows=rows.to_numpy(dtype="int32"))[list(OFFSET_COLUMNS)]
