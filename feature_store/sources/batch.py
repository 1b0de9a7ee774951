"""A piece of a file: its measurements as they came, its times as far as they could be read."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_store.sources.raw import MEASUREMENT_COLUMNS
from feature_store.times import utc_times

__all__ = ["Batch", "parse_times", "raw_rows"]


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file.

    Attributes:
        columns: `MEASUREMENT_COLUMNS` as the file has them, and `text`: the whole line where it could not be split.
        times: UTC, NaT where unreadable.
        numbers: position of each row in the file, from 1 (the header is not counted).
    """

    columns: pa.Table
    times: pd.Series[pd.Timestamp]
    numbers: npt.NDArray[np.int64]


def parse_times(column: pa.ChunkedArray) -> pd.Series[pd.Timestamp]:
    """Times in UTC, `datetime64[us, UTC]`; a time without a zone is taken as UTC, what is no ISO 8601 time is NaT.

    Raises:
        TypeError: when the column holds neither times nor text.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_timestamp(kind):
        plain = pc.cast(column, pa.timestamp("us", tz="UTC"), safe=False)
        return pd.Series(plain.to_pandas()).astype("datetime64[us, UTC]").reset_index(drop=True)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return utc_times(_text(column))
    raise TypeError(str(kind))


def raw_rows(batch: Batch, keep: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """The kept rows of a batch as a raw frame (see `MetricRows.rows`)."""
    kept = batch.columns.filter(pa.array(keep))
    times = batch.times[keep].reset_index(drop=True)
    return pd.DataFrame(
        {
            "timestamp": times,
            "region": _text(kept["region"]),
            "service": _text(kept["service"]),
            "metric": _text(kept["metric"]),
            "value": _numbers_or_text(kept["value"]),
            "row": _identity(batch.numbers[keep], times, kept),
        }
    )


def _text(column: pa.ChunkedArray) -> pd.Series[str]:
    return pd.Series(column.cast(pa.string()).to_pandas(), dtype="object")


def _numbers_or_text(column: pa.ChunkedArray) -> pd.Series[float]:
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        return pd.Series(column.cast(pa.float64(), safe=False).to_pandas())
    text = pd.Series(column.cast(pa.string()).to_pandas(), dtype="object")
    numbers: pd.Series[float] = pd.to_numeric(text, errors="coerce").astype("float64")
    empty = text.isna() | text.str.strip().str.lower().isin(["", "nan"])
    unreadable = numbers.isna() & ~empty
    return numbers.astype("object").where(~unreadable, text) if unreadable.any() else numbers


def _identity(numbers: npt.NDArray[np.int64], times: pd.Series[pd.Timestamp], kept: pa.Table) -> pd.Series[str]:
    rows = pd.Series('{"row": ' + numbers.astype("str").astype("object") + "}", dtype="object")
    unreadable = np.flatnonzero(times.isna().to_numpy())
    if len(unreadable):
        originals = kept.take(pa.array(unreadable)).to_pylist()
        rows.iloc[unreadable] = [
            json.dumps({"row": int(number), **_as_it_came(original)}, default=str)
            for number, original in zip(numbers[unreadable], originals, strict=True)
        ]
    return rows


def _as_it_came(original: dict[str, object]) -> dict[str, object]:
    if original.get("text") is not None:
        return {"text": original["text"]}
    return {column: original[column] for column in MEASUREMENT_COLUMNS}
