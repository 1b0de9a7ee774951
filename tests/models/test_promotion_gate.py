"""The gate promotes what beats the floor and the champion, and always says why."""

from __future__ import annotations

import math

import pytest

from headroom.errors import BadInputError
from models.gate import decide


def test_the_first_model_that_beats_the_naive_becomes_champion() -> None:
    decision = decide(mode="auto", challenger=0.8, champion=None)
    assert decision.promote
    assert "no champion" in decision.reason


@pytest.mark.parametrize("champion", [None, 1.2])
def test_nothing_that_loses_to_the_naive_floor_is_promoted(champion: float | None) -> None:
    decision = decide(mode="auto", challenger=1.0, champion=champion, champion_version="1")
    assert not decision.promote
    assert "last day or week" in decision.reason


@pytest.mark.parametrize(("challenger", "promoted"), [(0.70, True), (0.799, False), (0.8, False), (0.9, False)])
def test_a_challenger_must_beat_the_champion_by_more_than_noise(challenger: float, promoted: bool) -> None:
    decision = decide(mode="auto", challenger=challenger, champion=0.8, champion_version="3")
    assert decision.promote is promoted
    assert "champion 3: 0.800 on the same windows" in decision.reason


def test_review_waits_for_a_person_only_when_the_gate_is_passed() -> None:
    waiting = decide(mode="review", challenger=0.7, champion=0.8, champion_version="1")
    assert (waiting.promote, waiting.await_review) == (False, True)
    refused = decide(mode="review", challenger=0.9, champion=0.8, champion_version="1")
    assert (refused.promote, refused.await_review) == (False, False)


def test_never_means_never() -> None:
    decision = decide(mode="never", challenger=0.1, champion=None)
    assert (decision.promote, decision.await_review) == (False, False)


def test_a_champion_that_cannot_be_scored_is_named() -> None:
    decision = decide(mode="auto", challenger=0.7, champion=None, champion_version="4")
    assert decision.promote
    assert "champion 4 could not be scored" in decision.reason


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInputError, match="nan"):
        decide(mode="auto", challenger=math.nan, champion=None)
