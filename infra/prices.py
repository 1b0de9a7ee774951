"""List prices of machines, disks and bandwidth per region, from the tables in `infra/prices/`.

The tables' README names their source, licence and gaps. Three prices are not in the source and are estimates; each is
marked where it is defined. All prices are USD; a month has 730 hours, as in Google's price list.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from headroom.settings_services import Storage

__all__ = ["BANDWIDTH_USD_PER_GBPS_HOUR", "EGRESS_USD_PER_GIB", "MachineType", "Prices", "list_prices"]

_TABLES: Final = Path(__file__).with_name("prices")
_HOURS_PER_MONTH: Final = 730

# Not in the source. Google lists a 10 Gbit/s Dedicated Interconnect circuit at 1,700 USD a month in every region; a VLAN
# attachment adds 0.10 USD per hour whatever its size, which does not depend on the plan and is left out.
BANDWIDTH_USD_PER_GBPS_HOUR: Final = 1700 / 10 / _HOURS_PER_MONTH

# Not in the source. Google lists 0.02 USD between regions of a continent and 0.05 to 0.15 between continents; this lies between them.
EGRESS_USD_PER_GIB: Final = 0.05

# The disk types of the API and their names in the source; the two Hyperdisk rows are estimates (not in the source).
_DISKS: Final = {
    "pd-standard": "hdd",
    "pd-balanced": "balanced",
    "pd-ssd": "ssd",
    "pd-extreme": "extreme",
    "hyperdisk-extreme": "hyperdisk-extreme",
    "hyperdisk-balanced": "balanced",
    "hyperdisk-throughput": "hdd",
}
_REPLICATED: Final = "-replicated"


@dataclass(frozen=True)
class MachineType:
    """A machine type's size; `gpus` is its accelerator and how many (`l4:1`), empty without."""

    name: str
    vcpu: float
    memory_gib: float
    gpus: str = ""


@dataclass(frozen=True, eq=False)
class Prices:
    """Prices by machine type or disk type and region.

    Attributes:
        sizes: index `machine_type`; columns `vcpu, memory_gib, gpus`.
        machines: index `(machine_type, region)`; USD per hour on demand.
        spot: the same on spot, where there is such a price.
        disks: index `(storage_type, region)`; USD per GiB and month.
    """

    sizes: pd.DataFrame
    machines: pd.Series[float]
    spot: pd.Series[float]
    disks: pd.Series[float]

    def machine_type(self, name: str) -> MachineType:
        """Size of a machine type.

        Raises:
            BadInputError: naming the type and those with a close name.
        """
        if name not in self.sizes.index:
            close = get_close_matches(name, list(self.sizes.index), n=3)
            hint = f"; did you mean {', '.join(close)}?" if close else "; see infra/prices/gce_machine_types.csv"
            raise BadInputError(f"machine type {name!r} is not in the price list{hint}")
        row = self.sizes.loc[name]
        return MachineType(name, float(row["vcpu"]), float(row["memory_gib"]), str(row["gpus"]))

    def is_sold(self, machine_type: str, region: str) -> bool:
        """Whether the type has an on-demand price in the region."""
        return (machine_type, region) in self.machines.index

    def hot_usd_per_hour(self, machine_type: str, region: str) -> float:
        """A running machine, on demand; an unused reservation costs the same.

        Raises:
            BadInputError: when the type is unknown or has no on-demand price in the region.
        """
        self.machine_type(machine_type)
        price = self.machines.get((machine_type, region))
        if price is None or pd.isna(price):
            sold = sorted(self.machines.index[self.machines.index.get_level_values(0) == machine_type].get_level_values(1))
            where = f"it has one in {', '.join(sold)}" if sold else "nor in any other region; choose another machine type"
            raise BadInputError(f"machine type {machine_type} has no on-demand price in region {region!r}; {where}")
        return float(price)

    def spot_usd_per_hour(self, machine_type: str, region: str) -> float:
        """A running spot machine, which may be preempted; inf where the type has no spot price in the region.

        Raises:
            BadInputError: when the type is unknown.
        """
        self.machine_type(machine_type)
        return float(self.spot.get((machine_type, region), np.inf))

    def warm_usd_per_hour(self, machine_type: str, region: str) -> float:
        """A suspended machine: its preserved memory as storage. An estimate, at the region's SSD disk price per GiB.

        Disks cost the same in every pool and are not counted in any.

        Raises:
            BadInputError: as `hot_usd_per_hour`.
        """
        return self.machine_type(machine_type).memory_gib * self.disk_usd_per_gib_hour(Storage(type="pd-ssd"), region)

    def disk_usd_per_gib_hour(self, storage: Storage, region: str) -> float:
        """A provisioned GiB of a disk, regional disk or storage pool.

        Raises:
            BadInputError: when the type, or its replicated form, has no price in the region.
        """
        kind = _DISKS.get(storage.type)
        if kind is None:
            raise BadInputError(f"disk type {storage.type!r} is not in the price list; known: {', '.join(_DISKS)}")
        if storage.kind == "regional-disk":
            kind += _REPLICATED
        price = self.disks.get((kind, region))
        if price is None or pd.isna(price):
            raise BadInputError(
                f"{storage.kind} of type {storage.type} has no price in region {region!r}; see infra/prices/gce_storage_prices.csv"
            )
        return float(price) / _HOURS_PER_MONTH


@lru_cache(maxsize=1)
def list_prices() -> Prices:
    """The packaged price list, read once per process."""
    types = pd.read_csv(_TABLES / "gce_machine_types.csv", usecols=["machine_type", "vcpu", "memory_gib", "gpus"])
    machines = pd.read_csv(_TABLES / "gce_machine_prices.csv", usecols=["machine_type", "region", "usd_hour_ondemand", "usd_hour_spot"])
    machines = machines.set_index(["machine_type", "region"])
    disks = pd.read_csv(_TABLES / "gce_storage_prices.csv", usecols=["storage_type", "region", "usd_gib_month"])
    return Prices(
        sizes=types.fillna({"gpus": ""}).set_index("machine_type"),
        machines=machines["usd_hour_ondemand"].dropna(),
        spot=machines["usd_hour_spot"].dropna(),
        disks=disks.set_index(["storage_type", "region"])["usd_gib_month"].dropna(),
    )
