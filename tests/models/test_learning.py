"""Learning: outcomes once per forecast hour, capacity compared, calibration that follows, drift that asks for retraining."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy.stats import norm
from small_world import HOUR, ISSUE, Installation, demand, store

from headroom.lake import Lake
from headroom.schemas import TABLES
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES, split_series_ids
from models.calibration import apply_offsets
from models.learning import LearnReport, learn_from_usage
from models.online_calibration import learnt_offsets

DAY = pd.Timedelta(days=1)
SERIES = ["paris/edge/cpu", "paris/scores/requests", "tokyo/edge/cpu"]
WIDTH = 5.0


@pytest.fixture
def world(tmp_path: Path) -> Installation:
    """Sixteen days of demand before `ISSUE` and four after it, known hour by hour."""
    made = Installation(tmp_path / "home")
    start = ISSUE - 16 * DAY
    store(made.lake, pd.concat([demand(name, start, 20 * 24) for name in SERIES]))
    return made


def forecast(
    world: Installation, issue: pd.Timestamp, *, bias: float = 1.0, width: float = WIDTH, error: float = 0.0, version: str = "1"
) -> pd.DataFrame:
    """Write a forecast: `bias` x what will be used, plus normal errors, with normal quantiles of `width`, moved by what was learnt."""
    truth = world.lake.read("metrics", start=issue, end=issue + 3 * DAY)[["unique_id", "ds", "y"]]
    centre = truth["y"].to_numpy() * bias + np.random.default_rng(issue.dayofyear * 24 + issue.hour).normal(0, error, len(truth))
    quantiles = centre[:, None] + width * norm.ppf(QUANTILES)
    rows = truth.drop(columns="y").assign(**dict(zip(QUANTILE_COLUMNS, np.clip(quantiles, 0, None).T, strict=True)))
    rows = rows.assign(horizon=((rows["ds"] - issue) // HOUR + 1).astype("int32"))
    learnt = learnt_offsets(world.lake, issue)
    rows = apply_offsets(rows, learnt[learnt["model_version"] == version])
    rows = pd.concat([rows, split_series_ids(rows["unique_id"])], axis=1).assign(
        issue_time=issue,
        available_at=issue,
        confidence=0.9,
        model="demand-forecaster",
        model_version=version,
        candidate="mstl",
        fallback_reason="",
        train_start=issue - 20 * DAY,
        train_end=issue,
    )
    world.lake.replace("forecasts", rows[list(TABLES["forecasts"].columns)], start=issue, end=issue + HOUR)
    return rows


def plan(
    lake: Lake,
    issue: pd.Timestamp,
    *,
    service: str,
    hot: float,
    machine: str,
    resource: str = "instances",
    region: str = "paris",
    leased: float = 0.0,
) -> None:
    hours = pd.date_range(issue, periods=72, freq="h", unit="us")
    rows = pd.DataFrame({"ds": hours}).assign(
        issue_time=issue,
        region=region,
        service=service,
        resource=resource,
        unit="instances",
        machine_type=machine,
        needed=hot,
        hot=hot,
        warm=0.0,
        cold=0.0,
        unmet=0.0,
        leased=leased,
        leased_usd=leased * 0.1,
        confidence=0.9,
        tier="high",
        policy="tiered",
        why="test",
        cost_usd=2.0,
        peak_cost_usd=3.0,
        model_version="1",
        available_at=issue,
    )
    lake.replace("plans", rows[list(TABLES["plans"].columns)], start=issue, end=issue + HOUR, where={"service": service, "region": region})


def learn(world: Installation, issue: pd.Timestamp) -> LearnReport:
    return learn_from_usage(world.settings, world.lake, issue_time=issue)


def outcomes(world: Installation) -> pd.DataFrame:
    return world.lake.read("outcomes")


def test_an_outcome_says_how_far_the_forecast_was_from_what_was_used(world: Installation) -> None:
    rows = forecast(world, ISSUE, bias=0.9)
    report = learn(world, ISSUE + 12 * HOUR)
    found = outcomes(world)
    assert report.judged == len(found) == 12 * len(SERIES)
    joined = found.merge(rows, on=["unique_id", "ds"])
    assert np.allclose(joined["error"], joined["y"] - joined["0.5"])
    assert (joined["covered_80"] == joined["y"].between(joined["0.1"], joined["0.9"])).all()
    assert set(found["bucket"]) == {"1-6", "7-24"}
    assert set(report.buckets) == {"1-6", "7-24"}
    assert report.buckets["1-6"]["relative_error"] == pytest.approx(0.1, abs=0.001)
    json.dumps(asdict(report))


def test_hours_are_judged_once_and_a_repetition_changes_nothing(world: Installation) -> None:
    forecast(world, ISSUE)
    learn(world, ISSUE + 6 * HOUR)
    first = outcomes(world)
    report = learn(world, ISSUE + 12 * HOUR)
    after = {
        name: world.lake.versions(name, start=ISSUE - 9 * DAY, end=ISSUE + 9 * DAY) for name in ("outcomes", "calibration", "anomalies")
    }
    assert report.judged == 6 * len(SERIES)
    kept = outcomes(world)
    assert_frame_equal(kept[kept["available_at"] == ISSUE + 6 * HOUR].reset_index(drop=True), first)
    assert learn(world, ISSUE + 12 * HOUR) == report
    for name, was in after.items():
        assert_frame_equal(world.lake.versions(name, start=ISSUE - 9 * DAY, end=ISSUE + 9 * DAY), was, check_exact=True)


def test_hours_that_runs_missed_are_judged_by_the_next(world: Installation) -> None:
    forecast(world, ISSUE)
    learn(world, ISSUE + HOUR)
    assert learn(world, ISSUE + 2 * DAY).hours == 47


def test_nothing_that_becomes_known_later_is_judged(world: Installation) -> None:
    forecast(world, ISSUE)
    late = demand(SERIES[0], ISSUE, 1, level=900)
    store(world.lake, late, available_at=ISSUE + DAY)
    learn(world, ISSUE + 2 * HOUR)
    assert outcomes(world)["y"].max() < 200


def test_held_capacity_is_compared_in_the_unit_of_the_series(world: Installation) -> None:
    forecast(world, ISSUE)
    plan(world.lake, ISSUE, service="edge", hot=10, machine="n2-standard-8")
    plan(world.lake, ISSUE, service="scores", hot=1, machine="n2-custom-2-4096")
    report = learn(world, ISSUE + 12 * HOUR)
    found = outcomes(world).set_index("unique_id")
    assert set(found.loc["paris/edge/cpu", "held"]) == {80.0}
    assert set(found.loc["paris/scores/requests", "held"]) == {2 * 20.0}
    assert found.loc["tokyo/edge/cpu", "held"].isna().all()
    edge = found.loc["paris/edge/cpu"]
    assert np.allclose(edge["unmet"], np.maximum(edge["y"] - 80, 0))
    assert report.unmet["paris/edge/cpu"] == pytest.approx(edge["unmet"].sum())
    assert report.planned_hours == 24
    assert report.cost_usd == pytest.approx(2 * 12 * 2.0)


def test_leased_machines_are_held_and_paid_where_they_serve(world: Installation) -> None:
    forecast(world, ISSUE)
    plan(world.lake, ISSUE, service="edge", hot=10, leased=-4, machine="n2-standard-8")
    plan(world.lake, ISSUE, service="edge", hot=2, leased=4, machine="n2-standard-8", region="tokyo")
    report = learn(world, ISSUE + 12 * HOUR)
    found = outcomes(world).set_index("unique_id")
    for region, cost in (("paris", 1.6), ("tokyo", 2.4)):
        assert set(found.loc[f"{region}/edge/cpu", "held"]) == {6 * 8.0}
        assert set(found.loc[f"{region}/edge/cpu", "cost_usd"]) == {cost}
    assert report.cost_usd == pytest.approx(2 * 12 * 2.0)


def test_the_plan_in_force_is_the_newest_and_counts_once(world: Installation) -> None:
    for issue, hot in ((ISSUE, 1), (ISSUE + 6 * HOUR, 1000)):
        forecast(world, issue)
        plan(world.lake, issue, service="edge", hot=hot, machine="n2-standard-8")
    report = learn(world, ISSUE + 12 * HOUR)
    own = outcomes(world)
    own = own[own["unique_id"] == "paris/edge/cpu"]
    early = own[(own["ds"] < ISSUE + 6 * HOUR)]
    assert len(own) == 18
    assert report.unmet == {"paris/edge/cpu": pytest.approx(early["unmet"].sum())}
    assert report.cost_usd == pytest.approx(12 * 2.0)


def test_quantiles_that_are_too_low_rise_towards_their_share(world: Installation) -> None:
    for step in range(4):
        issue = ISSUE - 4 * DAY + step * DAY
        forecast(world, issue, bias=0.9)
        learn(world, issue + DAY)
    offsets = learnt_offsets(world.lake, ISSUE)
    assert offsets.loc[offsets["quantile"] == "0.9", "offset"].min() > 0
    unlearnt, learnt = (share_below(world, forecast(world, ISSUE, bias=0.9, version=version)) for version in ("other", "1"))
    assert unlearnt < 0.4
    assert learnt > 0.65


def share_below(world: Installation, rows: pd.DataFrame, quantile: str = "0.9") -> float:
    truth = world.lake.read("metrics", start=ISSUE, end=ISSUE + 4 * DAY, columns=["unique_id", "ds", "y"])
    early = rows[rows["horizon"] <= 24].merge(truth, on=["unique_id", "ds"])
    return float((early["y"] <= early[quantile]).mean())


def test_honest_quantiles_are_left_alone(world: Installation) -> None:
    for step in range(4):
        issue = ISSUE - 4 * DAY + step * DAY
        forecast(world, issue, error=WIDTH)
        learn(world, issue + DAY)
    offsets = learnt_offsets(world.lake, ISSUE)
    offsets = offsets[offsets["quantile"].isin(QUANTILE_COLUMNS)]
    assert offsets["offset"].abs().mean() < 0.05
    assert offsets["offset"].abs().max() < 0.25


def test_offsets_belong_to_the_version_that_was_judged_and_serve_later_hours_only(world: Installation) -> None:
    forecast(world, ISSUE, bias=0.8, version="1")
    now = ISSUE + 12 * HOUR
    learn(world, now)
    assert learnt_offsets(world.lake, now).empty
    assert set(learnt_offsets(world.lake, now + HOUR)["model_version"]) == {"1"}


def test_forecasts_that_hold_ask_for_nothing(world: Installation) -> None:
    for step in range(4):
        forecast(world, ISSUE + step * 12 * HOUR, bias=1.01)
    report = learn(world, ISSUE + 2 * DAY)
    assert not report.retrain
    assert "covered" in report.reason


def test_coverage_lost_asks_for_retraining(world: Installation) -> None:
    forecast(world, ISSUE, bias=0.7)
    report = learn(world, ISSUE + 2 * DAY)
    assert report.retrain
    assert "coverage below 50%" in report.reason


def test_an_error_above_last_weeks_repetition_asks_for_retraining(world: Installation) -> None:
    forecast(world, ISSUE, bias=0.85, width=14.0)
    report = learn(world, ISSUE + 2 * DAY)
    assert report.retrain
    assert "repeating last week" in report.reason


def test_a_few_hours_are_too_few_for_drift(world: Installation) -> None:
    forecast(world, ISSUE, bias=0.5)
    report = learn(world, ISSUE + 12 * HOUR)
    assert not report.retrain
    assert "12 hours judged" in report.reason


def test_nothing_to_judge_is_no_error(world: Installation) -> None:
    report = learn(world, ISSUE)
    assert (report.judged, report.retrain, report.coverage_80) == (0, False, None)
