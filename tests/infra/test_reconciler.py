"""The reconciler against the local cloud: the real client, over HTTP, with a real ledger."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from cloud_world import LINK, World, world
from plan_rows import ISSUE, REGION, ZONES, plan_of, settings

from headroom.errors import BadInputError
from infra.cloud import GroupState
from infra.ledger import Ledger
from infra.reconciler import reconcile

PLAN = plan_of({"edge": {"instances": (10, 3), "bandwidth": 7.0}, "batch": {"instances": 4, "storage": 120}})
EDGE = "headroom-edge-n2-standard-8"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as opened:
        yield opened


def reserved(here: World, zone: str = ZONES[0]) -> dict[str, int]:
    return {r.name: r.count for r in here.cloud.reservations(zone)}


def group(here: World, name: str = "headroom-edge") -> GroupState:
    found = here.cloud.group(REGION, name)
    assert found is not None
    return found


def test_an_empty_region_becomes_what_the_plan_wants(here: World) -> None:
    report = here.reconcile(PLAN)
    assert reserved(here) == {EDGE: 10, "headroom-batch-n2-standard-4": 4}
    edge = group(here)
    assert (edge.running, edge.suspended, edge.stopped, edge.standby_mode) == (10, 3, 0, "SCALE_OUT_POOL")
    assert group(here, "headroom-batch").running == 4
    link, disk = here.cloud.attachment(REGION, "link"), here.cloud.disk(ZONES[0], "headroom-batch-data")
    assert link is not None
    assert link.bandwidth == "BPS_10G"
    assert disk is not None
    assert disk.gib == 120
    assert report.held == {"edge": {"hot": 10, "warm": 3}, "batch": {"hot": 4, "storage": 120}, "": {"bandwidth": 10}}
    assert report.unmet == []
    assert report.facts == []
    assert {action["state"] for action in report.actions} == {"done"}
    assert report.writes == len(report.actions) == len(here.writes())


def test_every_writing_call_has_its_row_in_the_ledger(here: World) -> None:
    here.reconcile(PLAN)
    rows = {entry.request_id: entry for entry in here.ledger.recent(REGION)}
    assert [access.request_id for access in here.writes()] == [entry.request_id for entry in reversed(list(rows.values()))]
    assert {entry.state for entry in rows.values()} == {"done"}
    assert all(entry.operation for entry in rows.values())


def test_a_second_run_makes_no_writing_call(here: World) -> None:
    here.reconcile(PLAN)
    before = len(here.writes())
    again = here.reconcile(PLAN)
    assert len(here.writes()) == before
    assert (again.writes, again.actions) == (0, [])
    assert again.held["edge"] == {"hot": 10, "warm": 3}


def test_a_template_that_a_neighbour_made_meanwhile_is_no_refusal(here: World, tmp_path: Path) -> None:
    class StopError(Exception):
        """Ends the neighbour's run after its first call."""

    def stop(step: str) -> None:
        if step == "after done":
            raise StopError

    neighbour, met = Ledger.open(f"sqlite:///{tmp_path}/neighbour.db"), []

    def race(step: str) -> None:
        if step == "before send" and not met:
            met.append(step)
            later = ISSUE + pd.Timedelta("1h")  # so that its request ids are its own
            plan = PLAN.assign(issue_time=later)
            with pytest.raises(StopError):
                reconcile(here.settings, neighbour, here.cloud, plan, issue_time=later, region=REGION, checkpoint=stop)

    report = here.reconcile(PLAN, checkpoint=race)
    neighbour.engine.dispose()
    assert met, "the race was not run"
    assert report.facts == []
    assert [action["state"] for action in report.actions].count("abandoned") == 1
    assert {action["state"] for action in report.actions} == {"done", "abandoned"}
    assert report.held["edge"] == {"hot": 10, "warm": 3}
    assert here.reconcile(PLAN).writes == 0


def test_a_dry_run_changes_neither_cloud_nor_ledger(here: World) -> None:
    report = here.reconcile(PLAN, dry_run=True)
    assert here.writes() == []
    assert here.ledger.recent() == []
    assert here.ledger.held().empty
    wanted = [action["description"] for action in report.actions]
    assert f"{ZONES[0]}: reserve 10 n2-standard-8 for edge (now 0)" in wanted
    assert "attachment link: 10 Gbit/s for 7.00 needed (now 1)" in wanted
    assert report.usd_per_hour_added > 0
    done = here.reconcile(PLAN)
    assert [action["description"] for action in done.actions] == wanted
    assert done.usd_per_hour_added == pytest.approx(report.usd_per_hour_added)


