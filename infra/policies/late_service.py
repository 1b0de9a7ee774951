"""What the program is told of demand that hot machines do not serve: the share lost in standby and cold, and the prices of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from headroom.settings import Settings
from infra.policies.machine_options import Options
from infra.policies.plan_lines import Array
from infra.policies.value import purchase_loss, resume_loss
from infra.standby import standby_minutes

__all__ = ["LateService", "late_service"]

# Of the hot price: what stands by stopped costs nothing, and must be of some use all the same.
_STOPPED: Final = 1e-3


@dataclass(frozen=True, eq=False)
class LateService:
    """Losses and prices of the pools that serve late.

    Attributes:
        warm_loss, cold_loss: (D,) share of the value that is lost, see `infra.program.Problem`. In standby that of the place's slowest type.
        warm_price: (M,) USD per hour of a standby machine; inf where there is none.
        cold_price: (M,) USD per hour of a machine bought when demand comes.
    """

    warm_loss: Array
    cold_loss: Array
    warm_price: Array
    cold_price: Array


def late_service(settings: Settings, options: Options) -> LateService:
    """Of every place and option.

    Raises:
        BadInputError: when a service's standby machines shall wait suspended and its type cannot be.
    """
    services = [settings.services[options.keys[place][1]] for place in options.place]
    waits = [
        standby_minutes(settings, options.keys[place][1], name) if machine else 0.0
        for place, name, machine in zip(options.place.tolist(), options.name, options.machines.tolist(), strict=True)
    ]
    resumes = np.array([resume_loss(minutes, settings.policy.resume_failure) for minutes in waits])
    boots = np.where(options.machines, [service.capacity.boot_minutes for service in services], 0.0)
    buys = np.array([purchase_loss(minutes, settings.policy.purchase_failure) for minutes in boots])
    return LateService(
        warm_loss=np.maximum.reduceat(resumes, options.first),
        cold_loss=buys[options.first],
        warm_price=np.maximum(options.warm_price, _STOPPED * options.hot_price) * options.dearer,
        cold_price=options.hot_price * options.dearer,
    )
