"""Quality by segment and horizon bucket: every series weighs the same, and names are those that MLflow takes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_world import ISSUE

from headroom.vocabulary import QUANTILE_COLUMNS
from models.breakdown import as_metrics, breakdown


def rows(error: dict[str, float]) -> pd.DataFrame:
    """72 hours of every series, whose quantiles all miss a demand of 100 by the series' error, and by nothing in the first six hours."""
    ds = pd.date_range(ISSUE, periods=72, freq="h")
    parts = [pd.DataFrame({"unique_id": name, "cutoff": ISSUE, "ds": ds, "horizon": range(1, 73), "y": 100.0}) for name in error]
    frame = pd.concat(parts, ignore_index=True)
    miss = np.where(frame["horizon"] <= 6, 0.0, frame["unique_id"].map(error))
    return frame.assign(**dict.fromkeys(QUANTILE_COLUMNS, 100.0 + miss))


def test_segments_and_buckets_are_told_apart() -> None:
    table = breakdown(
        rows({"a/b/cpu": 10.0, "c/b/cpu": 20.0, "a/b/requests": 0.0}), rows(dict.fromkeys(["a/b/cpu", "c/b/cpu", "a/b/requests"], 20.0))
    )
    found = table.set_index(["segment", "bucket"])
    assert list(found.index.get_level_values("segment").unique()) == ["all", "cpu", "requests"]
    assert found.loc[("cpu", "25-72"), ["series", "rows"]].tolist() == [2, 96]
    assert found["score"][("cpu", "25-72")] == pytest.approx((0.5 + 1.0) / 2)
    assert found["score"][("all", "all")] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert found["score"][("all", "1-6")] == 1, "as good as a naive without error"
    assert found["coverage_80"][("cpu", "all")] == pytest.approx(6 / 72)
    assert found["coverage_80"][("requests", "7-24")] == 1


def test_metrics_carry_segment_and_bucket_in_their_names_and_leave_out_what_is_no_number() -> None:
    named = as_metrics(breakdown(rows({"a/b/cpu": 10.0, "T1": 10.0, "a/b/p99 (ms)": 10.0})))
    assert {"wql", "wql_h1-6", "cpu/wql", "cpu/coverage_98_h25-72", "other/wql", "p99 _ms_/wql"} <= set(named)
    assert not [name for name in named if "score" in name]
