"""The requests of the writing calls: client, method, and body, made from an action's wanted content."""

from __future__ import annotations

from typing import Any, Final

from infra.actions import Action
from infra.cloud.marks import LABEL, Owner, described, labels

__all__ = [
    "create_disk",
    "create_group",
    "create_pool",
    "create_regional_disk",
    "create_reservation",
    "create_template",
    "delete_group",
    "delete_reservation",
    "delete_template",
    "extend_reservation",
    "move_machines",
    "resize_disk",
    "resize_pool",
    "resize_regional_disk",
    "resize_reservation",
    "scale_group",
    "set_bandwidth",
    "set_standby",
    "set_template",
]

_IMAGE: Final = "projects/debian-cloud/global/images/family/debian-12"
_POOL_IOPS: Final = 10_000  # the least that a hyperdisk-balanced pool may have
_POOL_THROUGHPUT: Final = 1_024

Request = tuple[str, str, dict[str, Any]]


def create_template(owner: Owner, action: Action) -> Request:
    """A plain machine of the wanted type; an owner with a template of their own never gets here."""
    disk = {"boot": True, "auto_delete": True, "initialize_params": {"source_image": _IMAGE}}
    properties = {
        "machine_type": action.wanted["machine_type"],
        "labels": labels(action.service, owner.installation),
        "disks": [disk],
        "network_interfaces": [{"network": "global/networks/default"}],
    }
    body = {"name": action.name, "description": described(LABEL, owner.installation), "properties": properties}
    return "InstanceTemplatesClient", "insert", {"instance_template_resource": body}


def delete_template(_owner: Owner, action: Action) -> Request:
    return "InstanceTemplatesClient", "delete", {"instance_template": action.name}


def create_group(owner: Owner, action: Action) -> Request:
    """An empty regional group that fills unused reservations first (shape ANY) and takes from its standby pool when it grows."""
    body = {
        "name": action.name,
        "description": described(LABEL, owner.installation),
        "base_instance_name": action.name,
        "instance_template": _template(owner, action),
        "target_size": 0,
        "distribution_policy": {
            "zones": [{"zone": f"projects/{owner.project}/zones/{zone}"} for zone in action.wanted["zones"]],
            "target_shape": "ANY",
        },
        "update_policy": {"type_": "OPPORTUNISTIC", "instance_redistribution_type": "NONE"},
        "standby_policy": {"mode": "SCALE_OUT_POOL"},
    }
    return "RegionInstanceGroupManagersClient", "insert", {"region": action.region, "instance_group_manager_resource": body}


def delete_group(_owner: Owner, action: Action) -> Request:
    return "RegionInstanceGroupManagersClient", "delete", {"region": action.region, "instance_group_manager": action.name}


def scale_group(_owner: Owner, action: Action) -> Request:
    request = {"region": action.region, "instance_group_manager": action.name, "size": action.wanted["running"]}
    return "RegionInstanceGroupManagersClient", "resize", request


def set_standby(_owner: Owner, action: Action) -> Request:
    body = {
        "target_suspended_size": action.wanted["suspended"],
        "target_stopped_size": action.wanted["stopped"],
        "standby_policy": {"mode": "SCALE_OUT_POOL"},
    }
    return "RegionInstanceGroupManagersClient", "patch", _group_request(action, body)


def move_machines(_owner: Owner, action: Action) -> Request:
    """Running and standby sizes in one call: machines that the one wants more and the other fewer of are resumed, and none is made in between."""
    body = {
        "target_size": action.wanted["running"],
        "target_suspended_size": action.wanted["suspended"],
        "target_stopped_size": action.wanted["stopped"],
        "standby_policy": {"mode": "SCALE_OUT_POOL"},
    }
    return "RegionInstanceGroupManagersClient", "patch", _group_request(action, body)


def set_template(owner: Owner, action: Action) -> Request:
    """New machines are of the new template; those that run are not replaced."""
    return "RegionInstanceGroupManagersClient", "patch", _group_request(action, {"instance_template": _template(owner, action)})


