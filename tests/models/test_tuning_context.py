"""A segment's context has no unit, looks at nothing after the issue time, and tells unlike series apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.tuning.context import FEATURES, segment_contexts

ISSUE = pd.Timestamp("2026-07-01", tz="UTC")
HOURS = pd.date_range(end=ISSUE - pd.Timedelta("1h"), periods=40 * 24, freq="h", unit="us")
DAILY = 100 + 20 * np.sin(2 * np.pi * np.arange(len(HOURS)) / 24)
NOISE = np.random.default_rng(1).normal(100, 20, len(HOURS))


def series(name: str, y: np.ndarray, hours: pd.DatetimeIndex = HOURS) -> pd.DataFrame:
    return pd.DataFrame({"unique_id": name, "ds": hours, "y": y})


def test_a_thousand_times_the_demand_is_the_same_context() -> None:
    contexts = segment_contexts(pd.concat([series("small", NOISE), series("large", 1000 * NOISE)]), ISSUE)
    assert np.allclose(contexts.loc["small"], contexts.loc["large"])


def test_a_daily_pattern_is_seasonal_and_noise_is_volatile() -> None:
    contexts = segment_contexts(pd.concat([series("daily", DAILY), series("noise", NOISE)]), ISSUE)
    assert contexts.loc["daily", "seasonality"] == pytest.approx(1.0)
    assert contexts.loc["noise", "seasonality"] < 0.2
    assert contexts.loc["noise", "volatility"] > 3 * contexts.loc["daily", "volatility"]


def test_a_level_that_moves_from_day_to_day_shows() -> None:
    steps = np.repeat(np.random.default_rng(2).normal(100, 20, len(HOURS) // 24), 24)
    contexts = segment_contexts(pd.concat([series("daily", DAILY), series("steps", steps)]), ISSUE)
    assert contexts.loc["daily", "level_drift"] == pytest.approx(0.0, abs=1e-9)
    assert contexts.loc["steps", "level_drift"] == pytest.approx(1.0)


def test_zeros_and_length_are_shares() -> None:
    mostly = np.where(np.arange(len(HOURS)) % 4 == 0, 5.0, 0.0)
    contexts = segment_contexts(pd.concat([series("queue", mostly), series("young", DAILY[-72:], HOURS[-72:])]), ISSUE)
    assert contexts.loc["queue", "zeros"] == pytest.approx(0.75)
    assert contexts.loc["young", "length"] == pytest.approx(3 / 112)
    assert contexts.loc["queue", "length"] == pytest.approx(40 / 112)


@pytest.mark.parametrize("y", [np.zeros(960), np.full(960, 7.0), np.where(np.arange(960) % 9, np.nan, 3.0), -NOISE])
def test_every_context_is_finite_and_bounded(y: np.ndarray) -> None:
    contexts = segment_contexts(series("odd", y), ISSUE)
    assert tuple(contexts.columns) == FEATURES
    assert contexts.to_numpy().min() >= 0
    assert contexts.to_numpy().max() <= 1


def test_what_happens_after_the_issue_time_changes_nothing() -> None:
    later = series("daily", np.full(48, 1e9), pd.date_range(ISSUE, periods=48, freq="h", unit="us"))
    past = series("daily", DAILY)
    pd.testing.assert_frame_equal(segment_contexts(pd.concat([past, later]), ISSUE), segment_contexts(past, ISSUE))


def test_a_segment_is_the_mean_of_its_series() -> None:
    history = pd.concat([series("a", DAILY), series("b", NOISE), series("c", NOISE)])
    grouped = segment_contexts(history, ISSUE, {"a": "web", "b": "web"})
    alone = segment_contexts(history, ISSUE)
    assert list(grouped.index) == ["web"]
    assert np.allclose(grouped.loc["web"], alone.loc[["a", "b"]].mean())


def test_no_history_has_no_context() -> None:
    assert segment_contexts(series("a", DAILY).head(0), ISSUE).empty
