"""Anomalies are hours that neither the week's rhythm nor a known event explains."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from small_world import HOUR, ISSUE, Installation, demand, event, store

from headroom.schemas import empty_frame
from models.anomalies import METHOD, ONLINE_METHOD, find_anomalies, flag_anomalies

SERIES = "paris/edge/cpu"
SPIKE = ISSUE - 5 * HOUR
WEEKS = 6 * 7 * 24


def history(noise: float = 0.03) -> pd.DataFrame:
    return demand(SERIES, ISSUE - WEEKS * HOUR, WEEKS, noise=noise)


def spiked(factor: float = 2.0) -> pd.DataFrame:
    rows = history()
    return rows.assign(y=rows["y"].where(rows["ds"] != SPIKE, rows["y"] * factor))


@pytest.fixture
def world(tmp_path: Path) -> Installation:
    made = Installation(tmp_path / "home")
    store(made.lake, spiked())
    return made


def test_a_week_like_the_others_has_no_anomaly() -> None:
    assert find_anomalies(history(), empty_frame("events")).empty


@pytest.mark.parametrize(("factor", "word"), [(2.0, "above"), (0.3, "below")])
def test_an_hour_far_from_its_weeks_is_flagged_with_the_reason(factor: float, word: str) -> None:
    found = find_anomalies(spiked(factor), empty_frame("events"))
    assert list(found["ds"]) == [SPIKE]
    assert found["score"].item() > 6
    assert found["y"].item() == pytest.approx(factor * found["expected"].item(), rel=0.2)
    assert f"{word} the same hour" in found["reason"].item()


def test_an_outlier_does_not_make_the_next_one_look_small() -> None:
    """The scale is robust: ten spikes in six weeks hide none of each other."""
    rows = history()
    spikes = rows["ds"].isin([SPIKE - 31 * n * HOUR for n in range(10)])
    found = find_anomalies(rows.assign(y=rows["y"].where(~spikes, rows["y"] * 2)), empty_frame("events"))
    assert set(rows[spikes]["ds"]) == set(found["ds"])


def test_a_series_with_less_than_two_weeks_before_is_not_judged() -> None:
    rows = spiked()
    assert find_anomalies(rows[rows["ds"] >= ISSUE - 13 * 24 * HOUR], empty_frame("events")).empty


@pytest.mark.parametrize(
    ("service", "region", "explained"), [("edge", "paris", True), ("", "", True), ("scores", "", False), ("edge", "tokyo", False)]
)
def test_a_known_event_explains_the_hours_of_its_own_series(world: Installation, service: str, region: str, explained: bool) -> None:
    event(world.lake, "match-1", SPIKE, 1, known=SPIKE, service=service, region=region)
    assert flag_anomalies(world.settings, world.lake, issue_time=ISSUE).empty is explained


def test_an_hour_without_its_weekly_match_is_no_anomaly(tmp_path: Path) -> None:
    """Three of four weeks had a match in this hour; nothing is wrong with the week that has none."""
    made, rows = Installation(tmp_path / "home"), history()
    matches = [SPIKE - week * 7 * 24 * HOUR for week in (1, 2, 3)]
    store(made.lake, rows.assign(y=rows["y"].where(~rows["ds"].isin(matches), rows["y"] * 4)))
    assert SPIKE in set(flag_anomalies(made.settings, made.lake, issue_time=ISSUE)["ds"])
    for number, match in enumerate(matches):
        event(made.lake, f"match-{number}", match, 1, known=match)
    assert flag_anomalies(made.settings, made.lake, issue_time=ISSUE).empty


def test_an_event_that_becomes_known_later_explains_nothing_yet(world: Installation) -> None:
    event(world.lake, "match-1", SPIKE, 1, known=ISSUE + HOUR)
    assert len(flag_anomalies(world.settings, world.lake, issue_time=ISSUE)) == 1


def test_weather_explains_nothing(world: Installation) -> None:
    event(world.lake, "rain", SPIKE, 1, known=SPIKE)
    rain = world.lake.read("events").assign(value=12.5)
    world.lake.replace("events", rain, start=SPIKE, end=SPIKE + HOUR)
    assert len(flag_anomalies(world.settings, world.lake, issue_time=ISSUE)) == 1


def test_an_anomaly_is_written_once_and_known_from_the_run_that_found_it(world: Installation) -> None:
    for issue in (SPIKE, SPIKE + HOUR, SPIKE + HOUR, SPIKE + 2 * HOUR):
        flag_anomalies(world.settings, world.lake, issue_time=issue)
    versions = world.lake.versions("anomalies", start=SPIKE - HOUR, end=ISSUE)
    assert list(versions["available_at"]) == [SPIKE + HOUR]
    assert versions["unique_id"].item() == SERIES


def test_a_young_series_has_alarms_of_the_online_detector_and_an_event_excuses_them(tmp_path: Path) -> None:
    """Ten days are too few for weeks to compare."""
    made, rows = Installation(tmp_path / "home"), spiked(4.0)
    store(made.lake, rows[rows["ds"] >= ISSUE - 10 * 24 * HOUR])
    found = flag_anomalies(made.settings, made.lake, issue_time=ISSUE)
    assert list(found["ds"]) == [SPIKE]
    assert found["method"].item() == ONLINE_METHOD
    assert "rarer than one hour in" in found["reason"].item()
    event(made.lake, "match-1", SPIKE, 1, known=SPIKE)
    assert flag_anomalies(made.settings, made.lake, issue_time=ISSUE).empty


def test_an_hour_that_both_methods_find_is_one_row_with_the_reason_of_weeks(world: Installation) -> None:
    assert list(flag_anomalies(world.settings, world.lake, issue_time=ISSUE)["method"]) == [METHOD]
