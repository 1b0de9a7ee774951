"""What the tuner chooses for a series changes how it is forecast: in every candidate that knows the parameter, in a training, in a kept model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, UTC, no_events, rhythm
from small_world import HOUR, ISSUE, Installation, demand, store

from headroom.vocabulary import QUANTILE_COLUMNS
from models.calibration import Calibration
from models.candidates import DEFAULT_CANDIDATES, LOCAL_CANDIDATES, NAIVES, create
from models.demand_model import DemandModel
from models.hourly_grid import recent
from models.training import TrainingOptions, backtest_shard, plan_training
from models.tuning.arms import ARMS, DEFAULT_ARM, Tuning
from models.tuning.context import FEATURES
from models.tuning.store import Choice, TuningLog
from models.tuning.trainings import choose_for_training

LEVELS = list(QUANTILE_COLUMNS)
DEFAULT = ARMS[DEFAULT_ARM]
OTHERS = [name for name in ARMS if name != DEFAULT_ARM]
TUNED, LEFT = "r/tuned/cpu", "r/left/cpu"
# Which candidate knows which parameter; the length of the history is known to all.
KNOWN = {
    "half_life_days": ("seasonal-ridge", "exponential-smoothing", "lightgbm"),
    "learning_rate": ("lightgbm",),
    "weight_shrinkage": ("seasonal-ridge",),
    "changepoint_prior_scale": ("prophet",),
    "history_days": ("flair", "seasonal-ridge", "exponential-smoothing", "lightgbm", "mstl", "prophet"),
}
CHANGED = {
    "half_life_days": 3.0,
    "learning_rate": 0.16,
    "weight_shrinkage": 0.1,
    "changepoint_prior_scale": 0.5,
    "history_days": 14,
}


def history() -> pd.DataFrame:
    """Five weeks of two series; the tuned one rose in the third week."""
    tuned = rhythm(TUNED, days=35, after=0, noise=0.1)
    grown = tuned["y"] * (1 + 0.15 * (tuned["ds"] >= CUTOFF - pd.Timedelta(days=18)))
    return pd.concat([tuned.assign(y=grown), rhythm(LEFT, days=35, after=0, seed=1, noise=0.1)], ignore_index=True)


def forecast(name: str, tuning: dict[str, Tuning] | None = None) -> pd.DataFrame:
    fitted = create(name, tuning=tuning).fit(history(), no_events(), UTC)
    return fitted.predict_quantiles(recent(history(), CUTOFF), no_events(), CUTOFF)


def differ(one: pd.DataFrame, other: pd.DataFrame, series: str = TUNED) -> bool:
    mine, yours = (rows.loc[rows["unique_id"] == series, LEVELS].to_numpy() for rows in (one, other))
    return bool(np.abs(mine - yours).max() > 1e-6)


@pytest.mark.parametrize(("parameter", "name"), [(parameter, name) for parameter, names in KNOWN.items() for name in names])
def test_a_parameter_that_a_candidate_knows_changes_the_forecast_of_its_series(parameter: str, name: str) -> None:
    plain, tuned = forecast(name), forecast(name, {TUNED: replace(DEFAULT, **{parameter: CHANGED[parameter]})})
    assert differ(plain, tuned)
    if name in LOCAL_CANDIDATES:
        assert not differ(plain, tuned, LEFT)


@pytest.mark.parametrize("name", DEFAULT_CANDIDATES)
def test_the_default_arm_is_what_nobody_tuned(name: str) -> None:
    pd.testing.assert_frame_equal(forecast(name, {TUNED: DEFAULT, LEFT: DEFAULT}), forecast(name), check_exact=True)


@pytest.mark.parametrize("arm", OTHERS)
def test_every_arm_is_felt_by_what_a_training_takes_by_itself(arm: str) -> None:
    names = [name for name in DEFAULT_CANDIDATES if name not in NAIVES]
    assert any(differ(forecast(name), forecast(name, {TUNED: ARMS[arm]})) for name in names)


@pytest.mark.parametrize("name", NAIVES)
def test_no_arm_moves_the_yardstick(name: str) -> None:
    for arm in OTHERS:
        pd.testing.assert_frame_equal(forecast(name, {TUNED: ARMS[arm]}), forecast(name), check_exact=True)


def test_history_before_the_limit_may_be_anything() -> None:
    limited = {TUNED: replace(DEFAULT, history_days=14)}
    before = history()["ds"] < CUTOFF - pd.Timedelta(days=14)
    other = history().assign(y=lambda rows: np.where(before & (rows["unique_id"] == TUNED), 3.0, rows["y"]))
    found = [
        create("flair", tuning=limited).fit(rows, no_events(), UTC).predict_quantiles(recent(rows, CUTOFF), no_events(), CUTOFF)
        for rows in (history(), other)
    ]
    assert not differ(*found)


def test_a_kept_model_keeps_what_its_series_were_told(tmp_path: Path) -> None:
    """Also a candidate that is fitted anew for every forecast, and one that is loaded."""
    told, none = {TUNED: replace(DEFAULT, history_days=14, learning_rate=0.16)}, Calibration.none()
    weights = {series: {"flair": 0.5, "lightgbm": 0.5} for series in (TUNED, LEFT)}
    tuned, plain = (
        DemandModel.fit(history(), no_events(), UTC, weights=weights, calibration=none, issue_time=CUTOFF, tuning=tuning)
        for tuning in (told, None)
    )
    tuned.save(tmp_path)
    loaded = DemandModel.load(tmp_path)
    assert loaded.tuning == told
    expected = tuned.predict(history(), no_events(), CUTOFF)
    pd.testing.assert_frame_equal(loaded.predict(history(), no_events(), CUTOFF), expected, check_exact=True)
    assert differ(expected, plain.predict(history(), no_events(), CUTOFF))


@pytest.fixture
def world(tmp_path: Path) -> Installation:
    """Five weeks of demand before `ISSUE`."""
    made = Installation(tmp_path / "home")
    store(made.lake, pd.concat([demand(name, ISSUE - 35 * 24 * HOUR, 35 * 24, noise=0.1) for name in made.series]))
    return made


def out_of_fold(world: Installation, run_id: str, url: str | None) -> pd.DataFrame:
    """What a training of that name backtests, with the tuning log at `url`."""
    planned = plan_training(
        world.settings,
        world.lake,
        world.home.work,
        issue_time=ISSUE,
        run_id=run_id,
        options=TrainingOptions(candidates=("seasonal-ridge",), shards=1, windows=2, calibration_windows=1),
        tuning_url=url,
    )
    for shard in planned.shards:
        assert not backtest_shard(planned.folder, shard)["failed"]
    frames = [pd.read_parquet(planned.path(f"oof-{shard}", ".parquet")) for shard in planned.shards]
    return pd.concat(frames).drop(columns="seconds").sort_values(["candidate", "unique_id", "ds"], ignore_index=True)


def decided(world: Installation, arm: str) -> str:
    """A tuning log in which every series has chosen the arm at `ISSUE`."""
    with TuningLog.open(world.home.database_url) as log:
        log.add([Choice(name, ISSUE, arm, ARMS[arm], dict.fromkeys(FEATURES, 0.1), "told so", False) for name in world.series])
    return world.home.database_url


def test_a_training_backtests_with_what_was_chosen(world: Installation) -> None:
    plain = out_of_fold(world, "plain", None)
    tuned = out_of_fold(world, "tuned", decided(world, "recent"))
    for name, same in (("seasonal-naive-24", True), ("seasonal-ridge", False)):
        mine, yours = (rows.loc[rows["candidate"] == name, LEVELS].to_numpy() for rows in (plain, tuned))
        assert np.array_equal(mine, yours) == same


def test_a_frozen_tuner_that_knows_nothing_changes_no_number(world: Installation) -> None:
    plain = out_of_fold(world, "plain", None)
    seen = pd.concat([demand(name, ISSUE - 35 * 24 * HOUR, 35 * 24, noise=0.1) for name in world.series])
    chosen = choose_for_training(world.home.database_url, seen, issue_time=ISSUE, frozen=True)
    assert {choice.arm for choice in chosen.values()} == {DEFAULT_ARM}
    pd.testing.assert_frame_equal(out_of_fold(world, "frozen", world.home.database_url), plain, check_exact=True)
