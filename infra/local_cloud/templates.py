"""Instance templates: what the VMs of a group are made of."""

from __future__ import annotations

from typing import Final

from infra.local_cloud.call import Call, last_part
from infra.local_cloud.errors import invalid
from infra.local_cloud.fields import Body
from infra.local_cloud.kinds import Kind
from infra.local_cloud.store import Row

__all__ = ["TEMPLATES"]

# Fingerprint of empty metadata, as recorded.
_EMPTY_METADATA: Final = "1B2M2Y8AsgTpgAmY7PhCfg=="


def _prepare(_call: Call, asked: Body) -> Body:
    properties = dict(asked.get("properties", {}))
    if not properties.get("machineType"):
        raise invalid("Invalid value for field 'resource.properties.machineType': ''. A machine type is required.")
    properties["disks"] = [_disk(disk, number) for number, disk in enumerate(properties.get("disks", []))]
    properties["metadata"] = {"fingerprint": _EMPTY_METADATA, **properties.get("metadata", {}), "kind": "compute#metadata"}
    properties["networkInterfaces"] = [
        {"kind": "compute#networkInterface", "name": f"nic{index}", **nic}
        for index, nic in enumerate(properties.get("networkInterfaces", []))
    ]
    scheduling = {"automaticRestart": True, "onHostMaintenance": "MIGRATE", "preemptible": False}
    properties["scheduling"] = {**scheduling, **properties.get("scheduling", {})}
    kept: Body = {key: asked[key] for key in ("description", "sourceInstance", "sourceInstanceParams") if key in asked}
    return {**kept, "properties": properties}


def _disk(disk: Body, number: int) -> Body:
    """With the fields that Compute Engine adds; the index of every disk is 0, as recorded."""
    name = "boot" if disk.get("boot") else f"persistent-disk-{number}"
    return {"kind": "compute#attachedDisk", "index": 0, "deviceName": name, "mode": "READ_WRITE", "type": "PERSISTENT", **disk}


def _present(call: Call, row: Row) -> Body:
    return {**row.body, **call.frame(row, "instanceTemplate")}


def _used_by(call: Call, row: Row) -> str | None:
    for group in call.store.all("instanceGroupManagers"):
        if last_part(group.body["instanceTemplate"]) == row.name:
            return group.path
    return None


TEMPLATES: Final = Kind(
    collection="instanceTemplates",
    schema="InstanceTemplate",
    scopes=("global",),
    prepare=_prepare,
    present=_present,
    used_by=_used_by,
    insert_operation="compute.instanceTemplates.insert",
    delete_operation="compute.instanceTemplates.delete",
    hidden=True,
)
