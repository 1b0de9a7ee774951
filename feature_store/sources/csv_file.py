"""Batches of a CSV file, read in blocks of a few MiB."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from feature_store.sources.batch import Batch, parse_times
from feature_store.sources.raw import MEASUREMENT_COLUMNS, check_columns
from headroom.errors import BadInputError

__all__ = ["csv_batches"]

_BLOCK_BYTES: Final = 4 * 1024 * 1024


def csv_batches(path: Path, what: str) -> Iterator[Batch]:
    """The rows of a UTF-8 CSV with a header, every field as text; a `.gz` file is unpacked on the way.

    A line with too many or too few fields becomes a row without time whose `text` is the line.

    Raises:
        BadInputError: naming the file and what is wrong: empty, not text, a missing column.
    """
    _check_header(path, what)
    malformed: list[tuple[int, str]] = []

    def keep_malformed(line: pyarrow.csv.InvalidRow) -> str:
        malformed.append((line.number - 1, line.text))  # the header is line 1
        return "skip"

    try:
        with pa.input_stream(str(path)) as stream:
            reader = pyarrow.csv.open_csv(
                stream,
                read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
                parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep_malformed),
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=list(MEASUREMENT_COLUMNS),
                    column_types=dict.fromkeys(MEASUREMENT_COLUMNS, pa.string()),
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )
            position = 0
            for block in reader:
                numbers = _numbers(position, len(block), [number for number, _ in malformed])
                last = int(numbers[-1]) if len(numbers) else position
                due = [line for line in malformed if position < line[0] <= last]
                position = last
                yield _batch(block, numbers, due)
            if late := [line for line in malformed if line[0] > position]:
                yield _batch(pa.RecordBatch.from_pylist([], schema=reader.schema), np.array([], dtype="int64"), late)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise BadInputError(
            f"{what}: not a readable CSV: {error}; expected UTF-8 with the header {','.join(MEASUREMENT_COLUMNS)}"
        ) from error


def _check_header(path: Path, what: str) -> None:
    try:
        found = list(pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns)
    except pd.errors.EmptyDataError as error:
        raise BadInputError(f"{what}: the file is empty; expected the header {','.join(MEASUREMENT_COLUMNS)}") from error
    except (UnicodeDecodeError, OSError, EOFError, zlib.error, pd.errors.ParserError) as error:
        raise BadInputError(
            f"{what}: not a readable CSV: {error}; expected UTF-8 with the header {','.join(MEASUREMENT_COLUMNS)}"
        ) from error
    check_columns(found, what)


def _numbers(position: int, count: int, skipped: Sequence[int]) -> npt.NDArray[np.int64]:
    """The positions of `count` good rows after `position`, when the rows `skipped` are not among them."""
    after = [number for number in skipped if number > position]
    candidates = np.arange(position + 1, position + 1 + count + len(after), dtype="int64")
    return candidates[~np.isin(candidates, after)][:count]


def _batch(block: pa.RecordBatch, numbers: npt.NDArray[np.int64], malformed: Sequence[tuple[int, str]]) -> Batch:
    good = pa.Table.from_batches([block]).append_column("text", pa.nulls(len(block), pa.string()))
    positions = np.concatenate([numbers, np.array([number for number, _ in malformed], dtype="int64")])
    lines = pa.Table.from_pylist([{"text": text} for _, text in malformed], schema=good.schema)
    order = np.argsort(positions, kind="stable")
    columns = pa.concat_tables([good, lines]).take(pa.array(order)) if malformed else good
    return Batch(columns, parse_times(columns["timestamp"]), positions[order])
