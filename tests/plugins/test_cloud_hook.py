"""The Airflow hook and operator of the cloud, with real connections from the environment and a real local cloud."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parent.parent / "infra"))

from airflow.sdk import DAG, BaseHook, BaseOperator
from cloud_world import World, world
from plan_rows import ISSUE, PROJECT, REGION, ZONES, plan_of, settings_text

from headroom.errors import SettingsError
from headroom.lake import Lake
from headroom_airflow.cloud_operator import CLOUD_POOL
from headroom_airflow.hook import HeadroomCloudHook
from headroom_airflow.reconcile_operator import ReconcileOperator


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An installation of its own with a plan in its lake."""
    (tmp_path / "capacity.yaml").write_text(settings_text())
    monkeypatch.setenv("HEADROOM_HOME", str(tmp_path))
    monkeypatch.setenv("HEADROOM_CAPACITY", str(tmp_path / "capacity.yaml"))
    monkeypatch.delenv("HEADROOM_CLOUD_ENDPOINT", raising=False)
    monkeypatch.delenv("HEADROOM_DATABASE_URL", raising=False)
    monkeypatch.delenv("HEADROOM_LAKE", raising=False)
    lake = Lake(str(tmp_path / "lake"))
    lake.create()
    lake.replace("plans", plan_of({"edge": {"instances": 3}}), start=ISSUE, end=ISSUE + pd.Timedelta("1h"))
    with world(tmp_path) as opened:
        yield opened


def connect(monkeypatch: pytest.MonkeyPatch, name: str, **fields: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": "headroom_cloud", **fields}))


def test_a_connection_brings_endpoint_and_project(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = here.address.removeprefix("http://").split(":")
    connect(monkeypatch, "by_parts", host=host, port=int(port), schema="http")
    connect(monkeypatch, "whole", host=here.address, extra={"project": PROJECT})
    for name in ("by_parts", "whole"):
        cloud = HeadroomCloudHook(name).get_conn()
        assert cloud.project == PROJECT
        assert "N2_CPUS" in cloud.quotas(REGION)


def test_without_a_connection_the_settings_decide(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADROOM_CLOUD_ENDPOINT", here.address)
    assert "N2_CPUS" in HeadroomCloudHook("not_there").get_conn().quotas(REGION)
    assert HeadroomCloudHook().test_connection() == (True, f"project {PROJECT}: region {REGION} has 14 quotas")


def test_a_connection_that_does_not_work_says_why(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "clear_text", host="http://compute.example.com")
    works, message = HeadroomCloudHook("clear_text").test_connection()
    assert not works
    assert "clear text" in message
    connect(monkeypatch, "bad_key", host=here.address, extra={"key_path": "/nowhere/key.json"})
    with pytest.raises(SettingsError, match=r"/nowhere/key\.json"):
        HeadroomCloudHook("bad_key").get_conn()


def test_the_hook_is_one_of_airflows_with_a_form() -> None:
    assert issubclass(HeadroomCloudHook, BaseHook)
    assert HeadroomCloudHook.get_ui_field_behaviour()["relabeling"]["host"] == "Endpoint"


def test_the_operator_reconciles_and_a_dry_run_does_not(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADROOM_CLOUD_ENDPOINT", here.address)
    dry = ReconcileOperator(task_id="dry", region=REGION, issue_time=ISSUE.isoformat()).execute({})
    assert dry["dry_run"] is True
    assert dry["actions"]
    assert here.writes() == []
    done = ReconcileOperator(task_id="act", region=REGION, issue_time=ISSUE.isoformat(), dry_run="False").execute({})
    json.dumps(done)  # goes through XCom
    assert done["held"]["edge"]["hot"] == 3
    assert [r.count for r in here.cloud.reservations(ZONES[0])] == [3]


def test_the_operator_goes_through_the_pool_of_cloud_writers_mapped_or_not() -> None:
    assert issubclass(ReconcileOperator, BaseOperator)
    with DAG("pools", schedule=None) as dag:
        ReconcileOperator(task_id="one", region=REGION, issue_time="now")
        ReconcileOperator.partial(task_id="mapped", issue_time="now").expand(region=[REGION])
        ReconcileOperator.partial(task_id="other", issue_time="now", pool="else").expand(region=[REGION])
    assert {task.task_id: task.pool for task in dag.tasks} == {"one": CLOUD_POOL, "mapped": CLOUD_POOL, "other": "else"}
    assert {"region", "issue_time"} <= set(ReconcileOperator.template_fields)
