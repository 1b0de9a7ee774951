"""What the next minutes need beside what the plan holds: standby machines run while they are needed, and stand by again when they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.settings import Settings
from headroom.vocabulary import UNITS
from infra.capacity_need import INSTANCES, demand_at
from infra.corrections import Correction
from infra.day_budget import SpentToday, day_budgets
from infra.held_cost import held_usd_by_hour
from infra.machine_types import COMPUTE, carried
from infra.targets import MachineTarget, Target

__all__ = ["decide_corrections"]

_NOISE: Final = 1e-9
_HOUR: Final = pd.Timedelta("1h")
_KEY: Final = ["region", "service", "machine_type"]
_LINE: Final = ["region", "service"]


def decide_corrections(
    settings: Settings,
    plans: pd.DataFrame,
    targets: Mapping[str, Sequence[Target]],
    forecast: pd.DataFrame,
    *,
    issue_time: pd.Timestamp,
    earlier: Sequence[Correction] = (),
    spent: SpentToday | None = None,
) -> list[Correction]:
    """What shall run of every service's machines until the end of the minutes that `forecast` tells of. Pure.

    With `H` hot and `W` warm machines of the plan and `D` the larger of the demand last measured and the highest of these minutes at
    `policy.correction.quantile`

        needed = ceil(max over compute resources of D / carried by one machine)
        hot'   = min(max(H, needed), H + W)        warm' = H + W - hot'

    so nothing is reserved or bought; what is needed above `H + W` is said and stays unmet. Of a service with several machine types all that is hot
    counts first, then each type's standby in the order of the targets. Where the plan's policy does not scale in at once, `needed` is at least what
    ran before: within `stabilisation_hours` for `reactive`, `least_run_hours` for `optimal`.

    The day's budget holds: until midnight UTC the sum of resumed x (hot - warm price) is at most what the day's full hours so far, and the plans as
    they are held from this hour on (`infra.held_cost`), leave of `policy.budget_usd_per_day`; where it is not, the most critical services come first.

    Args:
        plans: rows of the `plans` table, of the plan in force in each region.
        targets: region -> the plan's targets there, adoptions included.
        forecast: `region, service, resource, ds, measured` and quantiles, for the steps from `issue_time` on that count; `measured` is the newest
            measurement of the series.
        earlier: corrections of the last hours.
        spent: what is known of the full hours of the day so far; None: nothing, so that they count as their part of the budget.

    Returns:
        One row per service, region and machine type whose compute resources are all forecast.
    """
    assert settings.policy.correction is not None, "the caller asks whether corrections are wanted"
    lines = _lines(plans, targets)
    demand = _demand(settings, forecast)
    lines = lines[[key in demand.index for key in lines[_LINE].itertuples(index=False, name=None)]].reset_index(drop=True)
    if lines.empty:
        return []
    lines = _needed(settings, lines, demand)
    lines["kept"] = _kept(settings, lines, earlier, issue_time)
    wanted = (lines[["needed", "kept"]].max(axis=1) - lines["hot"]).clip(lower=0)
    lines["asked"] = np.minimum(wanted, lines["warm"])
    lines["resumed"] = _within_budget(settings, plans, lines, issue_time, spent)
    return _rows(settings, lines, issue_time)


def _lines(plans: pd.DataFrame, targets: Mapping[str, Sequence[Target]]) -> pd.DataFrame:
    """One row per target of machines, with the plan's issue time and policy; without those of further types that the plan does not use."""
    machines = [
        (region, target)
        for region, held in targets.items()
        for target in held
        if isinstance(target, MachineTarget) and (target.hot or target.standby or not target.further)
    ]
    rows = [(region, t.service, t.machine_type, t.hot, t.standby, t.rank, t.hot_usd, t.warm_usd) for region, t in machines]
    lines = pd.DataFrame(rows, columns=[*_KEY, "hot", "warm", "rank", "hot_usd", "warm_usd"])
    own = plans.loc[plans["resource"] == INSTANCES, [*_LINE, "issue_time", "policy"]].drop_duplicates(_LINE)
    return lines.merge(own, on=_LINE, how="inner", validate="many_to_one")


def _demand(settings: Settings, forecast: pd.DataFrame) -> pd.DataFrame:
    """Index region, service; a column per compute resource: the highest demand of the steps at the quantile, 0 for resources that it does not ask for.

    A service that lacks a series is left out.
    """
    assert settings.policy.correction is not None
    own = forecast[forecast["resource"].isin(COMPUTE)]
    own = own.assign(demand=np.maximum(demand_at(own, settings.policy.correction.quantile), own["measured"]))
    wide = own.pivot_table(index=_LINE, columns="resource", values="demand", aggfunc="max").reindex(columns=list(COMPUTE))
    asked = pd.DataFrame(
        {name: {resource: resource in service.demand for resource in COMPUTE} for name, service in settings.services.items()}
    ).T
    wants = asked.reindex(wide.index.get_level_values("service")).to_numpy(dtype=bool)
    whole = (wide.notna().to_numpy() | ~wants).all(axis=1)
    found: pd.DataFrame = wide.where(wants, 0.0)[whole]
    return found


