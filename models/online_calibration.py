"""Calibration that goes on after training: quantiles follow what was really used, with feedback that comes late.

A forecast h hours ahead is judged h hours late, and its quantiles carry the offsets of its own hour of issue. Feedback through such a
delay swings, so nothing is fed back: what moved a judged quantile is taken out again, and `models.adaptive_conformal` learns from the
forecast as the model gave it. Its state lives in the table `calibration` beside the offsets that serve, as rows whose `quantile` names a
part of the state, so a repetition and a backfill start from what the live run started from.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.lake import Lake
from headroom.vocabulary import MEDIAN, QUANTILE_COLUMNS
from models.adaptive_conformal import STATE_COLUMNS, Judged, combined, stepped
from models.calibration import OFFSET_COLUMNS, interval_scale
from models.hourly_grid import Array

__all__ = ["applied_offsets", "learnt_offsets", "moved_offsets"]

# One call learns as from at most two days, and no offset leaves this range (in widths of the 80 % interval).
_MOST_DAYS: Final = 2.0
_BOUND: Final = 8.0
# The 80 % interval keeps at least this share of its width.
_LEAST_SHARE: Final = 0.2
# Offsets that were not renewed for this long are forgotten.
_LIFETIME: Final = pd.Timedelta(days=7)
_GROUP: Final = ["unique_id", "bucket"]
_LEVELS: Final = list(QUANTILE_COLUMNS)
_STATE: Final = list(STATE_COLUMNS)
_LOW, _MIDDLE, _HIGH = _LEVELS.index("0.1"), _LEVELS.index(MEDIAN), _LEVELS.index("0.9")


def learnt_offsets(lake: Lake, issue_time: pd.Timestamp) -> pd.DataFrame:
    """`model_version` and `OFFSET_COLUMNS`: per series and version the newest offsets learnt before `issue_time`.

    What is learnt in an hour serves from the next one on: scoring and learning of one hour run side by side, and a backfill must
    not depend on which of them was first.
    """
    rows = lake.read("calibration", start=issue_time - _LIFETIME, end=issue_time, as_of=issue_time)
    newest = rows.groupby(["unique_id", "model_version"])["issue_time"].transform("max")
    kept = rows[rows["issue_time"] == newest]
    return kept[["model_version", *OFFSET_COLUMNS]].reset_index(drop=True)


def applied_offsets(lake: Lake, judged: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    """Offsets that the forecasts of `judged` (`issue_time, unique_id, model_version, bucket`) carry, one row each, on its index.

    They are what `learnt_offsets` gave at each forecast's own issue time; columns are those of
    `QUANTILE_COLUMNS` and of the state (see `moved_offsets`), 0 where nothing was learnt yet.
    """
    none = pd.DataFrame(0.0, index=judged.index, columns=[*_LEVELS, *_STATE])
    if judged.empty:
        return none
    rows = lake.read("calibration", start=judged["issue_time"].min() - _LIFETIME, end=judged["issue_time"].max(), as_of=issue_time)
    if rows.empty:
        return none
    keys = ["unique_id", "model_version"]
    learnt = rows[["issue_time", *keys]].drop_duplicates().sort_values("issue_time")
    asked = judged[["issue_time", *keys]].drop_duplicates().sort_values("issue_time")
    served = pd.merge_asof(
        asked, learnt.assign(learnt=learnt["issue_time"]), on="issue_time", by=keys, allow_exact_matches=False, tolerance=_LIFETIME
    )
    wide = rows.pivot_table(index=["issue_time", *keys, "bucket"], columns="quantile", values="offset", aggfunc="sum")
    wide = wide.reindex(columns=none.columns).rename_axis(index={"issue_time": "learnt"}).reset_index()
    found = judged[["issue_time", *keys, "bucket"]].merge(served, how="left", on=["issue_time", *keys])
    return found.merge(wide, how="left", on=["learnt", *keys, "bucket"])[list(none.columns)].fillna(0.0).set_axis(judged.index)


def moved_offsets(judged: pd.DataFrame, before: pd.DataFrame, applied: pd.DataFrame | None = None) -> pd.DataFrame:
    """`OFFSET_COLUMNS` after the newly judged rows, for every series and bucket in either frame.

    Rows whose `quantile` is none of `QUANTILE_COLUMNS` are what the learning remembers; they move no forecast.

    Args:
        judged: forecast rows of one model version with `unique_id, ds, bucket, y, *QUANTILE_COLUMNS`; rows without width tell nothing.
        before: offsets of that version until now, `OFFSET_COLUMNS`.
        applied: what the quantiles of `judged` carry (`applied_offsets`), on its index; that of `before` when absent, which is right
            only for forecasts issued since `before` was learnt.
    """
    columns = [*_LEVELS, *_STATE]
    old = before.pivot_table(index=_GROUP, columns="quantile", values="offset", aggfunc="sum").reindex(columns=columns)
    usable = judged[interval_scale(judged) > 0]
    counted = usable.groupby(_GROUP)["ds"]
    hours, sizes = counted.nunique(), counted.size()
    index = hours.index.union(old.index)
    now = old.reindex(index).fillna(0.0).astype(float)
    if len(usable):
        groups = hours.index.get_indexer(pd.MultiIndex.from_frame(usable[_GROUP]))
        state = now.reindex(hours.index)
        carried = state.iloc[groups] if applied is None else applied.loc[usable.index]
        truth, forecast = _as_given(usable, carried[_LEVELS].to_numpy(dtype=float))
        rows = Judged(truth, forecast, groups, np.minimum(hours.to_numpy() / 24, _MOST_DAYS))
        learnt = stepped(state[_STATE], rows, carried[_STATE].reset_index(drop=True))
        now.loc[hours.index, columns] = np.hstack([_kept_apart(combined(learnt)), learnt.to_numpy(dtype=float)])
    long = now.reset_index().melt(_GROUP, columns, var_name="quantile", value_name="offset")
    count = sizes.reindex(pd.MultiIndex.from_frame(long[_GROUP]), fill_value=0)
    return long.assign(rows=count.to_numpy(dtype="int32"))[list(OFFSET_COLUMNS)]


def _as_given(judged: pd.DataFrame, carried: Array) -> tuple[Array, Array]:
    """(y, quantiles) of the model's own forecast, as distances to its median in its own widths."""
    published = judged[_LEVELS].to_numpy(dtype=float)
    grown = 1.0 + np.maximum(carried[:, _HIGH] - carried[:, _LOW], _LEAST_SHARE - 1.0)
    width = (np.asarray(interval_scale(judged), dtype=np.float64) / grown)[:, None]
    given = np.sort(published - carried * width, axis=1)
    median = given[:, [_MIDDLE]]
    return ((judged[["y"]].to_numpy(dtype=float) - median) / width)[:, 0], (given - median) / width


def _kept_apart(offsets: Array) -> Array:
    """Offsets (rows, quantiles) within bounds, the 80 % interval not narrower than its least share."""
    lost = np.maximum(_LEAST_SHARE - 1.0 - (offsets[:, _HIGH] - offsets[:, _LOW]), 0.0)[:, None]
    side = np.sign(np.arange(len(_LEVELS)) - _MIDDLE)
    kept: Array = np.clip(offsets + side * lost / 2.0, -_BOUND, _BOUND)
    return kept
