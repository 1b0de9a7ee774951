"""Scoring: every series, 72 hours, by the champion as of the issue time; degraded when something fails, and never silently."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import socket

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from small_world import HOUR, ISSUE, Installation, demand, event, store

from headroom.errors import BadInputError
from headroom.vocabulary import MEDIAN, QUANTILE_COLUMNS
from models.promotion import promote
from models.promotion_log import PromotionLog
from models.registry import CHAMPION, MODEL_NAME, cached_model, find_version, set_alias
from models.scoring import FALLBACK, already_scored, score_forecasts

DAY = pd.Timedelta(days=1)
WEEK_BEFORE = ISSUE - 7 * DAY


def score(world: Installation, issue_time: pd.Timestamp, *, live: bool = True) -> pd.DataFrame:
    score_forecasts(world.settings, world.lake, world.home, issue_time=issue_time, live=live)
    return rows(world, issue_time)


def rows(world: Installation, issue_time: pd.Timestamp) -> pd.DataFrame:
    return world.lake.read("forecasts", start=issue_time, end=issue_time + HOUR)


def champion(world: Installation, version: str, at: pd.Timestamp) -> None:
    promote(version, home=world.home, reason="test", effective_at=at)


def test_the_champion_forecasts_72_hours_of_every_series(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    forecast = score(world, ISSUE)
    hours = pd.date_range(ISSUE, periods=72, freq="h", unit="us")
    for series in world.series:
        own = forecast[forecast["unique_id"] == series]
        assert list(own["ds"]) == list(hours)
        assert list(own["horizon"]) == list(range(1, 73))
    quantiles = forecast[list(QUANTILE_COLUMNS)]
    assert (quantiles >= 0).all(axis=None)
    assert (quantiles.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert forecast["confidence"].between(0, 1).all()
    assert set(forecast["model_version"]) == {"1"}
    assert set(forecast["fallback_reason"]) == {""}
    assert set(forecast["train_end"]) == {WEEK_BEFORE}


def test_scoring_again_replaces_and_says_the_same(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    assert not already_scored(world.lake, ISSUE)
    first = score_forecasts(world.settings, world.lake, world.home, issue_time=ISSUE, live=True)
    again = score_forecasts(world.settings, world.lake, world.home, issue_time=ISSUE, live=True)
    assert first == again
    assert already_scored(world.lake, ISSUE)
    assert len(rows(world, ISSUE)) == first.rows == 72 * len(world.series)


def test_a_backfill_gives_the_forecasts_that_live_runs_had(world: Installation) -> None:
    """Two promotions; then measurements, events, calibration and a rollback that became known later are planted."""
    middle, late = ISSUE - 3 * DAY, ISSUE + DAY
    champion(world, "1", WEEK_BEFORE)
    live = {middle: score(world, middle)}
    champion(world, "2", ISSUE)
    live[late] = score(world, late)
    assert {issue: set(frame["model_version"]) for issue, frame in live.items()} == {middle: {"1"}, late: {"2"}}

    after = late + HOUR
    revised = pd.concat([demand(name, middle - 5 * DAY, 5 * 24, level=900.0) for name in world.series])
    store(world.lake, revised, available_at=after)
    event(world.lake, "match-late", middle + 5 * HOUR, 4, known=after)
    for issue in (middle, late):
        plant_calibration(world, issue, issue)
    promote("1", home=world.home, reason="rolled back", effective_at=after, action="rollback")

    for issue, was in live.items():
        assert_frame_equal(score(world, issue, live=False), was, check_exact=True)
    assert set(score(world, after, live=False)["model_version"]) == {"1"}, "the planted facts do count once they are known"
    assert score(world, after, live=False)[MEDIAN].max() > 2 * live[late][MEDIAN].max()


def plant_calibration(world: Installation, issue: pd.Timestamp, known: pd.Timestamp, version: str = "1") -> None:
    planted = [
        {"issue_time": issue, "model_version": version, "unique_id": name, "bucket": "1-6", "quantile": "0.9", "offset": 1.0, "rows": 9}
        for name in world.series
    ]
    frame = pd.DataFrame(planted).astype({"rows": "int32"}).assign(available_at=known)
    world.lake.replace("calibration", frame, start=issue, end=issue + HOUR)


def test_offsets_learnt_before_the_issue_time_move_the_quantiles_of_their_version(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    plain = score(world, ISSUE)
    plant_calibration(world, ISSUE - 2 * HOUR, ISSUE - 2 * HOUR, version="2")
    assert_frame_equal(score(world, ISSUE), plain)
    plant_calibration(world, ISSUE - HOUR, ISSUE - HOUR, version="1")
    moved = score(world, ISSUE)
    early = plain["horizon"] <= 6
    expected = plain["0.9"] + (plain["0.9"] - plain["0.1"])
    assert (moved.loc[early, ["0.9", "0.95", "0.99"]].max(axis=1) >= expected[early] - 1e-9).all()
    assert_frame_equal(moved[~early], plain[~early])


def test_without_a_champion_all_series_repeat_their_last_week_and_say_so(world: Installation, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        report = score_forecasts(world.settings, world.lake, world.home, issue_time=ISSUE, live=True)
    assert report.model_version == FALLBACK
    assert set(report.fallbacks) == set(world.series)
    assert all("no champion" in reason for reason in report.fallbacks.values())
    assert "no champion" in caplog.text
    forecast = rows(world, ISSUE)
    assert len(forecast) == 72 * len(world.series)
    assert set(forecast["candidate"]) == {"seasonal-naive-168"}
    assert forecast["fallback_reason"].str.contains("no champion").all()
    assert forecast["train_end"].isna().all()


def test_a_challenger_changes_nothing(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    before = score(world, ISSUE)
    set_alias(world.home, "challenger", "2")
    assert_frame_equal(score(world, ISSUE), before, check_exact=True)


def test_a_series_the_model_cannot_serve_falls_back_alone(world: Installation) -> None:
    """One series is new to the model, one was measured for two days only, one is fine."""
    text = world.settings.model_dump()
    text["services"]["edge"]["regions"] = ["paris", "tokyo"]
    text["services"]["fresh"] = {**text["services"]["edge"], "regions": ["paris"]}
    wider = type(world.settings).model_validate(text)
    store(world.lake, demand("paris/fresh/cpu", ISSUE - 4 * DAY, 96))
    silent, short = ISSUE - 40 * DAY, ISSUE - 2 * DAY
    world.lake.replace("metrics", world.lake.read("metrics").iloc[:0], start=silent, end=short, where={"unique_id": "tokyo/edge/cpu"})
    champion(world, "1", WEEK_BEFORE)
    report = score_forecasts(wider, world.lake, world.home, issue_time=ISSUE, live=True)
    assert set(report.fallbacks) == {"paris/fresh/cpu", "tokyo/edge/cpu"}
    assert "not among the series" in report.fallbacks["paris/fresh/cpu"]
    assert "measured hours" in report.fallbacks["tokyo/edge/cpu"]
    forecast = rows(world, ISSUE)
    fallen = forecast["fallback_reason"] != ""
    assert set(forecast[~fallen]["unique_id"]) == {"paris/edge/cpu", "paris/scores/requests"}
    assert set(forecast[fallen]["model_version"]) == {FALLBACK}
    assert forecast.groupby("unique_id").size().eq(72).all()


def test_a_series_without_history_is_reported_and_the_others_are_served(world: Installation) -> None:
    world.lake.replace(
        "metrics", world.lake.read("metrics").iloc[:0], start=ISSUE - 40 * DAY, end=ISSUE + 9 * DAY, where={"unique_id": "tokyo/edge/cpu"}
    )
    champion(world, "1", WEEK_BEFORE)
    report = score_forecasts(world.settings, world.lake, world.home, issue_time=ISSUE, live=True)
    assert list(report.unserved) == ["tokyo/edge/cpu"]
    assert report.series == 2


def test_no_history_at_all_fails_and_names_the_window(world: Installation) -> None:
    with pytest.raises(BadInputError, match=r"2025-12-04.*2026-01-01"):
        score_forecasts(world.settings, world.lake, world.home, issue_time=pd.Timestamp("2026-01-01", tz="UTC"), live=True)


def test_a_model_that_fails_for_one_series_still_serves_the_others(world: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.candidates.seasonal_naive import SeasonalNaive

    champion(world, "1", WEEK_BEFORE)
    forecast = SeasonalNaive.predict_quantiles

    def fragile(self: SeasonalNaive, history: pd.DataFrame, *arguments: object) -> pd.DataFrame:
        if "tokyo/edge/cpu" in set(history["unique_id"]) and not hasattr(fragile, "spent"):
            raise FloatingPointError("did not converge")
        return forecast(self, history, *arguments)

    monkeypatch.setattr("models.champion.DemandModel.unservable", lambda *_: {})
    monkeypatch.setattr(SeasonalNaive, "predict_quantiles", fragile)
    monkeypatch.setattr("models.scoring.create", lambda name: Unbroken(int(name.rpartition("-")[2]), forecast))
    report = score_forecasts(world.settings, world.lake, world.home, issue_time=ISSUE, live=True)
    assert list(report.fallbacks) == ["tokyo/edge/cpu"]
    assert "did not converge" in report.fallbacks["tokyo/edge/cpu"]


class Unbroken:
    """The seasonal naive before it was made fragile."""

    def __init__(self, season: int, forecast: object) -> None:
        from models.candidates.seasonal_naive import SeasonalNaive

        self.own, self.name, self.forecast = SeasonalNaive(season), f"seasonal-naive-{season}", forecast

    def fit(self, *_: object) -> Unbroken:
        return self

    def predict_quantiles(self, *arguments: object) -> pd.DataFrame:
        return self.forecast(self.own, *arguments)  # type: ignore[operator]


def test_an_alias_moved_by_hand_is_honoured_and_remembered(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    score(world, ISSUE - HOUR)
    set_alias(world.home, CHAMPION, "2")
    report = score_forecasts(world.settings, world.lake, world.home, issue_time=ISSUE, live=True)
    live = rows(world, ISSUE)
    assert report.model_version == "2"
    assert any("by hand" in notice for notice in report.notices)
    assert set(score(world, ISSUE - HOUR, live=False)["model_version"]) == {"1"}
    assert_frame_equal(score(world, ISSUE, live=False), live, check_exact=True)


def test_an_hour_of_the_past_does_not_take_a_moved_alias_for_its_own(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    score(world, ISSUE)
    set_alias(world.home, CHAMPION, "2")
    assert set(score(world, ISSUE - HOUR)["model_version"]) == {"1"}
    assert set(score(world, ISSUE + HOUR)["model_version"]) == {"2"}


def test_mlflow_down_changes_no_row_and_is_reported(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    before = score(world, ISSUE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        world.home = dataclasses.replace(world.home, mlflow_uri=f"http://127.0.0.1:{free.getsockname()[1]}")
        report = score_forecasts(world.settings, world.lake, world.home, issue_time=ISSUE, live=True)
    assert any("does not answer" in notice for notice in report.notices)
    assert_frame_equal(rows(world, ISSUE), before, check_exact=True)


def test_when_the_champion_cannot_be_had_the_one_before_serves_and_it_is_said(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    score(world, ISSUE - HOUR)
    champion(world, "2", ISSUE)
    drop(world, "2")
    world.home = dataclasses.replace(world.home, mlflow_uri="http://127.0.0.1:9")
    report = score_forecasts(world.settings, world.lake, world.home, issue_time=ISSUE, live=False)
    assert report.model_version == "1"
    assert any("champion 2 cannot be opened" in notice for notice in report.notices)


def test_broken_files_of_the_champion_are_fetched_again(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    before = score(world, ISSUE)
    found = find_version(world.home, "1")
    assert found is not None
    cached = cached_model(world.home, found)
    assert cached is not None
    (cached / "model.json").write_text("{", encoding="utf-8")
    assert_frame_equal(score(world, ISSUE), before, check_exact=True)


def drop(world: Installation, version: str) -> None:
    for folder in (world.home.root / "models").glob(f"{version}-*"):
        shutil.rmtree(folder)


def test_half_an_hour_is_no_issue_time(world: Installation) -> None:
    with pytest.raises(BadInputError, match="not a full hour"):
        score_forecasts(world.settings, world.lake, world.home, issue_time=ISSUE + HOUR / 2, live=True)


def test_the_log_knows_every_champion_that_scored(world: Installation) -> None:
    champion(world, "1", WEEK_BEFORE)
    set_alias(world.home, CHAMPION, "2")
    score(world, ISSUE)
    set_alias(world.home, CHAMPION, "1")
    score(world, ISSUE + HOUR)
    with PromotionLog.open(world.home.database_url) as log:
        lines = log.champions_until(MODEL_NAME)
    assert [(line.version, line.action) for line in lines] == [("1", "rollback"), ("2", "promote"), ("1", "promote")]
