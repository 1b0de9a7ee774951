"""Batches of a Parquet file: only the row groups whose times meet the window."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from feature_store.sources.batch import Batch, parse_times
from feature_store.sources.raw import MEASUREMENT_COLUMNS, check_columns
from headroom.errors import BadInputError

__all__ = ["parquet_batches"]

_BATCH_ROWS: Final = 131_072


def parquet_batches(path: Path, what: str, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[Batch]:
    """At least the rows in `[start, end)`, in file order, `_BATCH_ROWS` at a time.

    A row group whose statistics show that it holds no row of the window, and no row without a time, is not read.

    Raises:
        BadInputError: naming the file and what is wrong: not Parquet, a missing column, times that are no times.
    """
    try:
        with pq.ParquetFile(path) as file:
            check_columns(file.schema_arrow.names, what)
            times = [file.metadata.schema.column(i).path for i in range(file.metadata.num_columns)].index("timestamp")
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
            if any(_may_lack_times(group.column(times).statistics) for group in groups):
                chosen = list(range(len(groups)))  # a row without time belongs to its neighbour's window, so all are read
            else:
                chosen = [i for i, group in enumerate(groups) if _meets(group.column(times).statistics, start, end)]
            first_rows = np.cumsum([0, *(group.num_rows for group in groups)])
            for index in chosen:
                position = int(first_rows[index])
                for block in file.iter_batches(_BATCH_ROWS, row_groups=[index], columns=list(MEASUREMENT_COLUMNS)):
                    yield _batch(pa.Table.from_batches([block]), position, what)
                    position += len(block)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise BadInputError(f"{what}: not a readable Parquet file: {error}") from error


def _may_lack_times(statistics: Any) -> bool:
    return statistics is None or not statistics.has_null_count or statistics.null_count > 0 or not isinstance(statistics.min, datetime)


def _meets(statistics: Any, start: pd.Timestamp, end: pd.Timestamp) -> bool:
    first, last = (pd.to_datetime(bound, utc=True) for bound in (statistics.min, statistics.max))
    return bool(first < end and last >= start)


def _batch(columns: pa.Table, position: int, what: str) -> Batch:
    numbers = np.arange(position + 1, position + 1 + len(columns), dtype="int64")
    try:
        times = parse_times(columns["timestamp"])
    except TypeError as error:
        raise BadInputError(f"{what}: column 'timestamp' holds {error}; expected timestamps (UTC) or ISO 8601 text") from error
    return Batch(columns.append_column("text", pa.nulls(len(columns), pa.string())), times, numbers)
