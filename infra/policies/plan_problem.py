"""Settings and demand written as a problem of the program (`infra.program`): sizes, prices, values, losses and limits of every line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from headroom.settings import Settings
from headroom.settings_services import Service
from headroom.vocabulary import QUANTILES
from infra.capacity_need import COMPUTE, INSTANCES, LINE
from infra.failures import Scarce
from infra.lead_times import boot_lead_hours
from infra.policies.bid_bands import split_at_bids
from infra.policies.late_service import LateService, late_service
from infra.policies.leasing import Loans, loans_between
from infra.policies.machine_options import IntArray, Options, spread
from infra.policies.movement import Movement
from infra.policies.plan_lines import BANDWIDTH, RESOURCES, Array, Lines
from infra.policies.value import bid_usd, value_multiple
from infra.program import Problem, bands_from_quantiles
from infra.quota_fit import Taken
from infra.quotas import quota_name, quota_of

__all__ = ["Circumstances", "Written", "problem_of"]

# Bands of demand: the levels of a forecast, those below the median joined, where no plan ends.
_BANDS: Final = 8


@dataclass(frozen=True, eq=False)
class Circumstances:
    """What a plan is made under, whichever machine types it may use.

    Attributes:
        need: gives what the first hour needs.
        movement: what ran before, and what of the day's starts and stops is left.
        budget_usd, budget_weights, taken: see `infra.policies.optimal.optimal_pools`.
        times: (places, hour blocks) by which the value of service is multiplied.
        scarce: shares of zones that lately had no stock (`infra.failures`).
    """

    settings: Settings
    lines: Lines
    need: pd.DataFrame
    movement: Movement
    budget_usd: Array
    budget_weights: Array
    taken: Taken
    times: Array
    scarce: Scarce

    @property
    def services(self) -> list[Service]:
        """The service of every place."""
        return [self.settings.services[service] for _, service, _ in self.lines.keys]

    @property
    def regions(self) -> list[str]:
        """Those of the places, in the program's order."""
        return sorted({region for region, _, _ in self.lines.keys})


@dataclass(frozen=True, eq=False)
class Written:
    """The problem, who may borrow from whom in it, and what it was told of demand that hot machines do not serve."""

    problem: Problem
    loans: Loans
    late: LateService


def problem_of(given: Circumstances, options: Options) -> Written:
    """The problem of planning all places with the machine types that `options` allows."""
    settings, lines, movement = given.settings, given.lines, given.movement
    width, reach, value = _demand(given, options)
    late, loans = late_service(settings, options, given.scarce), loans_between(settings, options, lines)
    families, family = _families(settings, options)
    machines = options.machines[options.first]
    least = [service.capacity.minimum_instances for service in given.services]
    problem = Problem(
        block_hours=lines.block_hours.astype(np.float64),
        regions=given.regions,
        places=["/".join(key if key[2] != INSTANCES else key[:2]) for key in lines.keys],
        resources=list(RESOURCES),
        region=np.array([given.regions.index(region) for region, _, _ in lines.keys]),
        width=width,
        reach=reach,
        value=value,
        option_place=options.place,
        option_name=options.name,
        option_size=options.size,
        hot_price=options.hot_price * options.dearer,
        warm_price=late.warm_price,
        cold_use_price=late.cold_price,
        warm_loss=late.warm_loss,
        cold_loss=late.cold_loss,
        start_cost=_start_usd(settings, options),
        # Where it is not known what ran before, the first hour starts nothing that is needed.
        held=movement.running(options, spread(settings, options, given.taken, np.where(machines, _first_hour(lines, given.need), 0.0))),
        floors=spread(settings, options, given.taken, np.where(machines, least, 0.0)),
        families=families,
        option_family=family,
        option_quota=options.vcpus,
        family_limit=np.array([[_left(given, region, name) for name in families] for region in given.regions]),
        budget_per_day=given.budget_usd,
        budget_days=np.add.reduceat(given.budget_weights[:, : lines.hours], lines.first_hour, axis=1),
        hold_hours=np.where(options.machines, settings.policy.least_run_hours, 0.0),
        young=movement.young(options),
        flap_limit=np.where(machines[:, None], movement.flap_limit, np.inf),
        flap_day=movement.flap_day,
        leases=loans.leases(settings, given.regions),
    )
    return Written(problem, loans, late)


