"""The registry: one pyfunc that runs anywhere, aliases, a cache; on a database and on a real tracking server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pandas as pd
import pytest
import requests
from conftest import train
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pandas.testing import assert_frame_equal
from small_world import HOUR, ISSUE, Installation

from headroom.demand import hourly_demand
from headroom.errors import BadInputError, UnavailableError
from headroom.schemas import empty_frame
from headroom.vocabulary import QUANTILE_COLUMNS
from models.candidates import CANDIDATES, NAIVES
from models.demand_model import DemandModel
from models.mlflow_session import mlflow_session
from models.packaging import requirements
from models.promotion import AWAITING_REVIEW, await_review, promote
from models.promotion_log import PromotionLog
from models.registry import (
    CHALLENGER,
    CHAMPION,
    EXPERIMENT,
    MODEL_NAME,
    ModelVersion,
    alias_holder,
    fetch_model,
    find_version,
    migrate,
    set_alias,
)
from models.scoring import score_forecasts

# Refuses what a fresh environment made from the model's requirements does not have.
FRESH = """
import sys
absent = set(sys.argv.pop(1).split(","))
class Fresh:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Fresh())
"""
# Scores a frame with MLflow alone.
SCORE_ELSEWHERE = """
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
forecast = model.predict(pd.read_parquet(sys.argv[2]), params={"issue_time": sys.argv[3]})
import models, headroom
assert sys.argv[1] in models.__file__ and sys.argv[1] in headroom.__file__, (models.__file__, headroom.__file__)
forecast.to_parquet(sys.argv[4])
"""


def absent_from(requirements: Iterable[str]) -> list[str]:
    """Top-level modules installed here that `requirements` and what they require do not bring."""
    brought: set[str] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in brought or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        brought.add(name)
        with contextlib.suppress(PackageNotFoundError):  # not for this platform
            waiting += [Requirement(line) for line in distribution(name).requires or []]
    modules = packages_distributions()
    return sorted(
        module for module, by in modules.items() if not brought & {canonicalize_name(name) for name in by} and module.isidentifier()
    )


def history(world: Installation) -> pd.DataFrame:
    return hourly_demand(world.lake, world.settings, start=ISSUE - 28 * 24 * HOUR, end=ISSUE, as_of=ISSUE)


def champion_line(world: Installation) -> ModelVersion:
    found = find_version(world.home, "1")
    assert found is not None
    return found


def test_one_call_scores_a_frame_outside_the_repository_with_nothing_but_its_requirements(world: Installation, tmp_path: Path) -> None:
    with mlflow_session(world.home) as client:
        packed = client.get_model_version_download_uri(MODEL_NAME, "1")
        import mlflow

        folder = mlflow.artifacts.download_artifacts(packed, dst_path=str(tmp_path / "packed"))
    rows = history(world)
    plain = rows.assign(ds=rows["ds"].dt.tz_localize(None))
    plain.to_parquet(tmp_path / "history.parquet")
    absent = absent_from((Path(folder) / "requirements.txt").read_text().split())
    assert {"airflow", "deltalake", "prophet", "statsforecast"} <= set(absent)
    arguments = [",".join(absent), folder, str(tmp_path / "history.parquet"), ISSUE.isoformat(), str(tmp_path / "forecast.parquet")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [sys.executable, "-c", FRESH + SCORE_ELSEWHERE, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    forecast = pd.read_parquet(tmp_path / "forecast.parquet")
    own = DemandModel.load(fetch_model(world.home, champion_line(world))).predict(rows, empty_frame("events"), ISSUE)
    assert_frame_equal(forecast, own.assign(ds=own["ds"].dt.tz_localize(None)), check_exact=True, check_dtype=False)


FIT_ELSEWHERE = """
sys.path[:0] = sys.argv[2].split(",")
from small_world import ISSUE, demand
from headroom.schemas import empty_frame
from models.candidates import create
from models.forecaster import SeriesCalendar
import pandas as pd
history, events = demand("a/b/cpu", ISSUE - pd.Timedelta(days=21), 21 * 24), empty_frame("events")
forecaster = create(sys.argv[1]).fit(history, events, SeriesCalendar())
assert len(forecaster.predict_quantiles(history, events, ISSUE)) == 72
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CANDIDATES if name not in NAIVES])
def test_every_candidate_runs_with_nothing_but_its_requirements(name: str) -> None:
    root = Path(__file__).parents[2]
    # deltalake is what `small_world` itself needs; no candidate has it among its requirements
    absent = [
        module for module in absent_from(requirements([name])) if module not in {"deltalake", "duckdb", "arro3", "sqlalchemy", "tenacity"}
    ]
    paths = f"{root},{Path(__file__).parent}"
    ran = subprocess.run(
        [sys.executable, "-c", FRESH + FIT_ELSEWHERE, ",".join(absent), name, paths],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_project_that_a_training_runs_in_stays_out_of_the_version(world: Installation) -> None:
    """MLflow would pack the uv.lock of the working directory, and install that instead of the requirements."""
    with mlflow_session(world.home) as client:
        import mlflow

        folder = Path(
            mlflow.artifacts.download_artifacts(
                client.get_model_version_download_uri(MODEL_NAME, "2"), dst_path=str(world.home.root / "probe")
            )
        )
    assert Path("uv.lock").is_file()
    assert not (folder / "uv.lock").exists()


def test_a_version_carries_signature_example_pinned_requirements_and_where_it_came_from(world: Installation) -> None:
    with mlflow_session(world.home) as client:
        found = client.get_model_version(MODEL_NAME, "2")
        import mlflow

        uri = client.get_model_version_download_uri(MODEL_NAME, "2")
        folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(world.home.root / "probe")))
        signature = mlflow.models.get_model_info(str(folder)).signature
    assert signature.inputs.input_names() == ["unique_id", "ds", "y"]
    assert signature.outputs.input_names() == ["unique_id", "ds", "horizon", *QUANTILE_COLUMNS, "candidate"]
    assert {param.name for param in signature.params.params} == {"issue_time", "events"}
    assert (folder / "input_example.json").is_file()
    lines = (folder / "requirements.txt").read_text().split()
    assert lines
    assert all("==" in line for line in lines)
    assert found.tags["training"] == "second"
    assert found.tags["train_end"] == ISSUE.isoformat()


