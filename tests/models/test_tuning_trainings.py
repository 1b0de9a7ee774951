"""Self-tuning is a loop: a training takes the choices, its version's first day in service rewards them, the next training knows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from small_world import HOUR, ISSUE, Installation, demand, store

from headroom.schemas import TABLES
from headroom.vocabulary import QUANTILE_COLUMNS, split_series_ids
from models.training import TrainingOptions, plan_training
from models.training_plan import TrainingPlan, load_plan
from models.tuning.arms import ARMS, DEFAULT_ARM
from models.tuning.store import TuningLog
from models.tuning.trainings import GIVEN_UP, TuningReport, choose_for_training, reward_trainings

DAY = 24 * HOUR
OVER = 4 * DAY
EVERYTHING = (ISSUE - 100 * DAY, ISSUE + 100 * DAY)


@pytest.fixture
def world(tmp_path: Path) -> Installation:
    """Five weeks of demand before `ISSUE` and ten days after it."""
    made = Installation(tmp_path / "home")
    store(made.lake, pd.concat([demand(name, ISSUE - 35 * DAY, 45 * 24) for name in made.series]))
    return made


def plan(world: Installation, issue: pd.Timestamp = ISSUE, run_id: str = "weekly", url: str | None = None) -> TrainingPlan:
    return plan_training(
        world.settings,
        world.lake,
        world.home.work,
        issue_time=issue,
        run_id=run_id,
        options=TrainingOptions(candidates=(), windows=2, calibration_windows=1),
        tuning_url=url or world.home.database_url,
    )


def serve(world: Installation, issue: pd.Timestamp, *, trained: pd.Timestamp = ISSUE, version: str = "1", error: float = 5.0) -> None:
    """A forecast of a trained version that misses by `error`, and its outcomes, known when their hours are over."""
    ds = pd.date_range(issue, periods=72, freq="h", unit="us")
    rows = pd.DataFrame([(name, hour) for name in world.series for hour in ds], columns=["unique_id", "ds"])
    rows = pd.concat([rows, split_series_ids(rows["unique_id"])], axis=1).assign(issue_time=issue, model_version=version)
    rows = rows.assign(horizon=((rows["ds"] - issue) // HOUR + 1).astype("int32"))
    forecasts = rows.assign(
        **dict.fromkeys(QUANTILE_COLUMNS, 1.0),
        confidence=0.9,
        model="demand-forecaster",
        candidate="mstl",
        fallback_reason="",
        train_start=trained - 20 * DAY,
        train_end=trained,
        available_at=issue,
    )
    world.lake.replace("forecasts", forecasts[list(TABLES["forecasts"].columns)], start=issue, end=issue + HOUR)
    truth = world.lake.read("metrics", start=issue, end=issue + 3 * DAY, columns=["unique_id", "ds", "y"])
    outcomes = rows.merge(truth, on=["unique_id", "ds"]).assign(
        bucket="1-6",
        median=0.0,
        error=error,
        pinball=error / 2,
        covered_80=True,
        covered_98=True,
        held=float("nan"),
        unmet=float("nan"),
        cost_usd=float("nan"),
    )
    outcomes = outcomes.assign(available_at=outcomes["ds"] + HOUR)
    world.lake.add("outcomes", lambda held: outcomes[list(TABLES["outcomes"].columns)], start=issue, end=issue + 3 * DAY)


def reward(world: Installation, at: pd.Timestamp, *, frozen: bool = False) -> TuningReport:
    return reward_trainings(world.settings, world.lake, world.home.database_url, issue_time=at, frozen=frozen)


def log_rows(world: Installation) -> pd.DataFrame:
    with TuningLog.open(world.home.database_url) as log:
        return log.history(*EVERYTHING)


def test_a_plan_holds_the_choice_of_every_series_and_the_log_its_reason(world: Installation) -> None:
    planned = plan(world)
    assert set(planned.tuning) == set(world.series)
    assert load_plan(planned.folder).tuning == planned.tuning
    logged = log_rows(world)
    assert dict(zip(logged["segment"], logged["arm"], strict=True)) == {name: choice.arm for name, choice in planned.tuning.items()}
    assert planned.weight_shrinkage == {name: ARMS[choice.arm].weight_shrinkage for name, choice in planned.tuning.items()}


def test_planning_again_asks_for_nothing_new(world: Installation) -> None:
    assert plan(world) == plan(world)
    assert len(log_rows(world)) == len(world.series)


def test_no_tuning_log_means_the_defaults(world: Installation) -> None:
    made = plan_training(
        world.settings,
        world.lake,
        world.home.work,
        issue_time=ISSUE,
        run_id="plain",
        options=TrainingOptions(candidates=(), windows=2, calibration_windows=1),
    )
    assert made.tuning == {}


def test_the_first_day_in_service_rewards_the_choices_once_it_is_over(world: Installation) -> None:
    plan(world)
    for hours in (1, 7, 13):
        serve(world, ISSUE + hours * HOUR)
    assert reward(world, ISSUE + OVER).rewarded == 0
    report = reward(world, ISSUE + OVER + HOUR)
    assert (report.rewarded, report.waiting) == (len(world.series), 0)
    rows = log_rows(world)
    assert rows["reward"].between(-2, 0).all()
    assert report.mean_reward == pytest.approx(rows.groupby("arm")["reward"].mean().to_dict())


def test_a_repetition_reports_the_same_and_a_later_run_learns_nothing_twice(world: Installation) -> None:
    plan(world)
    serve(world, ISSUE)
    report, rows = reward(world, ISSUE + OVER), log_rows(world)
    assert reward(world, ISSUE + OVER) == report
    assert reward(world, ISSUE + 2 * OVER).rewarded == 0
    assert_frame_equal(log_rows(world), rows)


def test_a_worse_first_day_is_a_smaller_reward_and_later_days_count_nothing(world: Installation, tmp_path: Path) -> None:
    means = []
    for error in (0.5, 1.5):
        made = Installation(tmp_path / f"error-{error}")
        store(made.lake, pd.concat([demand(name, ISSUE - 35 * DAY, 45 * 24) for name in made.series]))
        plan(made)
        serve(made, ISSUE, error=error)
        serve(made, ISSUE + 30 * HOUR, error=50.0)
        reward(made, ISSUE + OVER)
        means.append(log_rows(made)["reward"].mean())
    assert means[0] > means[1] > -1.9


def test_a_version_that_never_served_is_not_judged_and_not_waited_for(world: Installation) -> None:
    plan(world)
    serve(world, ISSUE, trained=ISSUE - 7 * DAY)
    report = reward(world, ISSUE + OVER)
    assert (report.rewarded, report.waiting) == (0, len(world.series))
    assert reward(world, ISSUE + GIVEN_UP + DAY).waiting == 0


def test_what_was_rewarded_is_what_the_next_training_knows(world: Installation) -> None:
    plan(world)
    serve(world, ISSUE)
    reward(world, ISSUE + OVER)
    later = ISSUE + 7 * DAY
    plan(world, later, "next")
    reasons = log_rows(world).set_index("issue_time").loc[later, "reason"]
    assert reasons.str.contains(f"after {len(world.series)} rewards").all()


def test_frozen_takes_the_default_while_nothing_is_known_and_learns_nothing(world: Installation) -> None:
    history = demand(world.series[0], ISSUE - 20 * DAY, 20 * 24)
    chosen = choose_for_training(world.home.database_url, history, issue_time=ISSUE, frozen=True)
    assert [choice.arm for choice in chosen.values()] == [DEFAULT_ARM]
    serve(world, ISSUE)
    assert reward(world, ISSUE + OVER, frozen=True).rewarded == 1
    again = choose_for_training(world.home.database_url, history, issue_time=ISSUE + DAY * 5, frozen=True)
    assert [choice.arm for choice in again.values()] == [DEFAULT_ARM]
    assert "after 0 rewards" in log_rows(world)["reason"].iloc[-1]
