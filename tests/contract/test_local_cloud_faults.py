"""Faults by request, clocks that are off, limits of standby VMs, preemptions."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import requests

from infra.local_cloud import read_access_log, running_cloud
from tests.contract.rest import N2, ZONE, Rest

GROUP = f"{ZONE}/instanceGroupManagers/web"
DAY = 86400


def failure(operation: dict) -> str:
    return operation["error"]["errors"][0]["code"]


def names(rest: Rest) -> list[str]:
    return [item["name"] for item in rest.get(f"{ZONE}/reservations").get("items", [])]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"fault": "stockout"}, "ZONE_RESOURCE_POOL_EXHAUSTED"),
        ({"fault": "quota", "metric": "N2_CPUS"}, "QUOTA_EXCEEDED"),
        ({"fault": "failed"}, "INTERNAL_ERROR"),
        ({"fault": "failed", "code": "RESOURCE_OPERATION_RATE_EXCEEDED"}, "RESOURCE_OPERATION_RATE_EXCEEDED"),
    ],
)
def test_a_failing_operation_changes_nothing_and_strikes_as_often_as_asked(rest: Rest, fault: dict, code: str):
    rest.admin("faults", path="/reservations", times=2, **fault)
    assert failure(rest.reserve("r", 1)) == code
    assert failure(rest.reserve("r", 1)) == code
    assert names(rest) == []
    assert "error" not in rest.reserve("r", 1)
    assert names(rest) == ["r"]


def test_a_deletion_and_a_resize_fail_too(rest: Rest):
    rest.reserve("r", 2)
    rest.group("web", 1)
    for method, path in (("DELETE", "/reservations/r"), ("POST", "/reservations/r/resize"), ("POST", "/web/resize")):
        rest.admin("faults", fault="failed", method=method, path=path)
    assert failure(rest.delete(f"{ZONE}/reservations/r")) == "INTERNAL_ERROR"
    assert failure(rest.post(f"{ZONE}/reservations/r/resize", {"specificSkuCount": 3})) == "INTERNAL_ERROR"
    assert failure(rest.post(f"{GROUP}/resize", size=2)) == "INTERNAL_ERROR"
    assert rest.get(f"{ZONE}/reservations/r")["specificReservation"]["count"] == "2"
    assert rest.get(GROUP)["targetSize"] == 1


def test_a_failed_request_is_replayed_as_failed(rest: Rest):
    rest.admin("faults", fault="stockout")
    body, same = {"name": "r", "specificReservation": {"count": 1, "instanceProperties": N2}}, str(uuid.uuid4())
    first = rest.post(f"{ZONE}/reservations", body, requestId=same)
    again = rest.post(f"{ZONE}/reservations", body, requestId=same)
    assert (again["name"], failure(again)) == (first["name"], "ZONE_RESOURCE_POOL_EXHAUSTED")


def test_a_refused_request_leaves_the_fault_for_the_next_one(rest: Rest):
    rest.admin("faults", fault="stockout", path="/reservations")
    rest.post(f"{ZONE}/reservations", {"name": "UPPER"}, status=400)
    assert failure(rest.reserve("r", 1)) == "ZONE_RESOURCE_POOL_EXHAUSTED"


def test_a_slow_operation_holds_its_change_back(rest: Rest):
    rest.admin("faults", fault="slow", seconds=60)
    assert rest.reserve("r", 1)["status"] == "RUNNING"
    assert rest.get(f"{ZONE}/reservations/r")["status"] == "CREATING"
    assert rest.reserve("s", 1)["status"] == "DONE"
    rest.later(60)
    assert rest.get(f"{ZONE}/reservations/r")["status"] == "READY"


def test_an_unavailable_server_does_nothing_and_the_same_request_does_it_later(rest: Rest):
    rest.admin("faults", fault="unavailable", method="POST")
    body, same = {"name": "r", "specificReservation": {"count": 1, "instanceProperties": N2}}, str(uuid.uuid4())
    rest.post(f"{ZONE}/reservations", body, status=503, requestId=same)
    assert names(rest) == []
    assert rest.post(f"{ZONE}/reservations", body, requestId=same)["status"] == "DONE"
    assert [access.status for access in read_access_log(rest.state) if access.request_id == same] == [503, 200]


def test_a_cut_connection_hides_an_answer_that_a_replay_gives(rest: Rest):
    rest.admin("faults", fault="cut", method="POST", path="/reservations")
    body, same = {"name": "r", "specificReservation": {"count": 1, "instanceProperties": N2}}, str(uuid.uuid4())
    with pytest.raises(requests.RequestException):
        rest.post(f"{ZONE}/reservations", body, requestId=same)
    assert names(rest) == ["r"]
    assert rest.post(f"{ZONE}/reservations", body, requestId=same)["status"] == "DONE"
    assert len(rest.get(f"{ZONE}/operations")["items"]) == 1


def test_faults_stay_over_a_restart_and_until_they_are_cleared(tmp_path: Path):
    with running_cloud(tmp_path) as address:
        Rest(address, "headroom-test", tmp_path).admin("faults", fault="unavailable", times=None, path="/reservations")
    with running_cloud(tmp_path) as address:
        rest = Rest(address, "headroom-test", tmp_path)
        for _ in range(3):
            rest.get(f"{ZONE}/reservations", status=503)
        rest.get(f"{ZONE}/disks")
        rest.admin("faults", clear=True)
        rest.get(f"{ZONE}/reservations")


@pytest.mark.parametrize(
    "body",
    [
        {"fault": "earthquake"},
        {"fault": "stockout", "seconds": 3},
        {"fault": "slow", "seconds": "long"},
        {"fault": "cut", "times": 0},
        {"fault": "cut", "times": True},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_name(rest: Rest, body: dict):
    answer = requests.put(f"{rest.address}/admin/faults", json=body, timeout=10)
    assert answer.status_code == 400
    assert "Invalid value for field" in answer.json()["error"]["message"]
    assert "error" not in rest.reserve("r", 1)


def test_a_skewed_clock_shows_in_stamps_and_lets_nothing_last_longer_or_shorter(rest: Rest):
    rest.admin("faults", fault="slow", seconds=100)
    rest.reserve("r", 1, deleteAfterDuration={"seconds": 600})
    before = rest.get(f"{ZONE}/reservations/r")
    rest.admin("clock", skew_seconds=-7 * DAY)
    after = rest.get(f"{ZONE}/reservations/r")
    assert before["creationTimestamp"] > after["creationTimestamp"]
    assert after["status"] == "CREATING"
    rest.later(100)
    assert rest.get(f"{ZONE}/reservations/r")["status"] == "READY"
    rest.admin("clock", skew_seconds=DAY)
    assert names(rest) == ["r"]
    rest.later(500)
    assert names(rest) == []


def test_a_time_of_deletion_is_kept_by_the_servers_own_clock(rest: Rest):
    rest.reserve("r", 1, deleteAtTime="2999-01-01T00:00:00Z")
    rest.admin("clock", skew_seconds=400_000 * DAY)
    assert names(rest) == []


def test_standby_vms_resume_as_many_at_a_time_as_the_zone_lets_them(rest: Rest):
    rest.group("web", 0, targetSuspendedSize=5)
    rest.later(10)
    rest.admin("stock", zone="us-central1-a", sku="resuming", limit=2)
    rest.patch(GROUP, {"targetSize": 5, "targetSuspendedSize": 0})
    running = []
    for _ in range(3):
        rest.later(2)
        running.append(rest.statuses("web").count("RUNNING"))
    assert running == [2, 4, 5]


def test_what_is_suspended_for_sixty_days_is_stopped(rest: Rest):
    rest.group("web", 0, targetSuspendedSize=1)
    rest.later(59 * DAY)
    assert rest.statuses("web") == ["SUSPENDED"]
    rest.later(DAY + 10)
    assert rest.statuses("web") == ["TERMINATED"]
    assert not rest.get(GROUP)["status"]["isStable"]
    rest.patch(GROUP, {"targetSize": 1, "targetSuspendedSize": 0})
    rest.later(2)
    assert "RUNNING" in rest.statuses("web")


def test_large_machines_cannot_be_suspended(rest: Rest):
    rest.post("global/instanceTemplates", {"name": "large", "properties": {"machineType": "n2-highmem-32"}})
    body = {"name": "large", "instanceTemplate": "global/instanceTemplates/large", "targetSize": 0}
    rest.post(f"{ZONE}/instanceGroupManagers", {**body, "targetSuspendedSize": 1}, status=400)
    rest.post(f"{ZONE}/instanceGroupManagers", {**body, "targetStoppedSize": 1})


def test_preempted_spot_vms_are_made_again_when_there_is_stock(rest: Rest):
    spot = N2 | {"scheduling": {"provisioningModel": "SPOT"}}
    rest.post("global/instanceTemplates", {"name": "spot", "properties": spot})
    rest.post(f"{ZONE}/instanceGroupManagers", {"name": "spot", "instanceTemplate": "global/instanceTemplates/spot", "targetSize": 3})
    rest.group("web", 2)
    rest.later(10)
    rest.admin("stock", zone="us-central1-a", sku="n2-standard-8", limit=3)
    rest.admin("preemptions", zone="us-central1-a", count=2)
    assert rest.statuses("spot") == ["CREATING", "CREATING", "RUNNING"]
    assert rest.statuses("web") == ["RUNNING", "RUNNING"]
    ended = [item for item in rest.get(f"{ZONE}/operations")["items"] if item["operationType"] == "compute.instances.preempted"]
    assert len(ended) == 2
    rest.admin("stock", zone="us-central1-a", sku="n2-standard-8", limit=5)
    rest.statuses("spot")
    rest.later(10)
    assert rest.statuses("spot") == ["RUNNING"] * 3
