"""Every DAG file is an operator's manual that imports fast and behaves like its neighbours."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FILES = sorted((REPOSITORY / "dags").glob("*.py"))
HEAVY = (
    "great_expectations",
    "mlflow",
    "prophet",
    "lightgbm",
    "statsforecast",
    "sklearn",
    "google.cloud.compute_v1",
    "matplotlib",
    "pandas",
    "duckdb",
)

# Run in a fresh interpreter: what a DAG file costs on top of Airflow's own authoring interface.
_PROBE = """
import importlib.util, json, sys, time
from airflow.sdk import dag, task, Asset, Param, CronDataIntervalTimetable, AssetOrTimeSchedule
import airflow.providers.standard.operators.hitl, airflow.providers.standard.operators.empty
before = set(sys.modules)
start = time.perf_counter()
spec = importlib.util.spec_from_file_location("probed", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps({"seconds": time.perf_counter() - start, "modules": sorted(set(sys.modules) - before)}))
"""


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("airflow")
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "plugins")]),
    }


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_dag_file_adds_less_than_half_a_second_and_nothing_heavy(
    file: Path, airflow_home: dict[str, str], record_property: Callable[[str, object], None]
) -> None:
    probes = [_probe(file, airflow_home) for _ in range(3)]
    fastest = min(probe["seconds"] for probe in probes)
    record_property("figure", f"{file.name}: {fastest:.3f} s on top of importing Airflow")
    heavy = [name for name in probes[0]["modules"] if name in HEAVY]
    assert not heavy, f"{file.name} imports {heavy} at parse time"
    assert fastest < 0.5


def _probe(file: Path, environment: dict[str, str]) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", _PROBE, str(file)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


_DESCRIBE = """
import json, logging
logging.disable(logging.CRITICAL)
from airflow.dag_processing.dagbag import DagBag
import sys
bag = DagBag(dag_folder=sys.argv[1])
out = {"errors": {k: v.strip().splitlines()[-1] for k, v in bag.import_errors.items()}, "dags": {}}
for dag_id, dag in bag.dags.items():
    out["dags"][dag_id] = {
        "file": dag.fileloc, "doc": dag.doc_md, "tags": sorted(dag.tags), "catchup": dag.catchup, "max_active_runs": dag.max_active_runs,
        "start": dag.start_date.isoformat(), "params": {k: dag.params.get_param(k).schema | {"description": dag.params.get_param(k).description} for k in dag.params},
        "tasks": {t.task_id: {"owner": t.owner, "retries": t.retries, "policy": type(t.retry_policy).__name__, "backoff": float(t.retry_exponential_backoff or 0), "pool": t.pool} for t in dag.tasks},
    }
print(json.dumps(out, default=str))
"""


@pytest.fixture(scope="session")
def described(airflow_home: dict[str, str]) -> dict[str, dict]:
    done = subprocess.run(
        [sys.executable, "-c", _DESCRIBE, str(REPOSITORY / "dags")], env=airflow_home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["errors"] == {}
    return found["dags"]


def test_one_dag_per_file_named_like_it(described: dict[str, dict]) -> None:
    assert {dag["file"].rsplit("/", 1)[1] for dag in described.values()} == {file.name for file in FILES}
    assert sorted(described) == [file.stem for file in FILES]


def test_every_dag_says_what_when_in_out_and_what_to_do_when_it_fails(described: dict[str, dict]) -> None:
    for dag_id, dag in described.items():
        for part in ("**What.**", "**When.**", "**In.**", "**Out.**", "**When it fails.**", "docs/runbooks/"):
            assert part in (dag["doc"] or ""), f"{dag_id} does not say {part}"


def test_the_runbooks_that_dags_name_exist() -> None:
    for file in FILES:
        words = ast.get_docstring(ast.parse(file.read_text())) or ""
        named = [word.strip(".,()") for word in words.split() if word.strip(".,()").endswith(".md")]
        assert named, file.name
        for name in named:
            assert (REPOSITORY / "docs" / "runbooks" / Path(name).name).is_file(), f"{file.name} names {name}"


def test_every_dag_follows_the_policy(described: dict[str, dict]) -> None:
    for dag_id, dag in described.items():
        assert "headroom" in dag["tags"], dag_id
        assert dag["catchup"] is False, dag_id
        assert dag["max_active_runs"] <= 2, dag_id
        for task_id, task in dag["tasks"].items():
            assert task["owner"] == "headroom", (dag_id, task_id)
            assert task["retries"] >= 1, (dag_id, task_id)
            assert task["policy"] == "ExceptionRetryPolicy", (dag_id, task_id)
            assert task["backoff"] > 1, (dag_id, task_id)


def test_every_param_of_a_trigger_form_is_typed_and_described(described: dict[str, dict]) -> None:
    for dag_id, dag in described.items():
        for name, schema in dag["params"].items():
            assert schema.get("description"), (dag_id, name)
            assert "type" in schema or "enum" in schema, (dag_id, name)


def test_only_reconcile_may_write_to_the_cloud_and_it_goes_through_the_pool(described: dict[str, dict]) -> None:
    pooled = {
        (dag_id, task_id) for dag_id, dag in described.items() for task_id, task in dag["tasks"].items() if task["pool"] == "cloud_writes"
    }
    assert pooled == {("allocate_capacity", "reconcile"), ("correct_capacity", "reconcile")}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_dag_file_is_thin(file: Path) -> None:
    assert len(file.read_text().splitlines()) < 150


def test_the_form_of_a_training_offers_every_candidate() -> None:
    """The DAG file spells them out, because to ask `models` would cost its import more than it may take."""
    from models.candidates import CANDIDATES, DEFAULT_CANDIDATES

    tree = ast.parse((REPOSITORY / "dags" / "train_models.py").read_text("utf-8"))
    told: dict[str, list[str]] = {}
    lists = [node for node in tree.body if isinstance(node, ast.Assign) and str(getattr(node.targets[0], "id", "")).endswith("CANDIDATES")]
    exec(compile(ast.Module(lists, []), "train_models", "exec"), told)
    assert sorted(told["CANDIDATES"]) == sorted(CANDIDATES)
    assert sorted(told["DEFAULT_CANDIDATES"]) == sorted(DEFAULT_CANDIDATES)
