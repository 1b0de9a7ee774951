"""Anomalies that training should not learn from: excursions that came back. They are treated as not measured, which every candidate understands.

An excursion begins at a row that the online detector (`models.anomaly_detector`) finds at least as rare as its threshold, unless the three rows before
it deviate from their expectation much like it, or the row a day before had about the same value. It is over where the deviation is less than half of the first row's, both in the unit of the
series and relative to the expectation, and so is the mean deviation of six rows from there on. One that is over within twelve hours was a fault:
all of its rows are doubted, from the moment its end is known. One that lasts longer is a new level, and no row of it is doubted: the
demand that halved is the demand to forecast. As long as nobody can tell, rows count.

So what a fit at some time leaves out depends on the rows before that time alone, and a backtest computes it once for all of its windows.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.anomalies import eventful
from models.anomaly_detector import THRESHOLD, detect_anomalies

__all__ = ["DOUBTED", "believed", "with_doubts"]

# The column that says from when on a row is doubted.
DOUBTED: Final = "doubted_from"
_HOUR: Final = pd.Timedelta("1h")
_DAY: Final = pd.Timedelta(days=1)
_LONGEST: Final = pd.Timedelta(hours=12)
_BACK: Final = 0.5
_CONFIRMED: Final = 6
_RAMP: Final = 3

Array = npt.NDArray[np.float64]


def with_doubts(demand: pd.DataFrame, events: pd.DataFrame, *, step: pd.Timedelta = _HOUR) -> pd.DataFrame:
    """`demand` with the column `DOUBTED`: the time from which on its row is known to be an anomaly, empty for all others.

    Args:
        demand: `unique_id, ds, y`, one row per series and time on one grid of `step`; rows may be missing.
        events: a row that one of them touches is never doubted, if the event was known before it began: the same rows must be doubted whether
            or not a later cutoff is looked at. Those with a `value` (weather) excuse nothing.
        step: time between two rows of a series.

    Raises:
        BadInputError: when a series has two rows of the same time.
    """
    if demand.empty:
        return demand.assign(**{DOUBTED: pd.Series(pd.NaT, index=demand.index, dtype=demand["ds"].dtype)})
    excused = eventful(demand, events[events["available_at"] <= events["start"]])
    judged = detect_anomalies(demand, step=step, excused=excused)
    moments = pd.date_range(judged["ds"].min(), judged["ds"].max(), freq=step)
    series, names = pd.factorize(judged["unique_id"])
    at = ((judged["ds"] - moments[0]) // step).to_numpy(), series
    expected, score, y = (_wide(judged[column], at, (len(moments), len(names))) for column in ("expected", "score", "y"))
    residual = y - expected
    starts = (score >= THRESHOLD) & _begins(residual) & _unlike_the_day_before(y, residual, max(round(_DAY / step), 1))
    known = _known_after(residual, np.abs(expected), starts, max(round(_LONGEST / step), 1))
    found = pd.MultiIndex.from_frame(judged[["unique_id", "ds"]]).get_indexer(pd.MultiIndex.from_frame(demand[["unique_id", "ds"]]))
    steps = known[at][found]
    doubted = demand["ds"] + pd.to_timedelta(np.where(np.isfinite(steps), steps, 0) * step.value, unit="ns").as_unit("us")
    return demand.assign(**{DOUBTED: doubted.where(np.isfinite(steps) & ~excused.to_numpy()).astype(demand["ds"].dtype)})


def believed(history: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    """The rows of `history` before `moment` that are not doubted by then, without the column `DOUBTED`; without that column all before it."""
    rows = history[history["ds"] < moment]
    if DOUBTED not in rows.columns:
        return rows
    return rows[~(rows[DOUBTED] <= moment)].drop(columns=DOUBTED)


def _wide(column: pd.Series[float], at: tuple[npt.NDArray[Any], npt.NDArray[Any]], shape: tuple[int, int]) -> Array:
    """Shape (moments, series), NaN where there is no row."""
    values = np.full(shape, np.nan)
    values[at] = column.to_numpy(dtype=float)
    return values


def _begins(residual: Array) -> npt.NDArray[np.bool_]:
    """Where one of the last `_RAMP` rows deviated less than half as much to the same side: a deviation that goes on begins nothing."""
    begins = np.zeros(residual.shape, dtype=bool)
    for back in range(1, _RAMP + 1):
        begins[back:] |= np.sign(residual[back:]) * residual[:-back] < _BACK * np.abs(residual[back:])
    return begins


def _unlike_the_day_before(y: Array, residual: Array, day: int) -> npt.NDArray[np.bool_]:
    """Where a value is far from that of a day before, or that is missing: after a shift of level it is the expectation that is wrong."""
    before = np.full(y.shape, np.nan)
    before[day:] = y[: max(len(y) - day, 0)]
    far: npt.NDArray[np.bool_] = ~(np.abs(y - before) < _BACK * np.abs(residual))
    return far


def _known_after(residual: Array, size: Array, starts: npt.NDArray[np.bool_], longest: int) -> Array:
    """Rows until it is known that a row belongs to an excursion that came back; infinite for rows of none. All of shape (moments, series)."""
    moments, series = np.nonzero(starts & np.isfinite(residual))
    rows = moments[:, None] + np.arange(1, longest + _CONFIRMED)
    inside = rows < len(residual)
    rows = np.minimum(rows, len(residual) - 1)
    near = inside[:, _CONFIRMED - 1 :].copy()
    for values in (residual, _share(residual, size)):
        first = values[moments, series][:, None]
        ahead = np.sign(first) * values[rows, series[:, None]]
        windows = np.lib.stride_tricks.sliding_window_view(ahead, _CONFIRMED, axis=1)
        near &= (ahead[:, :longest] < _BACK * np.abs(first)) & (windows.mean(axis=-1) < _BACK * np.abs(first))
    length = np.where(near.any(axis=1), near.argmax(axis=1) + 1, 0)
    known = np.full(residual.shape, np.inf)
    for place in range(longest):
        part = place < length
        # The end is known when the last of the rows that confirm it is over.
        waits = length[part] + _CONFIRMED - place
        np.minimum.at(known, (moments[part] + place, series[part]), waits)
    return known


def _share(residual: Array, size: Array) -> Array:
    """Residual over the expectation's size, which is at least a hundredth of the series' mean size."""
    with np.errstate(invalid="ignore"):
        least = 0.01 * np.nan_to_num(np.nanmean(size, axis=0)) + 1e-12
        shares: Array = residual / np.maximum(size, least)
    return shares
