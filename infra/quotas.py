"""Which of a region's quotas a machine type counts against, and how the quotas are called."""

from __future__ import annotations

from typing import Final

import numpy as np

from headroom.settings import Settings

__all__ = ["quota_metric", "quota_name", "quota_of", "vcpus_of"]

_SHARED: Final = "cpus"


def quota_name(settings: Settings, region: str, machine_type: str) -> str:
    """The quota that a type counts against in a region: its family's, or that of all families which have none of their own there."""
    family, quotas = machine_type.partition("-")[0], settings.regions[region].quotas
    return _SHARED if "CPUS" in quotas and f"{family.upper()}_CPUS" not in quotas else family


def quota_metric(name: str) -> str:
    """Google's name of a quota of `quota_name`, for example `N2_CPUS`; the settings use the same."""
    return "CPUS" if name == _SHARED else f"{name.upper()}_CPUS"


def vcpus_of(name: str) -> str:
    """The unit of a quota of `quota_name` in words, for example `N2 vCPU`."""
    return "vCPU" if name == _SHARED else f"{name.upper()} vCPU"


def quota_of(settings: Settings, region: str, name: str) -> float:
    """The vCPUs that a region may run under a quota of `quota_name`; no limit where the settings name none.

    0 for a name that no type of this region counts against: a lease counts by its borrower's name, and must not slip by the lender's quota.
    """
    quotas = settings.regions[region].quotas
    if name == _SHARED:
        return float(quotas.get("CPUS", 0.0))
    return float(quotas.get(quota_metric(name), 0.0 if "CPUS" in quotas else np.inf))
