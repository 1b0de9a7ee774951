"""History as a grid without holes in time: one row of steps per series, NaN where nothing was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.rhythm import HOURLY, Rhythm
from models.shared_work import once

__all__ = [
    "Array",
    "carried",
    "fill_gaps",
    "fill_rows",
    "grid",
    "numbered",
    "places",
    "recent",
    "training_grid",
    "unservable",
    "with_demand",
]

Array = npt.NDArray[np.float64]


def recent(history: pd.DataFrame, issue_time: pd.Timestamp, rhythm: Rhythm = HOURLY, *, steps: int | None = None) -> pd.DataFrame:
    """Rows of the `steps` steps before the issue time; of the context when they are not given."""
    ds, start = history["ds"], issue_time - (steps or rhythm.context) * rhythm.step
    if history.empty or (ds.min() >= start and ds.max() < issue_time):
        return history
    return history[(ds < issue_time) & (ds >= start)]


def unservable(history: pd.DataFrame, issue_time: pd.Timestamp, rhythm: Rhythm = HOURLY) -> dict[str, str]:
    """Series of `history` that no candidate can forecast at the issue time, with the reason."""
    names, values = grid(history, issue_time, rhythm)
    measured = dict(zip(names, np.isfinite(values).sum(axis=1).tolist(), strict=True))
    counts = {str(name): measured.get(str(name), 0) for name in sorted(history["unique_id"].unique())}
    what, days = rhythm.describe(), rhythm.context // rhythm.day
    return {
        name: f"{count} measured {what} in the {days} days before {issue_time.isoformat()}; {rhythm.shortest} are needed"
        for name, count in counts.items()
        if count < rhythm.shortest
    }


def grid(history: pd.DataFrame, end: pd.Timestamp, rhythm: Rhythm = HOURLY, *, steps: int | None = None) -> tuple[list[str], Array]:
    """(series ids in order, values of shape (series, steps)); the last column is the step that ends at `end`. Rows without `y` count for nothing.

    The values cannot be written to: within `models.shared_work` all who ask for them have the same.
    """
    wanted = steps or rhythm.context

    def found() -> tuple[list[str], Array]:
        names, values = _grid(history, end, rhythm, wanted)
        values.flags.writeable = False
        return names, values

    return once(history, ("grid", end, rhythm, wanted), found)


def _grid(history: pd.DataFrame, end: pd.Timestamp, rhythm: Rhythm, steps: int) -> tuple[list[str], Array]:
    if history["y"].hasnans:
        history = history[history["y"].notna()]
    if history.empty:
        return [], np.empty((0, steps))
    # In whole numbers of the unit that times are kept in: millions of them are not worth a calculation with dates.
    unit = history["ds"].dt.unit
    last, width = (int(moment.as_unit(unit).asm8.astype(np.int64)) for moment in (end, rhythm.step))
    moments: npt.NDArray[np.int64] = np.asarray(history["ds"].array.view("i8"))
    codes, names = _numbered(history["unique_id"])
    y = history["y"].to_numpy(dtype=float)
    if y.size != len(names) * steps:
        codes, names = _present(codes, names)
    if y.size == len(names) * steps and _whole(codes.reshape(-1, steps), moments.reshape(-1, steps), last, width):
        return [str(name) for name in names], y.reshape(-1, steps).copy()
    column = (moments - last) // width + steps
    inside = (column >= 0) & (column < steps)
    if not inside.all():
        codes, column, y = codes[inside], column[inside], y[inside]
    codes, names = _present(codes, names)
    values = np.full((len(names), steps), np.nan)
    values[codes, column] = y
    return [str(name) for name in names], values


def training_grid(history: pd.DataFrame, rhythm: Rhythm, most: int | None = None) -> tuple[list[str], Array, pd.Timestamp]:
    """(series ids, values, end of the last step) of what a fit learns from: all steps of `history`, `rhythm.training` or `most` at most."""
    end = history["ds"].max() + rhythm.step
    steps = min(int((end - history["ds"].min()) / rhythm.step), most or rhythm.training)
    return *grid(history, end, rhythm, steps=steps), end


def numbered(ids: pd.Series[str]) -> pd.Categorical:
    """`ids` as numbers with names, which millions of rows are told by faster; rows of one series mostly lie together, and are looked at once."""
    texts = ids.to_numpy(dtype=object)
    starts = np.flatnonzero(np.append(True, texts[1:] != texts[:-1])) if texts.size else np.empty(0, dtype=np.int64)
    codes, names = pd.factorize(texts[starts], sort=True)
    numbers = np.repeat(codes, np.diff(np.append(starts, texts.size)))
    return pd.Categorical.from_codes(cast("Sequence[int]", numbers), pd.Index(names))  # an array does; its stubs do not know


def with_demand(history: pd.DataFrame, y: Array) -> pd.DataFrame:
    """`history` with other demand; its other columns are shared, not copied."""
    columns = {name: y if name == "y" else column for name, column in history.items()}
    return pd.DataFrame(columns, index=history.index, copy=False)


def places(known: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Where each of `names` stands in `known`; their number for one that does not."""
    place = {name: at for at, name in enumerate(known)}
    return np.array([place.get(name, len(known)) for name in names], dtype=np.int64)


