"""The optimal policy: all services, regions and hours in one linear program (`infra.program`), from the forecast's quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.settings import Settings
from headroom.settings_services import Service
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from infra.capacity_need import COMPUTE, INSTANCES, STEPS, demand_per_instance
from infra.lead_times import PATCH_LEAD_HOURS, boot_lead_hours
from infra.policies.bid_bands import split_at_bids
from infra.policies.reasons import reasons
from infra.policies.tiered import confidence_tier
from infra.policies.value import bid_usd, purchase_loss, resume_loss, value_multiple
from infra.prices import list_prices
from infra.program import Problem, bands_from_quantiles, share_fairly, solve
from infra.unit_prices import unit_prices

__all__ = ["optimal_pools"]

BANDWIDTH: Final = "bandwidth"
_RESOURCES: Final = (*COMPUTE, BANDWIDTH)
_ROW: Final = ["region", "service", "resource"]
# Bands of demand: the levels of a forecast, those below the median joined, where no plan ends.
_BANDS: Final = 8
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Lines:
    """What is planned together: `keys` (region, service, resource of the plan), one per place, and demand (places, hours, levels, resources)."""

    keys: list[tuple[str, str, str]]
    demand: Array


def optimal_pools(
    settings: Settings, rows: pd.DataFrame, need: pd.DataFrame, *, budget_usd_per_day: float, boosted: pd.Series[bool]
) -> pd.DataFrame:
    """`hot, warm, cold, tier, why` on the index of `need`: the cheapest plan by expectation within quotas and budget.

    A service in a region is a place of the program, with machines of its type; its bandwidth is one of its own, because attachments are
    bought by the Gbit/s and what is not reserved may still be there. Storage is held as needed: a disk cannot wait. In an hour a line
    is asked for what its lead time makes due, so demand counts as the highest of the hour and those within the lead time. Unserved
    demand loses `value_multiple` times the price of the machines that would have served it.

    Args:
        rows: what `usable_forecast` let through, for the services that are planned.
        need: their `capacity_need`; says what counts as needed, and gives the rows of the result.
        budget_usd_per_day: for the machines and the bandwidth of these rows; storage is not in it.
        boosted: rows of `need` whose value counts `policy.boost_factor` times.

    Raises:
        BadInputError: when no plan keeps quotas, floors and budget; names those in conflict.
    """
    hours = int(need.groupby(_ROW)["ds"].size().iloc[0])
    order = need.sort_values([*_ROW, "ds"], kind="stable").index
    sorted_need = need.loc[order]
    lines = _lines(settings, rows, sorted_need, hours)
    result = pd.DataFrame(
        {"hot": sorted_need["needed"], "warm": 0.0, "cold": 0.0, "why": "held as needed: a disk cannot wait"}, index=order
    )
    if lines.keys:
        at = _places_of(sorted_need, lines)
        planned = at >= 0
        times = np.where(boosted.loc[order], settings.policy.boost_factor, 1.0)[planned].reshape(len(lines.keys), hours)
        problem = _problem(settings, lines, sorted_need, budget_usd_per_day, times)
        if settings.policy.fairness != "bids":
            problem = share_fairly(problem, rule=settings.policy.fairness)
        solution = solve(problem)
        place, block = at[planned], np.tile(np.arange(hours), len(at) // hours)[planned]
        step = sorted_need.loc[planned, "resource"].map(STEPS).to_numpy(float)
        for pool, machines in (("hot", solution.hot), ("warm", solution.warm)):
            result.loc[order[planned], pool] = np.round(machines[place, block] * step, 6)
        result.loc[order[planned], "why"] = reasons(problem, solution, lines.demand)[place, block]
    result["cold"] = (sorted_need["needed"] - result["hot"] - result["warm"]).clip(lower=0).round(6)
    result["tier"] = confidence_tier(settings.policy, sorted_need["confidence"])
    return result.reindex(need.index)


def _lines(settings: Settings, rows: pd.DataFrame, need: pd.DataFrame, hours: int) -> _Lines:
    there = need.drop_duplicates(_ROW)
    reserved = {name for name, region in settings.regions.items() if region.interconnect is not None}
    wanted = (there["resource"] == INSTANCES) | ((there["resource"] == BANDWIDTH) & there["region"].isin(reserved))
    keys = list(there.loc[wanted, _ROW].itertuples(index=False, name=None))
    place_of = {key: place for place, key in enumerate(keys)}
    ordered = rows.sort_values(["unique_id", "ds"], kind="stable")
    quantiles = ordered[list(QUANTILE_COLUMNS)].to_numpy(float).reshape(-1, hours, len(QUANTILES))
    demand = np.zeros((len(keys), hours, len(QUANTILES), len(_RESOURCES)))
    series = ordered.iloc[::hours][_ROW].itertuples(index=False, name=None)
    for number, (region, service, resource) in enumerate(series):
        place = place_of.get((region, service, INSTANCES if resource in COMPUTE else resource))
        if place is not None:
            demand[place, :, :, _RESOURCES.index(resource)] = quantiles[number]
    for place, (_, service, resource) in enumerate(keys):
        lead = boot_lead_hours(settings.services[service].capacity) if resource == INSTANCES else PATCH_LEAD_HOURS
        now = demand[place].copy()
        for ahead in range(1, min(lead, hours - 1) + 1):
            demand[place, :-ahead] = np.maximum(demand[place, :-ahead], now[ahead:])
    return _Lines(keys, demand)


def _problem(settings: Settings, lines: _Lines, need: pd.DataFrame, budget: float, times: Array) -> Problem:
    """`times`: (places, hours) by which the value of service is multiplied."""
    services = [settings.services[service] for _, service, _ in lines.keys]
    machines = np.array([resource == INSTANCES for _, _, resource in lines.keys])
    size = np.array([_size(settings, service, resource) for _, service, resource in lines.keys])
    prices = np.array([unit_prices(settings, *key) for key in lines.keys]) * np.where(machines, 1.0, STEPS[BANDWIDTH])[:, None]
    hot, warm = prices[:, 0], np.where(machines, prices[:, 1], np.inf)
    bids = {place: service for place, service in enumerate(services) if service.bid and machines[place]}
    width, reach = split_at_bids(*bands_from_quantiles(np.array(QUANTILES), lines.demand, bands=_BANDS), *_steps(bids))
    multiple = np.array([value_multiple(settings.policy, service) for service in services])
    regions, families = sorted({region for region, _, _ in lines.keys}), ["bandwidth", *_families(settings, lines)]
    needed = need.set_index(_ROW)["needed"]
    capacity = [service.capacity for service in services]
    return Problem(
        block_hours=np.ones(lines.demand.shape[1]),
        regions=regions,
        places=["/".join(key if key[2] != INSTANCES else key[:2]) for key in lines.keys],
        resources=list(_RESOURCES),
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
        budget_per_day=budget,
        hold_hours=np.where(machines, settings.policy.least_run_hours, 0.0),
        flap_limit=np.where(machines, settings.policy.flaps_per_day or np.inf, np.inf),
    )


def _steps(bids: dict[int, Service]) -> tuple[dict[int, int], dict[int, list[float]]]:
    """Per place with a bid: the resource that it is in, and the amounts at which its worth falls."""
    resources = {place: next(_RESOURCES.index(name) for name in service.demand if name in COMPUTE) for place, service in bids.items()}
    return resources, {place: [step.up_to for step in service.bid if step.up_to is not None] for place, service in bids.items()}


def _with_bids(usual: Array, width: Array, bids: dict[int, Service]) -> Array:
    """(D, T, K) USD per hour of every band: by the service's bid, where it has one."""
    value, resources = usual.copy(), _steps(bids)[0]
    for place, service in bids.items():
        value[place] = np.diff(bid_usd(service.bid, np.cumsum(width[place, :, :, resources[place]], axis=1)), axis=1, prepend=0.0)
    return value


