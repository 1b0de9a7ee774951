"""A reward has no unit, is bounded, and waits until its horizon was measured."""

from __future__ import annotations

import pandas as pd
import pytest

from headroom.errors import BadInputError
from models.tuning.reward import LEAST_REWARD, realised_rewards, reward_of

ISSUE = pd.Timestamp("2026-07-01", tz="UTC")


def judged(name: str = "a", *, hours: int = 72, own: float = 1.0, reference: float = 2.0, segment: str = "web") -> pd.DataFrame:
    ds = pd.date_range(ISSUE, periods=hours, freq="h", unit="us")
    return pd.DataFrame(
        {"segment": segment, "unique_id": name, "issue_time": ISSUE, "ds": ds, "pinball": own, "reference_pinball": reference}
    )


def test_half_the_references_loss_is_minus_a_half() -> None:
    found = realised_rewards(judged())
    assert found.to_dict("records") == [{"segment": "web", "issue_time": ISSUE, "ratio": 0.5, "hours": 72, "reward": -0.5}]


def test_a_large_series_counts_no_more_than_a_small_one() -> None:
    found = realised_rewards(pd.concat([judged("small"), judged("large", own=3e6, reference=2e6)]))
    assert found["reward"].tolist() == [pytest.approx(-1.0)]


def test_the_reward_is_bounded_and_a_perfect_reference_can_only_be_equalled() -> None:
    assert reward_of([1.0, 100.0, 0.0, 0.1, 0.0], [2.0, 2.0, 2.0, 0.0, 0.0]).tolist() == [-0.5, LEAST_REWARD, 0.0, LEAST_REWARD, -1.0]


def test_a_horizon_that_was_not_measured_yet_has_no_reward() -> None:
    assert realised_rewards(judged(hours=60)).empty
    assert len(realised_rewards(judged(hours=66))) == 1
    assert realised_rewards(pd.concat([judged("a"), judged("b", hours=24)])).empty


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadInputError, match="reference_pinball"):
        realised_rewards(judged().drop(columns="reference_pinball"))
