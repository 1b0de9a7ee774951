"""The declared schema of every lake table, and the check of a frame against it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import pandas as pd
import pyarrow as pa

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS

__all__ = ["TABLES", "Table", "conform", "content_digest", "empty_frame"]

_TEXT, _NUMBER, _INT, _BOOL = pa.string(), pa.float64(), pa.int32(), pa.bool_()
_TIME = pa.timestamp("us", tz="UTC")
_SERIES: Final = {"unique_id": _TEXT, "region": _TEXT, "service": _TEXT, "resource": _TEXT}


@dataclass(frozen=True)
class Table:
    """A lake table.

    Attributes:
        name: folder of the table.
        columns: column -> Arrow type, in order. `day` is added in front: the partition, the date of `day_of`.
        keys: a row's identity; rows that share it are versions, told apart by `available_at`.
        day_of: the time column whose UTC date is the partition.
        nullable: columns that may be empty.
    """

    name: str
    columns: dict[str, pa.DataType]
    keys: tuple[str, ...]
    day_of: str
    nullable: frozenset[str] = frozenset()

    @property
    def schema(self) -> pa.Schema:
        fields = [pa.field("day", _TEXT, nullable=False)]
        fields += [pa.field(name, kind, nullable=name in self.nullable) for name, kind in self.columns.items()]
        return pa.schema(fields)


_DECLARED: Final = (
    Table(
        name="metrics",  # measurements in canonical units, at the step of their source
        columns={**_SERIES, "ds": _TIME, "y": _NUMBER, "available_at": _TIME, "source": _TEXT, "warnings": _TEXT},
        keys=("unique_id", "ds"),
        day_of="ds",
    ),
    Table(
        name="events",  # "" as region or service means all of them; value is a driver's reading (weather); strength 0 cancels
        columns={
            "event_id": _TEXT,
            "source": _TEXT,
            "kind": _TEXT,
            "title": _TEXT,
            "region": _TEXT,
            "service": _TEXT,
            "start": _TIME,
            "end": _TIME,
            "strength": _NUMBER,
            "value": _NUMBER,
            "available_at": _TIME,
        },
        keys=("event_id",),
        day_of="start",
        nullable=frozenset({"value"}),
    ),
    Table(
        name="quarantine",  # refused rows as they came; `row` is the JSON of the source row
        columns={
            "source": _TEXT,
            "region": _TEXT,
            "service": _TEXT,
            "metric": _TEXT,
            "ds": _TIME,
            "value": _TEXT,
            "rule": _TEXT,
            "reason": _TEXT,
            "row": _TEXT,
            "window_start": _TIME,
            "window_end": _TIME,
            "available_at": _TIME,
        },
        keys=("source", "window_start", "window_end", "row", "rule"),
        day_of="window_start",
        nullable=frozenset({"ds", "value", "region", "service", "metric"}),
    ),
    Table(
        name="forecasts",
        columns={
            "issue_time": _TIME,
            **_SERIES,
            "ds": _TIME,
            "horizon": _INT,
            **dict.fromkeys(QUANTILE_COLUMNS, _NUMBER),
            "confidence": _NUMBER,
            "model": _TEXT,
            "model_version": _TEXT,
            "candidate": _TEXT,
            "fallback_reason": _TEXT,
            "train_start": _TIME,
            "train_end": _TIME,
            "available_at": _TIME,
        },
        keys=("issue_time", "unique_id", "ds"),
        day_of="issue_time",
        nullable=frozenset({"train_start", "train_end"}),
    ),
    Table(
        name="totals",  # sums of the forecasts of an issue time; "*" stands for every region or service
        columns={
            "issue_time": _TIME,
            **_SERIES,
            "ds": _TIME,
            **dict.fromkeys(QUANTILE_COLUMNS, _NUMBER),
            "mean": _NUMBER,
            "available_at": _TIME,
        },
        keys=("issue_time", "unique_id", "ds"),
        day_of="issue_time",
    ),
    Table(
        # Resource is instances, bandwidth or storage; amounts are in `unit`, machines of several types in rows of their own. `cold` is bought when
        # it is needed; `unmet` is needed at the planned quantile and served by nobody. `leased` serves here
        # and is hot in peer regions; below 0 it is hot here and serves there. `leased_usd` is its cost, which is in
        # `cost_usd` where it is hot, and on the line that it serves also the egress, which is in no `cost_usd`.
        name="plans",
        columns={
            "issue_time": _TIME,
            "region": _TEXT,
            "service": _TEXT,
            "resource": _TEXT,
            "ds": _TIME,
            "unit": _TEXT,
            "machine_type": _TEXT,
            "needed": _NUMBER,
            "hot": _NUMBER,
            "warm": _NUMBER,
            "cold": _NUMBER,
            "unmet": _NUMBER,
            "leased": _NUMBER,
            "confidence": _NUMBER,
            "tier": _TEXT,
            "policy": _TEXT,
            "why": _TEXT,
            "cost_usd": _NUMBER,
            "leased_usd": _NUMBER,
            "peak_cost_usd": _NUMBER,
            "model_version": _TEXT,
            "available_at": _TIME,
        },
        keys=("issue_time", "region", "service", "resource", "ds", "machine_type"),
        day_of="issue_time",
        nullable=frozenset({"unmet", "leased", "leased_usd"}),  # plans of before these were told apart
    ),
    Table(
        name="quota_requests",  # quota increases that a plan would ask for: vCPU, `ds` the first of its `hours` that are short
        columns={
            "issue_time": _TIME,
            "region": _TEXT,
            "quota": _TEXT,
            "limit_vcpus": _NUMBER,
            "needed_vcpus": _NUMBER,
            "ds": _TIME,
            "hours": _INT,
            "usd_per_vcpu_day": _NUMBER,
            "available_at": _TIME,
        },
        keys=("issue_time", "region", "quota"),
        day_of="issue_time",
        nullable=frozenset({"usd_per_vcpu_day"}),  # only the policy `optimal` knows it
    ),
    Table(
        name="outcomes",  # one row per forecast row whose hour has been measured
        columns={
            "issue_time": _TIME,
            **_SERIES,
            "ds": _TIME,
            "horizon": _INT,
            "bucket": _TEXT,
            "y": _NUMBER,
            "median": _NUMBER,
            "error": _NUMBER,
            "pinball": _NUMBER,
            "covered_80": _BOOL,
            "covered_98": _BOOL,
            "held": _NUMBER,
            "unmet": _NUMBER,
            "cost_usd": _NUMBER,
            "model_version": _TEXT,
            "available_at": _TIME,
        },
        keys=("issue_time", "unique_id", "ds"),
        day_of="ds",
        nullable=frozenset({"held", "unmet", "cost_usd"}),
    ),
    Table(
        name="anomalies",
        columns={
            **_SERIES,
            "ds": _TIME,
            "y": _NUMBER,
            "expected": _NUMBER,
            "score": _NUMBER,
            "method": _TEXT,
            "reason": _TEXT,
            "available_at": _TIME,
        },
        keys=("unique_id", "ds"),
        day_of="ds",
    ),
    Table(
        name="calibration",  # conformal offsets learnt from outcomes: add `offset` x scale to the quantile column
        columns={
            "issue_time": _TIME,
            "model_version": _TEXT,
            "unique_id": _TEXT,
            "bucket": _TEXT,
            "quantile": _TEXT,
            "offset": _NUMBER,
            "rows": _INT,
            "available_at": _TIME,
        },
        keys=("issue_time", "unique_id", "bucket", "quantile"),
        day_of="issue_time",
    ),
)
TABLES: Final = {table.name: table for table in _DECLARED}


def conform(table: Table, frame: pd.DataFrame) -> pa.Table:
    """`frame` as Arrow in the declared schema, `day` derived, columns in order, rows sorted by key.

    Raises:
        BadInputError: naming the table and the column that is missing, unknown, empty or of the wrong type, or
            the key that two rows share.
    """
    expected = set(table.columns)
    given = set(frame.columns) - {"day"}
    if missing := sorted(expected - given):
        raise BadInputError(f"table {table.name}: column {missing[0]!r} is missing; a row has {', '.join(table.columns)}")
    if unknown := sorted(given - expected):
        raise BadInputError(f"table {table.name}: column {unknown[0]!r} is not declared; a row has {', '.join(table.columns)}")
    for column in table.columns:
        if column not in table.nullable and frame[column].isna().any():
            row = int(frame[column].isna().to_numpy().argmax())
            raise BadInputError(f"table {table.name}: column {column!r} is empty in row {row}; fill it or drop the row")
    identity = [*table.keys, *(["available_at"] if "available_at" not in table.keys else [])]
    told_apart = [*identity, *(["source"] if "source" in table.columns and "source" not in identity else [])]
    if (doubled := frame.duplicated(told_apart)).any():
        shared = dict(frame.loc[doubled.to_numpy(), told_apart].iloc[0])
        raise BadInputError(f"table {table.name}: two rows with the same {', '.join(told_apart)}: {shared}; keep one of them")
    ordered = frame.sort_values(identity, kind="stable")
    ordered = ordered.assign(day=pd.to_datetime(ordered[table.day_of], utc=True).dt.strftime("%Y-%m-%d"))
    try:
        return pa.Table.from_pandas(ordered, schema=table.schema, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise BadInputError(f"table {table.name}: {error}; see headroom/schemas.py for the types") from error


def content_digest(name: str, frame: pd.DataFrame) -> str:
    """SHA-256 of rows of table `name`: the same for the same rows, whatever their order or the resolution of their times."""
    rows = conform(TABLES[name], frame).to_pandas()
    return hashlib.sha256(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes()).hexdigest()


def empty_frame(name: str) -> pd.DataFrame:
    """A frame without rows that has the declared columns and types of table `name`."""
    frame: pd.DataFrame = TABLES[name].schema.empty_table().to_pandas()
    return frame
