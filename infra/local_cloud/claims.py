"""What each resource takes from quotas and stock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from infra.local_cloud.bandwidth import MEGABITS
from infra.local_cloud.capacity import Claim, Held
from infra.local_cloud.fields import Body

__all__ = ["CLAIMING", "claim_of"]


def claim_of(path: str, body: Body) -> Claim:
    """The claim of the resource at `<scope>/<collection>/<name>`; empty for kinds that take nothing."""
    found = _CLAIMS.get(path.split("/")[-2])
    return Claim() if found is None else found(path, body)


def _reservation(path: str, body: Body) -> Claim:
    specific = body["specificReservation"]
    machine_type = specific["instanceProperties"]["machineType"]
    held = Held(path, path.split("/")[1], machine_type, int(specific["count"]), bool(body["specificReservationRequired"]))
    return Claim(held, {"RESERVATIONS": 1.0})


def _group(path: str, _body: Body) -> Claim:
    return Claim(amounts={"REGIONAL_INSTANCE_GROUP_MANAGERS" if path.startswith("regions/") else "INSTANCE_GROUP_MANAGERS": 1.0})


def _attachment(_path: str, body: Body) -> Claim:
    megabits = float(MEGABITS.get(body.get("bandwidth", ""), 0))
    return Claim(amounts={"INTERCONNECT_ATTACHMENTS_PER_REGION": 1.0, "INTERCONNECT_ATTACHMENTS_TOTAL_MBPS": megabits})


def _disk(_path: str, body: Body) -> Claim:
    """A disk in a storage pool takes from its pool, not from the quota."""
    if "storagePool" in body:
        return Claim()
    kind = body["type"].rpartition("/")[2]
    metric = "HDB_TOTAL_GB|DISKS_TOTAL_GB" if kind.startswith("hyperdisk") else "DISKS_TOTAL_GB"
    if kind in {"pd-ssd", "pd-balanced"}:
        metric = "SSD_TOTAL_GB|DISKS_TOTAL_GB"
    return Claim(amounts={metric: float(body["sizeGb"])})


def _storage_pool(_path: str, body: Body) -> Claim:
    return Claim(amounts={"HDB_TOTAL_GB|DISKS_TOTAL_GB": float(body["poolProvisionedCapacityGb"])})


_CLAIMS: Final[dict[str, Callable[[str, Body], Claim]]] = {
    "reservations": _reservation,
    "instanceGroupManagers": _group,
    "interconnectAttachments": _attachment,
    "disks": _disk,
    "storagePools": _storage_pool,
}
CLAIMING: Final = tuple(_CLAIMS)
