"""What one unit of a plan's line costs: a machine, a Gbit/s, a GiB."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.settings import Settings
from infra.capacity_need import INSTANCES, LINE
from infra.prices import BANDWIDTH_USD_PER_GBPS_HOUR, list_prices
from infra.standby import standby_usd_per_hour

__all__ = ["TYPED_LINE", "unit_prices", "with_unit_prices"]

# A line of a plan may be held on several machine types.
TYPED_LINE: Final = [*LINE, "machine_type"]


def unit_prices(settings: Settings, region: str, service: str, resource: str, machine_type: str) -> tuple[float, float]:
    """USD per hour of one unit (machine of that type, Gbit/s, GiB) held hot, and held warm.

    What cannot be held (bandwidth of a region without interconnect) costs 0.

    Raises:
        BadInputError: when the price list lacks the type or the region, or standby machines shall wait suspended that cannot be.
    """
    capacity, prices = settings.services[service].capacity, list_prices()
    if resource == INSTANCES:
        return prices.hot_usd_per_hour(machine_type, region), standby_usd_per_hour(settings, region, service, machine_type)
    if resource == "storage":
        return prices.disk_usd_per_gib_hour(capacity.storage, region), 0.0
    return (BANDWIDTH_USD_PER_GBPS_HOUR if settings.regions[region].interconnect else 0.0), 0.0


def with_unit_prices(settings: Settings, plan: pd.DataFrame) -> pd.DataFrame:
    """`plan`, which has `TYPED_LINE`, with `hot_usd, warm_usd`: USD per unit and hour.

    Raises:
        BadInputError: as `unit_prices`.
    """
    kinds = plan[TYPED_LINE].drop_duplicates()
    pairs = [unit_prices(settings, *key) for key in kinds.itertuples(index=False, name=None)]
    kinds = kinds.assign(hot_usd=np.array([p[0] for p in pairs]), warm_usd=np.array([p[1] for p in pairs]))
    return plan.merge(kinds, on=TYPED_LINE, how="left", validate="many_to_one")
