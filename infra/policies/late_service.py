"""What the program is told of demand that hot machines do not serve: the share lost in standby and cold, the prices of both, and what is bought.

A cold machine is bought on demand, or on spot where the service allows it: per option whichever costs less by price plus the share lost times the
value of what the machine serves. A place with bids has several values; the first step's, the highest, decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from headroom.settings import Settings
from infra.capacity_need import COMPUTE
from infra.failures import KINDS, Scarce, check_failures, failure
from infra.machine_types import machines_for_one
from infra.policies.machine_options import Options
from infra.policies.plan_lines import RESOURCES, Array
from infra.policies.value import purchase_loss, resume_loss, value_multiple
from infra.prices import list_prices
from infra.standby import standby_minutes, standby_state

__all__ = ["LateService", "late_service", "pool_words"]

# Of the hot price: what stands by stopped costs nothing, and must be of some use all the same.
_STOPPED: Final = 1e-3


@dataclass(frozen=True, eq=False)
class LateService:
    """Losses and prices of the pools that serve late.

    Attributes:
        warm_loss, cold_loss: (D,) share of the value that is lost, see `infra.program.Problem`: in standby that of the place's slowest type; of
            what is bought that of the option which costs least with what it loses.
        warm_price: (M,) USD per hour of a standby machine; inf where there is none.
        cold_price: (M,) USD per hour of a machine bought when demand comes, with the value of what the option loses beyond `cold_loss`.
        on_spot: (M,) whether it is bought on spot.
    """

    warm_loss: Array
    cold_loss: Array
    warm_price: Array
    cold_price: Array
    on_spot: npt.NDArray[np.bool_]


def late_service(settings: Settings, options: Options, scarce: Scarce) -> LateService:
    """Of every place and option.

    Raises:
        BadInputError: when a service's standby machines shall wait suspended and its type cannot be, or `failures` name an unknown type.
    """
    check_failures(settings)
    parts = [_losses(settings, options, option, scarce) for option in range(len(options.name))]
    standby, purchase, spot = np.array(parts).T
    on_demand_usd = options.hot_price * options.dearer
    spot_usd = np.array([_spot_usd(settings, options, option) for option in range(len(options.name))]) * options.dearer
    in_place = _per_first_machine(options)
    value = _first_machine_value(settings, options)[options.place] / in_place
    on_spot = spot_usd + spot * value < on_demand_usd + purchase * value
    price, lost = np.where(on_spot, spot_usd, on_demand_usd), np.where(on_spot, spot, purchase)
    best = [int(part.argmin()) for part in np.split((price + lost * value) * in_place, options.first[1:])]
    cold_loss = lost[options.first + np.array(best, dtype=np.int64)]
    return LateService(
        warm_loss=np.maximum.reduceat(standby, options.first),
        cold_loss=cold_loss,
        warm_price=np.maximum(options.warm_price, _STOPPED * options.hot_price) * options.dearer,
        cold_price=price + (lost - cold_loss[options.place]) * value,
        on_spot=on_spot,
    )


def pool_words(settings: Settings, options: Options, warm: Array, on_spot: npt.NDArray[np.bool_]) -> npt.NDArray[np.object_]:
    """(M, T) how standby machines wait, of which there are `warm` (M, T), and that cold ones are bought on spot."""
    states = [
        f"; standby {standby_state(settings, options.keys[place][1], name)}" if machine else ""
        for place, name, machine in zip(options.place.tolist(), options.name, options.machines.tolist(), strict=True)
    ]
    spot = np.where(on_spot, "; cold on spot", "").astype(object)[:, None]
    found: npt.NDArray[np.object_] = np.where(warm > 0, np.array(states, dtype=object)[:, None], "") + spot
    return found


def _losses(settings: Settings, options: Options, option: int, scarce: Scarce) -> tuple[float, float, float]:
    """Shares of an hour's value lost in standby, bought on demand and bought on spot. Bandwidth has neither standby nor spot, and does not boot."""
    (region, service, _), name = options.keys[options.place[option]], options.name[option]
    if not options.machines[option]:
        lost = purchase_loss(0.0, settings.policy.purchase_failure)
        return lost, lost, lost
    boot = settings.services[service].capacity.boot_minutes
    waits = standby_minutes(settings, service, name)
    chance = {kind: failure(settings, region, name, kind, scarce) for kind in KINDS}
    return resume_loss(waits, chance["resume"]), purchase_loss(boot, chance["purchase"]), purchase_loss(boot, chance["spot"])


def _spot_usd(settings: Settings, options: Options, option: int) -> float:
    """USD per hour of a machine on spot; inf where there is none, or the service does not allow it."""
    region, service, _ = options.keys[options.place[option]]
    if not options.machines[option] or not settings.services[service].capacity.spot:
        return np.inf
    return list_prices().spot_usd_per_hour(options.name[option], region)


def _per_first_machine(options: Options) -> Array:
    """(M,) machines of the option that carry what one of its place's first option does."""
    firsts = options.size[options.first[options.place]]
    return np.array([machines_for_one(one, other) for one, other in zip(firsts, options.size, strict=True)])


def _first_machine_value(settings: Settings, options: Options) -> Array:
    """(D,) USD that an hour of one machine of the first option is worth; where there is a bid, by its first step."""
    found = options.hot_price[options.first].copy()
    for place, (_, name, _) in enumerate(options.keys):
        service, first = settings.services[name], options.first[place]
        if service.bid and options.machines[first]:
            resource = next(RESOURCES.index(asked) for asked in service.demand if asked in COMPUTE)
            found[place] = service.bid[0].usd_per_unit_hour * options.size[first, resource]
        else:
            found[place] *= value_multiple(settings.policy, service)
    return found