def test_reservations_come_before_the_machines_and_go_after_them(here: World) -> None:
    grown = [(action["kind"], action["verb"]) for action in here.reconcile(PLAN).actions if action["service"] == "edge"]
    assert grown == [("template", "create"), ("group", "create"), ("reservation", "create"), ("group", "scale"), ("group", "standby")]
    booted(here)
    smaller = plan_of({"edge": {"instances": 6}}, issue=ISSUE + pd.Timedelta("1h"))
    shrunk = [(action["kind"], action["verb"]) for action in here.reconcile(smaller, issue_time=ISSUE + pd.Timedelta("1h")).actions]
    assert shrunk.index(("group", "scale")) < shrunk.index(("reservation", "resize"))
    assert reserved(here)[EDGE] == 6
    assert group(here).running == 6


def booted(here: World) -> None:
    """Let the machines boot."""
    here.admin("clock", advance_seconds=60)


def test_stockout_takes_what_is_left_and_the_next_zone_gives_the_rest(tmp_path: Path) -> None:
    with world(tmp_path, stock={ZONES[0]: {"n2": 7 * 8}}) as here:
        report = here.reconcile(plan_of({"edge": {"instances": 20}}))
        assert reserved(here, ZONES[0]) == {EDGE: 7}
        assert reserved(here, ZONES[1]) == {EDGE: 13}
        assert group(here).running == 20
        assert report.unmet == []
        (fact,) = report.facts
        assert (fact["zone"], fact["code"], fact["asked"], fact["got"]) == (ZONES[0], "ZONE_RESOURCE_POOL_EXHAUSTED", 8, 7)
        before = len(here.writes())
        assert here.reconcile(plan_of({"edge": {"instances": 20}})).writes == 0
        assert len(here.writes()) == before


def test_what_no_zone_has_is_marked_unmet_exactly(tmp_path: Path) -> None:
    with world(tmp_path, stock={zone: {"n2-standard-8": count} for zone, count in zip(ZONES, (3, 5), strict=True)}) as here:
        report = here.reconcile(plan_of({"edge": {"instances": 20}}))
        assert (reserved(here, ZONES[0]), reserved(here, ZONES[1])) == ({EDGE: 3}, {EDGE: 5})
        assert group(here).running == 8
        (missing,) = report.unmet
        assert (missing["service"], missing["pool"], missing["wanted"], missing["held"]) == ("edge", "hot", 20, 8)
        assert "ZONE_RESOURCE_POOL_EXHAUSTED" in missing["reason"]
        assert here.ledger.unmet(REGION)[["wanted", "held"]].to_numpy().tolist() == [[20, 8]]
        assert here.reconcile(plan_of({"edge": {"instances": 20}})).writes == 0


def test_a_later_issue_time_tries_again_where_stock_was_out(tmp_path: Path) -> None:
    later = ISSUE + pd.Timedelta("1h")
    with world(tmp_path, stock={ZONES[0]: {"n2-standard-8": 3}, ZONES[1]: {"n2-standard-8": 0}}) as here:
        here.reconcile(plan_of({"edge": {"instances": 8}}))
        here.admin("stock", zone=ZONES[0], sku="n2-standard-8", limit=100)
        report = here.reconcile(plan_of({"edge": {"instances": 8}}, issue=later), issue_time=later)
        assert reserved(here) == {EDGE: 8}
        assert report.unmet == []


def test_quota_gives_what_remains_in_one_more_try(tmp_path: Path) -> None:
    with world(tmp_path, quotas={"N2_CPUS": 100}) as here:
        report = here.reconcile(plan_of({"edge": {"instances": 20}}))
        assert reserved(here) == {EDGE: 12}  # 12 x 8 vCPUs; 13 would be 104
        assert reserved(here, ZONES[1]) == {}
        assert [(f["code"], f["got"]) for f in report.facts] == [("QUOTA_EXCEEDED", 12)]
        assert [(u["wanted"], u["held"]) for u in report.unmet] == [(20, 12)]
        tries = [action for action in report.actions if action["kind"] == "reservation"]
        assert [action["state"] for action in tries] == ["failed", "done"]
        assert here.reconcile(plan_of({"edge": {"instances": 20}})).writes == 0


