"""Settings and demand written as a problem of the program (`infra.program`): sizes, prices, values, losses and limits of every line."""

from __future__ import annotations

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
from infra.policies.late_service import late_service
from infra.policies.leasing import Loans, loans_between
from infra.policies.machine_options import Options, spread
from infra.policies.movement import Movement
from infra.policies.plan_lines import BANDWIDTH, RESOURCES, Array, Lines
from infra.policies.value import bid_usd, value_multiple
from infra.program import Problem, bands_from_quantiles
from infra.quota_fit import Taken
from infra.quotas import quota_name, quota_of

__all__ = ["problem_of"]

# Bands of demand: the levels of a forecast, those below the median joined, where no plan ends.
_BANDS: Final = 8


def problem_of(
    settings: Settings,
    lines: Lines,
    need: pd.DataFrame,
    options: Options,
    *,
    movement: Movement,
    budget_usd: Array,
    budget_weights: Array,
    taken: Taken,
    times: Array,
    scarce: Scarce,
) -> tuple[Problem, Loans]:
    """The problem, and who may borrow from whom.

    Args:
        need: gives what the first hour needs.
        movement: what ran before, and what of the day's starts and stops is left.
        budget_usd, budget_weights, taken: see `optimal_pools`.
        scarce: shares of zones that lately had no stock (`infra.failures`).
        times: (places, hour blocks) by which the value of service is multiplied.
    """
    services = [settings.services[service] for _, service, _ in lines.keys]
    machines, size = options.machines[options.first], options.size[options.first]
    bids = {place: service for place, service in enumerate(services) if service.bid and machines[place]}
    width, reach = split_at_bids(*bands_from_quantiles(np.array(QUANTILES), lines.demand, bands=_BANDS), *_steps(bids))
    multiple = np.array([value_multiple(settings.policy, service) for service in services])
    regions = sorted({region for region, _, _ in lines.keys})
    counted = [
        quota_name(settings, lines.keys[place][0], name) if machine else BANDWIDTH
        for place, name, machine in zip(options.place.tolist(), options.name, options.machines, strict=True)
    ]
    families = [BANDWIDTH, *sorted(set(counted) - {BANDWIDTH})]
    capacity = [service.capacity for service in services]
    boots = np.array([capacity[place].boot_minutes for place in options.place])
    late = late_service(settings, options, scarce)
    loans = loans_between(settings, options, lines)
    problem = Problem(
        block_hours=lines.block_hours.astype(np.float64),
        regions=regions,
        places=["/".join(key if key[2] != INSTANCES else key[:2]) for key in lines.keys],
        resources=list(RESOURCES),
        region=np.array([regions.index(region) for region, _, _ in lines.keys]),
        width=width,
        reach=reach,
        value=_with_bids(_machines_of(width, size) * (options.hot_price[options.first] * multiple)[:, None, None], width, bids)
        * times[..., None],
        option_place=options.place,
        option_name=options.name,
        option_size=options.size,
        hot_price=options.hot_price * options.dearer,
        warm_price=late.warm_price,
        cold_use_price=late.cold_price,
        warm_loss=late.warm_loss,
        cold_loss=late.cold_loss,
        start_cost=np.where(options.machines, options.hot_price * (boots / 60 + _held_beside(settings, options)), 0.0),
        # Where it is not known what ran before, the first hour starts nothing that is needed.
        held=movement.running(options, spread(settings, options, taken, np.where(machines, _first_hour(lines, need), 0.0))),
        floors=spread(settings, options, taken, np.where(machines, [c.minimum_instances for c in capacity], 0.0)),
        families=families,
        option_family=np.array([families.index(name) for name in counted]),
        option_quota=options.vcpus,
        family_limit=np.array([[_left(settings, lines, taken, region, name) for name in families] for region in regions]),
        budget_per_day=budget_usd,
        budget_days=np.add.reduceat(budget_weights[:, : lines.hours], lines.first_hour, axis=1),
        hold_hours=np.where(options.machines, settings.policy.least_run_hours, 0.0),
        young=movement.young(options),
        flap_limit=np.where(machines[:, None], movement.flap_limit, np.inf),
        flap_day=movement.flap_day,
        leases=loans.leases(settings, regions),
    )
    return problem, loans


def _left(settings: Settings, lines: Lines, taken: Taken, region: str, family: str) -> Array:
    """(T,) vCPU of a region's quota that the program may use in each block."""
    if family == BANDWIDTH:
        return np.full(lines.first_hour.size, np.inf)
    others = np.maximum.reduceat(taken.get((region, family), np.zeros(lines.hours)), lines.first_hour)
    return np.maximum(quota_of(settings, region, family) - others, 0.0)


def _held_beside(settings: Settings, options: Options) -> Array:
    """(M,) hours for which a machine is held beside those that want it, where it may take the place of another type; 0 elsewhere.

    A region holds the most that any hour wants of each type until the next allocation has taken effect (`infra.targets.desired_state`). While two types
    change places, both are held for that long.
    """
    leads = np.array([boot_lead_hours(settings.services[options.keys[place][1]].capacity) for place in options.place])
    return np.where(options.several[options.place], settings.policy.hold_hours + leads - 1.0, 0.0)


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
