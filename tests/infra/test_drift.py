"""Drift: what somebody changed by hand is shown, mended by the next reconciliation, or kept by choice for a time."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from cloud_world import World, world
from plan_rows import ISSUE, REGION, ZONES, plan_of

from headroom.errors import BadInputError
from infra.adoptions import adopt, adopted
from infra.drift import Drift, find_drift

WANTS = {"edge": {"instances": (4, 1), "bandwidth": 7.0}, "batch": {"instances": 2, "storage": 50}}
PLAN = plan_of(WANTS)
EDGE = "headroom-edge-n2-standard-8"
HELD = f"zones/{ZONES[0]}/reservations/{EDGE}"
GROUP = f"regions/{REGION}/instanceGroupManagers/headroom-edge"
HOUR = pd.Timedelta("1h")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as opened:
        opened.reconcile(PLAN)
        opened.admin("clock", advance_seconds=60)
        yield opened


def drift(here: World) -> list[Drift]:
    return find_drift(here.ledger, here.cloud, region=REGION, now=pd.Timestamp.now(tz="UTC"))


def held(here: World) -> dict[str, int]:
    return {r.name: r.count for r in here.cloud.reservations(ZONES[0])}


def by_hand(here: World) -> None:
    here.call("POST", f"{HELD}/resize", {"specificSkuCount": "9"})
    here.call("POST", f"{GROUP}/resize?size=6")
    here.call("PATCH", f"regions/{REGION}/interconnectAttachments/link", {"bandwidth": "BPS_20G"})
    here.call("POST", f"zones/{ZONES[0]}/disks/headroom-batch-data/resize", {"sizeGb": "80"})
    here.admin("clock", advance_seconds=60)


def test_what_nobody_touched_has_not_drifted(here: World) -> None:
    assert drift(here) == []


def test_what_was_changed_by_hand_is_shown(here: World) -> None:
    before = len(here.writes())
    by_hand(here)
    assert {(d.kind, d.service, d.field, d.asked, d.found) for d in drift(here)} == {
        ("reservation", "edge", "count", 4, 9),
        ("group", "edge", "running", 4, 6),
        ("attachment", "", "bandwidth", "BPS_10G", "BPS_20G"),
        ("disk", "batch", "gib", 50, 80),
    }
    assert f"{ZONES[0]}: reservation {EDGE}: count is 9, count 4 was asked for" in {str(d) for d in drift(here)}
    assert len(here.writes()) == before


def test_the_same_plan_again_mends_all_but_a_disk_which_never_shrinks(here: World) -> None:
    by_hand(here)
    here.reconcile(PLAN)
    assert [(d.kind, d.found) for d in drift(here)] == [("disk", 80)]
    assert here.cloud.reservation(ZONES[0], EDGE).count == 4


def test_a_reservation_that_was_deleted_has_drifted_and_one_that_lapsed_has_not(here: World) -> None:
    here.call("DELETE", HELD)
    here.admin("clock", advance_seconds=60)
    (gone,) = drift(here)
    assert (gone.kind, gone.asked, gone.found) == ("reservation", 4, None)
    assert str(gone).endswith("gone, count 4 was asked for")
    later = pd.Timestamp.now(tz="UTC") + pd.Timedelta("48h")
    assert find_drift(here.ledger, here.cloud, region=REGION, now=later) == []


def test_what_is_under_way_is_no_drift(here: World) -> None:
    class StopError(Exception):
        """Ends the run between the call and its answer."""

    def stop(step: str) -> None:
        if step == "after send":
            raise StopError

    issue = ISSUE + HOUR
    with pytest.raises(StopError):
        here.reconcile(plan_of({"edge": {"instances": 9}}, issue=issue), issue_time=issue, checkpoint=stop)
    assert drift(here) == []


def test_what_is_adopted_is_kept_against_the_plan_until_its_time_is_over(here: World) -> None:
    by_hand(here)
    rows = drift(here)
    made = adopt(here.ledger, rows, held(here), service="edge", now=ISSUE, lasts=2 * HOUR, why="load test")
    assert [(row.what, row.amount) for row in made] == [("hot", 9)]
    adopt(here.ledger, rows, held(here), service="batch", now=ISSUE, lasts=2 * HOUR, why="restore")
    adopt(here.ledger, rows, held(here), service="", now=ISSUE, lasts=2 * HOUR, why="load test")
    report = here.reconcile(plan_of(WANTS, issue=ISSUE + HOUR), issue_time=ISSUE + HOUR)
    assert report.held == {"edge": {"hot": 9, "warm": 1}, "batch": {"hot": 2, "storage": 80}, "": {"bandwidth": 20}}
    assert here.cloud.group(REGION, "headroom-edge").running == 9
    here.admin("clock", advance_seconds=60)
    later = ISSUE + 2 * HOUR
    assert adopted(here.ledger, REGION, at=later) == []
    report = here.reconcile(plan_of(WANTS, issue=later), issue_time=later)
    assert report.held == {"edge": {"hot": 4, "warm": 1}, "batch": {"hot": 2, "storage": 80}, "": {"bandwidth": 10}}


def test_what_is_adopted_is_no_drift_until_it_is_changed_again(here: World) -> None:
    here.call("POST", f"{HELD}/resize", {"specificSkuCount": "9"})
    here.admin("clock", advance_seconds=60)
    adopt(here.ledger, drift(here), held(here), service="edge", now=pd.Timestamp.now(tz="UTC"), lasts=HOUR, why="load test")
    assert drift(here) == []
    here.call("POST", f"{HELD}/resize", {"specificSkuCount": "7"})
    here.admin("clock", advance_seconds=60)
    assert [d.found for d in drift(here)] == [7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"service": "batch"}, "nothing of batch drifted; drifted: edge"),
        ({"why": " "}, "without a reason"),
        ({"lasts": pd.Timedelta("31D")}, "at most 30 days"),
        ({"lasts": pd.Timedelta(0)}, "more than 0"),
    ],
)
def test_an_adoption_that_makes_no_sense_is_refused(here: World, options: dict, message: str) -> None:
    rows = [Drift(REGION, "reservation", ZONES[0], EDGE, "edge", "count", 4, 9)]
    with pytest.raises(BadInputError, match=message):
        adopt(here.ledger, rows, {EDGE: 9}, **{"service": "edge", "now": ISSUE, "lasts": HOUR, "why": "load test", **options})
    assert adopted(here.ledger, REGION, at=ISSUE) == []
