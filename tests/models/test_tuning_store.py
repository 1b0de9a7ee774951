"""The tuner can be stopped, retried and backfilled: one choice per segment and issue time, one reward per choice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError, UnavailableError
from models.tuning.arms import ARMS, DEFAULT_ARM
from models.tuning.context import FEATURES
from models.tuning.store import Choice, TuningLog
from models.tuning.tuner import choose, record_outcomes

START = pd.Timestamp("2026-07-01", tz="UTC")
DAY = pd.Timedelta(days=1)
SEGMENTS = ["web", "batch"]
CONTEXTS = pd.DataFrame(0.2, index=SEGMENTS, columns=list(FEATURES))


@pytest.fixture
def local(tmp_path: Path) -> str:
    """A database for what does not depend on which one it is."""
    return f"sqlite:///{tmp_path}/headroom.db"


def arms(log: TuningLog, at: pd.Timestamp, **options: object) -> dict[str, str]:
    return {segment: choice.arm for segment, choice in choose(log, CONTEXTS, issue_time=at, **options).items()}


def outcomes(log: TuningLog, issue: pd.Timestamp, *, hours: int = 72, best: str = "fading") -> pd.DataFrame:
    """What was measured after an issue time: the best arm has half the loss of the others."""
    ds = pd.date_range(issue, periods=hours, freq="h", unit="us")
    choices = log.choices(issue).values()
    parts = [
        pd.DataFrame({"ds": ds}).assign(
            segment=choice.segment,
            unique_id=choice.segment,
            issue_time=issue,
            pinball=0.4 if choice.arm == best else 0.8,
            reference_pinball=1.0,
        )
        for choice in choices
    ]
    return pd.concat(parts, ignore_index=True)


def learn(log: TuningLog, at: pd.Timestamp, **options: object) -> int:
    """What a run at `at` does about the choices of the week before it."""
    issues = [at - days * DAY for days in range(1, 8)]
    found = [outcomes(log, issue) for issue in issues if log.choices(issue)]
    return record_outcomes(log, pd.concat(found), issue_time=at, **options) if found else 0


def live(log: TuningLog, days: int, **options: object) -> list[dict[str, str]]:
    """A run a day: first what became of the choices, then new ones."""
    made = []
    for day in range(days):
        learn(log, START + day * DAY)
        made.append(arms(log, START + day * DAY, **options))
    return made


def test_a_choice_is_logged_with_all_that_it_rests_on(database_url: str) -> None:
    with TuningLog.open(database_url) as log:
        choice = choose(log, CONTEXTS, issue_time=START)["web"]
        row = log.history(START, START + DAY).set_index("segment").loc["web"]
    assert choice.tuning == ARMS[choice.arm]
    assert choice.context == dict.fromkeys(FEATURES, 0.2)
    assert (row["arm"], row["issue_time"], row["reason"]) == (choice.arm, START, choice.reason)
    assert pd.isna(row["reward"])


def test_a_retry_gives_the_same_choice_whatever_became_known_meanwhile(database_url: str) -> None:
    with TuningLog.open(database_url) as log:
        live(log, 8)
        first = log.choices(START + 5 * DAY)
        assert choose(log, CONTEXTS + 0.5, issue_time=START + 5 * DAY, frozen=True, seed=9) == {name: first[name] for name in SEGMENTS}
        assert len(log.history(START, START + 8 * DAY)) == 8 * len(SEGMENTS)


def test_a_reward_is_learnt_once_and_only_when_the_horizon_was_measured(database_url: str) -> None:
    with TuningLog.open(database_url) as log:
        choose(log, CONTEXTS, issue_time=START)
        early = record_outcomes(log, outcomes(log, START), issue_time=START + 3 * DAY - pd.Timedelta("1h"))
        gappy = record_outcomes(log, outcomes(log, START, hours=40), issue_time=START + 3 * DAY)
        assert (early, gappy) == (0, 0)
        assert record_outcomes(log, outcomes(log, START), issue_time=START + 4 * DAY) == 2
        first = log.history(START, START + DAY)
        worse = outcomes(log, START).assign(pinball=5.0)
        assert record_outcomes(log, worse, issue_time=START + 4 * DAY) == 2  # the retry reports what the first try did
        assert record_outcomes(log, worse, issue_time=START + 5 * DAY) == 0
        pd.testing.assert_frame_equal(log.history(START, START + DAY), first)
    assert first["reward"].between(-0.8, -0.4).all()
    assert set(first["hours"]) == {72}


def test_what_is_learnt_survives_a_restart(local: str, tmp_path: Path) -> None:
    with TuningLog.open(local) as log:
        never_stopped = live(log, 8)
    stopped = []
    for day in range(8):
        with TuningLog.open(f"sqlite:///{tmp_path}/other.db") as log:
            learn(log, START + day * DAY)
            stopped.append(arms(log, START + day * DAY))
    assert stopped == never_stopped
    assert len({tuple(made.values()) for made in stopped}) > 1


def test_a_backfill_sees_what_a_live_run_saw(local: str, tmp_path: Path) -> None:
    """An issue time that was never chosen for, asked for days later, gets the choice that it would have had, word for word."""
    missed = START + 7 * DAY
    with TuningLog.open(local) as log:
        live(log, 8)
        on_time = log.choices(missed)
    with TuningLog.open(f"sqlite:///{tmp_path}/backfilled.db") as log:
        live(log, 7)
        for day in range(7, 11):
            learn(log, START + day * DAY)
        assert choose(log, CONTEXTS, issue_time=missed) == on_time
    assert "after 8 rewards" in on_time["web"].reason


def test_what_is_learnt_at_an_issue_time_serves_from_the_next_one_on(database_url: str) -> None:
    with TuningLog.open(database_url) as log:
        choose(log, CONTEXTS, issue_time=START)
        learn(log, START + 3 * DAY)
        assert log.learnt_before(START + 3 * DAY, 90 * DAY).empty
        assert len(log.learnt_before(START + 3 * DAY + pd.Timedelta("1h"), 90 * DAY)) == 2


@pytest.mark.slow
def test_it_comes_to_the_best_arm(local: str) -> None:
    with TuningLog.open(local) as log:
        made = live(log, 20)
        last = [arm for day in made[-6:] for arm in day.values()]
        assert last.count("fading") >= 0.75 * len(last)


def test_frozen_it_exploits_and_never_learns(local: str) -> None:
    with TuningLog.open(local) as log:
        live(log, 8)
        before = log.learnt_before(START + 8 * DAY, 90 * DAY)
        made = []
        for day in range(8, 13):
            learn(log, START + day * DAY, frozen=True)
            made.append(arms(log, START + day * DAY, frozen=True, seed=day))
        after = log.learnt_before(START + 30 * DAY, 90 * DAY)
        rows = log.history(START + 8 * DAY, START + 13 * DAY)
    pd.testing.assert_frame_equal(after, before)
    assert all(day == made[0] for day in made)
    assert rows["frozen"].all()
    assert rows["reward"].notna().any()  # written down for people


def test_frozen_from_the_start_it_takes_the_default(local: str) -> None:
    with TuningLog.open(local) as log:
        assert arms(log, START, frozen=True) == dict.fromkeys(SEGMENTS, DEFAULT_ARM)


def test_processes_that_choose_together_agree(database_url: str) -> None:
    def race(seed: int) -> tuple[str, ...]:
        with TuningLog.open(database_url) as log:
            return tuple(arms(log, START, seed=seed).values())

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(race, range(16)))) == 1
    with TuningLog.open(database_url) as log:
        assert len(log.history(START, START + DAY)) == len(SEGMENTS)


def test_an_arm_that_is_no_longer_offered_is_forgotten_and_its_choice_still_readable(local: str) -> None:
    with TuningLog.open(local) as log:
        odd = replace(ARMS[DEFAULT_ARM], history_days=7)
        log.add([Choice("web", START, "retired", odd, dict.fromkeys(FEATURES, 0.2), "of old", frozen=False)])
        assert choose(log, CONTEXTS.loc[["web"]], issue_time=START)["web"].tuning == odd
        record_outcomes(log, outcomes(log, START, best="retired"), issue_time=START + 3 * DAY)
        assert arms(log, START + 4 * DAY, frozen=True)["web"] in ARMS


def test_a_context_that_is_no_number_is_refused(local: str) -> None:
    broken = CONTEXTS.copy()
    broken.loc["batch", "zeros"] = np.nan
    with TuningLog.open(local) as log:
        with pytest.raises(BadInputError, match="'zeros' of segment 'batch'"):
            choose(log, broken, issue_time=START)
        with pytest.raises(BadInputError, match="lack 'length'"):
            choose(log, CONTEXTS.drop(columns="length"), issue_time=START)


def test_a_database_that_does_not_answer_can_be_retried(tmp_path: Path) -> None:
    with (
        TuningLog.open(f"sqlite:///{tmp_path}/nowhere/headroom.db") as log,
        pytest.raises(UnavailableError, match="HEADROOM_DATABASE_URL"),
    ):
        choose(log, CONTEXTS, issue_time=START)
