"""Training: planned once, backtested by shard, finished once; killed anywhere and run again, it comes to the same."""

from __future__ import annotations

import dataclasses
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_world import HOUR, ISSUE, Installation, demand, event, store

from headroom.errors import BadInputError
from models.champion_score import champion_score
from models.mlflow_session import mlflow_session
from models.promotion import AWAITING_REVIEW, promote
from models.promotion_log import PromotionLog
from models.registry import CHAMPION, EXPERIMENT, MODEL_NAME, alias_holder
from models.training import TrainingOptions, TrainingPlan, TrainingResult, backtest_shard, finish_training, plan_training

DAY = pd.Timedelta(days=1)
OPTIONS = TrainingOptions(history_days=28, candidates=("mstl", "lightgbm"), shards=2, windows=4, calibration_windows=2)


def plan(world: Installation, run_id: str = "weekly", options: TrainingOptions = OPTIONS, issue_time: pd.Timestamp = ISSUE) -> TrainingPlan:
    return plan_training(world.settings, world.lake, world.home.work, issue_time=issue_time, run_id=run_id, options=options)


def finish(world: Installation, planned: TrainingPlan) -> TrainingResult:
    return finish_training(world.settings, world.lake, world.home, planned.folder)


@pytest.fixture(scope="module")
def backtested(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Everything but the last step of a training with MSTL, LightGBM and the naives, and a fresh MLflow database."""
    made = Installation(Path(shutil.copytree(migrated, tmp_path_factory.mktemp("backtested") / "home")))
    store(made.lake, pd.concat([demand(name, ISSUE - 30 * DAY, 30 * 24, noise=0.1) for name in made.series]))
    event(made.lake, "match-1", ISSUE + 20 * HOUR, 3, known=ISSUE - 10 * DAY)
    planned = plan(made)
    for shard in planned.shards:
        assert not backtest_shard(planned.folder, shard)["failed"]
    return made


@pytest.fixture
def world(backtested: Installation, tmp_path: Path) -> Installation:
    """A copy of `backtested` that a test may finish."""
    shutil.copytree(backtested.home.root, tmp_path / "home")
    return Installation(tmp_path / "home")


@pytest.fixture(scope="module")
def finished(backtested: Installation, tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, TrainingResult]:
    """`backtested`, finished, its fitted model kept for the copies of other tests."""
    made = Installation(Path(shutil.copytree(backtested.home.root, tmp_path_factory.mktemp("finished") / "home")))
    planned = plan(made)
    result = finish(made, planned)
    for folder in planned.folder.glob("model-*"):
        shutil.copytree(folder, plan(backtested).folder / folder.name)
    return made, result


def _every_candidate_alike(oof: pd.DataFrame) -> pd.DataFrame:
    """The naive's rows under the names of all candidates of `OPTIONS`."""
    rows = oof[oof["candidate"] == "seasonal-naive-24"]
    return pd.concat([rows.assign(candidate=name) for name in ("seasonal-naive-24", "seasonal-naive-168", *OPTIONS.candidates)])


def traces(world: Installation) -> dict[str, Any]:
    """What a finished training leaves for others to see."""
    with mlflow_session(world.home) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        runs = client.search_runs([experiment])
        versions = client.search_model_versions(f"name = '{MODEL_NAME}'")
    with PromotionLog.open(world.home.database_url) as log:
        lines = log.champions_until(MODEL_NAME)
    champion = alias_holder(world.home, CHAMPION)
    return {
        "runs": sorted(run.data.tags["mlflow.runName"] for run in runs),
        "datasets": sorted(told.dataset.digest for run in runs for told in run.inputs.dataset_inputs),
        "states": {run.info.status for run in runs},
        "metrics": {run.data.tags["mlflow.runName"]: {k: v for k, v in run.data.metrics.items() if k != "seconds"} for run in runs},
        "tags": {run.data.tags["mlflow.runName"]: {k: v for k, v in run.data.tags.items() if k.startswith("gate.")} for run in runs},
        "described": [(version.description, {k: v for k, v in version.tags.items() if k.startswith("gate.")}) for version in versions],
        "versions": [str(version.version) for version in versions],
        "promotions": [(line.version, line.effective_at, line.action) for line in lines],
        "champion": champion.version if champion else None,
    }


def test_the_first_training_that_beats_the_naive_makes_the_champion(finished: tuple[Installation, TrainingResult]) -> None:
    world, result = finished
    assert result.promoted
    assert result.score < 1
    assert result.version == "1"
    found = traces(world)
    assert found["champion"] == "1"
    assert found["promotions"] == [("1", ISSUE, "promote")]
    json.dumps(dataclasses.asdict(result))


def test_mlflow_holds_one_run_with_a_nested_run_per_candidate_and_shard(finished: tuple[Installation, TrainingResult]) -> None:
    world, result = finished
    with mlflow_session(world.home) as client:
        parent = client.get_run(result.mlflow_run_id)
        nested = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{result.mlflow_run_id}'")
        files = {item.path for item in client.list_artifacts(result.mlflow_run_id)}
        plots = {item.path for item in client.list_artifacts(result.mlflow_run_id, "plots")}
    local = {f"{name} local-{n}" for name in ("mstl", "seasonal-naive-24", "seasonal-naive-168") for n in (0, 1)}
    assert {run.data.tags["mlflow.runName"] for run in nested} == local | {"lightgbm global"}
    for run in nested:
        by_bucket = {f"{measure}_h{hours}" for measure in ("wql", "coverage_80", "coverage_98") for hours in ("1-6", "7-24", "25-72")}
        assert {"selection_ratio", "selection_weight", "seconds", "wql", "coverage_80", *by_bucket} <= set(run.data.metrics)
        assert any(name.endswith("/wql_h1-6") for name in run.data.metrics)
    assert {"score_h1-6", "cpu/score", "requests/wql_h25-72", "cpu/coverage_98", "coverage_80_calibrated"} <= set(parent.data.metrics)
    boosted = next(run for run in nested if run.data.tags["candidate"] == "lightgbm")
    assert boosted.data.params["parameters.objective"] == "quantile"
    assert boosted.data.params["series"] == "3"
    assert parent.data.metrics["score"] == pytest.approx(result.score)
    assert parent.data.params["history_start"] == (ISSUE - 28 * DAY).isoformat()
    assert len(parent.data.params["data_digest"]) == 64
    assert {"leaderboard.csv", "weights.csv", "metrics.csv", "data.json", "model_card.md"} <= files
    drawn = ("leaderboard", "fan-worst", "fan-median", "fan-best", "reliability", "coverage", "weights", "importance")
    assert plots == {f"plots/{name}.png" for name in drawn}
    assert [row["candidate"] for row in result.leaderboard] == sorted(
        (row["candidate"] for row in result.leaderboard),
        key=lambda name: next(r["ratio"] for r in result.leaderboard if r["candidate"] == name),
    )


def test_mlflow_shows_which_data_a_training_stood_on_and_nothing_of_this_machine(finished: tuple[Installation, TrainingResult]) -> None:
    world, result = finished
    with mlflow_session(world.home) as client:
        run = client.get_run(result.mlflow_run_id)
    [told] = run.inputs.dataset_inputs
    assert {tag.key: tag.value for tag in told.tags} == {"mlflow.data.context": "training"}
    assert told.dataset.name == f"metrics {ISSUE - 28 * DAY:%Y-%m-%d} to {ISSUE:%Y-%m-%d %H:%M}"
    assert run.data.params["data_digest"].startswith(told.dataset.digest)
    assert len(told.dataset.digest) == 36
    source, profile = json.loads(told.dataset.source), json.loads(told.dataset.profile)
    assert source == {"table": "metrics", "from": (ISSUE - 28 * DAY).isoformat(), "to": ISSUE.isoformat()}
    assert profile == {"series": 3, "data_digest": run.data.params["data_digest"]}
    assert str(world.home.root) not in repr(told.to_dictionary())


def test_verdicts_and_card_are_on_the_run_and_on_the_version(finished: tuple[Installation, TrainingResult]) -> None:
    world, result = finished
    with mlflow_session(world.home) as client:
        run, version = client.get_run(result.mlflow_run_id), client.get_model_version(MODEL_NAME, result.version)
    assert set(result.guards) == {"floor", "coverage", "segments", "better"}
    for name, verdict in result.guards.items():
        assert run.data.tags[f"gate.{name}"] == version.tags[f"gate.{name}"] == verdict
    assert result.guards["floor"].startswith(f"pass: {result.score:.3f} of the better naive's loss")
    assert version.tags["gate.decision"] == result.reason
    for told in (version.tags["data_digest"], "mlflow models predict -m models:/demand-forecaster/1", "## Known limits", "| cpu | all |"):
        assert told in version.description
    with PromotionLog.open(world.home.database_url) as log:
        assert [line.reason for line in log.champions_until(MODEL_NAME)] == [result.reason]


STEPS = (
    "training.fit_chosen",
    "training.log_training",
    "packaging._create_registered_model",
    "training.register_model",
    "training.record_review",
    "promotion.set_alias",
    "promotion_log.PromotionLog.record",
    "training.promote",
)


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_after_any_step_and_a_rerun_leave_what_one_clean_run_leaves(
    finished: tuple[Installation, TrainingResult], world: Installation, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, result = finished
    kill_after(monkeypatch, f"models.{step}")
    with pytest.raises(KeyboardInterrupt):
        finish(world, plan(world))
    monkeypatch.undo()
    again = finish(world, plan(world))
    assert dataclasses.replace(again, mlflow_run_id="") == dataclasses.replace(result, mlflow_run_id="")
    assert traces(world) == traces(clean)


def kill_after(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Stop the process right after a function, as far as the program can see."""
    parts = name.split(".")
    owner: Any = importlib.import_module(".".join(parts[:2]))
    for part in parts[2:-1]:
        owner = getattr(owner, part)
    step = getattr(owner, parts[-1])

    def dying(*arguments: Any, **options: Any) -> Any:
        step(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, parts[-1], dying)


def test_a_shard_that_is_done_is_not_done_again_until_the_data_change(world: Installation) -> None:
    planned = plan(world)
    assert all(backtest_shard(planned.folder, shard)["skipped"] for shard in planned.shards)
    revised = demand(world.series[0], ISSUE - DAY, 1, level=500.0)
    store(world.lake, revised, available_at=ISSUE)
    changed = plan(world)
    assert changed.digest != planned.digest
    with pytest.raises(BadInputError, match="has not been backtested"):
        finish(world, changed)


def test_what_becomes_known_after_the_issue_time_does_not_change_the_plan(world: Installation) -> None:
    planned = plan(world)
    store(world.lake, demand(world.series[0], ISSUE - 5 * DAY, 5 * 24, level=900.0), available_at=ISSUE + HOUR)
    event(world.lake, "match-late", ISSUE - DAY, 3, known=ISSUE + HOUR)
    assert plan(world) == planned


def test_how_to_promote_changes_no_number(world: Installation) -> None:
    assert plan(world, options=dataclasses.replace(OPTIONS, promote="never")).digest == plan(world).digest


@pytest.mark.parametrize(("mode", "awaits"), [("review", True), ("never", False)])
def test_without_auto_the_version_stays_challenger(
    finished: tuple[Installation, TrainingResult], world: Installation, mode: Any, awaits: bool
) -> None:
    result = finish(world, plan(world, options=dataclasses.replace(OPTIONS, promote=mode)))
    assert not result.promoted
    found = traces(world)
    assert (found["champion"], found["promotions"]) == (None, [])
    with mlflow_session(world.home) as client:
        assert (AWAITING_REVIEW in client.get_model_version(MODEL_NAME, result.version).tags) is awaits


def test_a_challenger_is_compared_with_the_champion_on_the_same_windows(
    finished: tuple[Installation, TrainingResult], world: Installation
) -> None:
    """The naives alone cannot beat the trained champion; the trained model beats a champion made of naives."""
    finish(world, plan(world))
    naive = plan(world, "naive", dataclasses.replace(OPTIONS, candidates=()))
    for shard in naive.shards:
        backtest_shard(naive.folder, shard)
    result = finish(world, naive)
    assert (result.version, result.promoted) == ("2", False)
    assert result.champion_score is not None
    assert result.champion_score < 1 <= result.score
    assert "failed gate.floor: not better than repeating the last day or week; failed gate.segments: worst segment" in result.reason

    promote("2", home=world.home, reason="test", effective_at=ISSUE)
    again = finish(world, plan(world))
    assert again.promoted, again.reason
    assert again.champion_score == pytest.approx(result.score)
    assert "champion 2" in again.reason
    with PromotionLog.open(world.home.database_url) as log:
        assert [line.version for line in log.champions_until(MODEL_NAME)] == ["1", "2", "1"]


def test_a_champion_gains_nothing_from_windows_that_it_was_fitted_on(
    finished: tuple[Installation, TrainingResult], world: Installation
) -> None:
    """A challenger trained on the same facts scores the same: the champion's fits, which have seen these windows, do not count there."""
    finish(world, plan(world))
    again = plan(world, "again")
    for shard in again.shards:
        backtest_shard(again.folder, shard)
    result = finish(world, again)
    assert result.champion_score == pytest.approx(result.score)
    assert not result.promoted


def test_a_champion_forecasts_windows_that_began_after_its_training_with_its_own_fits(
    finished: tuple[Installation, TrainingResult], world: Installation
) -> None:
    """Whatever this training's candidates make of those windows says nothing about fits that are older."""
    finish(world, plan(world))
    later = ISSUE + 12 * DAY
    store(world.lake, pd.concat([demand(name, ISSUE, 12 * 24, noise=0.1) for name in world.series]))
    planned = plan(world, "later", dataclasses.replace(OPTIONS, candidates=(), windows=4), later)
    for shard in planned.shards:
        backtest_shard(planned.folder, shard)
    oof = pd.concat([pd.read_parquet(planned.path(f"oof-{shard}", ".parquet")) for shard in planned.shards], ignore_index=True)
    assert oof["cutoff"].min() == ISSUE
    floor = oof[oof["candidate"] == "seasonal-naive-24"]
    scored = champion_score(world.home, planned, floor, _every_candidate_alike(oof), except_run="")
    assert scored is not None
    assert scored.score is not None
    assert scored.score < 0.9


def test_a_candidate_that_fails_takes_no_part_and_is_named(world: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.candidates import statistical

    def diverge(*_: object, **__: object) -> None:
        raise FloatingPointError("diverged")

    monkeypatch.setattr(statistical.Statistical, "predict_quantiles", diverge)
    broken = plan(world, "broken", dataclasses.replace(OPTIONS, candidates=("mstl",)))
    for shard in broken.shards:
        assert "diverged" in backtest_shard(broken.folder, shard)["failed"]["mstl"]
    result = finish(world, broken)
    assert set(result.failed) == {"mstl in local-0", "mstl in local-1"}
    assert {row["candidate"] for row in result.leaderboard} == {"seasonal-naive-24", "seasonal-naive-168"}


def test_too_little_history_names_the_hours_needed(tmp_path: Path) -> None:
    made = Installation(tmp_path / "home")
    store(made.lake, demand(made.series[0], ISSUE - 5 * DAY, 5 * 24))
    with pytest.raises(BadInputError, match="120 hours, 216 are needed"):
        plan(made)


def test_a_series_without_history_is_left_out_and_named(tmp_path: Path) -> None:
    made = Installation(tmp_path / "home")
    store(made.lake, demand(made.series[0], ISSUE - 12 * DAY, 12 * 24))
    planned = plan(made)
    assert planned.missing == made.series[1:]
    assert {series for shard in planned.shards.values() for series in shard.series} == {made.series[0]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": ("mlstl",)}, "'mlstl' is unknown"),
        ({"promote": "always"}, "'always' is not one of auto, review, never"),
        ({"shards": 0}, "0 shards"),
        ({"windows": 1}, "3 of 1 windows"),
    ],
)
def test_wrong_options_are_refused_with_the_rule(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        TrainingOptions(**options)


def test_an_unknown_shard_is_refused_with_the_names_of_the_plan(world: Installation) -> None:
    with pytest.raises(BadInputError, match="'local-9'; it has global, local-0, local-1"):
        backtest_shard(plan(world).folder, "local-9")
