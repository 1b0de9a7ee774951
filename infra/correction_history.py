"""What corrections did, as the ledger knows it: what was needed and planned, what ran, until when, and what that cost more than the plan."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
from sqlalchemy import Select, and_, case, func, select

from headroom.settings import Settings
from infra.ledger import Ledger
from infra.ledger_tables import actions, corrections, facts, held_history, results
from infra.prices import list_prices
from infra.standby import standby_usd_per_hour

__all__ = ["correction_history", "machines_confirmed"]

_KEY: Final = ["region", "service", "machine_type"]
_DECIDED: Final = [*_KEY, "issue_time", "plan_time", "until", "needed", "hot", "warm", "resumed", "why"]
_TIMES: Final = ("issue_time", "plan_time", "until")
# What a refusal limits when machines do not come out of standby: the call itself, or single machines after it.
_OF_MACHINES: Final = ("group", "running", "standby", "machines")


def correction_history(ledger: Ledger, settings: Settings, *, start: pd.Timestamp, end: pd.Timestamp | None = None) -> pd.DataFrame:
    """One row per correction that the ledger keeps and that was decided in `[start, end]`, by machines and time.

    Columns: those of `infra.corrections.Correction`, and

    - `planned`, `standby`: machines hot and warm in the plan.
    - `ran`: machines that the reconciliation of that moment saw running; NaN when none was finished.
    - `missing`: machines that should run and were not seen to. Of a service with several types in the region only what was refused: another type
      may stand in.
    - `refused`: codes and places of what the cloud refused of these machines under that plan; empty when nothing.
    - `ends`: when it was over: the next correction of the machines, or the next plan that changed the region; else `end`, and without one `until`.
    - `ended`: whether something came after it.
    - `machine_hours`, `usd`: what ran beyond the plan until `ends`, and what that costs more than standby, at the list prices of plans. Standby waits
      as the settings say now; of a type that the service no longer has it counts as suspended.

    Args:
        end: the moment as of which it is told; None for all that the ledger knows.
    """
    rows = _decided(ledger, start, end)
    rows = rows.assign(planned=rows["hot"] - rows["resumed"], standby=rows["warm"] + rows["resumed"])
    rows = rows.merge(_refusals(ledger, start), on=[*_KEY, "plan_time"], how="left")
    rows["refused"] = rows["refused"].fillna("").astype(str)
    missing = (rows["hot"] - rows["ran"]).clip(lower=0).fillna(0.0)
    rows["missing"] = missing.where((rows.pop("types") < 2) | (rows["refused"] != ""), 0.0).astype(int)
    rows = _with_ends(rows, _plan_times(ledger, start, end), end)
    beyond = (rows["ran"] - rows["planned"]).clip(lower=0).fillna(0.0)
    rows["machine_hours"] = beyond * (rows["ends"] - rows["issue_time"]).dt.total_seconds() / 3600
    rows["usd"] = rows["machine_hours"] * _dearer(settings, rows)
    return rows.sort_values([*_KEY, "issue_time"], ignore_index=True)


def machines_confirmed(ledger: Ledger, *, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """`region, service, machine_type, ds, hot, warm`: machines of all that the reconciliations of `[start, end]` saw; 0 where one saw none.

    Of the machines that any of them saw in the region.
    """
    moments = _frame(ledger, _within(select(results.c.region, results.c.issue_time.label("ds")), results.c.issue_time, start, end))
    key = [held_history.c[name] for name in _KEY]
    query = select(*key, held_history.c.issue_time.label("ds"), held_history.c.pool, func.sum(held_history.c.amount).label("amount"))
    query = query.where(held_history.c.resource == "instances").group_by(*key, held_history.c.issue_time, held_history.c.pool)
    held = _frame(ledger, _within(query, held_history.c.issue_time, start, end))
    wide = held.pivot_table(index=[*_KEY, "ds"], columns="pool", values="amount").reindex(columns=["hot", "warm"]).reset_index()
    seen = moments.merge(held[_KEY].drop_duplicates(), on="region").merge(wide, on=[*_KEY, "ds"], how="left")
    return seen.fillna({"hot": 0.0, "warm": 0.0}).sort_values([*_KEY, "ds"], ignore_index=True)[[*_KEY, "ds", "hot", "warm"]]


def _decided(ledger: Ledger, start: pd.Timestamp, end: pd.Timestamp | None) -> pd.DataFrame:
    """The decisions, `ran`, and `types`: how many machine types of the service were seen at the moment."""
    c, held = corrections.c, held_history.c
    moment = and_(results.c.region == c.region, results.c.issue_time == c.issue_time)
    same = and_(*(held[name] == c[name] for name in ("region", "service", "issue_time")), held.resource == "instances")
    own = and_(held.machine_type == c.machine_type, held.pool == "hot")
    found = {
        "confirmed": results.c.id,
        "ran": func.sum(case((own, held.amount), else_=0.0)),
        "types": func.count(held.machine_type.distinct()),
    }
    columns = [*(c[name] for name in _DECIDED), *(value.label(name) for name, value in found.items())]
    query = select(*columns).select_from(corrections.outerjoin(results, moment).outerjoin(held_history, same))
    rows = _frame(ledger, _within(query, c.issue_time, start, end).group_by(c.id, results.c.id))
    return rows.assign(ran=rows["ran"].astype(float).where(rows["confirmed"].notna())).drop(columns="confirmed")


def _refusals(ledger: Ledger, start: pd.Timestamp) -> pd.DataFrame:
    """`region, service, machine_type, plan_time, refused`: what was learnt after the first correction of the plan, not by the plan itself."""
    c, first = facts.c, func.min(corrections.c.recorded_at)
    corrected = [corrections.c[name] for name in [*_KEY, "plan_time"]]
    since = select(*corrected, first.label("first")).where(corrections.c.issue_time >= start).group_by(*corrected).subquery()
    same = and_(*(c[name] == since.c[name] for name in _KEY), c.issue_time == since.c.plan_time, c.recorded_at >= since.c.first)
    query = select(*(since.c[name] for name in [*_KEY, "plan_time"]), c.zone, c.code).select_from(facts.join(since, same))
    said = _frame(ledger, query.where(c.resource.in_(_OF_MACHINES)).order_by(c.id))
    said["refused"] = said["code"] + " in " + said["zone"].where(said["zone"] != "", said["region"])
    unique = said.drop_duplicates([*_KEY, "plan_time", "refused"])
    return unique.groupby([*_KEY, "plan_time"], as_index=False).agg(refused=("refused", ", ".join))


def _plan_times(ledger: Ledger, start: pd.Timestamp, end: pd.Timestamp | None) -> pd.DataFrame:
    """`region, plan`: issue times of the plans that changed something. Calls of a correction are kept under the plan that it corrects."""
    query = select(actions.c.region, actions.c.issue_time.label("plan")).distinct()
    return _frame(ledger, _within(query, actions.c.issue_time, start, end))


def _with_ends(rows: pd.DataFrame, plans: pd.DataFrame, end: pd.Timestamp | None) -> pd.DataFrame:
    ordered = rows.sort_values("issue_time", kind="stable", ignore_index=True)
    following = ordered.groupby(_KEY)["issue_time"].shift(-1)
    later = pd.merge_asof(
        ordered,
        plans.sort_values("plan"),
        left_on="issue_time",
        right_on="plan",
        by="region",
        direction="forward",
        allow_exact_matches=False,
    )
    following = pd.concat([following, later["plan"]], axis=1).min(axis=1)
    last = ordered["until"] if end is None else pd.Series(end, index=ordered.index)
    return ordered.assign(ends=following.fillna(last), ended=following.notna())


def _dearer(settings: Settings, rows: pd.DataFrame) -> pd.Series[float]:
    """USD per hour that a machine costs more running than in standby."""
    prices = list_prices()
    known = {
        key: prices.hot_usd_per_hour(key[2], key[0]) - _standby_usd(settings, *key)
        for key in set(rows[_KEY].itertuples(index=False, name=None))
    }
    return pd.Series([known[key] for key in rows[_KEY].itertuples(index=False, name=None)], index=rows.index, dtype=float)


def _standby_usd(settings: Settings, region: str, service: str, machine_type: str) -> float:
    asked = settings.services.get(service)
    if asked is None or machine_type not in (asked.capacity.machine_type, *asked.capacity.also):
        return list_prices().warm_usd_per_hour(machine_type, region)
    return standby_usd_per_hour(settings, region, service, machine_type)


def _within(query: Select[Any], column: Any, start: pd.Timestamp, end: pd.Timestamp | None) -> Select[Any]:
    since = query.where(column >= start)
    return since if end is None else since.where(column <= end)


def _frame(ledger: Ledger, query: Select[Any]) -> pd.DataFrame:
    with ledger.engine.begin() as connection:
        result = connection.execute(query)
        frame = pd.DataFrame(result.all(), columns=list(result.keys()))
    stamps = {name: pd.to_datetime(frame[name], utc=True).dt.as_unit("us") for name in (*_TIMES, "plan", "ds") if name in frame}
    return frame.assign(**stamps)