def _demand(given: Circumstances, options: Options) -> tuple[Array, Array, Array]:
    """Width, reach and value of the bands."""
    services, policy = given.services, given.settings.policy
    machines, size = options.machines[options.first], options.size[options.first]
    bids = {place: service for place, service in enumerate(services) if service.bid and machines[place]}
    width, reach = split_at_bids(*bands_from_quantiles(np.array(QUANTILES), given.lines.demand, bands=_BANDS), *_steps(bids))
    multiple = np.array([value_multiple(policy, service) for service in services])
    usual = _machines_of(width, size) * (options.hot_price[options.first] * multiple)[:, None, None]
    return width, reach, _with_bids(usual, width, bids) * given.times[..., None]


def _families(settings: Settings, options: Options) -> tuple[list[str], IntArray]:
    """The quotas that machines count against, bandwidth as one of its own, and (M,) which is each option's."""
    counted = [
        quota_name(settings, options.keys[place][0], name) if machine else BANDWIDTH
        for place, name, machine in zip(options.place.tolist(), options.name, options.machines, strict=True)
    ]
    families = [BANDWIDTH, *sorted(set(counted) - {BANDWIDTH})]
    return families, np.array([families.index(name) for name in counted])


def _left(given: Circumstances, region: str, family: str) -> Array:
    """(T,) vCPU of a region's quota that the program may use in each block."""
    lines = given.lines
    if family == BANDWIDTH:
        return np.full(lines.first_hour.size, np.inf)
    others = np.maximum.reduceat(given.taken.get((region, family), np.zeros(lines.hours)), lines.first_hour)
    return np.maximum(quota_of(given.settings, region, family) - others, 0.0)


def _start_usd(settings: Settings, options: Options) -> Array:
    """(M,) USD of a start: the boot, and the hours for which it is held beside the machine of another type whose place it may take; 0 elsewhere.

    A region holds the most that any hour wants of each type until the next allocation has taken effect (`infra.targets.desired_state`). While two types
    change places, both are held for that long.
    """
    capacity = [settings.services[options.keys[place][1]].capacity for place in options.place]
    boots, leads = np.array([(one.boot_minutes / 60, boot_lead_hours(one)) for one in capacity]).T
    beside = np.where(options.several[options.place], settings.policy.hold_hours + leads - 1.0, 0.0)
    return np.where(options.machines, options.hot_price * (boots + beside), 0.0)


def _first_hour(lines: Lines, need: pd.DataFrame) -> Array:
    """(D,) what the first hour needs of each line."""
    first = need.drop_duplicates(LINE).set_index(LINE)["needed"]
    return np.array([float(first[key]) for key in lines.keys])


def _steps(bids: dict[int, Service]) -> tuple[dict[int, int], dict[int, list[float]]]:
    """Per place with a bid: the resource that it is in, and the amounts at which its worth falls."""
    resources = {place: next(RESOURCES.index(name) for name in service.demand if name in COMPUTE) for place, service in bids.items()}
    return resources, {place: [step.up_to for step in service.bid if step.up_to is not None] for place, service in bids.items()}


def _with_bids(usual: Array, width: Array, bids: dict[int, Service]) -> Array:
    """(D, T, K) USD per hour of every band: by the service's bid, where it has one."""
    value, resources = usual.copy(), _steps(bids)[0]
    for place, service in bids.items():
        value[place] = np.diff(bid_usd(service.bid, np.cumsum(width[place, :, :, resources[place]], axis=1)), axis=1, prepend=0.0)
    return value


def _machines_of(width: Array, size: Array) -> Array:
    """(D, T, K) machines that serve each band, counted in the resource that takes most of them in all bands together."""
    each = np.divide(width, size[:, None, None, :], out=np.zeros_like(width), where=size[:, None, None, :] > 0)
    binding = each.sum(axis=2, keepdims=True).argmax(axis=3)[..., None]
    machines: Array = np.take_along_axis(each, binding, axis=3)[..., 0]
    return machines