def _needed(settings: Settings, lines: pd.DataFrame, demand: pd.DataFrame) -> pd.DataFrame:
    """Column `needed`, `demand` and `unit` of the resource that binds: per target what remains of the demand when the others' machines serve first."""
    asked = demand.loc[pd.MultiIndex.from_frame(lines[_LINE])].to_numpy(dtype=float)
    carry = np.array([carried(settings, *key) for key in lines[_KEY[1:]].itertuples(index=False, name=None)])
    service = lines.groupby(_LINE, sort=False).ngroup().to_numpy()
    place = lines.groupby(_LINE, sort=False).cumcount().to_numpy()
    last = place == lines.groupby(_LINE, sort=False)["hot"].transform("size").to_numpy() - 1
    hot, warm = lines["hot"].to_numpy(dtype=float), lines["warm"].to_numpy(dtype=float)
    serving = hot.copy()
    needed, binding = np.zeros(len(lines)), np.zeros(len(lines), dtype=int)
    for turn in range(int(place.max()) + 1):
        total = np.zeros((int(service.max()) + 1, len(COMPUTE)))
        np.add.at(total, service, serving[:, None] * carry)
        now = place == turn
        rest = asked[now] - (total[service[now]] - (serving[:, None] * carry)[now])
        ratio = np.divide(rest, carry[now], out=np.full_like(rest, -np.inf), where=carry[now] > 0)  # what is not asked for never binds
        binding[now] = ratio.argmax(axis=1)
        needed[now] = np.maximum(np.ceil(ratio.max(axis=1) - _NOISE), 0.0)
        most = (hot + warm)[now]
        serving[now] = np.clip(needed[now], hot[now], most)
        needed[now] = np.where(last[now], needed[now], np.minimum(needed[now], most))
    names = np.array(COMPUTE)[binding]
    units = np.array([UNITS[name] for name in names])
    return lines.assign(needed=needed.astype(int), demand=asked[np.arange(len(lines)), binding], unit=units)


def _kept(settings: Settings, lines: pd.DataFrame, earlier: Sequence[Correction], issue_time: pd.Timestamp) -> npt.NDArray[np.int64]:
    """What ran before and keeps running, because the policy of the plan does not scale in at once; 0 where it does."""
    hours = lines["policy"].map({"reactive": settings.policy.stabilisation_hours, "optimal": settings.policy.least_run_hours}).fillna(0.0)
    since = (issue_time - pd.to_timedelta(hours, unit="h")).tolist()
    keys = lines[_KEY].itertuples(index=False, name=None)
    ran: dict[tuple[str, ...], list[Correction]] = {}
    for row in earlier:
        ran.setdefault((row.region, row.service, row.machine_type), []).append(row)
    return np.array(
        [max((row.hot for row in ran.get(key, ()) if row.issue_time > start), default=0) for key, start in zip(keys, since, strict=True)],
        dtype=np.int64,
    )


def _within_budget(
    settings: Settings, plans: pd.DataFrame, lines: pd.DataFrame, issue_time: pd.Timestamp, spent: SpentToday | None
) -> pd.Series[int]:
    """How many of `asked` may run, were it until midnight."""
    now, midnight = issue_time.floor("h"), issue_time.normalize() + pd.Timedelta("24h")
    hours = (midnight - now) // _HOUR
    left = day_budgets(settings, issue_time=now, hours=hours, spent=spent and replace(spent, beside_usd_per_hour=0.0)).usd[0]
    room = max(float(left) - _held_until_usd(settings, plans, now, hours), 0.0)
    dearer = ((lines["hot_usd"] - lines["warm_usd"]) * ((midnight - issue_time) / _HOUR)).clip(lower=_NOISE)
    order = lines.sort_values(["rank", *_KEY], kind="stable").index
    total = (lines["asked"] * dearer).loc[order].cumsum()
    before = total - (lines["asked"] * dearer).loc[order]
    fits = np.floor((room - before) / dearer.loc[order] + _NOISE).clip(lower=0).reindex(lines.index)
    resumed: pd.Series[int] = np.minimum(lines["asked"], fits).astype(int)
    return resumed


def _held_until_usd(settings: Settings, plans: pd.DataFrame, now: pd.Timestamp, hours: int) -> float:
    """What the plans hold in so many hours from `now`."""
    usd = 0.0
    for _, plan in plans.groupby("issue_time"):
        since = pd.Timestamp(plan["issue_time"].iloc[0])
        over = (now - since) // _HOUR
        usd += float(held_usd_by_hour(settings, plan, since)[over : over + hours].sum())
    return usd


def _rows(settings: Settings, lines: pd.DataFrame, issue_time: pd.Timestamp) -> list[Correction]:
    assert settings.policy.correction is not None
    rule = settings.policy.correction
    until = issue_time + pd.Timedelta(minutes=rule.minutes)
    found = []
    for row in lines.to_dict("records"):
        hot, warm, needed, kept, asked, resumed = (int(row[name]) for name in ("hot", "warm", "needed", "kept", "asked", "resumed"))
        why = (
            f"the next {rule.minutes} minutes need {needed} ({row['demand']:.3g} {row['unit']}, q{rule.quantile:g} or as last measured); "
            f"the plan of {row['issue_time']:%Y-%m-%d %H:%M} holds {hot} hot and {warm} warm: {hot + resumed} run"
        )
        if kept > max(needed, hot):
            why += f"; {kept} ran before and are kept by policy {row['policy']}"
        if resumed < asked:
            why += f"; policy.budget_usd_per_day has room for {resumed} of the {asked} that stand by for it"
        if needed > hot + warm:
            why += f"; {needed - hot - warm} more are neither hot nor warm, and a correction buys none"
        found.append(
            Correction(
                region=str(row["region"]),
                service=str(row["service"]),
                machine_type=str(row["machine_type"]),
                issue_time=issue_time,
                plan_time=row["issue_time"],
                until=until,
                needed=needed,
                hot=hot + resumed,
                warm=warm - resumed,
                resumed=resumed,
                why=why,
            )
        )
    return found
