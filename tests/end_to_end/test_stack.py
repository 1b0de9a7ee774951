"""The loop in a real Airflow: assets wake the DAGs, backfills equal live runs, and nobody writes to the cloud by accident."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pandas as pd
import pytest
import yaml
from running_stack import FURTHER, HISTORY_END, Stack

from headroom.errors import SettingsError
from headroom.issue_time import EVENT_KEY
from headroom.schemas import content_digest
from headroom.stack.airflow_api import Run
from headroom.vocabulary import QUANTILE_COLUMNS
from infra.cloud import Cloud
from infra.correction_history import correction_history
from infra.ledger import Ledger
from infra.local_cloud import Access
from infra.names import group_name
from infra.targets import MachineTarget, desired_state

pytestmark = [pytest.mark.serial, pytest.mark.slow, pytest.mark.timeout(900)]

HOUR = pd.Timedelta("1h")
LIVE = [HISTORY_END + HOUR, HISTORY_END + 2 * HOUR]
CHEAP = ["seasonal-naive-24", "seasonal-naive-168", "lightgbm"]


@pytest.fixture(scope="module")
def lived(stack: Stack) -> Stack:
    """The stack after a training and two live hours."""
    for dag_id in ("score_forecasts", "learn_from_usage", "allocate_capacity"):
        stack.api.set_paused(dag_id, paused=True)
    stack.trigger("ingest_events", HISTORY_END)
    stack.trigger("ingest_metrics", HISTORY_END, hours=28 * 24)
    stack.trigger("train_models", HISTORY_END, history_days=28, candidates=CHEAP, shards=1, promote="review")
    _headroom(stack, "promote", "1", "--why", "reviewed", "--as-of", HISTORY_END.isoformat())
    for dag_id in ("score_forecasts", "learn_from_usage", "allocate_capacity"):
        stack.api.set_paused(dag_id, paused=False)
    for issue in LIVE:
        since = _now()
        stack.trigger("ingest_metrics", issue)
        for dag_id in ("score_forecasts", "allocate_capacity", "learn_from_usage"):
            stack.follow(dag_id, issue, since)
    return stack


def test_published_metrics_wake_scoring_allocation_and_learning(lived: Stack) -> None:
    lake, series = lived.opened.lake, {str(s) for s in lived.opened.settings.series}
    for issue in LIVE:
        forecast = lake.read("forecasts", start=issue, end=issue + HOUR)
        assert set(forecast["unique_id"]) == series
        assert (forecast.groupby("unique_id")["ds"].nunique() == 72).all()
        assert set(forecast["model"]) == {"demand-forecaster"}
        plan = lake.read("plans", start=issue, end=issue + HOUR)
        assert set(plan["region"]) == set(lived.opened.settings.regions)
    assert len(lake.read("outcomes", start=LIVE[0], end=LIVE[1])) > 0
    assert any(call.method == "POST" and call.path.endswith("/reservations") for call in lived.access_log())


def test_a_service_of_two_machine_types_has_a_template_reservations_and_a_group_of_each(lived: Stack) -> None:
    """The cheaper type is taken as far as its quota goes, two machines; the other serves the rest."""
    region, service = "europe-west9", "live-scores"
    settings, issue = lived.opened.settings, LIVE[-1]
    plan = lived.opened.lake.read("plans", start=issue, end=issue + HOUR)
    targets = [
        t for t in desired_state(settings, plan, issue_time=issue, region=region) if isinstance(t, MachineTarget) and t.service == service
    ]
    assert [t.machine_type for t in targets] == [settings.services[service].capacity.machine_type, FURTHER]
    assert targets[0].hot > 0
    assert targets[1].hot + targets[1].standby == 2
    cloud = Cloud(settings.cloud.project, lived.addresses.url("cloud"))
    reservations = [there for zone in settings.regions[region].zones for there in cloud.reservations(zone)]
    for target, name in zip(targets, (group_name(service), group_name(service, FURTHER)), strict=True):
        group = cloud.group(region, name)
        assert group is not None
        assert (group.template, target.template in cloud.templates()) == (target.template, True)
        assert (group.running, group.suspended + group.stopped) == (target.hot, target.standby)
        assert sum(there.count for there in reservations if there.name == target.reservation) == target.hot
    held = Ledger.open(lived.opened.home.database_url).held(region)
    hot = held[(held["service"] == service) & (held["pool"] == "hot")].groupby("machine_type")["amount"].sum()
    assert hot.to_dict() == {target.machine_type: target.hot for target in targets if target.hot}


def test_demand_that_doubles_after_the_plan_lets_standby_machines_run_within_minutes(lived: Stack) -> None:
    issue, settings = LIVE[-1] + pd.Timedelta("15min"), lived.opened.settings
    cloud, writes = Cloud(settings.cloud.project, lived.addresses.url("cloud")), len(_writes(lived))
    before = {region: cloud.group(region, group_name("edge")) for region in settings.services["edge"].regions}
    with doubled_demand(lived, "edge", LIVE[-1], issue):
        run = lived.trigger("correct_capacity", issue, dry_run=False)
    states = lived.api.task_states(run)
    assert [state for name, state in states.items() if name.startswith("reconcile")] == ["success", "success"], states
    rows = correction_history(Ledger.open(lived.opened.home.database_url), lived.opened.settings, start=LIVE[-1])
    rows = rows[rows["service"] == "edge"].set_index("region")
    assert set(rows.index) == set(before)
    for region, was in before.items():
        told, now = rows.loc[region], cloud.group(region, group_name("edge"))
        assert was is not None
        assert now is not None
        assert (told["issue_time"], told["plan_time"]) == (issue, LIVE[-1])
        assert told["needed"] > was.running, "what was measured last is served"
        assert (told["planned"], told["standby"]) == (was.running, was.suspended + was.stopped)
        assert told["resumed"] == told["standby"] > 0
        assert now.running == told["ran"] == was.running + told["resumed"]
        assert (now.suspended, now.stopped) == (0, 0)
    moved = _writes(lived)[writes:]
    assert len([call for call in moved if call.path.endswith("/headroom-edge")]) == len(before)
    assert all("/instanceGroupManagers/" in call.path for call in moved), "nothing is reserved"


# One run a DAG and issue time: two policies take two.
@pytest.mark.parametrize(("policy", "issue"), [("optimal", LIVE[0]), ("tiered", LIVE[1])])
def test_an_allocation_by_hand_is_a_dry_run_unless_told_otherwise(lived: Stack, policy: str, issue: pd.Timestamp) -> None:
    writes = len(_writes(lived))
    run = lived.trigger("allocate_capacity", issue, run_id=f"by-hand-{policy}", policy=policy)
    assert set(lived.opened.lake.read("plans", start=issue, end=issue + HOUR)["policy"]) == {policy}
    assert "success" in lived.api.task_states(run).values()
    assert lived.api.task_states(run)["within_limit"] == "success"
    assert len(lived.access_log()) > 0
    assert len(_writes(lived)) == writes


@pytest.mark.parametrize(("answer", "hours", "minimum_instances"), [("Reject", 1, 14), ("Approve", 2, 18)])
def test_an_increase_above_the_limit_waits_for_a_person(lived: Stack, answer: str, hours: int, minimum_instances: int) -> None:
    issue, since, writes = LIVE[-1] + hours * HOUR, _now(), len(_writes(lived))
    with changed_capacity(lived, minimum_instances):
        lived.trigger("score_forecasts", issue)
        asked = lived.api.wait(lambda: _asking(lived, issue, since), 120, "the question")
        assert len(_writes(lived)) == writes, "something was written before anybody agreed"
        lived.api.wait(lambda: _answered(lived, asked, answer), 240, "the run")
    assert (len(_writes(lived)) > writes) is (answer == "Approve")


def test_a_backfill_gives_the_forecasts_that_live_runs_had_whatever_became_known_since(lived: Stack) -> None:
    lake = lived.opened.lake
    before = {issue: lake.read("forecasts", start=issue, end=issue + HOUR) for issue in LIVE}
    _plant_the_future(lived)
    for issue in LIVE:
        lake.replace("forecasts", before[issue].iloc[:0], start=issue, end=issue + HOUR)
    writes = len(_writes(lived))
    since = _now()
    window = ["--from-date", (LIVE[0] - HOUR).isoformat(), "--to-date", LIVE[1].isoformat()]
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", "score_forecasts", *window, "--max-active-runs", "1"],
        env=lived.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for issue in LIVE:
        lived.follow("allocate_capacity", issue, since)
        again = lake.read("forecasts", start=issue, end=issue + HOUR)
        pd.testing.assert_frame_equal(again, before[issue], check_exact=True)
        assert content_digest("forecasts", again) == content_digest("forecasts", before[issue])
    assert len(_writes(lived)) == writes, "a backfill wrote to the cloud"


def test_drift_asks_for_a_retraining_and_gets_one(lived: Stack) -> None:
    issue, since = LIVE[-1] + 30 * HOUR, _now()
    for dag_id in ("score_forecasts", "learn_from_usage"):
        lived.api.set_paused(dag_id, paused=True)
    lived.trigger("ingest_metrics", issue, hours=30)
    lake = lived.opened.lake
    for live in LIVE:
        good = lake.read("forecasts", start=live, end=live + HOUR)
        far_off = good.assign(**{quantile: good[quantile] * 30 + 500 for quantile in QUANTILE_COLUMNS})
        lake.replace("forecasts", far_off, start=live, end=live + HOUR)
    lived.api.set_paused("learn_from_usage", paused=False)
    learnt = lived.trigger("learn_from_usage", issue)
    assert lived.api.task_states(learnt)["request_retraining"] == "success"
    lived.follow("train_models", issue, since)


def test_past_days_are_replayed_by_hand(lived: Stack) -> None:
    writes = len(_writes(lived))
    lived.trigger("replay", LIVE[1], days=1, policies=["reactive", "static"])
    page = lived.opened.home.root / "replay" / f"{LIVE[1]:%Y-%m-%dT%H}" / "replay.html"
    assert "reactive" in page.read_text()
    assert len(_writes(lived)) == writes


def test_ports_in_use_are_refused_by_name(stack: Stack) -> None:
    with pytest.raises(SettingsError, match=rf"port {stack.addresses.airflow} \(airflow\) is in use"):
        stack.addresses.check_free()


def _headroom(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "headroom.cli", *arguments], env=stack.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _asking(stack: Stack, issue: pd.Timestamp, since: str) -> Run | None:
    """The allocation of `issue`, once it waits for an answer."""
    for run in stack.api.runs_of_event("allocate_capacity", EVENT_KEY, issue.isoformat(), since):
        if _waits(stack, run):
            return Run(run.dag_id, run.run_id, "success")
    return None


def _waits(stack: Stack, run: Run) -> bool:
    return stack.api.task_states(run).get("ask_for_approval") == "awaiting_input"


def _answered(stack: Stack, run: Run, option: str) -> Run:
    """The run as it is now, answered whenever it asks.

    It may ask twice: Airflow 3.3 takes an asking task for killed, and retries it, when the answer is quicker than the scheduler's
    look at the process that asked.
    """
    if _waits(stack, run):
        stack.api.answer(run.dag_id, run.run_id, "ask_for_approval", option)
    return stack.api.run(run.dag_id, run.run_id)


@contextmanager
def changed_capacity(stack: Stack, minimum_instances: int) -> Iterator[None]:
    """Rewrite capacity.yaml for a while, as its owner would: every increase needs a person, and more machines are wanted."""
    path = stack.opened.home.capacity_file
    before = path.read_text()
    settings = yaml.safe_load(before)
    settings["policy"]["approval_usd_per_day"] = 0
    settings["services"]["edge"]["capacity"]["minimum_instances"] = minimum_instances
    path.write_text(yaml.safe_dump(settings))
    try:
        yield
    finally:
        path.write_text(before)


@contextmanager
def doubled_demand(stack: Stack, service: str, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[None]:
    """The source measures twice as much of a service's vCPU in `[start, end)`, for a while."""
    path = stack.opened.home.capacity_file.parent / "demo" / "metrics.parquet"
    before = path.read_bytes()
    rows = pd.read_parquet(path)
    there = (rows["service"] == service) & (rows["metric"] == "cpu_vcpu") & (rows["timestamp"] >= start) & (rows["timestamp"] < end)
    rows.assign(value=rows["value"].where(~there, 2 * rows["value"])).to_parquet(path, index=False)
    try:
        yield
    finally:
        path.write_bytes(before)


def _plant_the_future(stack: Stack) -> None:
    """What became known after the live runs: corrected measurements, an announced event, a learnt offset, a promotion."""
    lake, late = stack.opened.lake, LIVE[-1] + pd.Timedelta("30min")
    start, end = HISTORY_END - pd.Timedelta(days=3), HISTORY_END
    versions = lake.versions("metrics", start=start, end=end)
    corrected = versions.assign(y=versions["y"] * 50 + 1000, available_at=late)
    lake.replace("metrics", pd.concat([versions, corrected]), start=start, end=end)
    event = lake.versions("events", start=HISTORY_END, end=HISTORY_END + pd.Timedelta(days=2))
    planted = event.iloc[:1].assign(event_id="planted", title="planted", strength=9.0, available_at=late, region="", service="")
    lake.replace("events", pd.concat([event, planted]), start=HISTORY_END, end=HISTORY_END + pd.Timedelta(days=2))


def _writes(stack: Stack) -> list[Access]:
    return [call for call in stack.access_log() if call.writes]


def _now() -> str:
    return datetime.now(UTC).isoformat()
