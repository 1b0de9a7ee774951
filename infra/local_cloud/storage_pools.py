"""Storage pools: capacity that disks of one zone share. A pool does not shrink below what its disks were given."""

from __future__ import annotations

from typing import Final

from infra.local_cloud.call import Call, last_part, stamp
from infra.local_cloud.errors import invalid
from infra.local_cloud.fields import Body
from infra.local_cloud.fingerprints import fingerprint
from infra.local_cloud.kinds import Change, Kind
from infra.local_cloud.store import Row

__all__ = ["STORAGE_POOLS"]

_CHANGEABLE: Final = {"poolProvisionedCapacityGb", "poolProvisionedIops", "poolProvisionedThroughput"}


def _prepare(call: Call, asked: Body) -> Body:
    call.whole(asked.get("poolProvisionedCapacityGb"), "resource.poolProvisionedCapacityGb", least=1)
    if not asked.get("storagePoolType"):
        raise invalid("Invalid value for field 'resource.storagePoolType': ''. A pool type is required, for example hyperdisk-balanced.")
    body = {key: value for key, value in asked.items() if key not in {"name", "zone", "labelFingerprint", "params"}}
    body.setdefault("capacityProvisioningType", "STANDARD")
    body.setdefault("performanceProvisioningType", "STANDARD")
    return body


def _present(call: Call, row: Row) -> Body:
    disks = _disks(call, row)
    status = {
        "diskCount": str(len(disks)),
        "totalProvisionedDiskCapacityGb": str(_given(disks)),
        "maxTotalProvisionedDiskCapacityGb": row.body["poolProvisionedCapacityGb"],
        "lastResizeTimestamp": stamp(row.created),
    }
    state = "READY" if row.phase == "UPDATING" else row.phase
    label = {"labelFingerprint": fingerprint(row.body.get("labels", {}))}
    return {**row.body, **call.frame(row, "storagePool"), **label, "state": state, "status": status, "resourceStatus": status}


def _disks(call: Call, row: Row) -> list[Row]:
    disks = call.store.all("disks", row.scope)
    return [disk for disk in disks if last_part(disk.body.get("storagePool", "")) == row.name]


def _given(disks: list[Row]) -> int:
    return sum(int((disk.pending or disk.body)["sizeGb"]) for disk in disks)


def _update(call: Call, row: Row) -> Body:
    named = {path for path in ",".join(call.query.get("updateMask", [])).split(",") if path}
    sent = {key: value for key, value in call.body.items() if key in _CHANGEABLE and (not named or key in named or _snake(key) in named)}
    refused = sorted(name for name in named if name not in _CHANGEABLE and name not in {_snake(key) for key in _CHANGEABLE})
    if refused or not sent:
        raise invalid(f"Invalid value for field 'updateMask': '{','.join(refused)}'. Send one of {', '.join(sorted(_CHANGEABLE))}.")
    size = sent.get("poolProvisionedCapacityGb")
    given = _given(_disks(call, row))
    if size is not None:
        call.whole(size, "resource.poolProvisionedCapacityGb", least=max(1, given))
    return {**row.body, **sent}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _used_by(call: Call, row: Row) -> str | None:
    disks = _disks(call, row)
    return disks[0].path if disks else None


STORAGE_POOLS: Final = Kind(
    collection="storagePools",
    schema="StoragePool",
    scopes=("zones",),
    prepare=_prepare,
    present=_present,
    patch=Change(_update, "update", "StoragePool"),
    used_by=_used_by,
)
