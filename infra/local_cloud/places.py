"""What nobody makes: the project, regions with their quotas, zones, machine types."""

from __future__ import annotations

import zlib
from typing import Final

from infra.local_cloud.call import Call
from infra.local_cloud.catalog import MachineType
from infra.local_cloud.errors import not_found
from infra.local_cloud.fields import Body
from infra.local_cloud.listing import page

__all__ = ["get_machine_type", "get_place", "get_project", "list_machine_types", "list_places"]

_CPU_PLATFORMS: Final = [
    "Ampere Altra",
    "Intel Broadwell",
    "Intel Cascade Lake",
    "Intel Emerald Rapids",
    "AMD Genoa",
    "NVIDIA Grace",
    "Intel Granite Rapids",
    "Intel Haswell",
    "Intel Ice Lake",
    "Intel Ivy Bridge",
    "Google Axion",
    "AMD Milan",
    "AMD Rome",
    "Intel Sandy Bridge",
    "Intel Sapphire Rapids",
    "Intel Skylake",
    "AMD Turin",
]
_BEGINNING: Final = "2024-01-01T00:00:00.000+00:00"


def get_project(call: Call) -> Body:
    templates = float(len(call.store.all("instanceTemplates")))
    return {
        "kind": "compute#project",
        "id": _id(call.cloud.project),
        "creationTimestamp": _BEGINNING,
        "name": call.cloud.project,
        "commonInstanceMetadata": {"kind": "compute#metadata", "fingerprint": "2uIJruPm0t0="},
        "defaultNetworkTier": "PREMIUM",
        "quotas": [{"metric": "INSTANCE_TEMPLATES", "limit": 1000.0, "usage": templates}],
        "selfLink": call.url("").rstrip("/"),
    }


def get_place(call: Call) -> Body:
    """The region or zone that the request is scoped to."""
    kind, _, name = call.scope.partition("/")
    return _region(call, name) if kind == "regions" else _zone(call, name)


def list_places(call: Call, kind: str) -> Body:
    """One page of regions or zones."""
    catalog = call.cloud.catalog
    shown = (
        [(name, _region(call, name)) for name in catalog.regions]
        if kind == "regions"
        else [(name, _zone(call, name)) for name in catalog.zones]
    )
    return _listed(call, f"compute#{kind.removesuffix('s')}List", kind, shown)


def get_machine_type(call: Call, name: str) -> Body:
    machine = call.cloud.catalog.machine_type(name, call.scope.partition("/")[2])
    if machine is None:
        raise not_found(call.path(f"{call.scope}/machineTypes/{name}"))
    return _machine_type(call, machine)


def list_machine_types(call: Call) -> Body:
    """One page of what the zone offers."""
    machines = call.cloud.catalog.machine_types(call.scope.partition("/")[2])
    return _listed(
        call,
        "compute#machineTypeList",
        f"{call.scope}/machineTypes",
        [(machine.name, _machine_type(call, machine)) for machine in machines],
    )


def _listed(call: Call, kind: str, where: str, shown: list[tuple[str, Body]]) -> Body:
    items, token = page(call, shown)
    return {
        "kind": kind,
        "id": call.path(where),
        "selfLink": call.url(where),
        "items": [item for _, item in items],
        **({"nextPageToken": token} if token else {}),
    }


def _region(call: Call, name: str) -> Body:
    usage, _ = call.usage
    limits = {metric: ceiling for (region, metric), ceiling in call.books.limits.quotas.items() if region == name}
    return {
        "kind": "compute#region",
        "id": _id(name),
        "creationTimestamp": _BEGINNING,
        "name": name,
        "description": name,
        "status": "UP",
        "zones": [call.url(f"zones/{zone}") for zone in call.cloud.catalog.regions[name]],
        "quotas": [{"metric": metric, "limit": limit, "usage": float(usage[name, metric])} for metric, limit in sorted(limits.items())],
        "selfLink": call.url(f"regions/{name}"),
        "supportsPzs": False,
    }


def _zone(call: Call, name: str) -> Body:
    return {
        "kind": "compute#zone",
        "id": _id(name),
        "creationTimestamp": _BEGINNING,
        "name": name,
        "description": name,
        "status": "UP",
        "region": call.url(f"regions/{call.cloud.catalog.zones[name]}"),
        "selfLink": call.url(f"zones/{name}"),
        "availableCpuPlatforms": _CPU_PLATFORMS,
        "supportsPzs": False,
    }


def _machine_type(call: Call, machine: MachineType) -> Body:
    zone = call.scope.partition("/")[2]
    return {
        "kind": "compute#machineType",
        "id": _id(machine.name),
        "creationTimestamp": _BEGINNING,
        "name": machine.name,
        "description": f"{machine.vcpus} vCPUs, {machine.memory_mb / 1024:g} GB RAM",
        "guestCpus": machine.vcpus,
        "memoryMb": machine.memory_mb,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "isSharedCpu": False,
        "architecture": machine.architecture,
        "zone": zone,
        "selfLink": call.url(f"{call.scope}/machineTypes/{machine.name}"),
    }


def _id(name: str) -> str:
    return str(10**9 + zlib.crc32(name.encode()))
