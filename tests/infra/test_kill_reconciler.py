"""A reconciler killed at any step, and run again, leaves the cloud as one clean run would.

The process that is killed is a real one (SIGKILL), the cloud answers over HTTP, the ledger is a file. Every step has its
own copy of cloud and ledger.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cloud_world import World, world
from killing import kill_at
from plan_rows import ISSUE, REGION, ZONES, plan_of

from infra.reconciler import reconcile

NEXT = ISSUE + pd.Timedelta("12h")
# Zone a has fewer machines than are wanted, so the run meets refusals and searches.
STOCK = {ZONES[0]: {"n2-standard-8": 2}}
GROW = plan_of({"edge": {"instances": (4, 1), "bandwidth": 7.0}, "batch": {"storage": 50}})
# Fewer machines, a larger disk, less bandwidth; what stays must be extended.
CHANGE = plan_of({"edge": {"instances": (3, 2), "bandwidth": 1.0}, "batch": {"storage": 80}}, issue=NEXT)


@pytest.mark.slow
def test_killed_at_every_step_of_a_first_allocation(tmp_path: Path) -> None:
    start = _prepared(tmp_path / "start", before=())
    _kill_everywhere(tmp_path, start, GROW, ISSUE)


@pytest.mark.slow
def test_killed_at_every_step_of_a_change(tmp_path: Path) -> None:
    start = _prepared(tmp_path / "start", before=((GROW, ISSUE),))
    _kill_everywhere(tmp_path, start, CHANGE, NEXT)


@pytest.mark.slow
def test_killed_and_taken_up_only_by_the_next_allocation(tmp_path: Path) -> None:
    start = _prepared(tmp_path / "start", before=())
    clean = tmp_path / "clean"
    shutil.copytree(start, clean)
    with _opened(clean) as here:
        steps: list[str] = []
        _run(here, GROW, ISSUE, checkpoint=steps.append)
        _run(here, CHANGE, NEXT)
        wanted = _amounts(_state(here))
    for number in range(1, len(steps) + 1, 9):
        with _copy_killed_at(number, tmp_path, start, GROW, ISSUE) as here:
            _run(here, CHANGE, NEXT)
            assert _amounts(_state(here)) == wanted, f"killed at step {number}: {steps[number - 1]}"
            _assert_nothing_twice(here)


def _kill_everywhere(tmp_path: Path, start: Path, plan: pd.DataFrame, issue: pd.Timestamp) -> None:
    clean = tmp_path / "clean"
    shutil.copytree(start, clean)
    steps: list[str] = []
    with _opened(clean) as here:
        report = _run(here, plan, issue, checkpoint=steps.append)
        wanted = _state(here)
    kinds = {(action["kind"], action["verb"]) for action in report.actions}
    assert len(steps) > 60, "the run must take enough steps to be worth killing"
    assert len(kinds) >= 4

    # A step's `after` is the next one's `before`: nothing happens between them.
    numbers = [number for number, name in enumerate(steps, start=1) if name.startswith("before") or number == len(steps)]

    def check(number: int) -> None:
        with _copy_killed_at(number, tmp_path, start, plan, issue) as here:
            _run(here, plan, issue)
            assert _state(here) == wanted, f"killed at step {number}: {steps[number - 1]}"
            _assert_nothing_twice(here)
            assert _run(here, plan, issue).writes == 0

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(check, number) for number in numbers]:
            done.result()


def _run(here: World, plan: pd.DataFrame, issue: pd.Timestamp, **options: Any) -> Any:
    return reconcile(here.settings, here.ledger, here.cloud, plan, issue_time=issue, region=REGION, settle_seconds=5, **options)


def _prepared(folder: Path, *, before: tuple[tuple[pd.DataFrame, pd.Timestamp], ...]) -> Path:
    """The state of cloud and ledger that every killed run starts from."""
    with world(folder, stock=STOCK) as here:
        for plan, issue in before:
            _run(here, plan, issue)
            here.admin("clock", advance_seconds=60)  # the machines boot
    return folder


@contextmanager
def _opened(folder: Path) -> Iterator[World]:
    with world(folder, stock=STOCK, link=None) as here:
        yield here


@contextmanager
def _copy_killed_at(number: int, tmp_path: Path, start: Path, plan: pd.DataFrame, issue: pd.Timestamp) -> Iterator[World]:
    """A copy of `start` in which a process was killed at its step `number`."""
    folder = tmp_path / f"killed-{number}"
    shutil.copytree(start, folder)
    with _opened(folder) as here:
        kill_at(number, here, plan, issue_time=issue)
        yield here
    shutil.rmtree(folder)


def _state(here: World) -> dict[str, Any]:
    """What is in the cloud, as its API says it, without ids and stamps."""
    here.admin("clock", advance_seconds=60)
    places = [f"zones/{zone}/{kind}" for zone in ZONES for kind in ("reservations", "disks", "storagePools")]
    places += [f"regions/{REGION}/{kind}" for kind in ("instanceGroupManagers", "interconnectAttachments", "disks")]
    places.append("global/instanceTemplates")
    return {place: [_without_identity(item) for item in here.get(place).get("items", [])] for place in places}


def _without_identity(value: Any) -> Any:
    unequal = ("id", "creationTimestamp", "deleteAtTime", "fingerprint", "labelFingerprint", "selfLinkWithId", "etag")
    if isinstance(value, dict):
        return {key: _without_identity(item) for key, item in value.items() if key not in unequal}
    return [_without_identity(item) for item in value] if isinstance(value, list) else value


def _amounts(state: dict[str, Any]) -> dict[str, Any]:
    """The same without when a reservation was first made, and so when it lapses."""
    lifetimes = ("description", "deleteAfterDuration")
    return {place: [{k: v for k, v in item.items() if k not in lifetimes} for item in items] for place, items in state.items()}


def _assert_nothing_twice(here: World) -> None:
    """One operation per request id, every call with its row, and every row finished."""
    places = [f"zones/{zone}" for zone in ZONES] + [f"regions/{REGION}", "global"]
    operations = [item for place in places for item in here.get(f"{place}/operations").get("items", [])]
    ids = [operation["clientOperationId"] for operation in operations if "clientOperationId" in operation]
    assert len(ids) == len(set(ids))
    rows = {entry.request_id: entry for entry in here.ledger.recent(REGION, limit=1000)}
    assert set(ids) <= set(rows)
    assert here.ledger.unfinished(REGION) == []
    done = {entry.request_id for entry in rows.values() if entry.state in ("done", "failed")}
    assert done <= set(ids)
    assert {access.request_id for access in here.writes()} <= set(rows)
