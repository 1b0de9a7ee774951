"""A CSV or Parquet file of measurements, read window by window in bounded memory."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_store.sources.batch import Batch, raw_rows
from feature_store.sources.csv_file import csv_batches
from feature_store.sources.parquet_file import parquet_batches
from feature_store.sources.raw import raw_frame
from headroom.errors import BadInputError
from headroom.settings_sources import FileSource

__all__ = ["FileRows"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileRows:
    """Rows `timestamp, region, service, metric, value` of one file; see `MetricRows`.

    A row whose time cannot be read belongs to the window of the nearest row before it in the file that has one (at the
    top of the file: after it), so it is reported in exactly one of any windows that touch. Rows of a metric that the
    source does not list are left out and counted in `attrs["remarks"]`; rows without a metric are kept.
    """

    source: FileSource
    base: Path

    def rows(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """Rows of the window, in file order.

        A Parquet file costs the row groups that meet the window; a CSV file is read whole, in blocks.
        """
        left_out: Counter[str] = Counter()
        parts = []
        for batch, inside in _inside(self._batches(start, end), self._what, start, end):
            keep = inside & self._listed(batch, inside, left_out)
            if keep.any():
                parts.append(raw_rows(batch, keep))
        remarks = [f"{count} rows of metric {metric!r}, which the source does not list" for metric, count in sorted(left_out.items())]
        for remark in remarks:
            _log.info("%s: left out %s", self._what, remark)
        return raw_frame(parts, remarks)

    @property
    def _what(self) -> str:
        return f"source {self.source.name}: {self.source.path}"

    def _batches(self, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[Batch]:
        path = self.base / self.source.path
        if not path.is_file():
            raise BadInputError(f"{self._what}: no such file in {self.base}; correct metrics.path in capacity.yaml")
        if path.suffix.lower() == ".parquet":
            return parquet_batches(path, self._what, start, end)
        if path.name.lower().endswith((".csv", ".csv.gz")):
            return csv_batches(path, self._what)
        raise BadInputError(f"{self._what}: unknown kind of file; expected a name that ends in .parquet, .csv or .csv.gz")

    def _listed(self, batch: Batch, inside: npt.NDArray[np.bool_], left_out: Counter[str]) -> npt.NDArray[np.bool_]:
        metric = batch.columns["metric"].cast(pa.string())
        known: npt.NDArray[np.bool_] = pc.or_kleene(
            pc.is_null(metric), pc.is_in(metric, pa.array(list(self.source.metrics), pa.string()))
        ).to_numpy()
        others = metric.filter(pa.array(inside & ~known)).value_counts().to_pylist()
        left_out.update({other["values"]: other["counts"] for other in others})
        return known


def _inside(batches: Iterator[Batch], what: str, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[tuple[Batch, npt.NDArray[np.bool_]]]:
    last: pd.Timestamp | None = None
    for batch in batches:
        if not len(batch.times):
            continue
        times = batch.times.ffill()
        times = times.bfill() if last is None else times.fillna(last)
        if times.isna().any():
            first = batch.columns["timestamp"][0].as_py()
            raise BadInputError(
                f"{what}: none of the first {len(times)} rows has a readable timestamp, the first is {first!r}; "
                "expected ISO 8601, for example 2026-07-08T00:05:00Z"
            )
        last = times.iloc[-1]
        yield batch, ((times >= start) & (times < end)).to_numpy()
