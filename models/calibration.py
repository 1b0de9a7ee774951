"""Split-conformal calibration: intervals widened or narrowed so that their coverage holds on windows nobody selected or trained on.

Offsets are learnt from all series together, per horizon bucket, drawn towards what all hours say (`_BUCKET_WINDOWS`); and, drawn towards
that, per segment (`models.ensemble.segment_of`). How scores become offsets when windows are few is told in `models.conformal_offsets`. The
median stays where it is: a shift of all quantiles carries the luck of one window over to the next.

All intervals but the 98 % one learn only from fits that had seen a week and a horizon (`models.backtest.seasoned`), unless the forecast
itself has not: earlier fits miss far more, and what they ask for is too wide for those that come after. The 98 % interval learns from
all: what is rare is seen in few windows, and too wide is the better side to err on there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from headroom.vocabulary import MEDIAN, QUANTILE_COLUMNS, horizon_bucket
from models.conformal_offsets import PAIRS, RARE, Codes, evidence, row_weights, scores, shrunk, unshrunk_offsets
from models.ensemble import segment_of
from models.hourly_grid import Array
from models.quantile_frame import proper

__all__ = ["ALL_SERIES", "GROUP_PREFIX", "OFFSET_COLUMNS", "Calibration", "apply_offsets", "fit_calibration", "interval_scale"]

ALL_SERIES: Final = "*"
# With a segment behind it, the `unique_id` of offsets that hold for the series of that segment.
GROUP_PREFIX: Final = "*/"
# `offset` is in units of `interval_scale`; `unique_id` is ALL_SERIES when the offset holds for every series.
OFFSET_COLUMNS: Final = ("unique_id", "bucket", "quantile", "offset", "rows")
# The width of a forecast counts as at least this share of its median, so that a forecast without width can be mended.
_LEAST_WIDTH: Final = 0.001
# A horizon bucket is believed as much as all hours together when it has this many windows (see `evidence`).
_BUCKET_WINDOWS: Final = 1.0
# A segment is believed as much as all series together when it has this many windows of its own (see `evidence`).
_GROUP_WINDOWS: Final = 12.0
# No interval moves by more than this many widths of the 80 % interval.
_BOUND: Final = 2.0


@dataclass(frozen=True)
class Calibration:
    """Learnt offsets, a frame of `OFFSET_COLUMNS`; an empty frame changes nothing."""

    offsets: pd.DataFrame

    @classmethod
    def none(cls) -> Calibration:
        """A calibration that changes nothing."""
        return cls(pd.DataFrame(columns=list(OFFSET_COLUMNS)))

    def apply(self, forecast: pd.DataFrame) -> pd.DataFrame:
        """`forecast` (unique_id, horizon, *QUANTILE_COLUMNS, ...) with calibrated quantiles."""
        return apply_offsets(forecast, self.offsets)


def interval_scale(forecast: pd.DataFrame) -> pd.Series[float]:
    """Width of every row's 80 % interval, at least a thousandth of its median; the unit of offsets and of conformal scores."""
    return (forecast["0.9"] - forecast["0.1"]).clip(lower=_LEAST_WIDTH * forecast[MEDIAN].abs())


def fit_calibration(oof: pd.DataFrame, *, seasoned: bool | None = None) -> Calibration:
    """Offsets per horizon bucket, segment and quantile from the rows (`unique_id, horizon, y, *QUANTILE_COLUMNS`) of the chosen candidates.

    The rows must come from windows after those that selected and before the issue time; `cutoff` tells windows apart, and rows without
    it count as one window. Rows without width are left out.

    Args:
        seasoned: whether a series of the forecast that is to be calibrated is (see `models.backtest.seasoned`); None when one of the
            rows is. Rows without the column `seasoned` are.
    """
    usable = oof[interval_scale(oof) > 0]
    grown = usable["seasoned"].astype(bool) if "seasoned" in usable else pd.Series(True, index=usable.index)
    if grown.all() or not (grown.any() if seasoned is None else seasoned):
        return Calibration(_offsets(usable))
    whole, alike = _offsets(usable), _offsets(usable[grown])
    rare, others = whole[whole["quantile"].isin(RARE)], alike[~alike["quantile"].isin(RARE)]
    return Calibration(pd.concat([rare, others], ignore_index=True) if len(others) else rare.reset_index(drop=True))


