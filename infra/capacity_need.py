"""What a forecast asks for: machines, bandwidth and storage per region, service and hour."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES, UNITS
from infra.machine_types import COMPUTE, allowed_types, cheapest_rows, demand_per_instance

__all__ = ["COMPUTE", "INSTANCES", "LINE", "STEPS", "capacity_need", "demand_at", "demand_per_instance", "round_up"]

INSTANCES: Final = "instances"
# What tells the lines of a need and of a plan apart, hour by hour.
LINE: Final = ["region", "service", "resource"]

# Amounts are held in multiples of these: whole machines; 50 Mbit/s, the smallest attachment step (the reconciler rounds a
# region's sum up to Google's own steps); whole GiB.
STEPS: Final = {INSTANCES: 1.0, "bandwidth": 0.05, "storage": 1.0}

_HOUR_KEYS: Final = ["region", "service", "ds"]
# A ratio this close above a multiple of the step is float noise, not a need for one more.
_NOISE: Final = 1e-9


def capacity_need(
    settings: Settings, forecasts: pd.DataFrame, *, quantile: pd.Series[float], counted_as: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row per region, service, resource (`instances`, `bandwidth`, `storage`) and hour, sorted by those.

    With `D` the demand at the row's quantile and `u` the target utilisation, one machine carries `vCPU * u` of cpu, `GiB * u`
    of memory and `vCPU * u * requests_per_vcpu` of requests per second, and

        instances = max(minimum_instances, ceil(max over compute resources of D / carried by one machine))
        bandwidth = D rounded up to 0.05 Gbit/s        storage = D rounded up to 1 GiB

    Of a service's machine types, in each region the one that serves the need of all hours together at the lowest on-demand price.

    Args:
        settings: capacity models of the services.
        forecasts: rows of one issue time that `usable_forecast` let through.
        quantile: of every row, in [0.01, 0.99]; between two forecast quantiles it is interpolated linearly.
        counted_as: another need of the same lines, whose machine types are taken instead of the cheapest.

    Returns:
        `region, service, resource, ds, unit, machine_type, needed, minimum, confidence, model_version, quantile, demand,
        demand_unit`. `demand` is the forecast demand that binds, in `demand_unit`. `confidence` is the smallest over all
        resources of the service in the hour, so that a service has one tier per hour. `minimum` is the amount that stays
        hot whatever the confidence.

    Raises:
        BadInputError: for a machine type that the price list does not know, or those of `infra.machine_types.allowed_types`.
    """
    demand = pd.concat([demand_at(forecasts[quantile == level], level) for level in quantile.unique()])
    kept = forecasts[["region", "service", "resource", "ds", "confidence", "model_version"]]
    rows = kept.assign(demand=demand, quantile=quantile)
    rows["confidence"] = rows.groupby(_HOUR_KEYS)["confidence"].transform("min")
    versions = rows.groupby(_HOUR_KEYS)["model_version"]
    first, last = versions.transform("min"), versions.transform("max")
    rows["model_version"] = first.where(first == last, first + ", " + last)
    needs = pd.concat(
        [_machines(settings, rows[rows["resource"].isin(COMPUTE)], counted_as), _amounts(settings, rows[~rows["resource"].isin(COMPUTE)])]
    )
    return needs.sort_values(["region", "service", "resource", "ds"], kind="stable").reset_index(drop=True)


def demand_at(forecasts: pd.DataFrame, quantile: float) -> pd.Series[float]:
    """Demand at a quantile per row, in the resource's unit, linear between the two forecast quantiles around it.

    Raises:
        BadInputError: when the quantile is outside what a forecast holds.
    """
    if not QUANTILES[0] <= quantile <= QUANTILES[-1]:
        raise BadInputError(f"quantile {quantile} is outside the forecast's {QUANTILES[0]} to {QUANTILES[-1]}; set policy.quantile within")
    above = int(np.searchsorted(QUANTILES, quantile))
    if QUANTILES[above] == quantile:
        return forecasts[QUANTILE_COLUMNS[above]].astype(float)
    below = above - 1
    share = (quantile - QUANTILES[below]) / (QUANTILES[above] - QUANTILES[below])
    low, high = forecasts[QUANTILE_COLUMNS[below]], forecasts[QUANTILE_COLUMNS[above]]
    return (low + share * (high - low)).astype(float)


def round_up(amount: pd.Series[float], step: pd.Series[float] | float) -> pd.Series[float]:
    """The smallest multiple of `step` that is not below `amount`, forgiving float noise."""
    steps = pd.Series(np.ceil(amount / step - _NOISE), index=amount.index) + 0.0  # no negative zero
    return (steps * step).round(6)


def _machines(settings: Settings, rows: pd.DataFrame, counted_as: pd.DataFrame | None) -> pd.DataFrame:
    services = pd.DataFrame(
        [
            (
                region,
                name,
                resource,
                demand_per_instance(service.capacity, resource, machine_type),
                machine_type,
                float(service.capacity.minimum_instances),
            )
            for name, service in settings.services.items()
            for region in service.regions
            for machine_type in allowed_types(settings, region, name)
            for resource in service.demand
            if resource in COMPUTE
        ],
        columns=["region", "service", "resource", "per_instance", "machine_type", "minimum"],
    )
    joined = rows.merge(services, on=["region", "service", "resource"], how="left")
    joined["ratio"] = joined["demand"] / joined["per_instance"]
    binding = joined.sort_values("ratio", kind="stable").drop_duplicates([*_HOUR_KEYS, "machine_type"], keep="last")
    needs = binding.assign(
        needed=round_up(binding["ratio"], STEPS[INSTANCES]).clip(lower=binding["minimum"]),
        demand_unit=binding["resource"].map(UNITS),
        resource=INSTANCES,
        unit=INSTANCES,
    ).drop(columns=["ratio", "per_instance"])
    place = ["region", "service"]
    if counted_as is None:
        return cheapest_rows(settings, needs, over=place)
    return needs.merge(
        counted_as.loc[counted_as["resource"] == INSTANCES, [*place, "machine_type"]].drop_duplicates(), on=[*place, "machine_type"]
    )


def _amounts(settings: Settings, rows: pd.DataFrame) -> pd.DataFrame:
    types = {name: service.capacity.storage.type for name, service in settings.services.items()}
    unit = rows["resource"].map(UNITS)
    return rows.assign(
        needed=round_up(rows["demand"], rows["resource"].map(STEPS)),
        minimum=0.0,
        demand_unit=unit,
        unit=unit,
        machine_type=rows["service"].map(types).where(rows["resource"] == "storage", ""),
    )
