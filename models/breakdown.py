"""The quality of forecasts by segment and horizon bucket: a table for metrics, files and the model card."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_BUCKETS, horizon_bucket
from models.ensemble import segment_of
from models.pinball import row_pinball

__all__ = ["ALL", "BREAKDOWN_COLUMNS", "as_metrics", "breakdown"]

# Stands for every segment, and for every horizon.
ALL: Final = "all"
BREAKDOWN_COLUMNS: Final = ("segment", "bucket", "series", "rows", "wql", "score", "coverage_80", "coverage_98")
_MEASURES: Final = ("wql", "score", "coverage_80", "coverage_98")
# What MLflow accepts in the name of a metric; the slash groups them on its page, so a segment may not have one.
_REFUSED: Final = re.compile(r"[^\w\-. ]")


def breakdown(rows: pd.DataFrame, floor: pd.DataFrame | None = None) -> pd.DataFrame:
    """`BREAKDOWN_COLUMNS`, one row per segment and horizon bucket, with `ALL` for either.

    `wql` is the mean over series of the weighted quantile loss, `score` the mean over series of the pinball loss over the floor's on the same
    rows (NaN without `floor`), coverage the share of rows within the interval. Series without a slash are the segment "*".

    Args:
        rows: `unique_id, cutoff, ds, horizon, y, *QUANTILE_COLUMNS`.
        floor: those of each series' better naive.
    """
    keys = ["unique_id", "cutoff", "ds"]
    facts = rows[keys].assign(
        bucket=horizon_bucket(rows["horizon"]),
        loss=row_pinball(rows),
        size=rows["y"].abs(),
        inside_80=rows["y"].between(rows["0.1"], rows["0.9"]),
        inside_98=rows["y"].between(rows["0.01"], rows["0.99"]),
    )
    naive = floor[keys].assign(naive=row_pinball(floor)) if floor is not None else facts[keys].assign(naive=np.nan)
    facts = facts.merge(naive, on=keys, how="left")
    per_series = pd.concat([_per_series(facts), _per_series(facts.assign(bucket=ALL))], ignore_index=True)
    segmented = per_series.assign(segment=segment_of(per_series["unique_id"]))
    table = pd.concat([_summed(per_series.assign(segment=ALL)), _summed(segmented)], ignore_index=True)
    order = {name: place for place, name in enumerate((ALL, *HORIZON_BUCKETS))}
    table = table.assign(_bucket=table["bucket"].map(order), _whole=table["segment"] != ALL)
    return table.sort_values(["_whole", "segment", "_bucket"], ignore_index=True)[list(BREAKDOWN_COLUMNS)]


def as_metrics(table: pd.DataFrame) -> dict[str, float]:
    """A breakdown as MLflow metrics: `wql`, `wql_h1-6`, `cpu/wql`, `cpu/wql_h1-6` and so on; what is not a number is left out."""
    long = table.melt(["segment", "bucket"], list(_MEASURES), var_name="measure").dropna(subset=["value"])
    long = long[np.isfinite(long["value"])]
    segment = np.where(long["segment"] == ALL, "", long["segment"].replace("*", "other").str.replace(_REFUSED, "_", regex=True) + "/")
    bucket = np.where(long["bucket"] == ALL, "", "_h" + long["bucket"])
    return dict(zip(segment + long["measure"] + bucket, long["value"].astype(float), strict=True))


def _per_series(facts: pd.DataFrame) -> pd.DataFrame:
    sums = facts.groupby(["unique_id", "bucket"])[["loss", "size", "naive", "inside_80", "inside_98"]].sum(min_count=1)
    sums["rows"] = facts.groupby(["unique_id", "bucket"]).size()
    ratio = sums["loss"] / sums["naive"].where(sums["naive"] > 0)
    return sums.assign(
        wql=2.0 * sums["loss"] / sums["size"].where(sums["size"] > 0),
        score=ratio.mask((sums["naive"] == 0) & (sums["loss"] == 0), 1.0),  # as good as a naive that makes no error
    ).reset_index()


def _summed(per_series: pd.DataFrame) -> pd.DataFrame:
    grouped = per_series.groupby(["segment", "bucket"])
    table = grouped[["wql", "score"]].mean()
    sums = grouped[["rows", "inside_80", "inside_98"]].sum()
    return table.assign(
        series=grouped.size(), rows=sums["rows"], coverage_80=sums["inside_80"] / sums["rows"], coverage_98=sums["inside_98"] / sums["rows"]
    ).reset_index()
