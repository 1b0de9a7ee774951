"""What every metric source yields: raw rows of a window, as they came, for validation to judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import pandas as pd

from headroom.errors import BadInputError

__all__ = ["MEASUREMENT_COLUMNS", "RAW_COLUMNS", "MetricRows", "check_columns", "raw_frame"]

MEASUREMENT_COLUMNS: Final = ("timestamp", "region", "service", "metric", "value")
RAW_COLUMNS: Final = (*MEASUREMENT_COLUMNS, "row")


class MetricRows(Protocol):
    """The rows of a window."""

    def rows(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """Raw rows whose time is in `[start, end)`; windows that touch share no row and lose none.

        Columns:
            timestamp: start of the row's step, `datetime64[us, UTC]`; NaT where it could not be read.
            region, service, metric: text, or None.
            value: float64; when a value of the window is not a number the column is `object` and holds that text.
            row: JSON that tells the row from every other of the source, with the original text of what was unreadable.

        `frame.attrs["remarks"]` lists, in words, what the source noticed and validation cannot see.

        Raises:
            BadInputError: the source itself is wrong (no such file, a missing column, a refused query).
            UnavailableError: the source does not answer, or says that its answer is partial.
        """
        ...


def raw_frame(parts: Sequence[pd.DataFrame], remarks: Sequence[str] = ()) -> pd.DataFrame:
    """The parts as one frame with `RAW_COLUMNS` and their types, in the order given."""
    filled = [part for part in parts if len(part)]
    if filled:
        frame = pd.concat(filled, ignore_index=True)[list(RAW_COLUMNS)]
    else:
        frame = pd.DataFrame({column: pd.Series(dtype="object") for column in RAW_COLUMNS}).astype({"value": "float64"})
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True)
    frame["timestamp"] = frame["timestamp"].dt.as_unit("us")
    frame.attrs["remarks"] = list(remarks)
    return frame


def check_columns(found: Sequence[str], what: str) -> None:
    """Refuse a file that lacks one of `MEASUREMENT_COLUMNS`.

    Raises:
        BadInputError: naming the file, the column, what is expected and what is there.
    """
    missing = [column for column in MEASUREMENT_COLUMNS if column not in found]
    if missing:
        raise BadInputError(
            f"{what}: column {missing[0]!r} is missing; expected {', '.join(MEASUREMENT_COLUMNS)}, found {', '.join(found)}"
        )
