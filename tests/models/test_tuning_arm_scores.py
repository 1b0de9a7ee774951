"""What a training is told about its series reaches their weights, and its card says what each preset came to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR
from small_world import ISSUE, Installation, demand, store

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS
from models.backtest import split_windows
from models.ensemble import ensemble_weights
from models.judging import floor_rows
from models.mlflow_session import mlflow_session
from models.model_card import model_card
from models.training import TrainingOptions, backtest_shard, finish_training, plan_training
from models.tuning.arm_scores import arm_scores
from models.tuning.arms import ARMS, Tuning, TuningChoice

NAIVE = "seasonal-naive-24"


def oof(errors: dict[str, dict[str, float]], windows: range = range(2)) -> pd.DataFrame:
    """Rows whose every quantile misses the truth, 100, by `errors[candidate][series]`, in windows that are all alike."""
    rows = pd.DataFrame(
        [(name, series, window, hour) for name, own in errors.items() for series in own for window in windows for hour in range(72)],
        columns=["candidate", "unique_id", "window", "hour"],
    )
    miss = [errors[name][series] for name, series in zip(rows["candidate"], rows["unique_id"], strict=True)]
    cutoff = CUTOFF + rows["window"] * 72 * HOUR
    quantiles = dict.fromkeys(QUANTILE_COLUMNS, 100.0 + np.array(miss))
    return rows.assign(cutoff=cutoff, ds=cutoff + rows["hour"] * HOUR, y=100.0, horizon=rows["hour"] + 1, seconds=0.1, **quantiles)


# "a" is best forecast by mstl, the others by flair.
FIELD = {
    NAIVE: dict.fromkeys("abcd", 9.0),
    "mstl": {"a": 1.0, "b": 7.0, "c": 7.0, "d": 7.0},
    "flair": {"a": 7.0, "b": 1.0, "c": 1.0, "d": 1.0},
}


def test_more_shrinkage_draws_a_series_away_from_its_own_windows() -> None:
    near = FIELD | {"flair": FIELD["flair"] | {"a": 1.8}}  # near enough to mstl to have a share of the equal weights
    weight = [ensemble_weights(oof(near), {"a": share}).loc["a", "mstl"] for share in (0.01, 0.2, 0.5)]
    assert weight[0] > weight[1] > weight[2]
    assert weight[0] > 0.9
    assert weight[2] < 0.5


def test_shrinkage_of_one_series_moves_no_other_and_a_half_is_the_default() -> None:
    plain = ensemble_weights(oof(FIELD))
    pd.testing.assert_frame_equal(ensemble_weights(oof(FIELD), {"a": 0.9}).drop("a"), plain.drop("a"))
    pd.testing.assert_frame_equal(ensemble_weights(oof(FIELD), dict.fromkeys("abcd", 0.5)), plain)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_a_shrinkage_that_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(BadInputError, match="of b: expected a share above 0 and below 1"):
        ensemble_weights(oof(FIELD), {"b": share})


def chose(**arms: str) -> dict[str, TuningChoice]:
    return {series: TuningChoice(arm, ARMS[arm]) for series, arm in arms.items()}


def test_an_arm_scores_what_the_series_that_chose_it_came_to() -> None:
    late = oof(FIELD, range(2, 3))
    floor, judged = floor_rows(late, late), late[late["candidate"] == "mstl"]
    table = arm_scores(floor, judged, chose(a="own", b="settled", c="settled"))
    assert table.to_dict("list") == {
        "arm": ["settled", "own"],
        "series": [2, 1],
        "score": [pytest.approx(7 / 9), pytest.approx(1 / 9)],
    }


def test_without_choices_there_is_no_table() -> None:
    late = oof(FIELD, range(2, 3))
    assert arm_scores(floor_rows(late, late), late[late["candidate"] == "mstl"], {}).empty


@pytest.mark.slow
def test_a_tuned_training_takes_the_shrinkage_and_its_card_states_the_presets(
    migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Installation(Path(shutil.copytree(migrated, tmp_path / "home")))
    store(made.lake, pd.concat([demand(name, ISSUE - pd.Timedelta(days=28), 28 * 24, noise=0.1) for name in made.series]))
    options = TrainingOptions(history_days=28, candidates=("flair",), promote="never", windows=3, calibration_windows=1)
    url = made.home.database_url
    plan = plan_training(made.settings, made.lake, made.home.work, issue_time=ISSUE, run_id="t", options=options, tuning_url=url)
    frames = [
        pd.read_parquet(plan.path(f"oof-{shard}", ".parquet")) for shard in plan.shards if not backtest_shard(plan.folder, shard)["failed"]
    ]
    cards: list[str] = []
    monkeypatch.setattr("models.training.model_card", lambda *given, **named: cards.append(model_card(*given, **named)) or cards[-1])
    result = finish_training(made.settings, made.lake, made.home, plan.folder)
    with mlflow_session(made.home) as client:
        assert "tuning.csv" in {artifact.path for artifact in client.list_artifacts(result.mlflow_run_id)}
    assert "## Self-tuning" in cards[0]
    assert all(f"| {choice.arm} |" in cards[0] for choice in plan.tuning.values())
    early, _ = split_windows(pd.concat(frames), options.calibration_windows)
    tuned = ensemble_weights(early, plan.weight_shrinkage)
    folder = next(plan.folder.glob("model-*"))
    facts = json.loads((folder / "model.json").read_text("utf-8"))
    saved = facts["weights"]
    assert {series: Tuning(**told) for series, told in facts["tuning"].items()} == plan.parameters
    for series in made.series:
        assert saved[series] == pytest.approx({name: share for name, share in tuned.loc[series].items() if share > 0})
    told = pd.read_parquet(folder / "calibration.parquet").query("unique_id == '*' and quantile == '0.9'")
    assert told["rows"].sum() == len(made.series) * options.windows * 72  # all windows calibrate
