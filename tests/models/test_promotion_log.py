"""The promotion log remembers who was champion from when, and a repeat writes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from headroom.errors import BadInputError, UnavailableError
from models.promotion_log import Promotion, PromotionLog

MODEL = "demand-forecaster"
JULY_1 = pd.Timestamp("2026-07-01", tz="UTC")
JULY_8 = pd.Timestamp("2026-07-08", tz="UTC")


def promote(log: PromotionLog, version: str, at: pd.Timestamp, **more: str) -> Promotion:
    return log.record(model=MODEL, version=version, run_id=f"run-{version}", effective_at=at, reason="better", **more)


def versions(log: PromotionLog, *times: pd.Timestamp) -> list[str | None]:
    champions = [log.champion_as_of(MODEL, time) for time in times]
    return [c.version if c else None for c in champions]


def test_a_champion_reigns_from_its_effective_time_until_the_next(database_url: str) -> None:
    hour = pd.Timedelta("1h")
    with PromotionLog.open(database_url) as log:
        promote(log, "2", JULY_8)
        promote(log, "1", JULY_1)  # recorded later, effective earlier: only the effective time counts
        assert versions(log, JULY_1 - hour, JULY_1, JULY_8 - hour, JULY_8, JULY_8 + hour) == [None, "1", "1", "2", "2"]
        newest = log.champion_as_of(MODEL)
        assert newest is not None
        assert newest.version == "2"


def test_recording_the_same_champion_again_changes_nothing(database_url: str) -> None:
    with PromotionLog.open(database_url) as log:
        first = promote(log, "1", JULY_1)
        assert promote(log, "1", JULY_1) == first
        assert len(log.champions_until(MODEL)) == 1


def test_a_person_may_go_back_and_forth_within_one_issue_time(database_url: str) -> None:
    with PromotionLog.open(database_url) as log:
        for version, action in (("1", "promote"), ("2", "promote"), ("1", "rollback"), ("2", "promote")):
            promote(log, version, JULY_1, action=action)
            assert versions(log, JULY_1) == [version]
        assert [p.version for p in log.champions_until(MODEL)] == ["2", "1", "2", "1"]


def test_processes_that_record_one_promotion_together_write_it_once(database_url: str) -> None:
    def race(_: int) -> str:
        with PromotionLog.open(database_url) as log:
            return promote(log, "1", JULY_1).version

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(race, range(24))) == {"1"}
    with PromotionLog.open(database_url) as log:
        assert len(log.champions_until(MODEL)) == 1


def test_an_unknown_action_is_refused(database_url: str) -> None:
    with PromotionLog.open(database_url) as log, pytest.raises(BadInputError, match="'demote' is not one of promote, rollback"):
        promote(log, "1", JULY_1, action="demote")


def test_a_database_that_does_not_answer_can_be_retried(tmp_path: Path) -> None:
    with (
        PromotionLog.open(f"sqlite:///{tmp_path}/nowhere/headroom.db") as log,
        pytest.raises(UnavailableError, match="HEADROOM_DATABASE_URL"),
    ):
        log.champion_as_of(MODEL)
