"""History as a grid without holes in time: one row of hours per series, NaN where nothing was measured."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.forecaster import CONTEXT_HOURS, SHORTEST_HOURS

__all__ = ["Array", "fill_gaps", "fill_rows", "grid", "recent", "unservable"]

Array = npt.NDArray[np.float64]
_DAY: Final = 24


def recent(history: pd.DataFrame, issue_time: pd.Timestamp, hours: int = CONTEXT_HOURS) -> pd.DataFrame:
    """Rows of the `hours` hours before the issue time."""
    ds = history["ds"]
    return history[(ds < issue_time) & (ds >= issue_time - pd.Timedelta(hours=hours))]


def unservable(history: pd.DataFrame, issue_time: pd.Timestamp) -> dict[str, str]:
    """Series of `history` that no candidate can forecast at the issue time, with the reason."""
    counts = recent(history.dropna(subset=["y"]), issue_time).groupby("unique_id")["ds"].nunique()
    found = counts.reindex(sorted(history["unique_id"].unique()), fill_value=0)
    days = CONTEXT_HOURS // _DAY
    return {
        str(unique_id): f"{count} measured hours in the {days} days before {issue_time.isoformat()}; {SHORTEST_HOURS} are needed"
        for unique_id, count in found[found < SHORTEST_HOURS].items()
    }


def grid(history: pd.DataFrame, end: pd.Timestamp, hours: int = CONTEXT_HOURS) -> tuple[list[str], Array]:
    """(series ids in order, values of shape (series, hours)); the last column is the hour that ends at `end`."""
    rows = recent(history, end, hours)
    codes, names = pd.factorize(rows["unique_id"], sort=True)
    column = ((rows["ds"] - end) // pd.Timedelta(hours=1)).to_numpy(dtype=np.int64) + hours
    values = np.full((len(names), hours), np.nan)
    values[codes, column] = rows["y"].to_numpy(dtype=float)
    return [str(name) for name in names], values


def fill_gaps(values: Array) -> Array:
    """One series without NaN: a missing hour takes the same hour of the last day that has it, else of the next, else a neighbour.

    Leading hours before the first measurement are cut off, so the result is shorter than `values` when there are any.
    """
    measured = np.flatnonzero(np.isfinite(values))
    if not measured.size:
        return values[:0]
    series = pd.Series(values[measured[0] :])
    hour_of_day = series.groupby(np.arange(series.size) % _DAY)
    filled = hour_of_day.ffill()
    filled = filled.fillna(hour_of_day.bfill()).interpolate(limit_direction="both")
    return np.asarray(filled, dtype=np.float64)


def fill_rows(values: Array) -> Array:
    """Like `fill_gaps` for every row at once, at full length: what lies before the first measurement takes the next value at its hour.

    A row without any measurement becomes zeros.
    """
    frame = pd.DataFrame(values.T)
    hour_of_day = frame.groupby(np.arange(len(frame)) % _DAY)
    filled = hour_of_day.ffill()
    filled = filled.fillna(hour_of_day.bfill()).ffill().bfill().fillna(0.0)
    return np.ascontiguousarray(filled.to_numpy(dtype=np.float64).T)
