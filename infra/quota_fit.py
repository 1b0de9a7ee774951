"""Plans within the quotas: what the policies that decide hour by hour may take of a region, and what is left of it for the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.capacity_need import INSTANCES
from infra.prices import list_prices
from infra.quotas import quota_metric, quota_name, quota_of

__all__ = ["Taken", "fit_quotas", "vcpus_of_rows", "vcpus_taken"]

# Region and quota (`infra.quotas.quota_name`) -> vCPU in each hour of the plan.
Taken: TypeAlias = Mapping[tuple[str, str], npt.NDArray[np.float64]]

_POOLS: Final = ("cold", "warm", "hot")
_CELL: Final = ["region", "quota", "ds"]
_NOISE: Final = 1e-6


def fit_quotas(settings: Settings, plan: pd.DataFrame, *, beside: pd.DataFrame) -> pd.DataFrame:
    """`plan` with no hour that takes more vCPU of a region's quota than there is; hot, warm and cold machines all take from it.

    In an hour that is above, the least critical service gives first, within one criticality by region and name: what it would buy, then what
    stands by, then what runs above `minimum_instances`. What then serves less than is needed is `unmet`, and `why` says which quota binds.
    Services that are planned by the program compete with what they need; within one criticality they give first.

    Args:
        settings: criticality and quotas.
        plan: needs `needed, hot, warm, cold, unmet, minimum, why` beside the keys; one machine type per service and region.
        beside: the `capacity_need` of the services that are planned by the program.

    Raises:
        BadInputError: when `minimum_instances` alone are above a quota; names both.
    """
    own, others = _machines(settings, plan), _competing(settings, plan, beside)
    rows = pd.concat([own, others]) if len(others) else own
    code, cells = pd.factorize(pd.MultiIndex.from_frame(rows[_CELL]))
    amounts = {pool: rows[pool].to_numpy(float).copy() for pool in _POOLS}
    vcpus = rows["vcpus"].to_numpy(float)
    above = np.bincount(code, weights=sum(amounts.values()) * vcpus) - [quota_of(settings, region, quota) for region, quota, _ in cells]
    gave = np.zeros(len(rows))
    least = {"cold": np.zeros(len(rows)), "warm": np.zeros(len(rows)), "hot": rows["minimum"].to_numpy(float)}
    for number in _in_turn(settings, rows, len(own)):
        if not (above[code[number]] > _NOISE).any():
            continue
        for pool in _POOLS:
            wanted = np.ceil(np.clip(above[code[number]], 0.0, None) / vcpus[number] - _NOISE)
            gives = np.minimum(wanted, np.clip(amounts[pool][number] - least[pool][number], 0.0, None))
            amounts[pool][number] -= gives
            gave[number] += gives
            above[code[number]] -= gives * vcpus[number]
    if (above > _NOISE).any():
        raise _minimum_is_above(settings, rows.iloc[int(above[code].argmax())], float(above.max()))
    return _with_less(plan, own, {pool: machines[: len(own)] for pool, machines in amounts.items()}, gave[: len(own)])


def _competing(settings: Settings, plan: pd.DataFrame, beside: pd.DataFrame) -> pd.DataFrame:
    """The machines that services planned by the program need of the quotas of a plan, as rows of such a plan."""
    if beside.empty:
        return beside
    rows = _machines(settings, beside.assign(hot=beside["needed"], warm=0.0, cold=0.0))
    quotas = pd.MultiIndex.from_frame(_machines(settings, plan)[["region", "quota"]])
    return rows[pd.MultiIndex.from_frame(rows[["region", "quota"]]).isin(quotas)]


def _in_turn(settings: Settings, rows: pd.DataFrame, own: int) -> list[npt.NDArray[np.int64]]:
    """Positions of the rows of each service and region, in the order in which they give; the first `own` rows are not the program's."""
    rank = rows["service"].map({name: -service.rank for name, service in settings.services.items()})
    turn = rows.groupby([rank, np.arange(len(rows)) < own, "region", "service"], sort=True).ngroup().to_numpy()
    return [np.flatnonzero(turn == number) for number in range(turn.max(initial=-1) + 1)]


def vcpus_taken(settings: Settings, plan: pd.DataFrame) -> Taken:
    """What a plan takes in each of its hours, which every line has; empty for an empty one."""
    if plan.empty:
        return {}
    hours = vcpus_of_rows(settings, plan, _POOLS).sort_values(_CELL)
    return {(str(region), str(quota)): rows["vcpus"].to_numpy(float) for (region, quota), rows in hours.groupby(["region", "quota"])}


def vcpus_of_rows(settings: Settings, plan: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """`region, quota, ds, vcpus` of the machines in some columns of a plan together."""
    rows = _machines(settings, plan)
    rows["vcpus"] *= rows[list(columns)].astype(float).fillna(0.0).sum(axis=1)
    return rows.groupby(_CELL)["vcpus"].sum().reset_index()


def _machines(settings: Settings, plan: pd.DataFrame) -> pd.DataFrame:
    """The rows of machines, with the `quota` that each counts against and its `vcpus`."""
    rows = plan[plan["resource"] == INSTANCES]
    kinds = rows[["region", "machine_type"]].drop_duplicates()
    names = {(region, name): quota_name(settings, region, name) for region, name in kinds.itertuples(index=False, name=None)}
    vcpus = {name: float(list_prices().machine_type(name).vcpu) for name in kinds["machine_type"].unique()}
    quota = pd.MultiIndex.from_frame(rows[["region", "machine_type"]]).map(names)
    return rows.assign(quota=quota.to_numpy(), vcpus=rows["machine_type"].map(vcpus))


def _with_less(
    plan: pd.DataFrame, rows: pd.DataFrame, amounts: Mapping[str, npt.NDArray[np.float64]], gave: npt.NDArray[np.float64]
) -> pd.DataFrame:
    result = plan.copy()
    for pool, numbers in amounts.items():
        result.loc[rows.index, pool] = numbers
    missing = (rows["needed"] - sum(amounts.values())).clip(lower=0)
    short = rows.index[(gave > 0) & (missing > 0).to_numpy()]
    result.loc[short, "unmet"] = missing[short]
    words = missing.map("; {:g} ".format) + rows["machine_type"] + " left unserved at the planned quantile: "
    names = rows["quota"].map(quota_metric) + " of " + rows["region"] + " binds"
    gone = pd.Series(gave, index=rows.index)
    fewer = gone.map("; {:g} ".format) + rows["machine_type"] + " fewer, for the next hours: " + names
    result.loc[rows.index, "why"] += (words + names).where(rows.index.isin(short), fewer.where(gone > 0, ""))
    return result


def _minimum_is_above(settings: Settings, row: pd.Series[Any], vcpus: float) -> BadInputError:
    region, name = str(row["region"]), str(row["quota"])
    limit = quota_of(settings, region, name)
    return BadInputError(
        f"minimum_instances of the services in {region} take {limit + vcpus:,.0f} vCPU, above regions.{region}.quotas {quota_metric(name)} {limit:,.0f}; "
        "ask Google for more and raise it, or lower them"
    )