def _size(settings: Settings, service: str, resource: str) -> list[float]:
    """What one machine, or one step of an attachment, serves of each of `_RESOURCES`."""
    asked = settings.services[service]
    if resource != INSTANCES:
        return [STEPS[BANDWIDTH] if name == BANDWIDTH else 0.0 for name in _RESOURCES]
    return [demand_per_instance(asked.capacity, name) if name in asked.demand and name in COMPUTE else 0.0 for name in _RESOURCES]


def _machines_of(width: Array, size: Array) -> Array:
    """(D, T, K) machines that serve each band, counted in the resource that takes most of them in all bands together."""
    each = np.divide(width, size[:, None, None, :], out=np.zeros_like(width), where=size[:, None, None, :] > 0)
    binding = each.sum(axis=2, keepdims=True).argmax(axis=3)[..., None]
    machines: Array = np.take_along_axis(each, binding, axis=3)[..., 0]
    return machines


def _places_of(need: pd.DataFrame, lines: _Lines) -> npt.NDArray[np.int64]:
    """Per row of `need` its place, -1 for what is not in the program."""
    known = pd.Series(np.arange(len(lines.keys)), index=pd.MultiIndex.from_tuples(lines.keys))
    found: npt.NDArray[np.int64] = known.reindex(pd.MultiIndex.from_frame(need[_ROW])).fillna(-1).to_numpy(np.int64)
    return found


def _family(machine_type: str) -> str:
    return machine_type.partition("-")[0]


def _families(settings: Settings, lines: _Lines) -> list[str]:
    return sorted(
        {_family(settings.services[service].capacity.machine_type) for _, service, resource in lines.keys if resource == INSTANCES}
    )


def _vcpus(machine_type: str) -> float:
    return list_prices().machine_type(machine_type).vcpu


def _quota(settings: Settings, region: str, family: str) -> float:
    """The vCPUs of a family that the region may run; no limit where the settings name none."""
    quotas = settings.regions[region].quotas
    return float(quotas.get(f"{family.upper()}_CPUS", quotas.get("CPUS", np.inf)))
