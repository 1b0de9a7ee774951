"""A table that a person hands in, CSV or Parquet, and its cells as text, times and numbers; what is wrong is named by its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError

__all__ = ["InputTable", "read_input_table"]

_CSV: Final = (".csv", ".csv.gz")
# What else parts the fields of such files.
_OTHER_MARKS: Final = ";\t|"
_PARQUET: Final = (".parquet", ".pq")
# What stands in a cell of times or numbers that holds nothing; as text it could be a name.
_EMPTY: Final = frozenset({"na", "n/a", "#n/a", "nan", "nat", "null", "none", "<na>"})
# A bare number is never a time: 2015 could be a year, a position or seconds.
_LIKE_A_DATE: Final = r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{8})(?:\D|$)"
_EXAMPLE: Final = "an ISO 8601 time, for example 2026-07-08T18:00:00Z (without a zone it is UTC)"


@dataclass(frozen=True)
class InputTable:
    """The cells of a table.

    Attributes:
        what: how messages call it, for example `input demo/hourly.csv`.
        frame: text from a CSV, typed columns from Parquet; the index counts the rows from 0.
    """

    what: str
    frame: pd.DataFrame

    def require(self, columns: Sequence[str], optional: Sequence[str] = ()) -> None:
        """Check that the columns are there, and at least one row.

        Raises:
            BadInputError: naming the first column that is missing, and those that were found.
        """
        for column in columns:
            if column not in self.frame.columns:
                beside = f" and optionally {', '.join(optional)}" if optional else ""
                found = ", ".join(map(str, self.frame.columns)) or "none"
                remedy = (
                    "; part the fields by commas" if len(self.frame.columns) == 1 and any(mark in found for mark in _OTHER_MARKS) else ""
                )
                raise BadInputError(
                    f"{self.what}: column {column!r} is missing; expected {', '.join(columns)}{beside}, found {found}{remedy}"
                )
        if self.frame.empty:
            raise BadInputError(f"{self.what}: there is no row below the header; expected at least one")

    def texts(self, column: str, default: str | None = None) -> pd.Series[str]:
        """The cells as stripped text, `default` for those that hold nothing or when there is no such column.

        Raises:
            BadInputError: when a cell holds nothing and there is no default.
        """
        cells = self._text(column)
        empty = cells == ""
        if default is None and empty.any():
            raise self.refused(empty, column, "is empty; every row needs one")
        return cells.mask(empty, default or "")

    def times(self, column: str, *, may_be_empty: bool = False) -> pd.Series[pd.Timestamp]:
        """The cells as times in UTC without a zone (`datetime64[us]`), NaT for those that hold nothing.

        Raises:
            BadInputError: naming the first row that is no time.
        """
        cells = self.frame[column] if column in self.frame else self._text(column)
        if isinstance(cells.dtype, pd.DatetimeTZDtype):
            times = pd.DatetimeIndex(cells).tz_convert(None).to_series(index=cells.index)
        elif pd.api.types.is_datetime64_dtype(cells.dtype):
            times = cells.astype("datetime64[us]")
        else:
            times = self._parsed_times(column)
        if not may_be_empty and times.isna().any():
            raise self.refused(times.isna(), column, f"is empty; expected {_EXAMPLE}")
        return times.astype("datetime64[us]")

    def numbers(self, column: str) -> pd.Series[float]:
        """The cells as finite numbers, NaN for those that hold nothing or when there is no such column.

        Raises:
            BadInputError: naming the first row that is no number, or an infinite one.
        """
        cells = self.frame[column] if column in self.frame else self._text(column)
        if pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_bool_dtype(cells.dtype):
            values = cells.to_numpy(dtype=float, na_value=np.nan)
        else:
            text = self._filled_text(column)
            wrong = pd.to_numeric(text, errors="coerce").isna() & (text != "")
            if wrong.any():
                raise self.refused(wrong, column, "is not a number; write it with a point and without separators, or leave it empty")
            # Python's parser gives back the very number that was written; pandas' own may be off in the last digit.
            values = text.where(text != "", "nan").to_numpy(dtype=object).astype(float)
        infinite = np.isinf(values)
        if infinite.any():
            raise self.refused(infinite, column, "is infinite; give the measured number, or leave it empty")
        return pd.Series(values, index=self.frame.index)

    def row(self, position: int) -> str:
        """How messages name a row: as a person counts, the header left out."""
        return f"row {position + 1}"

    def refused(self, wrong: pd.Series[bool] | npt.NDArray[np.bool_], column: str, rule: str) -> BadInputError:
        """The error about the first of the `wrong` rows."""
        position = int(np.asarray(wrong).argmax())
        cell = "" if column not in self.frame else self._text(column).iloc[position]
        return BadInputError(f"{self.what}: {self.row(position)}: {column} {cell + ' ' if cell else ''}{rule}")

    def _text(self, column: str) -> pd.Series[str]:
        """Cells as stripped text, "" where they hold nothing."""
        if column not in self.frame:
            return pd.Series("", index=self.frame.index, dtype="object")
        codes, values = pd.factorize(self.frame[column], use_na_sentinel=True)
        words = np.array([*(str(value).strip() for value in values), ""], dtype=object)
        return pd.Series(words[codes], index=self.frame.index)

    def _filled_text(self, column: str) -> pd.Series[str]:
        """The same, where words such as `nan` count as nothing too."""
        cells = self._text(column)
        return cells.mask(cells.str.lower().isin(_EMPTY), "")

    def _parsed_times(self, column: str) -> pd.Series[pd.Timestamp]:
        cells = self._filled_text(column)
        codes, words = pd.factorize(cells)
        distinct: pd.Series[Any] = pd.Series(words, dtype="object")
        wrong_shape = ~distinct.str.match(_LIKE_A_DATE)
        parsed = pd.to_datetime(distinct.mask(wrong_shape), format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
        times = pd.Series(parsed.to_numpy()[codes], index=cells.index)
        wrong = times.isna() & (cells != "")
        if wrong.any():
            raise self.refused(wrong, column, f"is not a time; expected {_EXAMPLE}")
        return times


def read_input_table(path: Path, what: str) -> InputTable:
    """The table of a CSV (comma, UTF-8, a header; may be gzipped) or Parquet file.

    Args:
        path: the file; its extension says what it is.
        what: what messages call it, beside its path.

    Raises:
        BadInputError: when the file is not there, not readable as what its extension says, or empty.
    """
    named = f"{what} {path}"
    name = path.name.lower()
    if not name.endswith((*_CSV, *_PARQUET)):
        raise BadInputError(f"{named}: expected a file that ends in {', '.join((*_CSV, *_PARQUET))}")
    if not path.is_file():
        raise BadInputError(f"{named}: there is no such file")
    try:
        frame = _csv(path, named) if name.endswith(_CSV) else pd.read_parquet(path)
    except pd.errors.EmptyDataError as error:
        raise BadInputError(f"{named}: the file is empty; expected a header and rows") from error
    except (ValueError, OSError, EOFError) as error:  # pandas' parser errors and Arrow's are ValueErrors
        raise BadInputError(f"{named}: not readable: {error}") from error
    named_index = [level for level in frame.index.names if level is not None]
    return InputTable(named, frame.reset_index(level=named_index).reset_index(drop=True) if named_index else frame.reset_index(drop=True))


def _csv(path: Path, what: str) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype="object", keep_default_na=False, encoding="utf-8-sig")
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the first columns as index when rows are longer than the header
        if len(frame.columns) == 1 and any(mark in frame.columns[0] for mark in _OTHER_MARKS):
            raise BadInputError(
                f"{what}: the header {frame.columns[0]} has no comma; part the fields by commas, and write numbers with a point"
            )
        raise BadInputError(
            f"{what}: row 1 has more fields than the header; quote fields that hold a comma, and write numbers with a point"
        )
    return frame