def test_scarce_quota_goes_to_the_more_critical_service(tmp_path: Path) -> None:
    with world(tmp_path, quotas={"N2_CPUS": 100}) as here:
        report = here.reconcile(plan_of({"batch": {"instances": 10}, "edge": {"instances": 11}}))
        assert reserved(here) == {EDGE: 11, "headroom-batch-n2-standard-4": 3}
        assert [(u["service"], u["held"]) for u in report.unmet] == [("batch", 3)]


def test_what_one_service_releases_another_can_have(tmp_path: Path) -> None:
    later = ISSUE + pd.Timedelta("1h")
    with world(tmp_path, quotas={"N2_CPUS": 100}) as here:
        here.reconcile(plan_of({"batch": {"instances": 20}, "edge": {"instances": 2}}))
        booted(here)
        swapped = plan_of({"batch": {"instances": 2}, "edge": {"instances": 11}}, issue=later)
        report = here.reconcile(swapped, issue_time=later)
        assert reserved(here) == {EDGE: 11, "headroom-batch-n2-standard-4": 2}
        assert report.unmet == []


def test_standby_machines_that_the_zone_cannot_give_are_unmet(tmp_path: Path) -> None:
    with world(tmp_path, stock={zone: {"n2-standard-8": 2} for zone in ZONES}) as here:
        report = here.reconcile(plan_of({"edge": {"instances": (4, 2)}}))
        assert report.held["edge"]["hot"] == 4
        assert [(u["pool"], u["wanted"], u["held"]) for u in report.unmet] == [("warm", 2, 0)]
        assert any(f["resource"] == "machines" and f["code"].startswith("ZONE_RESOURCE_POOL_EXHAUSTED") for f in report.facts)


@pytest.mark.parametrize(
    ("link", "code"),
    [(None, "ATTACHMENT_MISSING"), ({**LINK, "type": "PARTNER", "bandwidth": None}, "ATTACHMENT_NOT_DEDICATED")],
)
def test_an_attachment_that_cannot_be_set_is_a_fact_and_the_rest_goes_on(tmp_path: Path, link: dict | None, code: str) -> None:
    with world(tmp_path, link={k: v for k, v in link.items() if v} if link else None) as here:
        report = here.reconcile(PLAN)
        assert reserved(here)[EDGE] == 10
        assert [(fact["code"], fact["name"]) for fact in report.facts] == [(code, "link")]
        assert [(u["resource"], u["wanted"]) for u in report.unmet] == [("bandwidth", 7)]
        assert here.reconcile(PLAN).writes == 0


def test_bandwidth_goes_down_again_but_never_below_its_minimum(here: World) -> None:
    here.reconcile(PLAN)
    later = ISSUE + pd.Timedelta("1h")
    here.reconcile(plan_of({"edge": {"instances": 10, "bandwidth": 0.2}}, issue=later), issue_time=later)
    link = here.cloud.attachment(REGION, "link")
    assert link is not None
    assert link.bandwidth == "BPS_1G"


@pytest.mark.parametrize("kind", ["disk", "regional-disk"])
def test_a_disk_grows_and_never_shrinks(tmp_path: Path, kind: str) -> None:
    with world(tmp_path, chosen=settings(storage=kind)) as here:

        def size(hours: int, gib: float) -> int:
            issue = ISSUE + pd.Timedelta(hours=hours)
            here.reconcile(plan_of({"batch": {"storage": gib}}, issue=issue), issue_time=issue)
            regional = kind == "regional-disk"
            disk = here.cloud.regional_disk(REGION, "headroom-batch-data") if regional else here.cloud.disk(ZONES[0], "headroom-batch-data")
            assert disk is not None
            return disk.gib

        assert [size(0, 200), size(1, 250.5), size(2, 100)] == [200, 251, 251]


