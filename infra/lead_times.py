"""How many hours ahead capacity is asked for: what must run in an hour has to be asked for before it."""

from __future__ import annotations

from math import ceil
from typing import Final

from headroom.settings import Settings
from headroom.settings_services import Capacity
from infra.standby import standby_minutes

__all__ = ["PATCH_LEAD_HOURS", "boot_lead_hours", "standby_lead_hours"]

# A change of an attachment or a disk takes minutes: it is asked for in the hour before.
PATCH_LEAD_HOURS: Final = 1
_HOUR_MINUTES: Final = 60


def boot_lead_hours(capacity: Capacity) -> int:
    """Hours in which a machine that is asked for now has surely booted."""
    return ceil(capacity.boot_minutes / _HOUR_MINUTES)


def standby_lead_hours(settings: Settings, service: str, machine_type: str) -> int:
    """The same for one that serves from standby: it must have booted once, and must resume, or boot again where it was stopped."""
    boot = settings.services[service].capacity.boot_minutes
    return ceil((boot + standby_minutes(settings, service, machine_type)) / _HOUR_MINUTES)
