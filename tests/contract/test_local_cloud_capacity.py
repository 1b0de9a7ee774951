"""Quotas, stock and the life of reservations and VMs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local_cloud.capacity import Books, Held, Limits, Machines
from infra.local_cloud.catalog import Catalog
from tests.contract.rest import N2, ZONE, Rest

GROUP = f"{ZONE}/instanceGroupManagers/web"


def failure(operation: dict) -> tuple[str, int]:
    return operation["error"]["errors"][0]["code"], operation["httpErrorStatusCode"]


def in_use(rest: Rest, name: str) -> str:
    return rest.get(f"{ZONE}/reservations/{name}")["specificReservation"]["inUseCount"]


def test_a_quota_that_is_passed_fails_the_operation_and_changes_nothing(rest: Rest):
    assert "error" not in rest.reserve("half", 25)
    assert failure(rest.reserve("more", 26)) == ("QUOTA_EXCEEDED", 403)
    rest.get(f"{ZONE}/reservations/more", status=404)
    assert failure(rest.post(f"{ZONE}/reservations/half/resize", {"specificSkuCount": 51})) == ("QUOTA_EXCEEDED", 403)
    assert rest.get(f"{ZONE}/reservations/half")["specificReservation"]["count"] == "25"
    assert "error" not in rest.post(f"{ZONE}/reservations/half/resize", {"specificSkuCount": 50})
    assert rest.usage("N2_CPUS") == 400


def test_a_quota_is_shared_by_the_zones_of_a_region_and_by_no_other_region(rest: Rest):
    rest.reserve("a", 30)
    assert failure(rest.reserve("b", 30, zone="zones/us-central1-b")) == ("QUOTA_EXCEEDED", 403)
    assert "error" not in rest.reserve("b", 30, zone="zones/europe-west9-a")


def test_too_many_reservations_are_refused_at_once(rest: Rest):
    for number in range(5):
        rest.reserve(f"r{number}", 1)
    body = {"name": "r5", "specificReservation": {"count": 1, "instanceProperties": N2}}
    answer = rest.post(f"{ZONE}/reservations", body, status=403)
    assert rest.reason(answer) == "quotaExceeded"


def test_a_zone_runs_out_of_stock_by_family_and_by_machine_type(rest: Rest):
    rest.admin("stock", zone="us-central1-a", sku="n2", limit=32)
    assert "error" not in rest.reserve("r", 4)
    assert failure(rest.reserve("s", 1)) == ("ZONE_RESOURCE_POOL_EXHAUSTED", 503)
    assert "error" not in rest.reserve("s", 1, zone="zones/us-central1-b")
    rest.admin("stock", zone="us-central1-a", sku="n2", limit=None)
    rest.admin("stock", zone="us-central1-a", sku="n2-standard-8", limit=4)
    assert failure(rest.reserve("t", 1)) == ("ZONE_RESOURCE_POOL_EXHAUSTED", 503)


def test_a_reservation_and_the_vms_that_consume_it_count_once(rest: Rest):
    rest.reserve("r", 3)
    rest.group("web", 2)
    assert (rest.usage("N2_CPUS"), rest.usage("INSTANCES"), in_use(rest, "r")) == (24, 2, "2")
    rest.post(f"{GROUP}/resize", size=5)
    assert (rest.usage("N2_CPUS"), rest.usage("INSTANCES"), in_use(rest, "r")) == (40, 5, "3")
    rest.delete(f"{ZONE}/reservations/r")
    assert rest.usage("N2_CPUS") == 40
    rest.delete(GROUP)
    assert rest.usage("N2_CPUS") == 0


def test_running_vms_move_into_a_new_reservation(rest: Rest):
    rest.admin("stock", zone="us-central1-a", sku="n2", limit=24)
    rest.group("web", 3)
    assert "error" not in rest.reserve("r", 3)
    assert (in_use(rest, "r"), rest.usage("N2_CPUS")) == ("3", 24)


def test_a_reservation_that_must_be_named_serves_only_vms_that_name_it(rest: Rest):
    rest.reserve("named", 2, specificReservationRequired=True)
    rest.group("web", 1)
    assert (in_use(rest, "named"), rest.usage("N2_CPUS")) == ("0", 24)
    affinity = {"consumeReservationType": "SPECIFIC_RESERVATION", "key": "compute.googleapis.com/reservation-name", "values": ["named"]}
    rest.post("global/instanceTemplates", {"name": "naming", "properties": N2 | {"reservationAffinity": affinity}})
    body = {"name": "namers", "instanceTemplate": "global/instanceTemplates/naming", "targetSize": 2}
    rest.post(f"{ZONE}/instanceGroupManagers", body)
    assert (in_use(rest, "named"), rest.usage("N2_CPUS")) == ("2", 24)


def test_a_reservation_does_not_shrink_below_what_is_in_use(rest: Rest):
    rest.reserve("r", 4)
    rest.group("web", 3)
    answer = rest.post(f"{ZONE}/reservations/r/resize", {"specificSkuCount": 2}, status=400)
    assert "in use by 3 VMs" in answer["error"]["message"]
    rest.post(f"{ZONE}/reservations/r/resize", {"specificSkuCount": 3})
    assert rest.get(f"{ZONE}/reservations/r")["specificReservation"]["count"] == "3"


def test_a_reservation_expires_by_the_servers_clock(rest: Rest):
    rest.reserve("short", 1, deleteAfterDuration={"seconds": 60})
    rest.reserve("kept", 1, deleteAfterDuration={"seconds": 60})
    rest.patch(f"{ZONE}/reservations/kept", {"deleteAfterDuration": {"seconds": 600}}, paths="deleteAfterDuration")
    rest.later(59)
    assert len(rest.get(f"{ZONE}/reservations")["items"]) == 2
    rest.later(1)
    rest.get(f"{ZONE}/reservations/short", status=404)
    assert rest.usage("N2_CPUS") == 8
    rest.later(540)
    assert "items" not in rest.get(f"{ZONE}/reservations")


def test_vms_outlive_their_reservation_and_then_count_for_themselves(rest: Rest):
    rest.reserve("r", 2, deleteAfterDuration={"seconds": 60})
    rest.group("web", 2)
    rest.later(60)
    assert (rest.statuses("web"), rest.usage("N2_CPUS")) == (["RUNNING"] * 2, 16)


@pytest.mark.parametrize(
    "more", [{"deleteAtTime": "2001-01-01T00:00:00Z"}, {"deleteAtTime": "soon"}, {"deleteAfterDuration": {"seconds": 0}}]
)
def test_an_expiry_that_makes_no_sense_is_refused(rest: Rest, more: dict):
    body = {"name": "r", "specificReservation": {"count": 1, "instanceProperties": N2}, **more}
    assert rest.reason(rest.post(f"{ZONE}/reservations", body, status=400)) == "invalid"


def test_a_resize_is_accepted_at_once_and_the_vms_come_later(rest: Rest):
    rest.group("web", 1)
    rest.later(10)
    assert rest.post(f"{GROUP}/resize", size=3)["status"] == "DONE"
    group = rest.get(GROUP)
    assert (group["targetSize"], group["status"]["isStable"], group["currentActions"]["creating"]) == (3, False, 2)
    assert rest.statuses("web") == ["RUNNING", "STAGING", "STAGING"]
    rest.later(10)
    assert rest.get(GROUP)["status"]["isStable"]
    assert rest.statuses("web") == ["RUNNING"] * 3


def test_vms_without_a_place_wait_with_their_error_and_take_what_becomes_free(rest: Rest):
    rest.admin("stock", zone="us-central1-a", sku="n2-standard-8", limit=2)
    assert "error" not in rest.group("web", 3)
    rest.later(10)
    assert rest.statuses("web") == ["CREATING", "RUNNING", "RUNNING"]
    vms = rest.post(f"{GROUP}/listManagedInstances")["managedInstances"]
    (attempt,) = [vm["lastAttempt"] for vm in vms if "lastAttempt" in vm]
    assert attempt["errors"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
    assert not rest.get(GROUP)["status"]["isStable"]
    rest.admin("stock", zone="us-central1-a", sku="n2-standard-8", limit=3)
    assert rest.statuses("web") == ["RUNNING", "RUNNING", "STAGING"]


def test_standby_vms_hold_no_cpus_but_are_instances(rest: Rest):
    rest.group("web", 1, targetSuspendedSize=2, targetStoppedSize=1)
    assert rest.usage("N2_CPUS") == 32  # each boots once before it rests
    rest.later(10)
    assert rest.statuses("web") == ["RUNNING", "SUSPENDED", "SUSPENDED", "TERMINATED"]
    assert (rest.usage("N2_CPUS"), rest.usage("INSTANCES")) == (8, 4)


def test_a_growing_group_resumes_its_standby_vms_first_and_fills_the_pool_again(rest: Rest):
    rest.group("web", 1, targetSuspendedSize=2, standbyPolicy={"mode": "SCALE_OUT_POOL"})
    rest.later(10)
    before = {vm["name"] for vm in rest.post(f"{GROUP}/listManagedInstances")["managedInstances"]}
    rest.post(f"{GROUP}/resize", size=3)
    assert (rest.get(GROUP)["currentActions"]["resuming"], rest.get(GROUP)["currentActions"]["creating"]) == (2, 2)
    vms = rest.post(f"{GROUP}/listManagedInstances")["managedInstances"]
    assert {vm["name"] for vm in vms if vm["targetStatus"] == "RUNNING"} == before
    rest.later(2)  # resuming takes 2 s, booting 10 s
    assert [vm["currentAction"] for vm in rest.post(f"{GROUP}/listManagedInstances")["managedInstances"]].count("NONE") == 3
    rest.later(8)
    assert rest.statuses("web") == ["RUNNING"] * 3 + ["SUSPENDED"] * 2


def test_in_manual_mode_a_smaller_pool_gives_its_vms_to_the_group(rest: Rest):
    rest.group("web", 1, targetSuspendedSize=2)
    rest.later(10)
    rest.patch(GROUP, {"targetSize": 3, "targetSuspendedSize": 0})
    assert rest.get(GROUP)["currentActions"]["resuming"] == 2
    rest.later(2)
    assert rest.statuses("web") == ["RUNNING"] * 3


def test_a_suspended_vm_fails_to_resume_when_others_took_the_stock(rest: Rest):
    rest.admin("stock", zone="us-central1-a", sku="n2-standard-8", limit=2)
    rest.group("web", 1, targetSuspendedSize=1)
    rest.later(10)
    rest.reserve("other", 1, specificReservationRequired=True)
    rest.patch(GROUP, {"targetSize": 2, "targetSuspendedSize": 0})
    (waiting,) = [vm for vm in rest.post(f"{GROUP}/listManagedInstances")["managedInstances"] if vm.get("instanceStatus") == "SUSPENDED"]
    assert waiting["lastAttempt"]["errors"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"


def test_a_regional_group_of_shape_any_goes_where_there_is_stock(rest: Rest):
    for zone in ("us-central1-a", "us-central1-b"):
        rest.admin("stock", zone=zone, sku="n2", limit=8)
    place = "regions/us-central1"
    rest.group("even", 6, place)
    assert rest.statuses("even", place) == ["CREATING", "CREATING"] + ["STAGING"] * 4
    rest.delete(f"{place}/instanceGroupManagers/even")
    rest.group("any", 6, place, distributionPolicy={"targetShape": "ANY"})
    assert rest.statuses("any", place) == ["STAGING"] * 6


def test_a_template_that_a_group_uses_stays(rest: Rest):
    rest.group("web", 0)
    assert rest.reason(rest.delete("global/instanceTemplates/web", status=400)) == "resourceInUseByAnotherResource"
    rest.delete(GROUP)
    rest.delete("global/instanceTemplates/web")


def test_a_change_from_an_outdated_reading_is_refused(rest: Rest):
    rest.group("web", 1)
    fingerprint = rest.get(GROUP)["fingerprint"]
    rest.patch(GROUP, {"targetSize": 2, "fingerprint": fingerprint})
    assert rest.reason(rest.patch(GROUP, {"targetSize": 3, "fingerprint": fingerprint}, status=412)) == "conditionNotMet"


def test_storage_counts_against_its_quota(rest: Rest):
    rest.post(f"{ZONE}/disks", {"name": "d", "sizeGb": 600})
    assert failure(rest.post(f"{ZONE}/disks", {"name": "e", "sizeGb": 500})) == ("QUOTA_EXCEEDED", 403)
    rest.post(f"{ZONE}/disks/d/resize", {"sizeGb": 1000})
    assert rest.usage("DISKS_TOTAL_GB") == 1000
    rest.delete(f"{ZONE}/disks/d")
    assert rest.usage("DISKS_TOTAL_GB") == 0


held = st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=4)
vms = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["any", "none", "name:r0", "name:r1"])), max_size=4)


@given(held, vms)
def test_machines_in_use_are_reserved_ones_plus_uncovered_vms(reservations, groups):
    zone = "us-central1-a"
    items = tuple(
        Held(f"zones/{zone}/reservations/r{number}", zone, "n2-standard-8", count, required)
        for number, (count, required) in enumerate(reservations)
    )
    machines = tuple(Machines(zone, "n2-standard-8", affinity, count) for count, affinity in groups)
    books = Books(Catalog({}), Limits({}, {}), items, machines, ())
    used = books.usage()[1].get((zone, "n2-standard-8"), 0)
    covered = books.in_use()
    total_held, total_vms = sum(item.count for item in items), sum(group.count for group in machines)
    assert used == total_held + total_vms - sum(covered.values())
    assert all(0 <= covered[item.path] <= item.count for item in items)
    assert max(total_held, total_vms) <= used <= total_held + total_vms
    selfish = sum(group.count for group in machines if group.affinity == "none")
    assert used >= total_held + selfish
