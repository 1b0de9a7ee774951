"""Disks, zonal and regional. A disk never gets smaller. A regional disk counts once against the quota."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from infra.local_cloud.call import Call, last_part
from infra.local_cloud.errors import invalid
from infra.local_cloud.fields import Body
from infra.local_cloud.fingerprints import fingerprint
from infra.local_cloud.kinds import Change, Kind
from infra.local_cloud.store import Row

__all__ = ["DISKS", "REGION_DISKS"]

# What a disk without a size gets, in GiB.
_DEFAULT_GB: Final = {"pd-standard": 500, "pd-balanced": 100, "pd-ssd": 100}
_MOST_GB: Final = 65536
_SERVER_SIDE: Final = {"name", "zone", "region", "labelFingerprint", "users", "status"}


def _prepare(call: Call, asked: Body) -> Body:
    body = {key: value for key, value in asked.items() if key not in _SERVER_SIDE}
    kind = body.setdefault("type", call.path(f"{call.scope}/diskTypes/pd-standard"))
    body["sizeGb"] = str(_size(call, asked.get("sizeGb", _DEFAULT_GB.get(last_part(kind), 100)), "resource.sizeGb"))
    if call.scope.startswith("regions/"):
        zones = [last_part(zone) for zone in asked.get("replicaZones", [])]
        known = call.cloud.catalog.regions[call.scope.partition("/")[2]]
        if len(zones) != 2 or not set(zones) <= set(known):
            raise invalid(f"Invalid value for field 'resource.replicaZones': '{zones}'. Must be two of {', '.join(known)}.")
    pool = asked.get("storagePool")
    if pool is not None and call.store.find("storagePools", call.scope, last_part(pool)) is None:
        raise invalid(f"Invalid value for field 'resource.storagePool': '{pool}'. There is no such pool in {call.scope}.")
    body.setdefault("physicalBlockSizeBytes", "4096")
    return body


def _size(call: Call, asked: object, field: str) -> int:
    size = call.whole(asked, field, least=1)
    if size > _MOST_GB:
        raise invalid(f"Invalid value for field '{field}': '{size}'. Must be at most {_MOST_GB}.")
    return size


def _present(call: Call, row: Row) -> Body:
    body = {**row.body, **call.frame(row, "disk"), "labelFingerprint": fingerprint(row.body.get("labels", {}))}
    status = "READY" if row.phase == "UPDATING" else row.phase
    return {**body, "status": status}


def _resize(call: Call, row: Row) -> Body:
    size, before = _size(call, call.body.get("sizeGb"), "sizeGb"), int(row.body["sizeGb"])
    if size <= before:
        raise invalid(
            f"Invalid value for field 'sizeGb': '{size}'. New disk size '{size}' GB must be larger than the existing '{before}' GB."
        )
    return {**row.body, "sizeGb": str(size)}


DISKS: Final = Kind(
    collection="disks",
    schema="Disk",
    scopes=("zones",),
    prepare=_prepare,
    present=_present,
    actions={"resize": Change(_resize, "resizeDisk", "DisksResizeRequest")},
)
REGION_DISKS: Final = replace(DISKS, scopes=("regions",), actions={"resize": Change(_resize, "resizeDisk", "RegionDisksResizeRequest")})
