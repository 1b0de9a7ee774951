"""Installations for the tests of scoring, learning and the registry: one is prepared once per process and copied per test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from small_world import ISSUE, Installation, demand, event, store

from models.registry import migrate
from models.training import TrainingOptions, backtest_shard, finish_training, plan_training

EARLIER = ISSUE - pd.Timedelta(days=7)


@pytest.fixture(scope="session", autouse=True)
def _few_steps_of_the_network() -> Iterator[None]:
    """A fit of the recurrent candidate at full length takes a quarter of a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.candidates.recurrent._STEPS", 60)
        yield


def train(made: Installation, issue_time: pd.Timestamp, run_id: str, **options: object) -> str:
    """A training with the naives alone, which takes a second; the version that it registered."""
    chosen = {"history_days": 28, "candidates": (), "promote": "never", "windows": 2, "calibration_windows": 1, **options}
    plan = plan_training(made.settings, made.lake, made.home.work, issue_time=issue_time, run_id=run_id, options=TrainingOptions(**chosen))
    for shard in plan.shards:
        backtest_shard(plan.folder, shard)
    return finish_training(made.settings, made.lake, made.home, plan.folder).version


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a new installation: its MLflow database, migrated. Copies of it put their artifacts here."""
    made = Installation(tmp_path_factory.mktemp("migrated") / "home")
    migrate(made.home)
    return made.home.root


@pytest.fixture(scope="session")
def template(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Five weeks of demand to three days after `ISSUE`; versions 1 (trained a week before) and 2 (at `ISSUE`), nobody champion."""
    made = Installation(Path(shutil.copytree(migrated, tmp_path_factory.mktemp("template") / "home")))
    start = ISSUE - pd.Timedelta(days=35)
    store(made.lake, pd.concat([demand(name, start, 38 * 24) for name in made.series]))
    event(made.lake, "match-1", ISSUE + pd.Timedelta("20h"), 3, known=ISSUE - pd.Timedelta(days=10))
    assert train(made, EARLIER, "first") == "1"
    assert train(made, ISSUE, "second") == "2"
    return made


@pytest.fixture
def world(template: Installation, tmp_path: Path) -> Installation:
    """A copy of `template` that a test may change."""
    shutil.copytree(template.home.root, tmp_path / "home")
    return Installation(tmp_path / "home")
