"""What exists before anyone asks: regions, zones and machine types."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

__all__ = ["Catalog", "MachineType"]

_PRICES: Final = Path(__file__).parent.parent / "prices"
# Every region has zones a, b and c, except these.
_ZONE_LETTERS: Final = {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd"}
_ARM: Final = {"t2a", "c4a", "n4a"}


@dataclass(frozen=True)
class MachineType:
    """One row of the price list."""

    name: str
    family: str
    vcpus: int
    memory_mb: int

    @property
    def architecture(self) -> str:
        return "ARM64" if self.family in _ARM else "X86_64"


@dataclass(frozen=True)
class Catalog:
    """Regions with their zones; `extra_zones` adds to what the price list knows."""

    extra_zones: Mapping[str, tuple[str, ...]]

    @cached_property
    def regions(self) -> dict[str, tuple[str, ...]]:
        """Region -> its zones, both sorted."""
        known = {name: {f"{name}-{letter}" for letter in _ZONE_LETTERS.get(name, "abc")} for name in _region_names()}
        for name, zones in self.extra_zones.items():
            known[name] = known.get(name, set()) | set(zones)
        return {name: tuple(sorted(known[name])) for name in sorted(known)}

    @cached_property
    def zones(self) -> dict[str, str]:
        """Zone -> its region."""
        return {zone: region for region, zones in self.regions.items() for zone in zones}

    def machine_type(self, name: str, zone: str) -> MachineType | None:
        """The machine type when the zone offers it."""
        found = _machine_types().get(name)
        return found if found is not None and _offered(name, self.zones[zone]) else None

    def machine_types(self, zone: str) -> list[MachineType]:
        """Everything that the zone offers, by name."""
        return [machine for name, machine in sorted(_machine_types().items()) if _offered(name, self.zones[zone])]


@cache
def _machine_types() -> dict[str, MachineType]:
    with (_PRICES / "gce_machine_types.csv").open(encoding="utf-8", newline="") as rows:
        return {
            row["machine_type"]: MachineType(row["machine_type"], row["family"], int(row["vcpu"]), int(float(row["memory_gib"]) * 1024))
            for row in csv.DictReader(rows)
            if row["family"] != "custom" and row["vcpu"].isdecimal()
        }


@cache
def _region_names() -> tuple[str, ...]:
    with (_PRICES / "gce_regions.csv").open(encoding="utf-8", newline="") as rows:
        return tuple(row["region"] for row in csv.DictReader(rows))


@cache
def _priced_regions() -> dict[str, frozenset[str]]:
    """Machine type -> regions where it has a price."""
    found: dict[str, set[str]] = {}
    with (_PRICES / "gce_machine_prices.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            found.setdefault(row["machine_type"], set()).add(row["region"])
    return {name: frozenset(regions) for name, regions in found.items()}


def _offered(name: str, region: str) -> bool:
    """True unless the price list has the type and the region, but not the type in the region."""
    regions = _priced_regions().get(name)
    return regions is None or region in regions or region not in _region_names()
