"""From a forecast to a plan: how much of what in which pool, for every region, service and hour, why, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

import numpy as np
import pandas as pd

from headroom.schemas import TABLES
from headroom.settings import Settings
from infra.budget import fit_budget
from infra.capacity_need import INSTANCES, capacity_need
from infra.forecast_check import chosen_regions, usable_forecast
from infra.policies import open_policy
from infra.prices import BANDWIDTH_USD_PER_GBPS_HOUR, list_prices

__all__ = ["plan_capacity", "unit_prices"]

_ROW: Final = ["region", "service", "resource"]
# A change of an attachment or a disk takes minutes: it is asked for in the hour before.
_PATCH_LEAD_HOURS: Final = 1


def plan_capacity(
    settings: Settings,
    forecasts: pd.DataFrame,
    *,
    issue_time: pd.Timestamp,
    policy: str | None = None,
    regions: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The plan for the forecast hours from `issue_time` on, in the `plans` schema. Pure: the same inputs give the same plan.

    1. `capacity_need` turns the forecast at `policy.quantile` into machines, bandwidth and storage.
    2. The policy splits every hour's need into hot, warm and cold.
    3. Lead times: what must run in an hour has to be asked for before it. With `B` boot and `R` resume minutes,
       `hot(t) = max hot_policy(t')` over `t' = t .. t + ceil(B / 60)` hours, and `hot(t) + warm(t)` is likewise the
       maximum over `ceil((B + R) / 60)` hours, since a standby machine must have booted once and must resume.
       Bandwidth and storage are held one hour ahead.
    4. Bandwidth of a region without an interconnect cannot be reserved: it stays cold.
    5. `cost_usd` of the hour is `hot x on-demand + warm x suspended` list price (see `infra.prices`); cold costs
       nothing until used. `peak_cost_usd` is the same hour with the plan's highest need held hot.
    6. A day (24 hours from the issue time) above `policy.budget_usd_per_day` is brought under it by `fit_budget`.

    Args:
        settings: the whole of capacity.yaml.
        forecasts: rows of one issue time in the `forecasts` schema; if that is older than `issue_time`, `why` says so.
        issue_time: when the plan is made, a full hour, UTC.
        policy: name; default the settings'.
        regions: default all.

    Raises:
        BadInputError: for a bad forecast, an unknown policy, region or machine type, a missing price, or a budget
            that cannot be met; the message names it and the remedy.
    """
    name = policy or settings.policy.name
    split = open_policy(name, settings.policy)
    rows = usable_forecast(settings, forecasts, issue_time=issue_time, regions=chosen_regions(settings, regions))
    need = capacity_need(settings, rows, quantile=settings.policy.quantile)
    pools = split.split(need)
    plan = need.assign(**{c: pools[c] for c in ("hot", "warm", "cold", "tier")}, why=pools["why"] + _what(settings, need))
    plan = _unreservable_is_cold(settings, _held_ahead(settings, plan))
    plan = _priced(settings, plan)
    plan = fit_budget(settings, plan, issue_time=issue_time)
    issued = rows["issue_time"].iloc[0]
    if issued < issue_time:
        plan["why"] += f"; forecast of {issued.isoformat()}, the last good one"
    plan = plan.assign(
        issue_time=issue_time,
        available_at=issue_time,
        policy=name,
        cost_usd=plan["hot"] * plan["hot_usd"] + plan["warm"] * plan["warm_usd"],
        peak_cost_usd=plan.groupby(_ROW)["needed"].transform("max") * plan["hot_usd"],
    )
    return plan[list(TABLES["plans"].columns)]


