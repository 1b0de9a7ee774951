"""History as a grid without holes in time: one row of steps per series, NaN where nothing was measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.rhythm import HOURLY, Rhythm

__all__ = ["Array", "fill_gaps", "fill_rows", "grid", "recent", "unservable"]

Array = npt.NDArray[np.float64]


def recent(history: pd.DataFrame, issue_time: pd.Timestamp, rhythm: Rhythm = HOURLY, *, steps: int | None = None) -> pd.DataFrame:
    """Rows of the `steps` steps before the issue time; of the context when they are not given."""
    ds = history["ds"]
    return history[(ds < issue_time) & (ds >= issue_time - (steps or rhythm.context) * rhythm.step)]


def unservable(history: pd.DataFrame, issue_time: pd.Timestamp, rhythm: Rhythm = HOURLY) -> dict[str, str]:
    """Series of `history` that no candidate can forecast at the issue time, with the reason."""
    counts = recent(history.dropna(subset=["y"]), issue_time, rhythm).groupby("unique_id")["ds"].nunique()
    found = counts.reindex(sorted(history["unique_id"].unique()), fill_value=0)
    what, days = rhythm.describe(), rhythm.context // rhythm.day
    return {
        str(unique_id): f"{count} measured {what} in the {days} days before {issue_time.isoformat()}; {rhythm.shortest} are needed"
        for unique_id, count in found[found < rhythm.shortest].items()
    }


def grid(history: pd.DataFrame, end: pd.Timestamp, rhythm: Rhythm = HOURLY, *, steps: int | None = None) -> tuple[list[str], Array]:
    """(series ids in order, values of shape (series, steps)); the last column is the step that ends at `end`."""
    steps = steps or rhythm.context
    rows = recent(history, end, rhythm, steps=steps)
    codes, names = pd.factorize(rows["unique_id"], sort=True)
    column = ((rows["ds"] - end) // rhythm.step).to_numpy(dtype=np.int64) + steps
    values = np.full((len(names), steps), np.nan)
    values[codes, column] = rows["y"].to_numpy(dtype=float)
    return [str(name) for name in names], values


def fill_gaps(values: Array, day: int = HOURLY.day) -> Array:
    """One series without NaN: a missing step takes the same one of the last day that has it, else of the next, else a neighbour.

    Leading steps before the first measurement are cut off, so the result is shorter than `values` when there are any.
    """
    measured = np.flatnonzero(np.isfinite(values))
    if not measured.size:
        return values[:0]
    series = pd.Series(values[measured[0] :])
    time_of_day = series.groupby(np.arange(series.size) % day)
    filled = time_of_day.ffill()
    filled = filled.fillna(time_of_day.bfill()).interpolate(limit_direction="both")
    return np.asarray(filled, dtype=np.float64)


def fill_rows(values: Array, day: int = HOURLY.day) -> Array:
    """Like `fill_gaps` for every row at once, at full length: what lies before the first measurement takes the next value at its time of day.

    A row without any measurement becomes zeros.
    """
    frame = pd.DataFrame(values.T)
    time_of_day = frame.groupby(np.arange(len(frame)) % day)
    filled = time_of_day.ffill()
    filled = filled.fillna(time_of_day.bfill()).ffill().bfill().fillna(0.0)
    return np.ascontiguousarray(filled.to_numpy(dtype=np.float64).T)