def test_the_newest_version_is_the_challenger_and_nobody_is_champion(world: Installation) -> None:
    challenger = alias_holder(world.home, CHALLENGER)
    assert challenger is not None
    assert challenger.version == "2"
    assert alias_holder(world.home, CHAMPION) is None


def test_migrating_again_changes_nothing(world: Installation) -> None:
    migrate(world.home)
    with mlflow_session(world.home) as client:
        assert client.get_experiment_by_name(EXPERIMENT).artifact_location.endswith("mlflow/artifacts")


def test_a_session_leaves_the_process_as_it_was(world: Installation) -> None:
    before = dict(os.environ)
    with mlflow_session(world.home):
        assert os.environ != before
    assert dict(os.environ) == before


def test_files_come_from_the_cache_once_they_were_fetched(world: Installation) -> None:
    version = champion_line(world)
    folder = fetch_model(world.home, version)
    away = dataclasses.replace(world.home, mlflow_uri="http://127.0.0.1:9")
    assert fetch_model(away, version) == folder
    shutil.rmtree(folder)
    with pytest.raises(UnavailableError, match="does not give its files"):
        fetch_model(away, version)
    assert DemandModel.load(fetch_model(world.home, version)).weights


def test_only_a_version_that_exists_can_be_promoted(world: Installation) -> None:
    with pytest.raises(BadInputError, match="no version '7'"):
        promote("7", home=world.home, reason="?", effective_at=ISSUE)


def test_a_promotion_moves_the_alias_unless_a_later_one_reigns(world: Installation) -> None:
    promote("2", home=world.home, reason="better", effective_at=ISSUE)
    promote("1", home=world.home, reason="what it would have been", effective_at=ISSUE - HOUR)
    held = alias_holder(world.home)
    assert held is not None
    assert held.version == "2"


def test_going_back_to_a_version_that_was_replaced_is_a_rollback_with_its_reason(world: Installation) -> None:
    promote("1", home=world.home, reason="first", effective_at=ISSUE - HOUR)
    promote("2", home=world.home, reason="better", effective_at=ISSUE)
    promote("1", home=world.home, reason="2 runs wild on match days", effective_at=ISSUE + HOUR)
    with PromotionLog.open(world.home.database_url) as log:
        lines = [(line.version, line.action, line.reason) for line in log.champions_until(MODEL_NAME)]
    assert lines == [("1", "rollback", "2 runs wild on match days"), ("2", "promote", "better"), ("1", "promote", "first")]


def test_a_version_that_waits_for_review_says_how_to_promote_it_until_it_is(world: Installation) -> None:
    await_review("2", home=world.home, reason="better by 4 %", effective_at=ISSUE)
    with mlflow_session(world.home) as client:
        how = client.get_model_version(MODEL_NAME, "2").tags[AWAITING_REVIEW]
    assert how == 'headroom promote 2 --as-of 2026-07-08T00:00Z --why "..."'
    promote("2", home=world.home, reason="reviewed", effective_at=ISSUE)
    with mlflow_session(world.home) as client:
        tags = client.get_model_version(MODEL_NAME, "2").tags
    assert AWAITING_REVIEW not in tags
    assert tags["promotion-reason"] == "reviewed"


@pytest.fixture
def served(world: Installation) -> Iterator[Installation]:
    """`world` behind a real tracking server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", world.home.mlflow_uri, "--artifacts-destination", str(world.home.root / "mlflow" / "artifacts")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = (world.home.root / "server.log").open("wb")
    server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, server, world.home.root / "server.log")
        world.home = dataclasses.replace(world.home, mlflow_uri=url)
        yield world
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
        log.close()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if requests.get(f"{url}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    pytest.fail(f"mlflow server did not start: {log.read_text()[-2000:]}")


@pytest.mark.slow
def test_the_loop_holds_against_a_real_tracking_server(served: Installation) -> None:
    """Train, register, promote, read the alias over HTTP, fetch the files from the server, score."""
    migrate(served.home)
    version = train(served, ISSUE, "third")
    assert version == "3"
    assert alias_holder(served.home) is None
    promote(version, home=served.home, reason="test", effective_at=ISSUE)
    held = alias_holder(served.home)
    assert held is not None
    assert held.version == version
    shutil.rmtree(served.home.root / "models")
    report = score_forecasts(served.settings, served.lake, served.home, issue_time=ISSUE, live=True)
    assert report.model_version == version
    assert not report.fallbacks
    assert not report.notices
    set_alias(served.home, CHAMPION, "1")
    moved = score_forecasts(served.settings, served.lake, served.home, issue_time=ISSUE + HOUR, live=True)
    assert moved.model_version == "1"
    json.dumps(dataclasses.asdict(moved))
