"""How a service's standby machines of a type wait, suspended or stopped: what an hour of it costs, and how long until they serve."""

from __future__ import annotations

from typing import Final, Literal

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.prices import list_prices

__all__ = ["standby_minutes", "standby_state", "standby_usd_per_hour"]

# Google Cloud suspends no machine with more memory than this; such a machine waits stopped.
_SUSPENDABLE_GIB: Final = 208


def standby_state(settings: Settings, service: str, machine_type: str) -> Literal["suspended", "stopped"]:
    """What `capacity.standby` says; without it suspended where that serves sooner than a boot, because it costs the memory, and where it can be.

    Raises:
        BadInputError: when `capacity.standby` says suspended of a type with more memory than can be, or the type is unknown.
    """
    capacity, memory = settings.services[service].capacity, list_prices().machine_type(machine_type).memory_gib
    if capacity.standby == "suspended" and memory > _SUSPENDABLE_GIB:
        raise BadInputError(
            f"services.{service}.capacity.standby: {machine_type} cannot be suspended: it has {memory:g} GiB of memory, above {_SUSPENDABLE_GIB}; "
            "say stopped, or leave it out"
        )
    if capacity.standby is not None:
        return capacity.standby
    return "suspended" if memory <= _SUSPENDABLE_GIB and capacity.resume_minutes < capacity.boot_minutes else "stopped"


def standby_usd_per_hour(settings: Settings, region: str, service: str, machine_type: str) -> float:
    """List price of a machine in standby: of its memory where it is suspended, nothing where it is stopped. Disks are counted in no pool.

    Raises:
        BadInputError: as `standby_state`, and when the region has no price.
    """
    if standby_state(settings, service, machine_type) == "stopped":
        return 0.0
    return list_prices().warm_usd_per_hour(machine_type, region)


def standby_minutes(settings: Settings, service: str, machine_type: str) -> float:
    """From the call until a standby machine serves: what is stopped boots.

    Raises:
        BadInputError: as `standby_state`.
    """
    capacity = settings.services[service].capacity
    return capacity.resume_minutes if standby_state(settings, service, machine_type) == "suspended" else capacity.boot_minutes
