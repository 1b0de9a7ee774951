"""What a fresh local cloud grants: quotas per region, zones, stock per zone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from infra.local_cloud.catalog import Catalog

if TYPE_CHECKING:
    from headroom.settings import Settings

__all__ = ["Seed", "Timing"]

_DEFAULT_QUOTAS: Final = {
    **dict.fromkeys(("CPUS", "C2_CPUS", "C2D_CPUS", "C3_CPUS", "N2_CPUS", "N2D_CPUS", "T2A_CPUS", "T2D_CPUS"), 2400.0),
    "DISKS_TOTAL_GB": 102400.0,
    "INSTANCES": 6000.0,
    "INSTANCE_GROUP_MANAGERS": 500.0,
    "INTERCONNECT_ATTACHMENTS_PER_REGION": 16.0,
    "REGIONAL_INSTANCE_GROUP_MANAGERS": 500.0,
    "RESERVATIONS": 1000.0,
}


@dataclass(frozen=True)
class Timing:
    """How long things take, in seconds of the server's clock.

    Attributes:
        operation: from the start of an operation until it is DONE.
        pending: how long an operation is PENDING before it is RUNNING.
        boot: from the moment a VM gets its machine until it runs.
        resume: the same for a suspended or stopped VM.
        leave: from the moment a VM is told to go until it has left its machine.
    """

    operation: float = 0.1
    pending: float = 0.0
    boot: float = 1.0
    resume: float = 0.5
    leave: float = 0.0


@dataclass(frozen=True)
class Seed:
    """Limits that a state folder starts with, and starts again with when the seed changes.

    Attributes:
        zones: region -> zones that must exist, beside those of the price list.
        quotas: region -> quota metric -> limit; what is missing has a default.
        stock: zone -> sku -> limit; a sku is a machine family (limit in vCPUs) or a machine type (limit in machines).
            What is missing is without limit.
        attachments: region -> DEDICATED interconnect attachments that exist from the start: somebody plugged a cable.
    """

    zones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quotas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    stock: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    attachments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: Settings) -> Seed:
        """Zones, quotas and interconnect attachments of the regions in capacity.yaml."""
        return cls(
            zones={name: tuple(region.zones) for name, region in settings.regions.items()},
            quotas={name: dict(region.quotas) for name, region in settings.regions.items()},
            attachments={name: (region.interconnect.attachment,) for name, region in settings.regions.items() if region.interconnect},
        )

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def quota_rows(self, catalog: Catalog) -> list[tuple[str, str, float]]:
        """Rows `(region, metric, limit)` for every region."""
        return [
            (region, metric, float(limit))
            for region in catalog.regions
            for metric, limit in {**_DEFAULT_QUOTAS, **self.quotas.get(region, {})}.items()
        ]

    def stock_rows(self) -> list[tuple[str, str, float]]:
        """Rows `(zone, sku, limit)`."""
        return [(zone, sku, float(limit)) for zone, skus in self.stock.items() for sku, limit in skus.items()]

    def attachment_rows(self, project: str) -> list[tuple[str, str, dict[str, Any]]]:
        """Rows `(region, name, body)`, at the smallest bandwidth."""
        root = f"https://www.googleapis.com/compute/v1/projects/{project}"
        return [
            (
                region,
                name,
                {
                    "type": "DEDICATED",
                    "bandwidth": "BPS_50M",
                    "interconnect": f"{root}/global/interconnects/{name}",
                    "router": f"{root}/regions/{region}/routers/{name}",
                    "adminEnabled": True,
                    "encryption": "NONE",
                    "stackType": "IPV4_ONLY",
                },
            )
            for region, names in self.attachments.items()
            for name in names
        ]
