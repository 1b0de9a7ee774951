"""Settings and demand written as a problem of the program (`infra.program`): sizes, prices, values, losses and limits of every line."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.settings import Settings
from headroom.settings_services import Service
from headroom.vocabulary import QUANTILES
from infra.capacity_need import COMPUTE, INSTANCES, LINE, STEPS, demand_per_instance
from infra.policies.bid_bands import split_at_bids
from infra.policies.leasing import Loans, loans_between
from infra.policies.plan_lines import BANDWIDTH, RESOURCES, Array, Lines
from infra.policies.value import bid_usd, purchase_loss, resume_loss, value_multiple
from infra.prices import list_prices
from infra.program import Problem, bands_from_quantiles
from infra.unit_prices import unit_prices

__all__ = ["problem_of"]

# Bands of demand: the levels of a forecast, those below the median joined, where no plan ends.
_BANDS: Final = 8


def problem_of(settings: Settings, lines: Lines, need: pd.DataFrame, *, budget_usd_per_day: float, times: Array) -> tuple[Problem, Loans]:
    """The problem, with one machine option per place, and who may borrow from whom.

    Args:
        need: gives what the first hour needs.
        times: (places, hour blocks) by which the value of service is multiplied.
    """
    services = [settings.services[service] for _, service, _ in lines.keys]
    machines = np.array([resource == INSTANCES for _, _, resource in lines.keys])
    size = np.array([_size(settings, service, resource) for _, service, resource in lines.keys])
    prices = np.array([unit_prices(settings, *key) for key in lines.keys]) * np.where(machines, 1.0, STEPS[BANDWIDTH])[:, None]
    hot, warm = prices[:, 0], np.where(machines, prices[:, 1], np.inf)
    bids = {place: service for place, service in enumerate(services) if service.bid and machines[place]}
    width, reach = split_at_bids(*bands_from_quantiles(np.array(QUANTILES), lines.demand, bands=_BANDS), *_steps(bids))
    multiple = np.array([value_multiple(settings.policy, service) for service in services])
    regions, families = sorted({region for region, _, _ in lines.keys}), ["bandwidth", *_families(settings, lines)]
    needed = need.set_index(LINE)["needed"]
    capacity = [service.capacity for service in services]
    loans = loans_between(settings, lines.keys, lines.demand, size, RESOURCES.index(BANDWIDTH))
    problem = Problem(
        block_hours=lines.block_hours.astype(np.float64),
        regions=regions,
        places=["/".join(key if key[2] != INSTANCES else key[:2]) for key in lines.keys],
        resources=list(RESOURCES),
        region=np.array([regions.index(region) for region, _, _ in lines.keys]),
        width=width,
        reach=reach,
        value=_with_bids(_machines_of(width, size) * (hot * multiple)[:, None, None], width, bids) * times[..., None],
        option_place=np.arange(len(lines.keys)),
        option_name=[c.machine_type if is_machine else "attachment step" for c, is_machine in zip(capacity, machines, strict=True)],
        option_size=size,
        hot_price=hot,
        warm_price=warm,
        cold_use_price=hot,
        warm_loss=np.array([resume_loss(settings.policy, c) for c in capacity]),
        cold_loss=np.where(machines, [purchase_loss(settings.policy, c) for c in capacity], settings.policy.purchase_failure),
        start_cost=np.where(machines, hot * np.array([c.boot_minutes for c in capacity]) / 60, 0.0),
        # The first hour starts nothing that is needed: a plan depends on the forecast alone, so that a backfill makes the same.
        held=np.array(
            [float(needed.loc[key].iloc[0]) if is_machine else 0.0 for key, is_machine in zip(lines.keys, machines, strict=True)]
        ),
        floors=np.where(machines, [c.minimum_instances for c in capacity], 0.0),
        families=families,
        option_family=np.array([families.index(_family(c.machine_type)) if m else 0 for c, m in zip(capacity, machines, strict=True)]),
        option_quota=np.array([_vcpus(c.machine_type) if m else 0.0 for c, m in zip(capacity, machines, strict=True)]),
        family_limit=np.array([[_quota(settings, region, family) for family in families] for region in regions]),
        budget_per_day=budget_usd_per_day,
        hold_hours=np.where(machines, settings.policy.least_run_hours, 0.0),
        flap_limit=np.where(machines, settings.policy.flaps_per_day or np.inf, np.inf),
        leases=loans.leases(settings, lines.keys, regions, hot),
    )
    return problem, loans


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


def _size(settings: Settings, service: str, resource: str) -> list[float]:
    """What one machine, or one step of an attachment, serves of each of `RESOURCES`."""
    asked = settings.services[service]
    if resource != INSTANCES:
        return [STEPS[BANDWIDTH] if name == BANDWIDTH else 0.0 for name in RESOURCES]
    return [demand_per_instance(asked.capacity, name) if name in asked.demand and name in COMPUTE else 0.0 for name in RESOURCES]


def _machines_of(width: Array, size: Array) -> Array:
    """(D, T, K) machines that serve each band, counted in the resource that takes most of them in all bands together."""
    each = np.divide(width, size[:, None, None, :], out=np.zeros_like(width), where=size[:, None, None, :] > 0)
    binding = each.sum(axis=2, keepdims=True).argmax(axis=3)[..., None]
    machines: Array = np.take_along_axis(each, binding, axis=3)[..., 0]
    return machines


def _family(machine_type: str) -> str:
    return machine_type.partition("-")[0]


def _families(settings: Settings, lines: Lines) -> list[str]:
    return sorted(
        {_family(settings.services[service].capacity.machine_type) for _, service, resource in lines.keys if resource == INSTANCES}
    )


def _vcpus(machine_type: str) -> float:
    return list_prices().machine_type(machine_type).vcpu


def _quota(settings: Settings, region: str, family: str) -> float:
    """The vCPUs of a family that the region may run; no limit where the settings name none."""
    quotas = settings.regions[region].quotas
    return float(quotas.get(f"{family.upper()}_CPUS", quotas.get("CPUS", np.inf)))
