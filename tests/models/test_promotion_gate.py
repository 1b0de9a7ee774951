"""The gate promotes what beats the floor and the champion and passes its guards, and always says why."""

from __future__ import annotations

import math

import pytest

from headroom.errors import BadInputError
from models.gate import decide
from models.gate_guards import Verdict


def verdicts(*failed: str) -> list[Verdict]:
    return [Verdict(name, name not in failed, f"figures of {name}") for name in ("floor", "coverage", "segments", "better")]


def test_the_first_model_that_beats_the_naive_becomes_champion() -> None:
    decision = decide(mode="auto", challenger=0.8, verdicts=verdicts(), champion=None)
    assert decision.promote
    assert decision.reason == "0.800 of the best naive's pinball loss, and there is no champion to compare with"


@pytest.mark.parametrize("champion", [None, 1.2])
def test_nothing_that_loses_to_the_naive_floor_is_promoted(champion: float | None) -> None:
    decision = decide(mode="auto", challenger=1.0, verdicts=verdicts("floor"), champion=champion, champion_version="1")
    assert not decision.promote
    assert "failed gate.floor: not better than repeating the last day or week" in decision.reason


def test_a_challenger_that_passes_every_guard_takes_the_champions_place() -> None:
    decision = decide(mode="auto", challenger=0.7, verdicts=verdicts(), champion=0.8, champion_version="3")
    assert decision.promote
    assert decision.reason == "0.700 of the best naive's pinball loss, champion 3: 0.800 on the same windows; figures of better"


@pytest.mark.parametrize("guard", ["floor", "coverage", "segments", "better"])
def test_each_guard_keeps_the_champion_and_is_named(guard: str) -> None:
    decision = decide(mode="auto", challenger=0.7, verdicts=verdicts(guard), champion=0.8, champion_version="3")
    assert not decision.promote
    assert f"failed gate.{guard}" in decision.reason
    assert "champion 3: 0.800 on the same windows" in decision.reason


def test_without_a_champion_only_the_floor_decides_and_the_others_are_told() -> None:
    decision = decide(mode="auto", challenger=0.8, verdicts=verdicts("coverage"), champion=None)
    assert decision.promote
    assert "failed gate.coverage: figures of coverage" in decision.reason


def test_review_waits_for_a_person_only_when_the_gate_is_passed() -> None:
    waiting = decide(mode="review", challenger=0.7, verdicts=verdicts(), champion=0.8, champion_version="1")
    assert (waiting.promote, waiting.await_review) == (False, True)
    refused = decide(mode="review", challenger=0.9, verdicts=verdicts("better"), champion=0.8, champion_version="1")
    assert (refused.promote, refused.await_review) == (False, False)


def test_never_means_never() -> None:
    decision = decide(mode="never", challenger=0.1, verdicts=verdicts(), champion=None)
    assert (decision.promote, decision.await_review) == (False, False)


def test_a_champion_that_cannot_be_scored_is_named() -> None:
    decision = decide(mode="auto", challenger=0.7, verdicts=verdicts(), champion=None, champion_version="4")
    assert decision.promote
    assert "champion 4 could not be scored" in decision.reason


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInputError, match="nan"):
        decide(mode="auto", challenger=math.nan, verdicts=verdicts(), champion=None)
