"""A correction in the cloud: standby machines run and stand by again, reservations stay, and it may be killed like a plan's reconciliation."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cloud_world import World, world
from killing import kill_at
from plan_rows import ISSUE, REGION, ZONES, plan_of, settings_text

from headroom.settings import parse_settings
from infra.bill import held_hours
from infra.corrections import Correction, corrections_in_force
from infra.reconciler import ReconcileReport
from infra.stockouts import scarcity

EDGE = "headroom-edge-n2-standard-8"
FIVE = pd.Timedelta("5min")
NEXT = ISSUE + pd.Timedelta("1h")
PLAN = plan_of({"edge": {"instances": (3, 2), "bandwidth": 1.0}, "batch": {"instances": (1, 1)}})
EDGE_ONLY = plan_of({"edge": {"instances": (3, 2)}})


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as opened:
        opened.reconcile(PLAN)
        wait(opened)
        yield opened


def correction(
    hot: int, *, at: pd.Timestamp = ISSUE + FIVE, needed: int | None = None, plan: pd.Timestamp = ISSUE, held: int = 3
) -> Correction:
    return Correction(
        region=REGION,
        service="edge",
        machine_type="n2-standard-8",
        issue_time=at,
        plan_time=plan,
        until=at + 3 * FIVE,
        needed=hot if needed is None else needed,
        hot=hot,
        warm=5 - hot,
        resumed=hot - held,
        why="the next 15 minutes need it",
    )


def correct(here: World, row: Correction, *, plan: pd.DataFrame = PLAN, **options: Any) -> ReconcileReport:
    return here.reconcile(plan, issue_time=row.plan_time, corrections=[row], **options)


def wait(here: World, seconds: int = 60) -> None:
    here.admin("clock", advance_seconds=seconds)


def machines(here: World) -> Counter[str]:
    """State -> machines of edge."""
    answer = here.call("POST", f"regions/{REGION}/instanceGroupManagers/headroom-edge/listManagedInstances")
    return Counter(vm["instanceStatus"] for vm in answer["managedInstances"])


def names(here: World) -> set[str]:
    answer = here.call("POST", f"regions/{REGION}/instanceGroupManagers/headroom-edge/listManagedInstances")
    return {vm["name"] for vm in answer["managedInstances"]}


def reserved(here: World) -> int:
    return sum(there.count for zone in ZONES for there in here.cloud.reservations(zone) if there.name == EDGE)


def test_standby_machines_run_and_none_is_made_lost_or_reserved(here: World) -> None:
    before = names(here)
    report = correct(here, correction(5))
    wait(here)
    assert [action["verb"] for action in report.actions] == ["move"]
    assert machines(here) == {"RUNNING": 5}
    assert names(here) == before
    assert reserved(here) == 3
    assert report.held["edge"] == {"hot": 5.0, "warm": 0.0} or report.held["edge"] == {"hot": 5.0}
    assert report.corrections[0]["why"] == "the next 15 minutes need it"
    assert report.writes == 1
    assert correct(here, correction(5)).writes == 0


def test_they_stand_by_again_when_the_need_falls(here: World) -> None:
    correct(here, correction(5))
    wait(here)
    report = correct(here, correction(3, at=ISSUE + 2 * FIVE))
    wait(here)
    assert machines(here) == {"RUNNING": 3, "SUSPENDED": 2}
    assert reserved(here) == 3
    assert report.usd_per_hour_added < 0
    assert here.ledger.unmet(REGION).empty


def test_a_dry_run_says_what_would_move_and_changes_nothing(here: World) -> None:
    writes = len(here.writes())
    report = correct(here, correction(4), dry_run=True)
    assert [action["description"] for action in report.actions] == [
        "group headroom-edge: 1 from standby to running; 4 n2-standard-8 run (now 3)"
    ]
    assert (len(here.writes()), report.writes) == (writes, 0)
    assert corrections_in_force(here.ledger, REGION, at=ISSUE) == []


def test_what_is_needed_above_hot_and_warm_is_said_and_not_bought(here: World) -> None:
    report = correct(here, correction(5, needed=8))
    wait(here)
    assert machines(here) == {"RUNNING": 5}
    assert [(row["service"], row["pool"], row["wanted"], row["held"]) for row in report.unmet] == [("edge", "hot", 8, 5)]
    unmet = here.ledger.unmet(REGION, issue_time=ISSUE)
    assert unmet["reason"].tolist() == ["the next 15 minutes need it"]


def test_a_resume_that_finds_no_stock_is_said(here: World) -> None:
    for zone in ZONES:
        here.admin("stock", zone=zone, sku="resuming", limit=0)
    report = correct(here, correction(5))
    assert report.held["edge"]["hot"] == 3
    assert [fact["resource"] for fact in report.facts] == ["machines"]
    assert [(row["wanted"], row["held"]) for row in report.unmet] == [(5, 3)]


def test_the_plan_reconciled_again_keeps_running_what_a_correction_let_run(here: World) -> None:
    correct(here, correction(5))
    wait(here)
    assert here.reconcile(PLAN).writes == 0
    assert machines(here) == {"RUNNING": 5}


def test_the_next_plan_keeps_what_the_next_minutes_need_and_forgets_what_is_over(here: World) -> None:
    correct(here, correction(5, at=NEXT - FIVE))
    wait(here)
    following = plan_of({"edge": {"instances": (4, 2), "bandwidth": 1.0}, "batch": {"instances": (1, 1)}}, issue=NEXT)
    here.reconcile(following, issue_time=NEXT)
    wait(here)
    assert machines(here) == {"RUNNING": 5, "SUSPENDED": 1}
    assert reserved(here) == 4
    later = NEXT + pd.Timedelta("1h")
    here.reconcile(
        plan_of({"edge": {"instances": (4, 2), "bandwidth": 1.0}, "batch": {"instances": (1, 1)}}, issue=later), issue_time=later
    )
    wait(here)
    assert machines(here) == {"RUNNING": 4, "SUSPENDED": 2}


def test_a_correction_is_no_newer_plan_and_only_counts_on_the_bill_from_its_own_moment(here: World) -> None:
    correct(here, correction(5, at=NEXT - FIVE))
    assert here.ledger.newest_issue_time(REGION) == ISSUE
    assert here.ledger.newest_confirmed(REGION) == NEXT - FIVE
    hours = held_hours(here.ledger, start=ISSUE, end=NEXT + pd.Timedelta("1h"), region=REGION)
    hot = hours[(hours["service"] == "edge") & (hours["pool"] == "hot") & (hours["resource"] == "instances")].set_index("ds")["amount"]
    assert hot.to_dict() == {ISSUE: 3.0, NEXT: 5.0}


def test_a_group_that_somebody_made_larger_is_left_alone(here: World) -> None:
    here.call("POST", f"regions/{REGION}/instanceGroupManagers/headroom-edge/resize?size=9")
    wait(here)
    assert correct(here, correction(5)).writes == 0
    assert here.cloud.group(REGION, "headroom-edge").running == 9  # type: ignore[union-attr]


def test_services_that_were_not_corrected_keep_what_they_have(here: World) -> None:
    here.call("POST", f"regions/{REGION}/instanceGroupManagers/headroom-batch/resize?size=2")
    report = correct(here, correction(4))
    assert {action["service"] for action in report.actions} == {"edge"}


def test_the_memory_of_stockouts_still_counts_the_plan_as_finished(tmp_path: Path) -> None:
    with world(tmp_path, stock={ZONES[0]: {"n2-standard-8": 2}}) as here:
        here.reconcile(PLAN)
        wait(here)
        correct(here, correction(4))
        known = scarcity(here.ledger.refusals(REGION, start=ISSUE, end=NEXT), issue_time=NEXT)
    assert set(known) == {(ZONES[0], "n2-standard-8")}


@pytest.fixture
def relieved(tmp_path: Path) -> Iterator[World]:
    """Two of three machines were to be had, two of half their size stand in for the third."""
    text = settings_text().replace("machine_type: n2-standard-8,", "machine_type: n2-standard-8, also: [n2-standard-4],")
    with world(tmp_path, stock={zone: {"n2-standard-8": 1} for zone in ZONES}, chosen=parse_settings(text)) as opened:
        opened.reconcile(EDGE_ONLY)
        for zone in ZONES:
            opened.admin("stock", zone=zone, sku="n2-standard-8", limit=None)
        wait(opened)
        yield opened


def test_what_machines_of_another_type_stand_in_for_does_not_come_out_of_standby_too(relieved: World) -> None:
    """A fourth that is needed comes out of standby."""
    assert correct(relieved, correction(3), plan=EDGE_ONLY).writes == 0
    assert relieved.reconcile(EDGE_ONLY).writes == 0
    correct(relieved, correction(4, at=ISSUE + 2 * FIVE), plan=EDGE_ONLY)
    group = relieved.cloud.group(REGION, "headroom-edge")
    assert group is not None
    assert (group.running, group.suspended) == (3, 1)
    assert relieved.reconcile(EDGE_ONLY).writes == 0


def test_what_machines_of_another_type_carry_counts_as_held_in_what_the_next_minutes_lack(relieved: World) -> None:
    report = correct(relieved, correction(5, needed=8), plan=EDGE_ONLY)
    assert [(row["machine_type"], row["wanted"], row["held"]) for row in report.unmet] == [("n2-standard-8", 8, 5)]


@pytest.mark.slow
def test_killed_at_every_step_and_run_again_it_ends_in_the_same_state(tmp_path: Path) -> None:
    """The process that is killed is a real one; so are cloud and ledger. A later correction takes over as well."""
    start = tmp_path / "start"
    with world(start) as opened:
        opened.reconcile(PLAN)
        wait(opened)
    steps: list[str] = []
    with copied(start, tmp_path / "clean") as here:
        correct(here, correction(5), checkpoint=steps.append)
    assert "before send" in steps
    for number in [number for number, name in enumerate(steps, start=1) if name.startswith("before")]:
        with copied(start, tmp_path / f"killed-{number}") as here:
            kill_at(number, here, PLAN, issue_time=ISSUE, corrections=[correction(5)])
            row = correction(5) if number % 2 else correction(4, at=ISSUE + 2 * FIVE)
            correct(here, row)
            wait(here)
            assert machines(here) == ({"RUNNING": 5} if row.hot == 5 else {"RUNNING": 4, "SUSPENDED": 1}), steps[number - 1]
            assert here.ledger.unfinished(REGION) == []
            assert correct(here, row).writes == 0


def copied(start: Path, folder: Path) -> Any:
    shutil.copytree(start, folder)
    return world(folder, link=None)
