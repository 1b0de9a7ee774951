"""Orphans are found whoever made them, and only what nobody needs is collected."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from cloud_world import World, world
from plan_rows import ISSUE, PROJECT, REGION, ZONES, plan_of

from infra.ledger import Ledger
from infra.orphans import collect, find_orphans

PLAN = plan_of({"edge": {"instances": (3, 1), "bandwidth": 7.0}, "batch": {"instances": 2, "storage": 50}})
MARK = "headroom-managed"
NOW = ISSUE + pd.Timedelta("1h")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as opened:
        yield opened


def make(here: World, place: str, body: dict) -> None:
    operation = here.call("POST", place, body)
    assert "error" not in here.call("POST", f"{place.rpartition('/')[0]}/operations/{operation['name']}/wait")


def strangers(here: World) -> None:
    """One of each kind with our mark, made past the ledger, and one of each without it."""
    n2 = {"machineType": "n2-standard-8"}
    for number, mark in enumerate((MARK, "somebody else's")):
        name, label = f"stranger-{number}", {MARK: "true"} if mark == MARK else {}
        make(here, "global/instanceTemplates", {"name": name, "description": mark, "properties": n2})
        group = {"name": name, "description": mark, "targetSize": 0, "instanceTemplate": f"global/instanceTemplates/{name}"}
        make(here, f"regions/{REGION}/instanceGroupManagers", group)
        held = {
            "name": name,
            "description": f"{mark}: hot capacity for old; issued x",
            "specificReservation": {"count": 2, "instanceProperties": n2},
        }
        make(here, f"zones/{ZONES[1]}/reservations", held)
        make(here, f"zones/{ZONES[0]}/disks", {"name": name, "sizeGb": "20", "labels": label})


def test_what_the_ledger_made_is_no_orphan(here: World) -> None:
    here.reconcile(PLAN)
    assert find_orphans(here.settings, here.ledger, here.cloud, unnamed=True) == []


def test_orphans_are_what_bears_our_mark_and_is_unknown(here: World) -> None:
    here.reconcile(PLAN)
    strangers(here)
    before = len(here.writes())
    found = find_orphans(here.settings, here.ledger, here.cloud, unnamed=True)
    assert sorted((o.owned.kind, o.owned.name) for o in found) == [
        (kind, "stranger-0") for kind in ("disk", "group", "reservation", "template")
    ]
    assert {o.owned.kind: bool(o.kept) for o in found} == {"disk": True, "group": False, "reservation": False, "template": False}
    (held,) = [o for o in found if o.owned.kind == "reservation"]
    assert (held.owned.service, held.owned.amount) == ("old", 2)
    assert held.usd_per_hour > 0.5
    assert str(held).startswith(f"{ZONES[1]}: reservation stranger-0 (2 x n2-standard-8)")
    assert len(here.writes()) == before


def test_collection_deletes_what_nobody_uses_with_a_row_for_each_call(here: World) -> None:
    here.reconcile(PLAN)
    strangers(here)
    found = find_orphans(here.settings, here.ledger, here.cloud, unnamed=True)
    entries = collect(here.settings, here.ledger, here.cloud, found, now=NOW)
    assert [(e.action.kind, e.state) for e in entries] == [("group", "done"), ("reservation", "done"), ("template", "done")]
    assert all(entry.operation for entry in entries)
    assert [access.request_id for access in here.writes()][-3:] == [entry.request_id for entry in entries]
    left = find_orphans(here.settings, here.ledger, here.cloud, unnamed=True)
    assert [(o.owned.kind, o.owned.name) for o in left] == [("disk", "stranger-0")]
    assert here.reconcile(PLAN).writes == 0, "collection touched what the plan holds"


def test_a_reservation_in_use_and_a_group_with_machines_are_kept(here: World) -> None:
    strangers(here)
    here.call("POST", f"regions/{REGION}/instanceGroupManagers/stranger-1/resize?size=4")  # one of them is in the reservation
    here.call("POST", f"regions/{REGION}/instanceGroupManagers/stranger-0/resize?size=1")
    found = {o.owned.kind: o for o in find_orphans(here.settings, here.ledger, here.cloud, unnamed=True)}
    assert "1 machines use it" in found["group"].kept
    assert found["reservation"].owned.in_use > 0
    assert "use it" in found["reservation"].kept
    collect(here.settings, here.ledger, here.cloud, list(found.values()), now=NOW)
    assert here.cloud.reservation(ZONES[1], "stranger-0") is not None
    assert here.cloud.group(REGION, "stranger-0") is not None


def test_a_reservation_that_came_into_use_since_it_was_found_is_not_deleted(here: World) -> None:
    strangers(here)
    found = [o for o in find_orphans(here.settings, here.ledger, here.cloud, unnamed=True) if o.owned.kind == "reservation"]
    here.call("POST", f"regions/{REGION}/instanceGroupManagers/stranger-1/resize?size=4")
    assert collect(here.settings, here.ledger, here.cloud, found, now=NOW) == []
    assert here.cloud.reservation(ZONES[1], "stranger-0") is not None


def test_a_lost_ledger_makes_no_orphan_of_what_the_next_run_takes_over(here: World, tmp_path: Path) -> None:
    here.reconcile(PLAN)
    fresh = Ledger.open(f"sqlite:///{tmp_path}/fresh.db")
    found = find_orphans(here.settings, fresh, here.cloud, unnamed=True)
    assert {o.owned.kind for o in found} == {"template", "group", "reservation", "disk"}
    assert all(o.kept for o in found)
    assert collect(here.settings, fresh, here.cloud, found, now=NOW) == []
    fresh.engine.dispose()


def test_a_killed_collection_is_finished_by_the_next_one(here: World) -> None:
    strangers(here)
    found = find_orphans(here.settings, here.ledger, here.cloud, unnamed=True)
    here.admin("faults", fault="unavailable", method="DELETE", path="/reservations", times=None)
    here.cloud = type(here.cloud)(PROJECT, here.address, pause=0.001)
    with pytest.raises(Exception, match="503"):
        collect(here.settings, here.ledger, here.cloud, found, now=NOW)
    here.admin("faults", clear=True)
    (open_row,) = here.ledger.unfinished(REGION)
    again = find_orphans(here.settings, here.ledger, here.cloud, unnamed=True)
    entries = collect(here.settings, here.ledger, here.cloud, again, now=NOW)
    assert open_row.request_id in {entry.request_id for entry in entries}
    assert here.ledger.unfinished(REGION) == []
    assert [o.owned.kind for o in find_orphans(here.settings, here.ledger, here.cloud, unnamed=True)] == ["disk"]


def test_a_plan_can_be_applied_again_after_a_collection(here: World) -> None:
    here.reconcile(PLAN)
    strangers(here)
    collect(
        here.settings,
        here.ledger,
        here.cloud,
        find_orphans(here.settings, here.ledger, here.cloud, unnamed=True),
        now=NOW + pd.Timedelta("90D"),
    )
    assert here.ledger.newest_issue_time() == ISSUE
