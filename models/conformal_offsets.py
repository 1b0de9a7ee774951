"""How far an interval must move so that it covers what it says: conformal offsets from few windows of correlated rows.

For the interval between the quantiles q and 1 - q, and a row with measurement y and width s, the score is
e = max(f_q - y, y - f_(1-q)) / s, and a quantile of the scores is the offset o in [f_q - o s, f_(1-q) + o s] (conformalised quantile
regression: Romano, Patterson and Candes 2019). Four things are different from the textbook, where rows are exchangeable and many:

- Hours of one window share their luck, and so do series of one window. A group of W windows and S series counts as n = W sqrt(S)
  independent windows, however many rows it has.
- The 98 % interval, which is right when it is hardly ever seen to fail, errs on the wide side: its level is that of n observations (it
  leaves out 0.02 / (1 + c / n) of the scores, c = 3), and it reaches at least as far as an exponential tail fitted to the scores above
  their 80 % point. The others take the quantile of the scores as it is.
- Little evidence moves little. The offset is n / (n + n0) of what the scores say, wider or narrower: n0 = 5, and 20 for the intervals
  inside the 80 % one, which no promise of coverage rests on.

Rows weigh by their width over their series' mean width and mean absolute error, as in the pinball loss that they are moved by: a
forecast that saw nothing coming has no width, and its scores without bound say nothing about widths.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.vocabulary import MEDIAN, QUANTILE_COLUMNS
from models.hourly_grid import Array

__all__ = ["PAIRS", "RARE", "Codes", "evidence", "row_weights", "scores", "shrunk", "unshrunk_offsets"]

# Lower quantile -> the upper one of the same central interval, outermost first.
PAIRS: Final = dict(zip(QUANTILE_COLUMNS[: len(QUANTILE_COLUMNS) // 2], reversed(QUANTILE_COLUMNS), strict=False))
_LEFT_OUT: Final = np.array([2.0 * float(low) for low in PAIRS])
_RARE: Final = _LEFT_OUT <= 0.02 + 1e-9
# Both ends of the 98 % interval.
RARE: Final = frozenset(end for (low, high), rare in zip(PAIRS.items(), _RARE, strict=True) if rare for end in (low, high))
_CORRECTION: Final = np.where(_RARE, 3.0, 0.0)
_TAIL_SHARE: Final = 0.2
# A single score counts up to this, in widths of the 80 % interval.
_MOST_SCORE: Final = 4.0
# Windows that the forecast's own widths count as.
_PRIOR_WINDOWS: Final = np.where(_LEFT_OUT <= 0.2 + 1e-9, 5.0, 20.0)

# Numbers of this kind are sorted in linear time.
_SMALL: Final = np.int16
# The group 0, 1, ... of every row.
Codes = npt.NDArray[np.integer]


def scores(rows: pd.DataFrame, scale: Array) -> Array:
    """Shape (rows, intervals of `PAIRS`): below 0 inside an interval, above 0 outside, in units of `scale`, which is above 0."""
    low, high, truth = (
        rows[list(PAIRS)].to_numpy(dtype=float),
        rows[list(PAIRS.values())].to_numpy(dtype=float),
        rows[["y"]].to_numpy(float),
    )
    found: Array = np.clip(np.maximum(low - truth, truth - high) / scale[:, None], -_MOST_SCORE, _MOST_SCORE)
    return found


def row_weights(rows: pd.DataFrame, scale: Array) -> Array:
    """`scale` over the mean of it and of the absolute error of the row's series."""
    size = pd.Series(scale + (rows["y"] - rows[MEDIAN]).abs().to_numpy(), index=rows.index)
    weights: Array = scale / size.groupby(rows["unique_id"]).transform("mean").to_numpy()
    return weights


def evidence(rows: pd.DataFrame, groups: Codes, count: int) -> Array:
    """Windows that every group 0 .. `count` - 1 is worth, at least 1: windows (distinct `cutoff`; one without it) x sqrt(series)."""
    window = pd.factorize(rows["cutoff"])[0] if "cutoff" in rows else 0
    named = pd.DataFrame({"group": groups, "series": pd.factorize(rows["unique_id"])[0], "window": window})
    found = named.groupby("group")[["series", "window"]].nunique().reindex(range(count), fill_value=1)
    worth: Array = (found["window"] * np.sqrt(found["series"])).to_numpy(dtype=float)
    return worth


def unshrunk_offsets(score: Array, weights: Array, groups: Codes, windows: Array) -> Array:
    """Shape (groups, intervals): what the scores alone say; `windows` is the evidence of each group, every group has a row."""
    return np.stack([_offset(score[:, place], weights, groups, windows, place) for place in range(len(PAIRS))], axis=1)


def shrunk(offsets: Array, windows: Array) -> Array:
    """`offsets` (groups, intervals) drawn to 0 as far as the evidence is thin."""
    found: Array = offsets * windows[:, None] / (windows[:, None] + _PRIOR_WINDOWS)
    return found


def _offset(score: Array, weights: Array, groups: Codes, windows: Array, place: int) -> Array:
    """Of one interval, per group."""
    order = np.argsort(score)
    order = order[np.argsort(groups[order].astype(_SMALL if len(windows) <= np.iinfo(_SMALL).max else int), kind="stable")]
    value, weight, group = score[order], weights[order], groups[order]
    left_out = _LEFT_OUT[place] / (1.0 + _CORRECTION[place] / windows)
    found = _weighted_quantile(value, weight, group, 1.0 - left_out)
    if not _RARE[place]:
        return found
    start = _weighted_quantile(value, weight, group, np.full(len(windows), 1.0 - _TAIL_SHARE))
    above = np.clip(value - start[group], 0.0, None)
    total = np.bincount(group, weights=weight * (above > 0), minlength=len(windows))
    excess = np.bincount(group, weights=weight * above, minlength=len(windows))
    mean = np.divide(excess, total, out=np.zeros_like(excess), where=total > 0)
    reach: Array = np.maximum(found, start + mean * np.log(_TAIL_SHARE / left_out))
    return reach


def _weighted_quantile(value: Array, weight: Array, group: Codes, level: Array) -> Array:
    """Quantile `level` of every group, of rows sorted by group and value; between rows, linear in the share of weight in their middle."""
    upto = np.cumsum(weight)
    first = np.searchsorted(group, np.arange(len(level)))
    last = np.append(first[1:], len(group)) - 1
    before = upto[first] - weight[first]
    share = (upto - weight / 2 - before[group]) / (upto[last] - before)[group]
    wanted = np.clip(level, share[first], share[last])
    found: Array = np.interp(np.arange(len(level)) + wanted, group + share, value)
    return found
