"""From a forecast to a plan: how much of what in which pool, for every region, service and hour, why, and at what cost.

Policies that decide hour by hour:

1. `capacity_need` turns the forecast at the policy's quantile into machines, bandwidth and storage; of several machine types it takes
   in each region the cheapest for all hours.
2. The policy splits every hour's need into hot, warm and cold.
3. Lead times: what must run in an hour has to be asked for before it. With `B` boot and `R` resume minutes,
   `hot(t) = max hot_policy(t')` over `t' = t .. t + ceil(B / 60)` hours, and `hot(t) + warm(t)` is likewise the
   maximum over `ceil((B + R) / 60)` hours, since a standby machine must have booted once and must resume.
   Bandwidth and storage are held one hour ahead.
4. Bandwidth of a region without an interconnect cannot be reserved: it stays cold.
5. A region's quotas: in an hour that needs more, `fit_quotas` lets the least critical services give, after less critical ones that are
   `optimal`; what is then served by nobody is `unmet`.
6. `cost_usd` of the hour is `hot x on-demand + warm x standby` list price (see `infra.prices`, `infra.standby`); cold costs
   nothing until used. `peak_cost_usd` is the same hour with the plan's highest need held hot, on the type that serves it cheapest.
7. A UTC day above `policy.budget_usd_per_day` is brought under it by `fit_budget`; what is held between allocations counts, which may be
   more than the sum of the hours (`infra.held_cost`). Today has what is left of its budget (`infra.day_budget`); where that is less than
   `minimum_instances` and storage cost until midnight, they are held all the same, and `why` says by how much that is above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.schemas import TABLES
from headroom.settings import Settings
from infra.binding_limit import BindingLimit
from infra.budget import fit_budget
from infra.capacity_need import LINE, capacity_need
from infra.day_budget import DayBudgets, SpentToday, day_budgets
from infra.forecast_check import chosen_regions, usable_forecast
from infra.held_cost import held_usd_by_hour, within_held_budget
from infra.hourly_lines import hourly_lines, unreservable_is_cold
from infra.line_words import boost_words, need_words, standby_words
from infra.policies import OPTIMAL, check_policy
from infra.quota_fit import Taken, fit_quotas, vcpus_taken
from infra.running import RunHistory
from infra.settings_check import check_quotas
from infra.unit_prices import TYPED_LINE, with_unit_prices

if TYPE_CHECKING:
    from infra.boosts import Boost
    from infra.failures import Scarce

__all__ = ["CapacityPlan", "Known", "plan_capacity"]

Array: TypeAlias = npt.NDArray[np.float64]

_AMOUNTS: Final = ["needed", "hot", "warm", "cold", "unmet", "leased", "leased_usd"]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known at the issue time of a plan, beside its forecast.

    Attributes:
        boosts: those that count then (`infra.boosts.boosts_of`).
        measured: `unique_id, ds, y` of the hours from `measured_since` on, for `reactive`.
        spent: of today's budget; None: nothing is known, so that the hours before the issue time count as their part of it.
        history: what ran before, for `optimal`; None: nothing is known.
        scarce: machine types that lately could not be had, for `optimal` (`infra.stockouts.scarce_types`).
    """

    boosts: Sequence[Boost] = ()
    measured: pd.DataFrame | None = None
    spent: SpentToday | None = None
    history: RunHistory | None = None
    scarce: Scarce = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CapacityPlan:
    """A plan in the `plans` schema, and the limits that bind in it, the dearest first; only `optimal` knows what they cost."""

    rows: pd.DataFrame
    limits: tuple[BindingLimit, ...]