def test_a_full_disk_quota_gives_what_remains(tmp_path: Path) -> None:
    with world(tmp_path, quotas={"DISKS_TOTAL_GB": 300}) as here:
        report = here.reconcile(plan_of({"batch": {"storage": 500}}))
        assert report.held == {"batch": {"storage": 300}}
        assert [(u["resource"], u["wanted"], u["held"]) for u in report.unmet] == [("storage", 500, 300)]


def test_a_reservation_is_extended_before_it_lapses_and_not_more_often(here: World) -> None:
    plans = {hours: plan_of({"edge": {"instances": 5}}, issue=ISSUE + pd.Timedelta(hours=hours)) for hours in (0, 1, 12)}
    verbs = {}
    for hours, plan in plans.items():
        report = here.reconcile(plan, issue_time=ISSUE + pd.Timedelta(hours=hours))
        verbs[hours] = [action["verb"] for action in report.actions if action["kind"] == "reservation"]
    assert verbs == {0: ["create"], 1: [], 12: ["extend"]}
    there = here.cloud.reservation(ZONES[0], EDGE)
    assert there is not None
    # Made at 0 h for 12 h until the next allocation, 1 h of boot and 12 h of margin; at 12 h the same again, counted from its creation.
    assert there.lifetime_seconds == (12 + 12 + 1 + 12) * 3600


def test_a_reservation_that_lapsed_is_made_again(here: World) -> None:
    here.reconcile(PLAN)
    here.admin("clock", advance_seconds=48 * 3600)
    assert here.cloud.reservation(ZONES[0], EDGE) is None
    here.reconcile(PLAN)
    assert reserved(here)[EDGE] == 10
    ids = [access.request_id for access in here.writes()]
    assert len(ids) == len(set(ids))


def test_an_owners_group_keeps_its_own_template(here: World) -> None:
    properties = {"machineType": "n2-standard-8", "disks": [{"boot": True}], "networkInterfaces": [{"network": "global/networks/default"}]}
    for path, body in (
        ("global/instanceTemplates", {"name": "owners", "properties": properties}),
        (
            f"regions/{REGION}/instanceGroupManagers",
            {"name": "headroom-edge", "baseInstanceName": "edge", "targetSize": 2, "instanceTemplate": "global/instanceTemplates/owners"},
        ),
    ):
        operation = here.call("POST", path, body)
        here.call("POST", f"{path.rpartition('/')[0]}/operations/{operation['name']}/wait")
    report = here.reconcile(plan_of({"edge": {"instances": 5}}))
    assert [(action["kind"], action["verb"]) for action in report.actions] == [("reservation", "create"), ("group", "scale")]
    assert group(here).template == "owners"


def test_a_new_machine_type_replaces_the_template_and_the_unused_reservation(here: World) -> None:
    here.reconcile(plan_of({"edge": {"instances": 5}}))
    later = ISSUE + pd.Timedelta("1h")
    bigger = plan_of({"edge": {"instances": 3}}, issue=later).assign(machine_type="n2-standard-16")
    here.reconcile(bigger, issue_time=later)
    assert group(here).template == "headroom-edge-n2-standard-16"
    assert reserved(here)["headroom-edge-n2-standard-16"] == 3


def test_reservations_of_others_are_left_alone(here: World) -> None:
    mine = {"name": "mine", "specificReservation": {"count": "2", "instanceProperties": {"machineType": "n2-standard-8"}}}
    here.call("POST", f"zones/{ZONES[0]}/reservations", mine)
    booted(here)
    here.reconcile(plan_of({"edge": {"instances": 1}}))
    assert reserved(here) == {"mine": 2, EDGE: 1}


def test_a_service_without_rows_in_the_plan_keeps_what_it_has(here: World) -> None:
    here.reconcile(PLAN)
    later = ISSUE + pd.Timedelta("1h")
    here.reconcile(plan_of({"batch": {"instances": 4}}, issue=later), issue_time=later)
    assert reserved(here)[EDGE] == 10


def test_a_plan_of_another_time_or_region_is_refused(here: World) -> None:
    with pytest.raises(BadInputError, match="no plan for region"):
        here.reconcile(PLAN, issue_time=ISSUE + pd.Timedelta("1h"))
    with pytest.raises(BadInputError, match="not in the settings"):
        here.reconcile(PLAN, region="asia-east1")
    assert here.writes() == []
