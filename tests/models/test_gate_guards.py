"""The guards of the gate: each passes what it should, stops what it should, and tells its figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_world import ISSUE

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.gate_guards import GuardLimits, Verdict, better_guard, coverage_guard, examine, floor_guard, segment_guard

LIMITS = GuardLimits()
SERIES = ("a/b/cpu", "c/b/cpu", "a/b/requests")


def rows(**errors: float) -> pd.DataFrame:
    """Three days of forecasts of every series that miss a demand of 100 by the error of its resource, and a little more every day."""
    ds = pd.date_range(ISSUE, periods=72, freq="h")
    parts = [pd.DataFrame({"unique_id": name, "cutoff": ISSUE, "ds": ds, "horizon": range(1, 73), "y": 100.0}) for name in SERIES]
    frame = pd.concat(parts, ignore_index=True)
    error = frame["unique_id"].str.rpartition("/")[2].map(errors) * (1 + 0.01 * (frame["horizon"] // 25))
    return frame.assign(candidate="seasonal-naive-24", **dict.fromkeys(QUANTILE_COLUMNS, 100.0 + error))


FLOOR = rows(cpu=10, requests=10)


@pytest.mark.parametrize(("error", "passed"), [(9.9, True), (10, False), (11, False)])
def test_the_floor_is_to_be_beaten_not_met(error: float, passed: bool) -> None:
    verdict = floor_guard(FLOOR, rows(cpu=error, requests=error), LIMITS)
    assert verdict.passed is passed
    assert str(verdict) == f"{'pass' if passed else 'fail'}: {error / 10:.3f} of the better naive's loss, below 1 is asked"


@pytest.mark.parametrize(("share", "passed"), [(0.60, False), (0.66, True), (0.94, True), (0.97, False)])
def test_coverage_has_a_lower_and_an_upper_bound(share: float, passed: bool) -> None:
    frame = pd.concat([FLOOR] * 5, ignore_index=True).assign(
        **{c: 100 + 100 * (q - 0.5) for c, q in zip(QUANTILE_COLUMNS, QUANTILES, strict=True)}
    )
    frame["y"] = np.where(np.arange(len(frame)) < share * len(frame), 100.0, 500.0)
    verdict = coverage_guard(frame, LIMITS)
    assert verdict.passed is passed
    assert f"holds {share:.0%}".replace("%", " %") in verdict.figures


@pytest.mark.parametrize(("requests", "passed"), [(5.2, True), (5.4, False)])
def test_no_segment_may_pay_for_the_others(requests: float, passed: bool) -> None:
    """The challenger halves the loss of two series of three and is still stopped by the third."""
    verdict = segment_guard(FLOOR, rows(cpu=2.5, requests=requests), rows(cpu=5, requests=5), LIMITS)
    assert verdict.passed is passed
    assert f"worst segment requests: {requests / 5 - 1:.1%} worse than the champion".replace("%", " %") in verdict.figures


def test_without_a_champion_the_worst_segment_is_told_and_stops_nobody() -> None:
    verdict = segment_guard(FLOOR, rows(cpu=5, requests=12), None, LIMITS)
    assert str(verdict) == "pass: no champion to compare with; worst segment requests at 1.200 of the naive's loss"


def noisy(frame: pd.DataFrame, by_day: tuple[float, float, float]) -> pd.DataFrame:
    factor = np.take(by_day, (frame["horizon"] - 1) // 24)
    return frame.assign(**{column: 100 + (frame[column] - 100) * factor for column in QUANTILE_COLUMNS})


@pytest.mark.parametrize(
    ("by_day", "passed"),
    [((0.90, 0.92, 0.91), True), ((0.50, 1.20, 1.00), False), ((0.999, 0.999, 0.999), False), ((1.1, 1.1, 1.1), False)],
    ids=["every day a little", "one lucky day", "a trifle", "worse"],
)
def test_a_gain_must_be_more_than_a_trifle_and_more_than_luck(by_day: tuple[float, float, float], passed: bool) -> None:
    champion = rows(cpu=5, requests=5)
    verdict = better_guard(FLOOR, noisy(champion, by_day), champion, LIMITS)
    assert verdict.passed is passed
    assert "over 3 days" in verdict.figures


def test_limits_are_the_callers() -> None:
    challenger, champion = rows(cpu=2.5, requests=5.4), rows(cpu=5, requests=5)
    found = examine(
        floor=FLOOR, challenger=challenger, calibrated=challenger, champion=champion, limits=GuardLimits(segment_worse=0.1, coverage_low=0)
    )
    assert [(verdict.name, verdict.passed) for verdict in found] == [
        ("floor", True),
        ("coverage", True),
        ("segments", True),
        ("better", True),
    ]


def test_a_challenger_equal_to_the_champion_fails_only_for_being_no_better() -> None:
    same = rows(cpu=5, requests=5)
    failed = [
        v for v in examine(floor=FLOOR, challenger=same, calibrated=same, champion=same, limits=GuardLimits(coverage_low=0)) if not v.passed
    ]
    assert [verdict.name for verdict in failed] == ["better"]
    assert failed == [
        Verdict("better", False, "0.0 % better than the champion, p = 1.000 over 3 days; a gain above 0.2 % with p up to 0.1 is asked")
    ]