def create_reservation(owner: Owner, action: Action) -> Request:
    """Consumed by any matching machine of the project, and gone by itself after its lifetime."""
    specific = {"count": action.wanted["count"], "instance_properties": {"machine_type": action.wanted["machine_type"]}}
    body = {
        "name": action.name,
        "description": described(action.wanted["description"], owner.installation),
        "specific_reservation": specific,
        "specific_reservation_required": False,
        "delete_after_duration": {"seconds": action.wanted["lifetime_seconds"]},
    }
    return "ReservationsClient", "insert", {"zone": action.zone, "reservation_resource": body}


def resize_reservation(_owner: Owner, action: Action) -> Request:
    body = {"specific_sku_count": action.wanted["count"]}
    return "ReservationsClient", "resize", {**_reservation(action), "reservations_resize_request_resource": body}


def extend_reservation(_owner: Owner, action: Action) -> Request:
    body = {"name": action.name, "delete_after_duration": {"seconds": action.wanted["lifetime_seconds"]}}
    return "ReservationsClient", "update", {**_reservation(action), "paths": "deleteAfterDuration", "reservation_resource": body}


def delete_reservation(_owner: Owner, action: Action) -> Request:
    return "ReservationsClient", "delete", _reservation(action)


def set_bandwidth(_owner: Owner, action: Action) -> Request:
    body = {"bandwidth": action.wanted["bandwidth"]}
    request = {"region": action.region, "interconnect_attachment": action.name, "interconnect_attachment_resource": body}
    return "InterconnectAttachmentsClient", "patch", request


def create_disk(owner: Owner, action: Action) -> Request:
    body = _disk(owner, action, f"projects/{owner.project}/zones/{action.zone}/diskTypes/{action.wanted['type']}")
    return "DisksClient", "insert", {"zone": action.zone, "disk_resource": body}


def resize_disk(_owner: Owner, action: Action) -> Request:
    body = {"size_gb": action.wanted["gib"]}
    return "DisksClient", "resize", {"zone": action.zone, "disk": action.name, "disks_resize_request_resource": body}


def create_regional_disk(owner: Owner, action: Action) -> Request:
    body = _disk(owner, action, f"projects/{owner.project}/regions/{action.region}/diskTypes/{action.wanted['type']}")
    body["replica_zones"] = [f"projects/{owner.project}/zones/{zone}" for zone in action.wanted["zones"]]
    return "RegionDisksClient", "insert", {"region": action.region, "disk_resource": body}


def resize_regional_disk(_owner: Owner, action: Action) -> Request:
    body = {"size_gb": action.wanted["gib"]}
    return "RegionDisksClient", "resize", {"region": action.region, "disk": action.name, "region_disks_resize_request_resource": body}


def create_pool(owner: Owner, action: Action) -> Request:
    body = {
        "name": action.name,
        "description": described(LABEL, owner.installation),
        "labels": labels(action.service, owner.installation),
        "storage_pool_type": f"projects/{owner.project}/zones/{action.zone}/storagePoolTypes/{action.wanted['type']}",
        "pool_provisioned_capacity_gb": action.wanted["gib"],
        "pool_provisioned_iops": _POOL_IOPS,
        "pool_provisioned_throughput": _POOL_THROUGHPUT,
    }
    return "StoragePoolsClient", "insert", {"zone": action.zone, "storage_pool_resource": body}


def resize_pool(_owner: Owner, action: Action) -> Request:
    body = {"name": action.name, "pool_provisioned_capacity_gb": action.wanted["gib"]}
    request = {"zone": action.zone, "storage_pool": action.name, "update_mask": "poolProvisionedCapacityGb", "storage_pool_resource": body}
    return "StoragePoolsClient", "update", request


def _template(owner: Owner, action: Action) -> str:
    return f"projects/{owner.project}/global/instanceTemplates/{action.wanted['template']}"


def _group_request(action: Action, body: dict[str, Any]) -> dict[str, Any]:
    return {"region": action.region, "instance_group_manager": action.name, "instance_group_manager_resource": body}


def _reservation(action: Action) -> dict[str, Any]:
    return {"zone": action.zone, "reservation": action.name}


def _disk(owner: Owner, action: Action, disk_type: str) -> dict[str, Any]:
    return {
        "name": action.name,
        "description": described(LABEL, owner.installation),
        "labels": labels(action.service, owner.installation),
        "size_gb": action.wanted["gib"],
        "type_": disk_type,
    }
