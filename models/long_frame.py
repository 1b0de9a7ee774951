"""The long frame `unique_id, ds, y` that an evaluation starts from, read from a file and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.input_table import InputTable, read_input_table
from models.rhythm import Rhythm

__all__ = ["COLUMNS", "LongFrame", "read_long_frame", "step_of"]

COLUMNS: Final = ("unique_id", "ds", "y")
_KEY: Final = ["unique_id", "ds"]
_MICROSECOND: Final = pd.Timedelta(microseconds=1)
_HOUR: Final = pd.Timedelta(hours=1)
_DAY: Final = pd.Timedelta(days=1)
# Single precision, in which losses of many forecasts are compared, ends at 3e38.
_LARGEST: Final = 1e30
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LongFrame:
    """Measured series with a common step.

    Attributes:
        rows: `unique_id` (text), `ds` (`datetime64[us]`, UTC without a zone: the start of the step), `y` (finite float), sorted by
            series and time, no `(unique_id, ds)` twice. A step that was not measured has no row. The rows of one series are whole
            steps apart; two series may be shifted against each other by a part of a step.
        step: time between two measurements.
        notes: what reading left out, in words.
    """

    rows: pd.DataFrame
    step: pd.Timedelta
    notes: tuple[str, ...] = ()


def read_long_frame(path: Path, freq: str | None = None) -> LongFrame:
    """Read a CSV or Parquet file with the columns `unique_id, ds, y`; others are ignored.

    Rows without `y` are gaps and left out; rows that are there twice with the same `y` count once. Both are told in `notes`.

    Args:
        path: the file; its extension says what it is.
        freq: the step, for example `1h` or `5min`; None takes the most frequent difference between neighbouring rows.

    Raises:
        BadInputError: naming the row and what is wrong: a column is missing, a time or number is not one, a number is infinite or beyond 1e30, two
            rows of one series and time disagree, a row is off the step's grid, such a step is longer than a day, or nothing is left.
    """
    table = read_input_table(path, "input")
    table.require(COLUMNS)
    rows = pd.DataFrame({"unique_id": table.texts("unique_id"), "ds": table.times("ds"), "y": table.numbers("y")})
    if (huge := rows["y"].abs() > _LARGEST).any():
        raise table.refused(huge, "y", f"is beyond {_LARGEST:g}; give it in a larger unit, or leave it empty if nothing was measured")
    rows["position"] = np.arange(len(rows))
    measured = rows[rows["y"].notna()]
    if measured.empty:
        raise BadInputError(f"{table.what}: no row has a y; expected one measurement per row")
    ordered = measured.sort_values([*_KEY, "position"], ignore_index=True)
    single = _without_duplicates(ordered, table)
    notes = _note(len(rows) - len(measured), "without y taken as gaps") + _note(len(ordered) - len(single), "that repeat another left out")
    step = step_of(freq) if freq is not None else _usual_step(single, table.what)
    _check_grid(single, step, table, given=freq is not None)
    return LongFrame(single[list(COLUMNS)], step, tuple(notes))


def step_of(freq: str, option: str = "--freq") -> pd.Timedelta:
    """The length of a step such as `1h`, `h`, `5min` or `1D`.

    Args:
        option: what messages call it.

    Raises:
        BadInputError: when it is not a fixed, positive length of whole microseconds.
    """
    text = freq.strip()
    try:
        step = pd.Timedelta(text if text[:1].isdigit() else f"1{text}")
    except ValueError as error:
        raise BadInputError(f"{option} {freq!r}: expected a fixed length of time, for example 5min, 1h or 1D") from error
    if pd.isna(step) or step < _MICROSECOND:
        raise BadInputError(f"{option} {freq!r}: expected a length of time above zero, for example 5min, 1h or 1D")
    return step


def _note(count: int, what: str) -> list[str]:
    return [f"{count:,} {'row' if count == 1 else 'rows'} {what}"] if count else []


def _without_duplicates(ordered: pd.DataFrame, table: InputTable) -> pd.DataFrame:
    """Of the rows of one series and time the first; they must agree."""
    again = ordered.duplicated(_KEY).to_numpy()
    conflicting = again & (ordered["y"].to_numpy() != ordered["y"].shift().to_numpy())
    if conflicting.any():
        at = int(conflicting.argmax())
        first, second = (ordered.iloc[i] for i in (at - 1, at))
        one, two = (f"{table.row(r['position'])} (y {float(r['y'])!r})" for r in (first, second))
        raise BadInputError(
            f"{table.what}: {one} and {two} are both {second['unique_id']} at {second['ds']}; keep one of them, or give times with their "
            "zone where clocks were put back"
        )
    return ordered[~again].reset_index(drop=True)


def _usual_step(rows: pd.DataFrame, what: str) -> pd.Timedelta:
    """The most frequent difference between neighbouring rows of a series; of equally frequent ones the smallest."""
    same = (rows["unique_id"] == rows["unique_id"].shift()).to_numpy()
    differences = np.diff(_microseconds(rows), prepend=0)[same]
    if not len(differences):
        raise BadInputError(
            f"{what}: no series has two rows, so that the step is unknown; add rows, or say the step, for example --freq 1h"
        )
    lengths, counts = np.unique(differences, return_counts=True)
    return pd.Timedelta(int(lengths[counts.argmax()]), unit="us")


def _check_grid(rows: pd.DataFrame, step: pd.Timedelta, table: InputTable, *, given: bool) -> None:
    """Every row of a series is whole steps away from most of its rows."""
    phase = _microseconds(rows) % (step // _MICROSECOND)
    off = phase != _usual_phase(pd.factorize(rows["unique_id"])[0], phase)
    if off.any():
        Rhythm(step)  # that a month is too long a step is said before that months are not equally long
        first = rows[off].sort_values("position").iloc[0]
        on_grid = rows["ds"][(rows["unique_id"] == first["unique_id"]).to_numpy() & ~off].iloc[0]
        remedy = _remedy(step, pd.Timedelta(first["ds"] - on_grid)) + ("" if given else ", or say another step with --freq")
        raise BadInputError(
            f"{table.what}: {table.row(first['position'])}: {first['unique_id']} at {first['ds']} is not a whole number of steps of "
            f"{_words(step)} away from the series' other rows (such as {on_grid}), and so are {off.sum() - 1:,} more; {remedy}"
        )


def _remedy(step: pd.Timedelta, off: pd.Timedelta) -> str:
    """What to do about a row that is `off` from another one of its series."""
    if step % _DAY == pd.Timedelta(0) and off % _HOUR == pd.Timedelta(0):
        return "give days as dates without a zone (where clocks change, a local day has 23 or 25 hours)"
    return "bring the rows to that step first, for example by rounding their times"


def _usual_phase(series: Integers, phase: Integers) -> Integers:
    """For every row the most frequent phase of its series."""
    pairs, inverse, counts = np.unique(np.column_stack([series, phase]), axis=0, return_inverse=True, return_counts=True)
    if len(pairs) == series.max() + 1:
        return phase
    order = np.lexsort([-counts, pairs[:, 0]])
    firsts = order[np.unique(pairs[order, 0], return_index=True)[1]]
    usual: Integers = pairs[firsts, 1][pairs[inverse.ravel(), 0]]
    return usual


def _microseconds(rows: pd.DataFrame) -> Integers:
    return rows["ds"].to_numpy(dtype="datetime64[us]").astype(np.int64)


def _words(step: pd.Timedelta) -> str:
    return str(step.to_pytimedelta())
