"""A reward has no unit, is bounded, and waits until its horizon was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS
from models.pinball import row_pinball
from models.tuning.reward import LEAST_REWARD, realised_rewards, reward_of, with_naive_pinball

ISSUE = pd.Timestamp("2026-07-01", tz="UTC")
HOUR = pd.Timedelta("1h")


def judged(name: str = "a", *, hours: int = 72, own: float = 1.0, naive: float = 2.0, segment: str = "web") -> pd.DataFrame:
    ds = pd.date_range(ISSUE, periods=hours, freq="h", unit="us")
    return pd.DataFrame({"segment": segment, "unique_id": name, "issue_time": ISSUE, "ds": ds, "pinball": own, "naive_pinball": naive})


def test_half_the_naives_loss_is_minus_a_half() -> None:
    found = realised_rewards(judged())
    assert found.to_dict("records") == [{"segment": "web", "issue_time": ISSUE, "ratio": 0.5, "hours": 72, "reward": -0.5}]


def test_a_large_series_counts_no_more_than_a_small_one() -> None:
    found = realised_rewards(pd.concat([judged("small"), judged("large", own=3e6, naive=2e6)]))
    assert found["reward"].tolist() == [pytest.approx(-1.0)]


def test_the_reward_is_bounded_and_a_perfect_naive_can_only_be_equalled() -> None:
    assert reward_of([1.0, 100.0, 0.0, 0.1, 0.0], [2.0, 2.0, 2.0, 0.0, 0.0]).tolist() == [-0.5, LEAST_REWARD, 0.0, LEAST_REWARD, -1.0]


def test_a_horizon_that_was_not_measured_yet_has_no_reward() -> None:
    assert realised_rewards(judged(hours=60)).empty
    assert len(realised_rewards(judged(hours=66))) == 1
    assert realised_rewards(pd.concat([judged("a"), judged("b", hours=24)])).empty


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadInputError, match="naive_pinball"):
        realised_rewards(judged().drop(columns="naive_pinball"))


def test_the_naives_loss_is_that_of_a_forecast_that_repeats_last_week() -> None:
    hours = pd.date_range(ISSUE - pd.Timedelta(days=7), periods=240, freq="h", unit="us")
    demand = pd.DataFrame({"unique_id": "a", "ds": hours, "y": np.random.default_rng(1).normal(100, 20, 240)})
    rows = demand[demand["ds"] >= ISSUE].assign(issue_time=ISSUE)
    repeated = rows.merge(demand.assign(ds=demand["ds"] + 168 * HOUR).rename(columns={"y": "last"}), on=["unique_id", "ds"])
    expected = row_pinball(repeated.assign(**dict.fromkeys(QUANTILE_COLUMNS, repeated["last"])))
    assert np.allclose(with_naive_pinball(rows, demand)["naive_pinball"], expected)


def test_hours_without_a_week_before_are_left_out() -> None:
    rows = pd.DataFrame({"unique_id": "a", "ds": [ISSUE], "y": [1.0]})
    assert with_naive_pinball(rows, rows).empty