def _offsets(usable: pd.DataFrame) -> pd.DataFrame:
    """`OFFSET_COLUMNS` from rows that have a width."""
    if usable.empty:
        return Calibration.none().offsets
    scale = np.asarray(interval_scale(usable), dtype=np.float64)
    score, weights = scores(usable, scale), row_weights(usable, scale)
    buckets, names = pd.factorize(horizon_bucket(usable["horizon"]), sort=True)
    windows = evidence(usable, buckets, len(names))
    pooled = shrunk(_pooled(score, weights, buckets, windows), windows)
    parts = [_both_sides(pd.DataFrame({"unique_id": ALL_SERIES, "bucket": names, "rows": np.bincount(buckets)}), pooled)]
    series, ids = pd.factorize(usable["unique_id"])
    segments, known = pd.factorize(segment_of(pd.Series(ids, dtype=str)), sort=True)
    if len(known) > 1:
        present, groups = np.unique(segments[series] * len(names) + buckets, return_inverse=True)
        parent = present % len(names)
        own = evidence(usable, groups, len(present))[:, None]
        alone = shrunk(unshrunk_offsets(score, weights, groups, windows[parent]), windows[parent])
        beside = (alone - pooled[parent]) * own / (own + _GROUP_WINDOWS)
        owners = pd.DataFrame({"unique_id": GROUP_PREFIX + known[present // len(names)], "bucket": np.asarray(names)[parent]})
        parts.append(_both_sides(owners.assign(rows=np.bincount(groups)), beside))
    return pd.concat(parts, ignore_index=True)


def _pooled(score: Array, weights: Array, buckets: Codes, windows: Array) -> Array:
    """What the scores of each bucket say, drawn towards what those of all hours say, where every bucket has the same weight."""
    hours = np.zeros(len(buckets), dtype=int)
    alike = weights / np.bincount(buckets)[buckets]
    together = unshrunk_offsets(score, alike, hours, windows.max(keepdims=True))
    alone = unshrunk_offsets(score, weights, buckets, windows)
    mixed: Array = together + (alone - together) * (windows / (windows + _BUCKET_WINDOWS))[:, None]
    return mixed


def _both_sides(groups: pd.DataFrame, offsets: Array) -> pd.DataFrame:
    """`OFFSET_COLUMNS` of `offsets` (groups, intervals), for `groups` with `unique_id, bucket, rows`."""
    bounded = np.clip(offsets, -_BOUND, _BOUND)
    wide = pd.DataFrame(np.hstack([-bounded, bounded]), columns=[*PAIRS, *PAIRS.values()])
    keys = ["unique_id", "bucket", "rows"]
    long = pd.concat([groups.reset_index(drop=True), wide], axis=1).melt(keys, var_name="quantile", value_name="offset")
    return long[list(OFFSET_COLUMNS)]


def apply_offsets(forecast: pd.DataFrame, offsets: pd.DataFrame) -> pd.DataFrame:
    """`forecast` with offset x `interval_scale` added to every quantile, then sorted.

    Quantiles stay at 0 or above, but for a series with a quantile below 0 in `forecast`: it was negative before, else no candidate would say so
    (see `models.quantile_frame.lowest`). The offsets of a series, of its segment and of all series add up; where there is none nothing is
    added. Other columns stay.
    """
    if forecast.empty or offsets.empty:
        return forecast
    wide = offsets.pivot_table(index=["unique_id", "bucket"], columns="quantile", values="offset", aggfunc="sum")
    wide = wide.reindex(columns=list(QUANTILE_COLUMNS)).fillna(0.0)
    names, series = pd.factorize(forecast["unique_id"])
    buckets, hours = pd.factorize(horizon_bucket(forecast["horizon"]))
    owners = (series, GROUP_PREFIX + segment_of(pd.Series(series, dtype=str)), [ALL_SERIES] * len(series))
    table = np.sum([_looked_up(wide, pd.Index(owner), hours) for owner in owners], axis=0)
    moves: Array = table[names * len(hours) + buckets]
    moved: Array = forecast[list(QUANTILE_COLUMNS)].to_numpy(dtype=float) + moves * interval_scale(forecast).to_numpy()[:, None]
    below = (forecast[QUANTILE_COLUMNS[0]] < 0).to_numpy()
    least = np.where(np.isin(names, names[below]), -np.inf, 0.0)
    return forecast.assign(**dict(zip(QUANTILE_COLUMNS, proper(moved, least[:, None]).T, strict=True)))


def _looked_up(wide: pd.DataFrame, owners: pd.Index[str], buckets: pd.Index[str]) -> Array:
    """Shape (owners x buckets, quantiles): 0 where `wide` has none."""
    asked = pd.MultiIndex.from_arrays([np.repeat(owners.to_numpy(), len(buckets)), np.tile(buckets.to_numpy(), len(owners))])
    found: Array = wide.reindex(asked).fillna(0.0).to_numpy(dtype=float)
    return found