def unit_prices(settings: Settings, region: str, service: str, resource: str) -> tuple[float, float]:
    """USD per hour of one unit (machine, Gbit/s, GiB) held hot, and held warm.

    What cannot be held (bandwidth of a region without interconnect) costs 0.

    Raises:
        BadInputError: when the price list lacks the type or the region.
    """
    capacity, prices = settings.services[service].capacity, list_prices()
    if resource == INSTANCES:
        return prices.hot_usd_per_hour(capacity.machine_type, region), prices.warm_usd_per_hour(capacity.machine_type, region)
    if resource == "storage":
        return prices.disk_usd_per_gib_hour(capacity.storage, region), 0.0
    return (BANDWIDTH_USD_PER_GBPS_HOUR if settings.regions[region].interconnect else 0.0), 0.0


def _what(settings: Settings, need: pd.DataFrame) -> pd.Series[str]:
    """The need in words: the demand that binds, and what it takes."""
    demand = f"; q{settings.policy.quantile:g} need " + need["demand"].map(_short) + " " + need["demand_unit"]
    machines = need["needed"].map("{:.0f} x ".format) + need["machine_type"]
    amounts = need["needed"].map("{:g} ".format) + need["unit"]
    return demand + " -> " + machines.where(need["resource"] == INSTANCES, amounts)


def _short(value: float) -> str:
    """Three digits, or all of a larger whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _held_ahead(settings: Settings, plan: pd.DataFrame) -> pd.DataFrame:
    """Hot and warm raised to what the coming hours within the lead time need; `plan` is sorted by series and hour."""
    models = {name: service.capacity for name, service in settings.services.items()}
    boot = {name: ceil(m.boot_minutes / 60) for name, m in models.items()}
    standby = {name: ceil((m.boot_minutes + m.resume_minutes) / 60) for name, m in models.items()}
    machines = plan["resource"] == INSTANCES
    hot = _forward_maximum(plan, plan["hot"], plan["service"].map(boot).where(machines, _PATCH_LEAD_HOURS))
    held = _forward_maximum(plan, plan["hot"] + plan["warm"], plan["service"].map(standby).where(machines, 0))
    warm = (held - hot).clip(lower=0).where(machines, 0.0).round(6)
    minutes = plan["service"].map({name: f"{m.boot_minutes:g} min" for name, m in models.items()}).where(machines, "within the hour")
    raised = (hot > plan["hot"]).map({True: ", so already what the next hours need", False: ""})
    return plan.assign(
        hot=hot, warm=warm, cold=(plan["needed"] - hot - warm).clip(lower=0).round(6), why=plan["why"] + "; lead " + minutes + raised
    )


def _forward_maximum(plan: pd.DataFrame, amount: pd.Series[float], lead_hours: pd.Series[int]) -> pd.Series[float]:
    """Per series, the maximum of an hour and the `lead_hours` after it; hours beyond the forecast do not count."""
    result = amount.copy()
    later = amount.groupby([plan[c] for c in _ROW])
    for hours in range(1, int(lead_hours.max()) + 1):
        ahead = later.shift(-hours).where(lead_hours >= hours)
        result = result.where(~(ahead > result), ahead)
    return result


def _unreservable_is_cold(settings: Settings, plan: pd.DataFrame) -> pd.DataFrame:
    without = [name for name, region in settings.regions.items() if region.interconnect is None]
    unheld = (plan["resource"] == "bandwidth") & plan["region"].isin(without)
    return plan.assign(
        hot=plan["hot"].where(~unheld, 0.0),
        cold=plan["cold"].where(~unheld, plan["needed"]),
        why=plan["why"].where(~unheld, plan["why"] + "; no interconnect in the region, so nothing can be reserved: all cold"),
    )


def _priced(settings: Settings, plan: pd.DataFrame) -> pd.DataFrame:
    """Columns `hot_usd, warm_usd`: USD per unit and hour."""
    kinds = plan[_ROW].drop_duplicates()
    pairs = [unit_prices(settings, *key) for key in kinds.itertuples(index=False, name=None)]
    kinds = kinds.assign(hot_usd=np.array([p[0] for p in pairs]), warm_usd=np.array([p[1] for p in pairs]))
    return plan.merge(kinds, on=_ROW, how="left", validate="many_to_one")
