"""The trial of dear candidates: who makes the average better goes on, who is only different or only dear does not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.engine_clock import engine_clock
from models.long_frame import LongFrame
from models.trial import may_win, sampled

CUTOFFS = pd.to_datetime(["2026-03-01", "2026-03-04"], utc=True)


def rows(candidate: str, bias: float, width: float = 2.0) -> pd.DataFrame:
    """Forecasts of a demand of 100 +- 1 that are off by `bias`."""
    parts = []
    for cutoff in CUTOFFS:
        ds = pd.date_range(cutoff, periods=72, freq="h")
        y = 100 + np.random.default_rng(int(cutoff.day)).normal(0, 1, 72)
        parts.append(pd.DataFrame({"candidate": candidate, "unique_id": "a", "cutoff": cutoff, "ds": ds, "horizon": range(1, 73), "y": y}))
    frame = pd.concat(parts, ignore_index=True)
    values = 100 + bias + width * (np.array(QUANTILES) - 0.5)
    return frame.assign(**dict(zip(QUANTILE_COLUMNS, values, strict=True)))


def cheap() -> pd.DataFrame:
    return pd.concat([rows("seasonal-naive-24", 6), rows("flair", 3), rows("seasonal-ridge", 3)], ignore_index=True)


def test_a_candidate_that_errs_to_the_other_side_goes_on_even_when_it_is_worse_alone():
    assert may_win(cheap(), rows("mstl", -4)) == ["mstl"]


def test_a_candidate_that_errs_like_the_others_does_not_go_on():
    assert may_win(cheap(), pd.concat([rows("mstl", 3), rows("auto-ets", 5)], ignore_index=True)) == []


def test_a_sample_is_spread_over_the_names():
    ds = pd.date_range("2026-03-01", periods=48, freq="h", unit="us")
    series = [pd.DataFrame({"unique_id": f"s{n:03}", "ds": ds, "y": 1.0}) for n in range(100)]
    clock = engine_clock(LongFrame(pd.concat(series, ignore_index=True), pd.Timedelta(hours=1)), 24)
    names = sorted(sampled(clock, [f"s{n:03}" for n in range(100)]).history["unique_id"].unique())
    assert len(names) == 12
    assert (names[0], names[-1]) == ("s000", "s099")
