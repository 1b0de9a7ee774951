"""Requests: done once, over a killed server too; operations that take time; lists in pages; refusals that say why."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from headroom.errors import BadInputError
from headroom.settings import load_settings
from infra.local_cloud import Seed, Timing, read_access_log, running_cloud
from tests.contract.rest import N2, ZONE, Rest

ROOT = Path(__file__).parents[2]


@contextmanager
def process(state: Path, *arguments: str):
    """The local cloud in a process of its own; killed at the end."""
    command = [sys.executable, "-m", "infra.local_cloud", "--port", "0", "--state", str(state), "--project", "headroom-test", *arguments]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip()
        yield Rest(address, "headroom-test", state), server
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_a_killed_server_goes_on_where_it_was_and_remembers_request_ids(tmp_path: Path):
    ids = [str(uuid.uuid4()) for _ in range(3)]
    body = {"name": "r", "specificReservation": {"count": 2, "instanceProperties": N2}}
    group = {"name": "web", "instanceTemplate": "global/instanceTemplates/web", "targetSize": 2}
    slow = ("--operation-seconds", "1", "--boot-seconds", "1")
    with process(tmp_path, *slow) as (rest, server):
        rest.post("global/instanceTemplates", {"name": "web", "properties": N2})
        first = rest.post(f"{ZONE}/reservations", body, requestId=ids[0])
        assert first["status"] == "RUNNING"
        rest.post(f"{ZONE}/instanceGroupManagers", group, requestId=ids[1])
        server.send_signal(signal.SIGKILL)
        server.wait()
    with process(tmp_path, *slow) as (rest, _):
        again = rest.post(f"{ZONE}/reservations", body, requestId=ids[0])
        assert (again["name"], again["id"]) == (first["name"], first["id"])
        assert len(rest.get(f"{ZONE}/operations")["items"]) == 2
        assert rest.post(f"{ZONE}/operations/{first['name']}/wait")["status"] == "DONE"
        found = rest.get(f"{ZONE}/reservations/r")
        assert (found["status"], found["specificReservation"]["inUseCount"]) == ("READY", "2")
        deadline = time.monotonic() + 10
        while not rest.get(f"{ZONE}/instanceGroupManagers/web")["status"]["isStable"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        deleted = rest.delete(f"{ZONE}/reservations/r", requestId=ids[2])
        rest.post(f"{ZONE}/operations/{deleted['name']}/wait")
        assert rest.post(f"{ZONE}/reservations", body, requestId=ids[0])["name"] == first["name"]
        rest.get(f"{ZONE}/reservations/r", status=404)


def test_a_server_killed_while_it_writes_has_done_each_request_wholly_or_not_at_all(tmp_path: Path):
    """Every reservation that is there has its operation and its line in the log, and the same requests finish the work."""
    state, names = tmp_path / "cloud", [f"r{number}" for number in range(60)]
    ids = {name: str(uuid.uuid4()) for name in names}

    def reserve(rest: Rest, name: str) -> None:
        body = {"name": name, "specificReservation": {"count": 1, "instanceProperties": N2}}
        rest.post(f"{ZONE}/reservations", body, requestId=ids[name])

    done = 0
    for moment in (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004):
        with process(state, "--operation-seconds", "0") as (rest, server):
            reserve(rest, names[done])
            threading.Timer(moment, server.kill).start()
            with pytest.raises(requests.ConnectionError):  # noqa: PT012 - it dies in one of them
                for name in names[done + 1 :]:
                    reserve(rest, name)
                    done += 1
    with process(state, "--operation-seconds", "0") as (rest, _):
        there = {item["name"] for item in rest.get(f"{ZONE}/reservations").get("items", [])}
        started = {item["targetLink"].rpartition("/")[2] for item in rest.get(f"{ZONE}/operations").get("items", [])}
        assert there == started
        assert 0 < len(there) < len(names), "the kills came too early or too late to prove anything"
        assert sum(line.writes and line.status == 200 for line in read_access_log(state)) >= len(there)
        for name in names:
            reserve(rest, name)
        assert len(rest.get(f"{ZONE}/reservations")["items"]) == len(rest.get(f"{ZONE}/operations")["items"]) == len(names)
        assert rest.usage("N2_CPUS") == 8 * len(names)


def test_an_interrupt_stops_the_server_cleanly(tmp_path: Path):
    with process(tmp_path) as (rest, server):
        rest.get("")
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=10) == 0


def test_the_same_id_for_another_request_is_refused(rest: Rest):
    same = str(uuid.uuid4())
    rest.reserve("r", 1)
    rest.post(f"{ZONE}/reservations/r/resize", {"specificSkuCount": 2}, requestId=same)
    assert rest.reason(rest.post(f"{ZONE}/reservations/r/resize", {"specificSkuCount": 3}, status=409, requestId=same)) == "conflict"
    assert rest.get(f"{ZONE}/reservations/r")["specificReservation"]["count"] == "2"


def test_a_failed_operation_is_replayed_as_it_was(rest: Rest):
    body = {"name": "r", "specificReservation": {"count": 60, "instanceProperties": N2}}
    same = str(uuid.uuid4())
    first = rest.post(f"{ZONE}/reservations", body, requestId=same)
    rest.admin("quotas", region="us-central1", metric="N2_CPUS", limit=1000)
    assert rest.post(f"{ZONE}/reservations", body, requestId=same) == first
    assert "error" not in rest.post(f"{ZONE}/reservations", body, requestId=str(uuid.uuid4()))


@pytest.mark.parametrize("wrong", ["abc", "00000000-0000-0000-0000-000000000000", "1" * 32])
def test_a_request_id_is_a_uuid(idle: Rest, wrong: str):
    assert "requestId" in idle.delete(f"{ZONE}/reservations/r", status=400, requestId=wrong)["error"]["message"]


def test_operations_take_time_and_show_it(tmp_path: Path):
    with running_cloud(tmp_path, timing=Timing(operation=60, pending=5)) as address:
        rest = Rest(address, "headroom-test", tmp_path)
        operation = rest.reserve("r", 1)
        assert (operation["status"], "startTime" in operation) == ("PENDING", False)
        path = f"{ZONE}/operations/{operation['name']}"
        rest.later(5)
        assert (rest.get(path)["status"], rest.get(f"{ZONE}/reservations/r")["status"]) == ("RUNNING", "CREATING")
        assert rest.reason(rest.delete(f"{ZONE}/reservations/r", status=400)) == "resourceNotReady"
        rest.later(60)
        done = rest.get(path)
        assert (done["status"], done["progress"], rest.get(f"{ZONE}/reservations/r")["status"]) == ("DONE", 100, "READY")

        rest.post(f"{ZONE}/reservations/r/resize", {"specificSkuCount": 3})
        found = rest.get(f"{ZONE}/reservations/r")
        assert (found["status"], found["specificReservation"]["count"]) == ("UPDATING", "1")
        assert rest.usage("N2_CPUS") == 24  # what is under way is taken already
        rest.later(65)
        assert rest.get(f"{ZONE}/reservations/r")["specificReservation"]["count"] == "3"

        rest.delete(f"{ZONE}/reservations/r")
        assert rest.get(f"{ZONE}/reservations/r")["status"] == "DELETING"
        rest.later(65)
        rest.get(f"{ZONE}/reservations/r", status=404)


def test_a_wait_answers_when_the_operation_is_done_and_others_are_served_meanwhile(tmp_path: Path):
    with running_cloud(tmp_path, timing=Timing(operation=3600)) as address:
        rest, other = Rest(address, "headroom-test", tmp_path), Rest(address, "headroom-test", tmp_path)
        operation = rest.reserve("r", 1)
        answers: list[dict] = []
        waiting = threading.Thread(target=lambda: answers.append(rest.post(f"{ZONE}/operations/{operation['name']}/wait")))
        waiting.start()
        time.sleep(0.1)
        assert other.get(f"{ZONE}/reservations/r")["status"] == "CREATING"
        assert answers == []
        other.later(3600)
        waiting.join(timeout=10)
        assert [answer["status"] for answer in answers] == ["DONE"]


def test_lists_come_in_pages_that_lose_nothing(rest: Rest):
    rest.admin("quotas", region="us-central1", metric="RESERVATIONS", limit=None)
    for number in range(7):
        rest.reserve(f"r{number}", 1)
    names, token = [], ""
    for expected in (3, 3, 1):
        page = rest.get(f"{ZONE}/reservations", maxResults=3, pageToken=token)
        names += [item["name"] for item in page["items"]]
        token = page.get("nextPageToken", "")
        assert (len(page["items"]), bool(token)) == (expected, expected == 3)
        rest.delete(f"{ZONE}/reservations/{names[-1]}")  # the last one given goes; the next page starts after it all the same
    assert names == [f"r{number}" for number in range(7)]
    newest = rest.get(f"{ZONE}/reservations", orderBy="creationTimestamp desc", maxResults=1)["items"]
    assert [item["name"] for item in newest] == ["r4"]


def test_aggregated_lists_come_in_pages_too(rest: Rest):
    for zone in ("zones/us-central1-a", "zones/europe-west9-b"):
        rest.reserve("r", 1, zone=zone)
    seen, token = [], ""
    while True:
        page = rest.get("aggregated/reservations", maxResults=1, pageToken=token)
        seen += [scope for scope, content in page["items"].items() if "reservations" in content]
        assert page["items"]["zones/asia-east1-a"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert seen == ["zones/europe-west9-b", "zones/us-central1-a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name=d1", ["d1"]),
        ('name = "d1"', ["d1"]),
        ("name != d1", ["d2", "d3"]),
        ("labels.app=web", ["d1", "d2"]),
        ("labels.app=web AND labels.tier=hot", ["d1"]),
        ("(labels.app = web) (labels.tier = hot)", ["d1"]),
        ("labels.app eq db", ["d3"]),
        ("status=GONE", []),
    ],
)
def test_lists_are_filtered(rest: Rest, text: str, expected: list[str]):
    for name, labels in (("d1", {"app": "web", "tier": "hot"}), ("d2", {"app": "web"}), ("d3", {"app": "db"})):
        rest.post(f"{ZONE}/disks", {"name": name, "sizeGb": 10, "labels": labels})
    assert [item["name"] for item in rest.get(f"{ZONE}/disks", filter=text).get("items", [])] == expected


@pytest.mark.parametrize(
    "query",
    [{"filter": "name~x"}, {"maxResults": "501"}, {"maxResults": "-1"}, {"maxResults": "x"}, {"pageToken": "é"}, {"orderBy": "size"}],
)
def test_a_list_request_that_is_not_understood_is_refused(idle: Rest, query: dict):
    assert idle.reason(idle.get(f"{ZONE}/reservations", status=400, **query)) == "invalid"


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "zones/us-central1-z", 404, "notFound"),
        ("GET", "zones/us-central1-z/reservations", 404, "notFound"),
        ("GET", "regions/nowhere", 404, "notFound"),
        ("GET", f"{ZONE}/teapots", 404, "notFound"),
        ("GET", f"{ZONE}/reservations/r/x/y", 404, "notFound"),
        ("GET", f"{ZONE}//reservations", 404, "notFound"),
        ("GET", "global", 404, "notFound"),
        ("GET", f"{ZONE}/reservations/missing", 404, "notFound"),
        ("DELETE", f"{ZONE}/reservations/missing", 404, "notFound"),
        ("GET", f"{ZONE}/operations/missing", 404, "notFound"),
        ("GET", f"{ZONE}/machineTypes/n2-enormous", 404, "notFound"),
        ("DELETE", f"{ZONE}/reservations", 405, "httpMethodNotAllowed"),
        ("PUT", f"{ZONE}/reservations/r", 405, "httpMethodNotAllowed"),
        ("POST", "regions", 405, "httpMethodNotAllowed"),
    ],
)
def test_what_is_not_there_is_said_to_be_missing(idle: Rest, method: str, path: str, status: int, reason: str):
    assert idle.reason(idle.call(method, path, status=status)) == reason


@pytest.mark.parametrize(
    "path",
    ["/", "/compute/v1", "/compute/v1/projects/other/zones", "/compute/beta/projects/headroom-test", "/admin/doors", "/%2e%2e/admin"],
)
def test_another_project_or_api_is_not_found(idle: Rest, path: str):
    assert requests.get(idle.address + path, timeout=10).status_code == 404


def test_a_path_that_is_not_utf8_or_a_huge_name_is_not_found(idle: Rest):
    for name in ("%ff%fe", "x" * 5000, "a%2Fb"):
        assert requests.get(f"{idle.address}/compute/v1/projects/headroom-test/{ZONE}/reservations/{name}", timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"{", "Unexpected token"),
        (b"\xff\xfe", "Unexpected token"),
        (b"[]", "Invalid value at 'body'"),
        (b'{"name": 5}', "Invalid value at 'name'"),
        (b'{"name": "r", "colour": "red"}', 'Unknown name "colour"'),
        (b'{"name": "r", "specificReservation": {"cuont": 1}}', "Unknown name \"cuont\" at 'specificReservation'"),
        (b'{"name": "r", "specificReservation": {"count": "many"}}', "Invalid value at 'specificReservation.count'"),
        (b'{"name": "r", "specificReservation": {"count": 1.5}}', "Invalid value at 'specificReservation.count'"),
        (b'{"name": "r", "specificReservation": {"count": true}}', "Invalid value at 'specificReservation.count'"),
        (b'{"name": "r", "deploymentType": "CHEAP"}', "Invalid value at 'deploymentType'"),
        (b'{"name": "r", "linkedCommitments": "x"}', "Invalid value at 'linkedCommitments'"),
        (b'{"name": "r", "resourcePolicies": {"a": 1}}', "Invalid value at 'resourcePolicies.a'"),
        (b"", "Invalid value for field 'resource.name'"),
        (b'{"name": "Upper"}', "Invalid value for field 'resource.name'"),
        (b'{"name": "r"}', "Invalid value for field 'resource.specificReservation'"),
        (b'{"name": "r", "specificReservation": {"count": -1}}', "at least 1"),
        (b'{"name": "r", "specificReservation": {"count": 0}}', "at least 1"),
        (b'{"name": "r", "specificReservation": {"count": 1}}', "instanceProperties"),
        (b'{"name": "r", "specificReservation": {"count": 1, "instanceProperties": {"machineType": "pdp-11"}}}', "does not offer"),
    ],
)
def test_a_body_that_is_wrong_is_refused_with_the_reason(idle: Rest, raw: bytes, says: str):
    answer = requests.post(f"{idle.address}/compute/v1/projects/headroom-test/{ZONE}/reservations", data=raw, timeout=10)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert "items" not in idle.get(f"{ZONE}/reservations")
    assert "items" not in idle.get(f"{ZONE}/operations")


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (f"{ZONE}/disks", {"name": "d", "sizeGb": 70000}, "at most 65536"),
        (f"{ZONE}/disks", {"name": "d", "storagePool": "storagePools/none"}, "no such pool"),
        ("regions/us-central1/disks", {"name": "d", "replicaZones": ["us-central1-a"]}, "two of"),
        (f"{ZONE}/storagePools", {"name": "p", "storagePoolType": "x"}, "poolProvisionedCapacityGb"),
        (f"{ZONE}/storagePools", {"name": "p", "poolProvisionedCapacityGb": 1}, "storagePoolType"),
        ("regions/us-central1/interconnectAttachments", {"name": "a", "router": "r"}, "needs its interconnect"),
        ("regions/us-central1/interconnectAttachments", {"name": "a", "interconnect": "i"}, "Cloud Router"),
        ("regions/us-central1/interconnectAttachments", {"name": "a", "type": "PARTNER", "bandwidth": "BPS_1G"}, "PARTNER"),
        ("global/instanceTemplates", {"name": "t"}, "machine type is required"),
        (f"{ZONE}/instanceGroupManagers", {"name": "g", "instanceTemplate": "web"}, "target size is required"),
        (f"{ZONE}/instanceGroupManagers", {"name": "g", "instanceTemplate": "web", "targetSize": -1}, "at least 0"),
        (f"{ZONE}/instanceGroupManagers", {"name": "g", "instanceTemplate": "web", "targetSize": 4001}, "at most 4000"),
    ],
)
def test_a_resource_that_breaks_a_rule_is_refused(idle: Rest, path: str, body: dict, says: str):
    assert says in idle.post(path, body, status=400)["error"]["message"]


def test_only_a_dedicated_attachment_has_a_bandwidth_that_can_be_changed(rest: Rest):
    path = "regions/us-central1/interconnectAttachments"
    rest.post(path, {"name": "a", "type": "PARTNER", "router": "r"})
    assert "Only a DEDICATED" in rest.patch(f"{path}/a", {"bandwidth": "BPS_1G"}, status=400)["error"]["message"]


def test_a_validate_only_insert_makes_nothing(rest: Rest):
    path = "regions/us-central1/interconnectAttachments"
    rest.post(path, {"name": "a", "interconnect": "i", "router": "r"}, validateOnly="true")
    rest.get(f"{path}/a", status=404)


def test_the_access_log_tells_reads_from_writes_and_keeps_refusals(rest: Rest):
    already = len(read_access_log(rest.state))
    request_id = str(uuid.uuid4())
    rest.get(f"{ZONE}/reservations")
    operation = rest.post(
        f"{ZONE}/reservations", {"name": "r", "specificReservation": {"count": 1, "instanceProperties": N2}}, requestId=request_id
    )
    rest.post(f"{ZONE}/operations/{operation['name']}/wait")
    rest.delete(f"{ZONE}/reservations/missing", status=404)
    rest.later(1)
    log = read_access_log(rest.state)[already:]
    assert [(line.method, line.status, line.writes) for line in log] == [
        ("GET", 200, False),
        ("POST", 200, True),
        ("POST", 200, False),
        ("DELETE", 404, True),
        ("PUT", 200, False),
    ]
    assert log[1].request_id == request_id
    assert log[1].path == f"/compute/v1/projects/headroom-test/{ZONE}/reservations"


@pytest.mark.parametrize(
    ("topic", "raw"),
    [
        ("stock", b"{"),
        ("stock", b"[]"),
        ("stock", b'{"zone": "nowhere", "sku": "n2", "limit": 1}'),
        ("stock", b'{"zone": "us-central1-a", "sku": "n2"}'),
        ("quotas", b'{"region": "us-central1", "metric": "N2_CPUS", "limit": -1}'),
        ("clock", b'{"advance_seconds": "1"}'),
    ],
)
def test_an_admin_request_that_is_wrong_is_refused(idle: Rest, topic: str, raw: bytes):
    assert requests.put(f"{idle.address}/admin/{topic}", data=raw, timeout=10).status_code == 400


def test_the_server_listens_on_the_loopback_address_only(idle: Rest):
    port = int(idle.address.rpartition(":")[2])
    assert idle.address == f"http://127.0.0.1:{port}"
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    assert [entry for entry in listening if entry.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_a_busy_port_a_foreign_folder_and_a_file_are_named(tmp_path: Path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(BadInputError, match=f"port: {port} cannot be used, another program"), running_cloud(tmp_path, port=port):
            pass
    with pytest.raises(BadInputError, match="not between 0 and 65535"), running_cloud(tmp_path, port=70000):
        pass
    with running_cloud(tmp_path / "state", "one"):
        pass
    with pytest.raises(BadInputError, match="belongs to project 'one'"), running_cloud(tmp_path / "state", "two"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="is a file"), running_cloud(tmp_path / "file"):
        pass


def test_zones_and_quotas_come_from_capacity_yaml_and_stay_as_set_until_it_changes(tmp_path: Path):
    settings = load_settings(ROOT / "capacity.yaml")
    seed = Seed.from_settings(settings)
    for limit in (None, 7.0):
        with running_cloud(tmp_path, seed=seed) as address:
            rest = Rest(address, "headroom-test", tmp_path)
            for name, region in settings.regions.items():
                found = rest.get(f"regions/{name}")
                quotas = {quota["metric"]: quota["limit"] for quota in found["quotas"]}
                expected = {**region.quotas, **({"N2_CPUS": limit} if limit else {})}
                assert {metric: quotas[metric] for metric in expected} == expected
                assert set(region.zones) <= {zone.rpartition("/")[2] for zone in found["zones"]}
                rest.admin("quotas", region=name, metric="N2_CPUS", limit=7)
    with running_cloud(tmp_path, seed=Seed(quotas={"us-central1": {"N2_CPUS": 9}})) as address:
        quotas = Rest(address, "headroom-test", tmp_path).get("regions/us-central1")["quotas"]
        assert {"metric": "N2_CPUS", "limit": 9.0, "usage": 0.0} in quotas


def test_it_answers_within_a_second_and_a_half(tmp_path: Path):
    started = time.monotonic()
    with process(tmp_path) as (rest, _):
        rest.get("")
    assert time.monotonic() - started < (1.5 if os.getloadavg()[0] < 2 else 15)
