"""The names of the settings against those that Google has: a misspelt quota would limit nothing, and a misspelt machine type stops every plan."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.machine_types import allowed_types
from infra.prices import list_prices
from infra.unit_prices import unit_prices

__all__ = ["check_quotas", "unlimited_families", "unplanned_quotas", "wrong_names"]

_ALL_FAMILIES: Final = "CPUS"
# Regional quotas that are often set and that no plan looks at.
_OTHERS: Final = frozenset({"INSTANCES", "DISKS_TOTAL_GB", "SSD_TOTAL_GB", "HDB_TOTAL_GB", "LOCAL_SSD_TOTAL_GB"})


def check_quotas(settings: Settings) -> None:
    """Refuse quotas whose names Google does not have.

    Raises:
        BadInputError: naming the region, the quota and the nearest name.
    """
    for words in _wrong_quotas(settings):
        raise BadInputError(words)


def wrong_names(settings: Settings) -> list[str]:
    """One line per quota that Google does not have, region without prices, and machine or disk type that a service cannot have where it runs."""
    sold = set(list_prices().machines.index.get_level_values("region"))
    found = list(_wrong_quotas(settings))
    for region in sorted(set(settings.regions) - sold):
        found.append(f"regions: {region!r} is not in the price list{_hint(region, sorted(sold))}")
    for name, service in settings.services.items():
        for region in (region for region in service.regions if region in sold):
            try:
                for machine_type in allowed_types(settings, region, name):
                    list_prices().hot_usd_per_hour(machine_type, region)
                if "storage" in service.demand:
                    unit_prices(settings, region, name, "storage", "")
            except BadInputError as error:
                words = str(error)
                found.append(words if words.startswith("services.") else f"services.{name}.capacity: {words}")
    return list(dict.fromkeys(found))


def unplanned_quotas(settings: Settings) -> list[str]:
    """Quotas of the settings that no plan keeps to: those that do not count vCPUs."""
    return sorted({name for region in settings.regions.values() for name in region.quotas} - _families())


def unlimited_families(settings: Settings) -> list[str]:
    """`n2 in us-central1` and so on: machine families that a service may use in a region which has no vCPU quota for them."""
    used = {(r, kind.partition("-")[0]) for s in settings.services.values() for r in s.regions for kind in s.capacity.machine_types}
    return [
        f"{family} in {r}" for r, family in sorted(used) if not {f"{family.upper()}_CPUS", _ALL_FAMILIES} & set(settings.regions[r].quotas)
    ]


def _families() -> set[str]:
    return {_ALL_FAMILIES, *(f"{name.partition('-')[0].upper()}_CPUS" for name in list_prices().sizes.index)}


def _wrong_quotas(settings: Settings) -> Iterator[str]:
    known = _families() | _OTHERS
    for region, asked in settings.regions.items():
        for name in sorted(set(asked.quotas) - known):
            if name not in _google_quotas():
                yield f"regions.{region}.quotas: {name!r} is no quota of Google's and would limit nothing{_hint(name, sorted(known))}"


def _google_quotas() -> set[str]:
    from google.cloud.compute_v1.types import Quota  # seconds to import: only for names that are not common

    return set(Quota.Metric.__members__)


def _hint(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
