"""The narrow client: its operations, its errors and its retries, over HTTP."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cloud_world import World, world
from plan_rows import PROJECT, REGION, ZONES, settings

from headroom.errors import CloudRefusedError, SettingsError, UnavailableError
from infra.actions import Action
from infra.cloud import Cloud, key_credentials
from infra.cloud.connection import Connection, is_loopback
from infra.local_cloud import Seed, Timing, running_cloud

RESERVE = Action(
    verb="create",
    kind="reservation",
    region=REGION,
    zone=ZONES[0],
    service="edge",
    name="r",
    description="",
    wanted={"count": 2, "machine_type": "n2-standard-8", "description": "ours", "lifetime_seconds": 3600},
)
FIRST, SECOND = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, quotas={"N2_CPUS": 100}) as opened:
        yield opened


def test_one_request_id_makes_one_operation_however_often_it_is_sent(here: World) -> None:
    first = here.cloud.send(RESERVE, FIRST)
    again = here.cloud.send(RESERVE, FIRST)
    assert again.name == first.name
    finished = here.cloud.wait(again)
    assert finished.done
    finished.check()
    there = here.cloud.reservation(ZONES[0], "r")
    assert there is not None
    assert (there.count, there.machine_type, there.lifetime_seconds, there.in_use) == (2, "n2-standard-8", 3600, 0)


def test_an_operation_is_found_again_by_name_and_by_request_id(here: World) -> None:
    sent = here.cloud.send(RESERVE, FIRST)
    for known in ({"operation": sent.name}, {}):
        found = here.cloud.find(RESERVE, request_id=FIRST, **known)
        assert found is not None
        assert found.name == sent.name
    assert here.cloud.find(RESERVE, request_id=SECOND) is None
    assert here.cloud.find(RESERVE, request_id=FIRST, operation="operation-gone") is None


def test_a_failed_operation_says_its_code(here: World) -> None:
    operation = here.cloud.wait(here.cloud.send(replace(RESERVE, wanted={**RESERVE.wanted, "count": 13}), FIRST))
    assert operation.done
    with pytest.raises(CloudRefusedError, match="N2_CPUS") as refused:
        operation.check()
    assert refused.value.code == "QUOTA_EXCEEDED"


def test_a_refusal_at_once_says_its_reason(here: World) -> None:
    here.cloud.wait(here.cloud.send(RESERVE, FIRST))
    with pytest.raises(CloudRefusedError, match="already exists") as refused:
        here.cloud.send(RESERVE, SECOND)
    assert refused.value.code == "alreadyExists"


def test_what_does_not_exist_reads_as_none(here: World) -> None:
    assert here.cloud.reservation(ZONES[0], "none") is None
    assert here.cloud.group(REGION, "none") is None
    assert here.cloud.attachment(REGION, "none") is None
    assert here.cloud.disk(ZONES[0], "none") is None
    assert here.cloud.regional_disk(REGION, "none") is None
    assert here.cloud.pool(ZONES[0], "none") is None
    assert "none" not in here.cloud.templates()
    assert "none" not in [group.name for group in here.cloud.groups(REGION)]
    assert here.cloud.machine(ZONES[0], "none") is None
    assert here.cloud.quotas("nowhere") == {}


def test_quotas_and_machines_are_read(here: World) -> None:
    here.cloud.wait(here.cloud.send(RESERVE, FIRST))
    quota = here.cloud.quotas(REGION)["N2_CPUS"]
    assert (quota.limit, quota.usage, quota.remaining) == (100, 16, 84)
    machine = here.cloud.machine(ZONES[0], "n2-standard-8")
    assert machine is not None
    assert (machine.vcpus, machine.memory_gib) == (8, 32)
    assert set(ZONES) <= set(here.cloud.zones(REGION))


def test_a_storage_pool_is_made_and_grows(here: World) -> None:
    make = Action("create", "storage-pool", REGION, ZONES[0], "batch", "pool", "", {"gib": 10240, "type": "hyperdisk-balanced"})
    here.cloud.wait(here.cloud.send(make, FIRST)).check()
    here.cloud.wait(here.cloud.send(replace(make, verb="resize", wanted={"gib": 12288}), SECOND)).check()
    pool = here.cloud.pool(ZONES[0], "pool")
    assert pool is not None
    assert pool.gib == 12288


def test_an_operation_that_takes_too_long_is_unavailable_and_goes_on(tmp_path: Path) -> None:
    with running_cloud(tmp_path, PROJECT, seed=Seed.from_settings(settings()), timing=Timing(operation=1.0)) as address:
        cloud = Cloud(PROJECT, address, timeout=0.2)
        sent = cloud.send(RESERVE, FIRST)
        with pytest.raises(UnavailableError, match="not finished after 0 s"):
            Cloud(PROJECT, address, timeout=0.0).wait(sent)
        assert Cloud(PROJECT, address, timeout=10).wait(sent).done


def test_a_server_that_fails_is_asked_again_reads_and_writes_alike() -> None:
    with failing(times=3) as (address, asked):
        connection = Connection(PROJECT, address, pause=0.01)
        connection.call("RegionsClient", "get", {"region": REGION})
        assert len(asked) == 4
    with failing(times=2) as (address, asked):
        cloud = Cloud(PROJECT, address)
        cloud.send(RESERVE, FIRST)
        assert len(asked) == 3
        assert len({path for path in asked if FIRST in path}) == 1  # the same request id each time


def test_a_server_that_keeps_failing_is_unavailable() -> None:
    with failing(times=99) as (address, asked), pytest.raises(UnavailableError, match="503"):
        Connection(PROJECT, address, pause=0.001).call("RegionsClient", "get", {"region": REGION})
    assert len(asked) == 6


def test_nobody_listening_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match=r"the cloud at http://127\.0\.0\.1:9 did not answer; start it with `make up`.*refused"):
        Connection(PROJECT, "http://127.0.0.1:9", pause=0.001).call("RegionsClient", "get", {"region": REGION})


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("http://127.0.0.1:8787", True),
        ("http://localhost:8787", True),
        ("http://[::1]:8787", True),
        ("https://127.0.0.1", False),
        ("http://compute.example.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_only_plain_http_on_this_machine_goes_without_credentials(endpoint: str, local: bool) -> None:
    assert is_loopback(endpoint) is local


def test_credentials_never_travel_in_clear_text() -> None:
    with pytest.raises(SettingsError, match="clear text"):
        Cloud(PROJECT, "http://compute.example.com").quotas(REGION)


def test_a_key_that_is_none_is_refused_without_showing_it(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text('{"type": "service_account", "private_key": "abc"}')
    with pytest.raises(SettingsError, match=r"key\.json is not a service account key"):
        key_credentials(path=str(key))
    with pytest.raises(SettingsError) as refused:
        key_credentials(text="hidden-word")
    assert "hidden-word" not in str(refused.value)
    assert key_credentials() is None


@contextmanager
def failing(times: int) -> Iterator[tuple[str, list[str]]]:
    """A server that answers 503 `times` times and then `{}`; its address and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.dumps({} if len(asked) > times else {"error": {"code": 503, "message": "backend error"}}).encode()
            self.send_response(200 if len(asked) > times else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
