"""Scale-in: machines leave before their reservation does, nothing that is in use is released, and nothing stands in its way."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
from cloud_world import TIMING, World, world
from plan_rows import ISSUE, REGION, ZONES, plan_of

from infra.cloud import ReservationState
from infra.diff import diff
from infra.observed import Observed
from infra.placement import place
from infra.targets import MachineTarget

EDGE, BATCH = "headroom-edge-n2-standard-8", "headroom-batch-n2-standard-4"
LATER = ISSUE + pd.Timedelta("1h")


def reserved(here: World) -> dict[str, dict[str, int]]:
    return {zone: {r.name: r.count for r in here.cloud.reservations(zone)} for zone in ZONES}


def shrink(here: World, wants: dict, **options: object):
    here.admin("clock", advance_seconds=60)
    return here.reconcile(plan_of(wants, issue=LATER), issue_time=LATER, **options)


def test_a_reservation_waits_for_the_machines_that_leave_it(tmp_path: Path) -> None:
    with world(tmp_path, timing=replace(TIMING, leave=1.0)) as here:
        here.reconcile(plan_of({"edge": {"instances": 5}}))
        report = shrink(here, {"edge": {"instances": 2}})
        assert [(a["kind"], a["verb"], a["state"]) for a in report.actions] == [
            ("group", "scale", "done"),
            ("reservation", "resize", "done"),
        ]
        assert reserved(here)[ZONES[0]] == {EDGE: 2}


def test_machines_that_stay_too_long_keep_their_reservation_until_the_next_run(tmp_path: Path) -> None:
    with world(tmp_path, timing=replace(TIMING, leave=3600.0)) as here:
        here.reconcile(plan_of({"edge": {"instances": 5}}))
        report = shrink(here, {"edge": {"instances": 2}}, settle_seconds=0)
        assert [a["kind"] for a in report.actions] == ["group"]
        assert report.held["edge"]["hot"] == 5
        assert here.ledger.unfinished(REGION) == []
        here.admin("clock", advance_seconds=3600)
        assert here.reconcile(plan_of({"edge": {"instances": 2}}, issue=LATER), issue_time=LATER).held["edge"]["hot"] == 2


def test_a_group_that_cannot_get_its_standby_does_not_keep_what_others_no_longer_use(tmp_path: Path) -> None:
    """The standby machines find no stock and then no quota, so the group never settles; machines have left both zones, one each."""
    with world(tmp_path, stock={zone: {"n2-standard-8": count} for zone, count in zip(ZONES, (3, 2), strict=True)}) as here:
        here.reconcile(plan_of({"edge": {"instances": (5, 3)}}))
        here.admin("quotas", region=REGION, metric="INSTANCES", limit=1)  # or the standby would take what becomes free
        report = shrink(here, {"edge": {"instances": (3, 3)}}, settle_seconds=0)
        assert here.cloud.group(REGION, "headroom-edge").stable is False
        assert sum(zone.get(EDGE, 0) for zone in reserved(here).values()) == 3
        assert report.held["edge"]["hot"] == 3


def test_a_refused_template_does_not_keep_machines_that_nobody_needs(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        here.reconcile(plan_of({"edge": {"instances": 8}, "batch": {"instances": 6}}))
        here.admin("faults", fault="quota", metric="INSTANCE_TEMPLATES", method="POST", path="/instanceTemplates", times=None)
        smaller = plan_of({"edge": {"instances": 3}, "batch": {"instances": 2}}, issue=LATER)
        other = smaller["service"] == "edge"
        smaller.loc[other & (smaller["resource"] == "instances"), "machine_type"] = "n2-standard-16"
        here.admin("clock", advance_seconds=60)
        report = here.reconcile(smaller, issue_time=LATER)
        assert ("template", "failed") in {(a["kind"], a["state"]) for a in report.actions}
        assert here.cloud.group(REGION, "headroom-edge").running <= 3
        assert reserved(here)[ZONES[0]].get(BATCH) == 2


def test_all_machines_begin_to_leave_before_any_reservation_and_the_dearest_goes_first(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        here.reconcile(plan_of({"edge": {"instances": 3}, "batch": {"instances": 9}}))
        report = shrink(here, {"edge": {"instances": 1}, "batch": {"instances": 1}})
        assert [(a["kind"], a["service"]) for a in report.actions] == [
            ("group", "edge"),
            ("group", "batch"),
            ("reservation", "batch"),  # 8 machines of 4 vCPU cost more than 2 of 8
            ("reservation", "edge"),
        ]
        assert report.actions[2]["usd_per_hour"] < report.actions[3]["usd_per_hour"] < 0


def test_shrinking_never_goes_below_what_is_in_use() -> None:
    counts = {"a": 4, "b": 6}
    assert place(5, ("a", "b"), counts, {}, in_use={"b": 4}).counts == {"a": 1, "b": 4}
    assert place(0, ("a", "b"), counts, {}, in_use={"a": 4, "b": 6}).counts == counts


def test_a_reservation_of_a_former_machine_type_is_valued_at_its_own_price() -> None:
    target = MachineTarget("edge", "n2-standard-8", 0, 0, 0, ZONES, 0, 1.0, 2.0, hot_usd=0.5, warm_usd=0.1)
    old = ReservationState(
        ZONES[0],
        "headroom-edge-n2-standard-32",
        "n2-standard-32",
        2,
        0,
        f"headroom-managed: hot capacity for edge; issued {ISSUE.isoformat()}",
        3600,
        "",
        "READY",
    )
    (released,) = [a for a in diff([target], Observed(reservations=(old,)), [], issue_time=ISSUE, region=REGION) if a.kind == "reservation"]
    assert released.verb == "delete"
    assert released.usd_per_hour < -2 * 1.5  # 32 vCPU cost about four times what 8 do
