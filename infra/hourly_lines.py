"""Lines of the services whose policy decides hour by hour: what each hour holds, early enough for it to be there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from headroom.settings import Settings
from headroom.vocabulary import QUANTILES
from infra.capacity_need import INSTANCES, LINE, capacity_need
from infra.lead_times import PATCH_LEAD_HOURS, boot_lead_hours, standby_lead_hours
from infra.line_words import boost_words, need_words
from infra.measured_need import with_measured
from infra.policies import REACTIVE, open_policy
from infra.unit_prices import with_unit_prices

if TYPE_CHECKING:
    from infra.boosts import Boost

__all__ = ["hourly_lines", "unreservable_is_cold"]


def hourly_lines(
    settings: Settings, rows: pd.DataFrame, name: str, issue_time: pd.Timestamp, boosts: Sequence[Boost], measured: pd.DataFrame | None
) -> pd.DataFrame:
    """Priced lines of the services whose policy decides hour by hour, before the budget."""
    split = open_policy(name, settings.policy)
    chosen = rows["service"].map({service: split.quantile(asked) for service, asked in settings.services.items()})
    chosen = chosen.where(boost_words(rows, boosts) == "", QUANTILES[-1]).where(rows["resource"] != "storage", settings.policy.quantile)
    need = capacity_need(settings, rows, quantile=chosen)
    if name == REACTIVE:
        need = with_measured(settings, need, rows, measured, quantile=chosen, issue_time=issue_time)
    pools = split.split(need)
    boosted = boost_words(need, boosts)
    most = pools["hot"].clip(lower=need["needed"])  # static and reactive may hold more already
    pools = pools.where(boosted == "", pools.assign(hot=most, warm=0.0, cold=0.0, why="all hot"))
    plan = need.assign(policy=name, **{c: pools[c] for c in ("hot", "warm", "cold", "tier")}, why=pools["why"] + boosted + need_words(need))
    plan = plan.assign(unmet=0.0, leased=0.0, leased_usd=0.0, whole=plan["needed"])
    return with_unit_prices(settings, unreservable_is_cold(settings, _held_ahead(settings, plan)))


def unreservable_is_cold(settings: Settings, plan: pd.DataFrame) -> pd.DataFrame:
    """Bandwidth of a region without an interconnect is not held."""
    without = [name for name, region in settings.regions.items() if region.interconnect is None]
    unheld = (plan["resource"] == "bandwidth") & plan["region"].isin(without)
    return plan.assign(
        hot=plan["hot"].where(~unheld, 0.0),
        cold=plan["cold"].where(~unheld, plan["needed"]),
        why=plan["why"].where(~unheld, plan["why"] + "; no interconnect in the region, so nothing can be reserved: all cold"),
    )


def _held_ahead(settings: Settings, plan: pd.DataFrame) -> pd.DataFrame:
    """Hot and warm raised to what the coming hours within the lead time need; `plan` is sorted by series and hour."""
    models = {name: service.capacity for name, service in settings.services.items()}
    boot = {name: boot_lead_hours(m) for name, m in models.items()}
    machines = plan["resource"] == INSTANCES
    kinds = plan.loc[machines, ["service", "machine_type"]].drop_duplicates().itertuples(index=False, name=None)
    standby = {kind: standby_lead_hours(settings, *kind) for kind in kinds}
    of_row = pd.Series(pd.MultiIndex.from_frame(plan[["service", "machine_type"]]).map(standby), index=plan.index)
    hot = _forward_maximum(plan, plan["hot"], plan["service"].map(boot).where(machines, PATCH_LEAD_HOURS))
    held = _forward_maximum(plan, plan["hot"] + plan["warm"], of_row.where(machines, 0).astype(int))
    warm = (held - hot).clip(lower=0).where(machines, 0.0).round(6)
    minutes = plan["service"].map({name: f"{m.boot_minutes:g} min" for name, m in models.items()}).where(machines, "within the hour")
    raised = (hot > plan["hot"]).map({True: ", so already what the next hours need", False: ""})
    return plan.assign(
        hot=hot, warm=warm, cold=(plan["needed"] - hot - warm).clip(lower=0).round(6), why=plan["why"] + "; lead " + minutes + raised
    )


def _forward_maximum(plan: pd.DataFrame, amount: pd.Series[float], lead_hours: pd.Series[int]) -> pd.Series[float]:
    """Per series, the maximum of an hour and the `lead_hours` after it; hours beyond the forecast do not count."""
    result = amount.copy()
    later = amount.groupby([plan[c] for c in LINE])
    for hours in range(1, int(lead_hours.max()) + 1):
        ahead = later.shift(-hours).where(lead_hours >= hours)
        result = result.where(~(ahead > result), ahead)
    return result