def _numbered(ids: pd.Series[str]) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.object_]]:
    """(the place of every row's series among the names, the names in order; a category without rows may be among them)."""
    if isinstance(ids.dtype, pd.CategoricalDtype) and ids.cat.categories.is_monotonic_increasing:
        return ids.cat.codes.to_numpy(), ids.cat.categories.to_numpy(dtype=object)
    codes, names = pd.factorize(ids.astype(object), sort=True)
    return codes, np.asarray(names, dtype=object)


def _present(codes: npt.NDArray[np.integer], names: npt.NDArray[np.object_]) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.object_]]:
    """`codes` and `names` without the names that no row has."""
    present = np.bincount(codes, minlength=len(names)) > 0
    return (codes, names) if present.all() else ((np.cumsum(present) - 1)[codes], names[present])


def _whole(codes: npt.NDArray[np.integer], moments: npt.NDArray[np.int64], last: int, width: int) -> bool:
    """Whether the rows, of shape (series, steps), are a grid already: series in order, every step there."""
    wanted = last + width * np.arange(-moments.shape[1], 0)
    return bool((codes == np.arange(len(codes))[:, None]).all() and (moments == wanted).all())


def fill_gaps(values: Array, day: int = HOURLY.day) -> Array:
    """One series without NaN: a missing step takes the same one of the last day that has it, else of the next, else a neighbour.

    Leading steps before the first measurement are cut off, so the result is shorter than `values` when there are any.
    """
    measured = np.flatnonzero(np.isfinite(values))
    if measured.size in (0, values.size):
        return values[: measured.size]
    known = values[measured[0] :]
    filled: Array = _by_time_of_day(known[None], day)[0]
    missing = np.isnan(filled)
    if missing.any():
        place = np.arange(filled.size)
        filled[missing] = np.interp(place[missing], place[~missing], filled[~missing])
    return filled


def fill_rows(values: Array, day: int = HOURLY.day) -> Array:
    """Like `fill_gaps` for every row at once, at full length: what lies before the first measurement takes the next value at its time of day.

    A time of day that was never measured takes the step before it, or else the next. A row without any measurement becomes zeros.
    """
    filled = values.copy()
    rows = _gappy(filled)
    filled[rows] = _by_time_of_day(filled[rows], day)
    rows = _gappy(filled)
    some = carried(filled[rows])
    filled[rows] = np.nan_to_num(_first_of(some, carried(some[:, ::-1])[:, ::-1]))
    return filled


def carried(values: Array, season: int = 1) -> Array:
    """Shape (series, steps): a missing step takes the last earlier value a number of seasons before it; NaN where there is none."""
    series, steps = values.shape
    seasons = -(-steps // season)
    folded = np.full((series, seasons * season), np.nan)
    folded[:, :steps] = values
    folded = folded.reshape(series, seasons, season)
    last = np.maximum.accumulate(np.where(np.isnan(folded), 0, np.arange(seasons)[:, None]), axis=1)
    found: Array = np.take_along_axis(folded, last, axis=1).reshape(series, seasons * season)[:, :steps]
    return found


def _by_time_of_day(values: Array, day: int) -> Array:
    """Shape (series, steps): a missing step takes the same one of the last day that has it, else of the next; NaN where no day has it."""
    filled = carried(values, day)
    rows = _gappy(filled)
    later = np.pad(values[rows], ((0, 0), (0, -values.shape[1] % day)), constant_values=np.nan)[:, ::-1]
    filled[rows] = _first_of(filled[rows], carried(later, day)[:, ::-1][:, : values.shape[1]])
    return filled


def _gappy(values: Array) -> npt.NDArray[np.int64]:
    """Rows with a missing step."""
    return np.flatnonzero(~np.isfinite(values).all(axis=1))


def _first_of(values: Array, others: Array) -> Array:
    """`values`, and `others` where there are none."""
    return np.where(np.isnan(values), others, values)