def plan_capacity(
    settings: Settings,
    forecasts: pd.DataFrame,
    *,
    issue_time: pd.Timestamp,
    policy: str | None = None,
    regions: Sequence[str] | None = None,
    known: Known | None = None,
) -> CapacityPlan:
    """The plan for the forecast hours from `issue_time` on. Pure: the same inputs give the same plan.

    Every service is planned by its policy (`services.<service>.policy`, else `policy.name`); `policy` puts one in place of all.
    Those that decide hour by hour go through the steps at the top of this file.

    Those that are `optimal` are planned together (`infra.policies.optimal`), with what the others leave of the quotas and the budget; they may use
    several machine types at once, and then have a row per hour and type.

    In its boosted hours a service's value is `policy.boost_factor` times as high for the program; policies that decide hour by hour hold the
    highest quantile of a forecast hot.

    Args:
        settings: the whole of capacity.yaml.
        forecasts: rows of one issue time in the `forecasts` schema; if that is older than `issue_time`, `why` says so.
        issue_time: when the plan is made, a full hour, UTC.
        policy: name; default the settings'.
        regions: default all.
        known: default `Known()`.

    Raises:
        BadInputError: for a bad forecast, an unknown policy, region, machine type or quota, a missing price, or a budget
            that cannot be met; the message names it and the remedy.
    """
    known = known or Known()
    check_quotas(settings)
    rows = usable_forecast(settings, forecasts, issue_time=issue_time, regions=chosen_regions(settings, regions))
    hours = int((rows["ds"].max() - issue_time) // pd.Timedelta("1h")) + 1
    now = _Moment(settings, issue_time, known, day_budgets(settings, issue_time=issue_time, hours=hours, spent=known.spent))
    names = {name: check_policy(policy or service.policy or settings.policy.name) for name, service in settings.services.items()}
    of_row = rows["service"].map(names)
    together, by_hour = rows[of_row == OPTIMAL], _lines_by_hour(now, rows, of_row)
    need = _need_at_quantile(settings, together)
    least = now.held_by_day(pd.concat([_least(by_hour), _least(need)]))
    # Today what must be held is, whatever is left; where a whole day's budget does not do, the settings contradict each other.
    usd, plan, limits = np.append(max(now.budgets.usd[0], least[0]), now.budgets.usd[1:]), pd.DataFrame(), None
    if len(by_hour):
        plan = _hour_by_hour(now, by_hour, need, usd)
        usd = np.maximum(usd - now.held_by_day(plan), 0.0)
    if len(together):
        made = _together(now, together, need, usd, taken=vcpus_taken(settings, plan))
        limits = made["limits"].iloc[0]
        plan = pd.concat([plan, made.drop(columns="limits")])
    above = now.budgets.above(float(now.held_by_day(plan)[0]))
    plan["why"] += np.where(plan["ds"] < issue_time.normalize() + pd.Timedelta("24h"), above, "")
    return CapacityPlan(_as_table(plan, issued=rows["issue_time"].iloc[0], issue_time=issue_time), limits or ())


@dataclass(frozen=True, eq=False)
class _Moment:
    """What both kinds of policies plan with."""

    settings: Settings
    issue_time: pd.Timestamp
    known: Known
    budgets: DayBudgets

    def held_by_day(self, plan: pd.DataFrame) -> Array:
        """(days,) USD of what a plan will hold."""
        return self.budgets.by_day(held_usd_by_hour(self.settings, plan, self.issue_time))

    def within(self, plan_within: Callable[[Array, Array], pd.DataFrame], usd: Array) -> pd.DataFrame:
        """The plan that is held for at most `usd` (days,)."""
        return within_held_budget(self.settings, plan_within, self.budgets, usd=usd, issue_time=self.issue_time)


def _lines_by_hour(now: _Moment, rows: pd.DataFrame, of_row: pd.Series[str]) -> pd.DataFrame:
    """What the policies that decide hour by hour want, before quotas and budget; `of_row` is the policy of each row."""
    parts = [
        hourly_lines(now.settings, rows[of_row == name], name, now.issue_time, now.known.boosts, now.known.measured)
        for name in sorted(set(of_row) - {OPTIMAL})
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _need_at_quantile(settings: Settings, rows: pd.DataFrame) -> pd.DataFrame:
    """The need of what is planned by the program."""
    return capacity_need(settings, rows, quantile=pd.Series(settings.policy.quantile, index=rows.index)) if len(rows) else rows


def _least(need: pd.DataFrame) -> pd.DataFrame:
    """What must be held whatever happens: `minimum_instances` and storage; a plan of `held_usd_by_hour`."""
    if need.empty:
        return need
    stored = need["hot"] if "hot" in need else need["needed"]
    return need.assign(hot=stored.where(need["resource"] == "storage", need["minimum"]), warm=0.0)


def _as_table(plan: pd.DataFrame, *, issued: pd.Timestamp, issue_time: pd.Timestamp) -> pd.DataFrame:
    """The rows of the `plans` schema; `issued` is the forecast's issue time."""
    plan = plan.sort_values([*LINE, "ds"], kind="stable").reset_index(drop=True)
    if issued < issue_time:
        plan["why"] += f"; forecast of {issued.isoformat()}, the last good one"
    plan[_AMOUNTS] += 0.0  # no negative zero
    plan = plan.assign(
        issue_time=issue_time,
        available_at=issue_time,
        cost_usd=plan["hot"] * plan["hot_usd"] + plan["warm"] * plan["warm_usd"],
        peak_cost_usd=plan.groupby(TYPED_LINE)["whole"].transform("max") * plan["hot_usd"],
    )
    return plan[list(TABLES["plans"].columns)]


def _hour_by_hour(now: _Moment, lines: pd.DataFrame, beside: pd.DataFrame, usd: Array) -> pd.DataFrame:
    """`lines` of the policies that decide hour by hour within the quotas, and `usd` (days,) less what must be held of the need `beside` them."""
    settings = now.settings
    rank = {name: -service.rank for name, service in settings.services.items()}
    fit = partial(fit_budget, fit_quotas(settings, lines, beside=beside), now.budgets, rank=rank, issue_time=now.issue_time)
    room = np.maximum(usd - now.held_by_day(_least(beside)), 0.0)
    plan = now.within(lambda tried, weights: fit(usd=tried, weights=weights), room)
    plan["why"] += standby_words(settings, plan)
    return plan


def _together(now: _Moment, rows: pd.DataFrame, need: pd.DataFrame, usd: Array, *, taken: Taken) -> pd.DataFrame:
    """Priced lines of the services that are planned by the program, within what others left of the quotas, and `usd` (days,) that also pay for
    their storage.
    """
    from infra.policies.optimal import optimal_pools  # and with it sparse matrices, which no other policy needs

    settings, known = now.settings, now.known
    stored = now.held_by_day(_least(need[need["resource"] == "storage"]))
    boosted = boost_words(need, known.boosts)

    def within(tried: Array, weights: Array) -> pd.DataFrame:
        plan = optimal_pools(
            settings,
            rows,
            need,
            budget_usd=np.maximum(tried - stored, 0.0),
            budget_weights=weights,
            taken=taken,
            boosted=boosted != "",
            history=known.history,
            scarce=known.scarce,
        )
        words, whole = (boosted + need_words(need)).loc[plan.index], need["needed"].loc[plan.index].where(plan["first_type"], 0.0)
        plan = plan.assign(policy=OPTIMAL, why=plan["why"].to_numpy() + words.to_numpy(), whole=whole.to_numpy())
        return with_unit_prices(settings, unreservable_is_cold(settings, plan))

    return now.within(within, usd)
