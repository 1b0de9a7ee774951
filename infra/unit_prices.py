"""What one unit of a plan's line costs: a machine, a Gbit/s, a GiB."""

from __future__ import annotations

from headroom.settings import Settings
from infra.capacity_need import INSTANCES
from infra.prices import BANDWIDTH_USD_PER_GBPS_HOUR, list_prices

__all__ = ["unit_prices"]


def unit_prices(settings: Settings, region: str, service: str, resource: str, machine_type: str) -> tuple[float, float]:
    """USD per hour of one unit (machine of that type, Gbit/s, GiB) held hot, and held warm.

    What cannot be held (bandwidth of a region without interconnect) costs 0.

    Raises:
        BadInputError: when the price list lacks the type or the region.
    """
    capacity, prices = settings.services[service].capacity, list_prices()
    if resource == INSTANCES:
        return prices.hot_usd_per_hour(machine_type, region), prices.warm_usd_per_hour(machine_type, region)
    if resource == "storage":
        return prices.disk_usd_per_gib_hour(capacity.storage, region), 0.0
    return (BANDWIDTH_USD_PER_GBPS_HOUR if settings.regions[region].interconnect else 0.0), 0.0
