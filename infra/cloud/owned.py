"""What carries Headroom's mark in the cloud, whoever made it and whether or not anybody knows of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from infra.actions import Kind
from infra.cloud.connection import Connection
from infra.cloud.marks import LABEL, SERVICE_LABEL, installation_of, maker

__all__ = ["Owned", "owned_in_region", "owned_templates"]

_FOR: Final = re.compile(rf"^{LABEL}: hot capacity for (\S+);")


@dataclass(frozen=True)
class Owned:
    """A resource that says it is ours, in its description or by its label.

    Attributes:
        region, zone: "" where the resource has none.
        service: as far as the resource tells; a label has `_` in place of the colon of `service:client`.
        amount: machines of a reservation or group, GiB of a disk or pool, 0 of a template.
        in_use: machines that use a reservation, machines of a group.
        installation: the one that made it; "" when it had no name.
    """

    kind: Kind
    region: str
    zone: str
    name: str
    service: str
    machine_type: str
    amount: int
    in_use: int
    installation: str


def owned_in_region(connection: Connection, region: str, zones: Sequence[str]) -> list[Owned]:
    """Ours among the reservations, groups, disks and pools of a region and its zones."""

    def gather(client: str, request: dict[str, Any], read: Callable[[Any], Owned | None]) -> list[Owned]:
        return [found for found in connection.list(client, request, read) if found is not None]

    found = gather("RegionInstanceGroupManagersClient", {"region": region}, partial(_group, region))
    found += gather("RegionDisksClient", {"region": region}, partial(_disk, "regional-disk", region, ""))
    for zone in zones:
        found += gather("ReservationsClient", {"zone": zone}, partial(_reservation, region, zone))
        found += gather("DisksClient", {"zone": zone}, partial(_disk, "disk", region, zone))
        found += gather("StoragePoolsClient", {"zone": zone}, partial(_disk, "storage-pool", region, zone))
    return found


def owned_templates(connection: Connection) -> list[Owned]:
    """Our templates, which have no region."""

    def read(message: Any) -> Owned | None:
        installation = maker(message.description)
        if installation is None:
            return None
        properties = message.properties
        service = properties.labels.get(SERVICE_LABEL, "")
        return Owned("template", "", "", message.name, service, properties.machine_type, 0, 0, installation)

    return [found for found in connection.list("InstanceTemplatesClient", {}, read) if found is not None]


def _group(region: str, message: Any) -> Owned | None:
    installation = maker(message.description)
    if installation is None:
        return None
    machines = int(message.target_size) + int(message.target_suspended_size) + int(message.target_stopped_size)
    return Owned("group", region, "", message.name, "", "", machines, machines, installation)


def _reservation(region: str, zone: str, message: Any) -> Owned | None:
    installation = maker(message.description)
    if installation is None:
        return None
    made_for, specific = _FOR.match(message.description), message.specific_reservation
    service = made_for.group(1) if made_for else ""
    machine_type, count, in_use = specific.instance_properties.machine_type, int(specific.count), int(specific.in_use_count)
    return Owned("reservation", region, zone, message.name, service, machine_type, count, in_use, installation)


def _disk(kind: Kind, region: str, zone: str, message: Any) -> Owned | None:
    installation = installation_of(message.labels)
    if installation is None:
        return None
    gib = message.pool_provisioned_capacity_gb if kind == "storage-pool" else message.size_gb
    return Owned(kind, region, zone, message.name, message.labels.get(SERVICE_LABEL, ""), "", int(gib), 0, installation)
