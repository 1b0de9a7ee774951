"""Which machine types a service may run on in a region, what one of them carries, and which serves a need cheapest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from headroom.settings_services import Capacity
from infra.prices import MachineType, list_prices

__all__ = ["COMPUTE", "allowed_types", "carried", "cheapest_rows", "demand_per_instance", "machines_for_one"]

COMPUTE: Final = ("cpu", "memory", "requests")
_ARM: Final = frozenset({"t2a", "c4a", "n4a"})
# Their vCPU is a share of a core, with bursts above it.
_SHARED: Final = frozenset({"e2-micro", "e2-small", "e2-medium", "f1-micro", "g1-small"})


def allowed_types(settings: Settings, region: str, service: str) -> tuple[str, ...]:
    """`capacity.machine_type`, then those of `capacity.also` that have an on-demand price in the region.

    Raises:
        BadInputError: when one of `also` is not in the price list, is sold in no region of the service, or cannot be compared with
            `machine_type`: another architecture, another accelerator, or a shared core beside whole ones.
    """
    asked, prices = settings.services[service], list_prices()
    first = asked.capacity.machine_type
    for name in asked.capacity.also:
        key = f"services.{service}.capacity.also"
        try:
            kinds = [_kind(prices.machine_type(kind)) for kind in (first, name)]
        except BadInputError as error:
            raise BadInputError(f"{key}: {error}") from error
        if kinds[0] != kinds[1]:
            raise BadInputError(
                f"{key}: {name} ({', '.join(kinds[1])}) cannot be compared with machine_type {first} ({', '.join(kinds[0])}): a vCPU of one "
                "does not stand for a vCPU of the other; remove it"
            )
        if not any(prices.is_sold(name, where) for where in asked.regions):
            raise BadInputError(
                f"{key}: machine type {name} has no on-demand price in any region of the service ({', '.join(asked.regions)}); remove it"
            )
    return (first, *(name for name in asked.capacity.also if prices.is_sold(name, region)))


def demand_per_instance(capacity: Capacity, resource: str, machine_type: str | None = None) -> float:
    """How much of a compute resource one machine carries at its target utilisation, in the resource's unit.

    Args:
        machine_type: default `capacity.machine_type`.

    Raises:
        BadInputError: for an unknown machine type, or a resource that machines do not carry.
    """
    size = list_prices().machine_type(machine_type or capacity.machine_type)
    all_of_it = {"cpu": size.vcpu, "memory": size.memory_gib, "requests": size.vcpu * (capacity.requests_per_vcpu or 0.0)}
    if resource not in all_of_it:
        raise BadInputError(f"resource {resource!r} is not carried by machines; those that are: {', '.join(all_of_it)}")
    return all_of_it[resource] * capacity.target_utilisation


def carried(settings: Settings, service: str, machine_type: str) -> tuple[float, ...]:
    """What one machine carries of each of `COMPUTE`; 0 of what the service does not ask for."""
    asked = settings.services[service]
    return tuple(demand_per_instance(asked.capacity, name, machine_type) if name in asked.demand else 0.0 for name in COMPUTE)


def machines_for_one(one: Sequence[float], other: Sequence[float]) -> float:
    """How many machines that carry `other` it takes to carry `one`, whatever resource binds."""
    return max(mine / theirs for mine, theirs in zip(one, other, strict=True) if mine > 0)


def cheapest_rows(settings: Settings, rows: pd.DataFrame, *, over: Sequence[str]) -> pd.DataFrame:
    """Of `rows` (region, service, machine_type, needed, and more), those of the type that serves all hours of its `over` cheapest.

    The type is the same for all hours; among equals it is the first of the settings.
    """
    line = [*over, "machine_type"]
    kinds = rows.groupby(line, sort=False)["needed"].sum().reset_index()
    if not kinds[list(over)].duplicated().any():
        return rows
    prices = list_prices()
    usd = [
        round(needed * prices.hot_usd_per_hour(name, region), 6)
        for needed, name, region in zip(kinds["needed"], kinds["machine_type"], kinds["region"], strict=True)
    ]
    rank = [
        settings.services[service].capacity.machine_types.index(name)
        for service, name in zip(kinds["service"], kinds["machine_type"], strict=True)
    ]
    best = kinds.assign(usd=usd, rank=rank).sort_values(["usd", "rank"], kind="stable").drop_duplicates(list(over))
    return rows.merge(best[line], on=line)


def _kind(machine: MachineType) -> tuple[str, str, str]:
    family = machine.name.partition("-")[0]
    cores = "a shared core" if machine.name in _SHARED else "whole vCPUs"
    return "Arm" if family in _ARM else "x86", cores, machine.gpus or "no accelerator"
