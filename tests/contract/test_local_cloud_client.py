"""The real google-cloud-compute client drives the local cloud over HTTP and sees a Compute Engine."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1 as gce

from tests.contract.rest import Rest

P, Z, R = "headroom-test", "us-central1-a", "us-central1"
pytestmark = pytest.mark.filterwarnings(
    # proto-plus and grpc warn about the Python and protobuf versions that they will drop.
    "ignore::FutureWarning:google",
    "ignore::DeprecationWarning:google",
)


@pytest.fixture
def client(rest: Rest):
    def make(kind: str) -> Any:
        return getattr(gce, kind)(credentials=AnonymousCredentials(), client_options={"api_endpoint": rest.address})

    return make


def reservation(name: str, count: int, **more: Any) -> gce.Reservation:
    specific = gce.AllocationSpecificSKUReservation(
        count=count, instance_properties=gce.AllocationSpecificSKUAllocationReservedInstanceProperties(machine_type="n2-standard-8")
    )
    return gce.Reservation(name=name, specific_reservation=specific, **more)


def test_reservations(client):
    reservations = client("ReservationsClient")
    hold = gce.Duration(seconds=3600)
    reservations.insert(project=P, zone=Z, reservation_resource=reservation("hot", 2, delete_after_duration=hold)).result()
    reservations.resize(project=P, zone=Z, reservation="hot", reservations_resize_request_resource={"specific_sku_count": 5}).result()
    found = reservations.get(project=P, zone=Z, reservation="hot")
    assert (found.specific_reservation.count, found.specific_reservation.in_use_count, found.status) == (5, 0, "READY")
    before = found.delete_at_time
    longer = gce.Reservation(delete_after_duration=gce.Duration(seconds=7200))
    update = {"project": P, "zone": Z, "reservation": "hot", "reservation_resource": longer, "paths": "deleteAfterDuration"}
    reservations.update(update).result()
    assert reservations.get(project=P, zone=Z, reservation="hot").delete_at_time > before
    scopes = dict(reservations.aggregated_list(project=P))
    assert [item.name for item in scopes[f"zones/{Z}"].reservations] == ["hot"]
    reservations.delete(project=P, zone=Z, reservation="hot").result()
    assert list(reservations.list(project=P, zone=Z)) == []
    with pytest.raises(exceptions.NotFound, match="was not found"):
        reservations.get(project=P, zone=Z, reservation="hot")


def test_quota_and_stockout_fail_the_operation_and_a_count_fails_the_call(client, rest: Rest):
    reservations = client("ReservationsClient")
    with pytest.raises(exceptions.Forbidden, match="Quota 'N2_CPUS' exceeded"):
        reservations.insert(project=P, zone=Z, reservation_resource=reservation("much", 51)).result()
    rest.admin("stock", zone=Z, sku="n2", limit=16)
    operation = reservations.insert(project=P, zone=Z, reservation_resource=reservation("scarce", 3))
    with pytest.raises(exceptions.ServiceUnavailable, match="does not have enough resources"):
        operation.result()
    assert operation.error_code == 503
    rest.admin("quotas", region=R, metric="RESERVATIONS", limit=0)
    with pytest.raises(exceptions.Forbidden, match="Quota 'RESERVATIONS' exceeded"):
        reservations.insert(project=P, zone=Z, reservation_resource=reservation("another", 1))


def test_a_zonal_group_with_a_standby_pool(client, rest: Rest):
    groups = client("InstanceGroupManagersClient")
    group = gce.InstanceGroupManager(name="web", instance_template="global/instanceTemplates/web", target_size=2)
    groups.insert(project=P, zone=Z, instance_group_manager_resource=group).result()
    assert not groups.get(project=P, zone=Z, instance_group_manager="web").status.is_stable
    rest.later(10)
    groups.resize(project=P, zone=Z, instance_group_manager="web", size=3).result()
    policy = gce.InstanceGroupManagerStandbyPolicy(mode="SCALE_OUT_POOL")
    patch = gce.InstanceGroupManager(target_suspended_size=2, target_stopped_size=1, standby_policy=policy)
    groups.patch(project=P, zone=Z, instance_group_manager="web", instance_group_manager_resource=patch).result()
    rest.later(10)
    found = groups.get(project=P, zone=Z, instance_group_manager="web")
    assert (found.target_size, found.target_suspended_size, found.target_stopped_size) == (3, 2, 1)
    assert (found.status.is_stable, found.standby_policy.mode) == (True, "SCALE_OUT_POOL")
    vms = list(groups.list_managed_instances(project=P, zone=Z, instance_group_manager="web"))
    assert sorted(vm.instance_status for vm in vms) == ["RUNNING"] * 3 + ["SUSPENDED"] * 2 + ["TERMINATED"]
    groups.delete(project=P, zone=Z, instance_group_manager="web").result()
    assert list(groups.list(project=P, zone=Z)) == []


def test_a_regional_group_spreads_over_its_zones(client, rest: Rest):
    groups = client("RegionInstanceGroupManagersClient")
    group = gce.InstanceGroupManager(name="web", instance_template="global/instanceTemplates/web", target_size=6)
    groups.insert(project=P, region=R, instance_group_manager_resource=group).result()
    rest.later(10)
    vms = list(groups.list_managed_instances(project=P, region=R, instance_group_manager="web"))
    assert sorted(vm.instance.split("/")[-3] for vm in vms) == [f"us-central1-{letter}" for letter in "aabbcc"]
    groups.resize(project=P, region=R, instance_group_manager="web", size=0).result()
    assert list(groups.list_managed_instances(project=P, region=R, instance_group_manager="web")) == []


def test_attachments_change_their_bandwidth(client):
    attachments = client("InterconnectAttachmentsClient")
    dedicated = gce.InterconnectAttachment(
        name="a", type_="DEDICATED", interconnect="interconnects/i", router="routers/r", bandwidth="BPS_1G"
    )
    attachments.insert(project=P, region=R, interconnect_attachment_resource=dedicated).result()
    for step in ("BPS_50M", "BPS_400G"):
        patch = gce.InterconnectAttachment(bandwidth=step)
        attachments.patch(project=P, region=R, interconnect_attachment="a", interconnect_attachment_resource=patch).result()
        assert attachments.get(project=P, region=R, interconnect_attachment="a").bandwidth == step
    patch = gce.InterconnectAttachment(bandwidth="BPS_3G")
    with pytest.raises(exceptions.BadRequest, match="Invalid value at 'bandwidth'"):
        attachments.patch(project=P, region=R, interconnect_attachment="a", interconnect_attachment_resource=patch)
    attachments.delete(project=P, region=R, interconnect_attachment="a").result()


def test_disks_grow_and_never_shrink(client):
    for disks, place, more in (
        (client("DisksClient"), {"zone": Z}, {}),
        (client("RegionDisksClient"), {"region": R}, {"replica_zones": [f"{R}-a", f"{R}-b"]}),
    ):
        disks.insert(project=P, **place, disk_resource=gce.Disk(name="d", size_gb=100, **more)).result()
        request = f"{'region_' * ('region' in place)}disks_resize_request_resource"
        disks.resize(project=P, **place, disk="d", **{request: {"size_gb": 200}}).result()
        assert disks.get(project=P, **place, disk="d").size_gb == 200
        with pytest.raises(exceptions.BadRequest, match="must be larger than the existing '200' GB"):
            disks.resize(project=P, **place, disk="d", **{request: {"size_gb": 150}})
        with pytest.raises(exceptions.Forbidden, match="DISKS_TOTAL_GB"):
            disks.resize(project=P, **place, disk="d", **{request: {"size_gb": 2000}}).result()


def test_storage_pools(client):
    pools = client("StoragePoolsClient")
    pool = gce.StoragePool(name="p", pool_provisioned_capacity_gb=100, storage_pool_type="hyperdisk-balanced")
    pools.insert(project=P, zone=Z, storage_pool_resource=pool).result()
    client("DisksClient").insert(project=P, zone=Z, disk_resource=gce.Disk(name="d", size_gb=80, storage_pool="storagePools/p")).result()
    change = gce.StoragePool(pool_provisioned_capacity_gb=300)
    update = {"project": P, "zone": Z, "storage_pool": "p", "storage_pool_resource": change, "update_mask": "poolProvisionedCapacityGb"}
    pools.update(update).result()
    found = pools.get(project=P, zone=Z, storage_pool="p")
    assert (found.pool_provisioned_capacity_gb, found.status.total_provisioned_disk_capacity_gb) == (300, 80)
    change = gce.StoragePool(pool_provisioned_capacity_gb=50)
    with pytest.raises(exceptions.BadRequest, match="at least 80"):
        pools.update(project=P, zone=Z, storage_pool="p", storage_pool_resource=change)
    with pytest.raises(exceptions.BadRequest, match="already being used by"):
        pools.delete(project=P, zone=Z, storage_pool="p")


def test_places_and_operations(client):
    assert R in {region.name for region in client("RegionsClient").list(project=P)}
    assert client("ZonesClient").get(project=P, zone=Z).region.endswith(R)
    machine = client("MachineTypesClient").get(project=P, zone=Z, machine_type="n2-standard-8")
    assert (machine.guest_cpus, machine.memory_mb) == (8, 32768)
    started = client("ReservationsClient").insert(project=P, zone=Z, reservation_resource=reservation("r", 1))
    waited = client("ZoneOperationsClient").wait(project=P, zone=Z, operation=started.name)
    assert (waited.status, waited.target_link.rpartition("/")[2]) == (gce.Operation.Status.DONE, "r")


def test_a_request_id_makes_a_call_happen_once(client):
    reservations = client("ReservationsClient")
    request = gce.InsertReservationRequest(project=P, zone=Z, reservation_resource=reservation("once", 1), request_id=str(uuid.uuid4()))
    first, second = reservations.insert(request), reservations.insert(request)
    assert first.name == second.name
    with pytest.raises(exceptions.Conflict, match="already exists"):
        reservations.insert(project=P, zone=Z, reservation_resource=reservation("once", 1))
