"""Totals of demand: what a service needs in all regions, what a region needs for all services, and everything together.

Series of one resource form a grouped hierarchy. Its *leaves* are the most detailed series; a *total* is the sum of some leaves:

    level       id                          sum over
    client      region/service/resource     the clients `service:client` of a service in one region, where there are any
    service     */service/resource          regions
    region      region/*/resource           services
    global      */*/resource                both

A service's own series beside those of its clients is their total, not one more part, so nothing is counted twice. Latency has no
total: milliseconds do not add up. Where `y` is an hour's maximum (`policy.demand_statistic: max`) a total is the sum of the parts'
peaks, which is at least the peak of the sum.

A total is never invented: it has a value only at a step at which every one of its parts has one. A part that is new, gone or full of
gaps therefore shortens the total's history; a total with too little of it for a forecast of its own still gets one, from its parts
(`models.reconciliation`). Leave out a part that is gone for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import sparse

from headroom.errors import BadInputError
from headroom.vocabulary import MEDIAN, SeriesId, split_series_ids

__all__ = ["ALL", "LEVELS", "Hierarchy", "hierarchy_of", "incoherence", "level_of", "with_totals"]

# Stands for every region, or every service, in the id of a total.
ALL: Final = "*"
LEVELS: Final = ("service", "region", "global")
# Resources whose series do not add up.
_NOT_ADDITIVE: Final = ("latency",)
_CLIENT: Final = ":"


@dataclass(frozen=True)
class Hierarchy:
    """What adds up to what.

    Attributes:
        leaves: ids of the most detailed series, sorted.
        totals: ids of their sums, sorted.
        parts: 0/1 matrix of shape (totals, leaves); a total's row says which leaves it sums.
    """

    leaves: tuple[str, ...]
    totals: tuple[str, ...]
    parts: sparse.csr_matrix

    @property
    def ids(self) -> tuple[str, ...]:
        """All series: totals, then leaves; the order of the rows of `summing`."""
        return self.totals + self.leaves

    @property
    def summing(self) -> sparse.csr_matrix:
        """Matrix S of shape (ids, leaves): all series = S x leaves."""
        return sparse.vstack([self.parts, sparse.identity(len(self.leaves))], format="csr")


def hierarchy_of(unique_ids: Iterable[str], levels: Sequence[str] = LEVELS) -> Hierarchy:
    """The hierarchy of recorded series; ids of totals among them (`*`) are passed over, as they follow from the rest.

    Raises:
        BadInputError: for an id that is not region/service/resource, an unknown level, or when no series is left.
    """
    unknown = sorted(set(levels) - set(LEVELS))
    if unknown:
        raise BadInputError(f"level {', '.join(unknown)} of totals is unknown; known: {', '.join(LEVELS)}")
    recorded = sorted({name for name in map(str, unique_ids) if ALL not in SeriesId.parse(name)})
    if not recorded:
        raise BadInputError("no series to total: hand in series of single regions and services, region/service/resource")
    names = split_series_ids(pd.Series(recorded))
    # The series that a client's series is part of; a series of a service is its own owner.
    owner = names["region"] + "/" + _service(names) + "/" + names["resource"]
    is_client = names["service"].str.contains(_CLIENT) & _adds_up(names)
    has_clients = owner.isin(owner[is_client]) & _adds_up(names)
    is_leaf = ~has_clients | is_client
    leaves = (
        pd.DataFrame({"leaf": np.asarray(recorded), "owner": owner, "total": has_clients}).assign(**names)[is_leaf].reset_index(drop=True)
    )
    members = pd.concat([leaves["owner"][leaves["total"]], *(_ids_of_level(leaves, level) for level in levels)])
    totals, rows = np.unique(members.to_numpy(dtype=str), return_inverse=True)
    shape = (totals.size, len(leaves))
    parts = sparse.csr_matrix((np.ones(rows.size), (rows, members.index.to_numpy())), shape=shape)
    return Hierarchy(tuple(leaves["leaf"]), tuple(totals.tolist()), parts)


def _ids_of_level(leaves: pd.DataFrame, level: str) -> pd.Series[str]:
    """Id of the total that every leaf belongs to, for the leaves that may be added up."""
    leaves = leaves[_adds_up(leaves)]
    region = leaves["region"] if level == "region" else ALL
    service = _service(leaves) if level == "service" else ALL
    return region + "/" + service + "/" + leaves["resource"]


def _service(names: pd.DataFrame) -> pd.Series[str]:
    """The service itself where the name is that of a client."""
    return names["service"].str.replace(rf"{_CLIENT}.*", "", regex=True)


def _adds_up(names: pd.DataFrame) -> pd.Series[bool]:
    return ~names["resource"].isin(_NOT_ADDITIVE)


def with_totals(history: pd.DataFrame, levels: Sequence[str] = LEVELS) -> pd.DataFrame:
    """`history` (`unique_id, ds, y`) and the totals' history beside it, sorted by `unique_id, ds`.

    A total has a row only at a step at which all of its parts are measured (a missing row and a NaN are the same). Totals that
    `history` holds already, of clients or with `*`, are not trusted but built again, so running this twice changes nothing;
    a service's own series is kept where its clients are not all measured.

    Raises:
        BadInputError: see `hierarchy_of`; and for two rows of one series at one step.
    """
    hierarchy = hierarchy_of(history["unique_id"].unique(), levels)
    measured = history[["unique_id", "ds", "y"]].dropna(subset=["y"])
    measured = measured[~measured["unique_id"].str.contains(ALL, regex=False)]
    doubled = measured[measured.duplicated(["unique_id", "ds"])]
    if not doubled.empty:
        row = doubled.iloc[0]
        raise BadInputError(f"history of {row['unique_id']}: two rows at {row['ds']}; keep one row per series and step")
    wide = measured.pivot_table(index="ds", columns="unique_id", values="y").reindex(columns=list(hierarchy.leaves))
    values = wide.to_numpy(dtype=float)
    missing = np.isnan(values)
    sums = hierarchy.parts @ np.where(missing, 0.0, values).T
    whole = (hierarchy.parts @ missing.T.astype(float)) == 0
    rows, steps = np.nonzero(whole)
    totals = pd.DataFrame({"unique_id": np.asarray(hierarchy.totals, dtype=object)[rows], "ds": wide.index[steps], "y": sums[rows, steps]})
    both = pd.concat([totals, measured]).drop_duplicates(["unique_id", "ds"]) if len(totals) else measured
    return both.sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)


def level_of(unique_id: pd.Series[str]) -> pd.Series[str]:
    """`global`, `service`, `region`, or `series` for the id of a single region and service; on the same index."""
    names = split_series_ids(unique_id)
    every_region, every_service = names["region"] == ALL, names["service"] == ALL
    found = np.select([every_region & every_service, every_region, every_service], ["global", "service", "region"], "series")
    return pd.Series(found, index=unique_id.index)


def incoherence(forecast: pd.DataFrame, hierarchy: Hierarchy, column: str = MEDIAN) -> pd.Series[float]:
    """Mean absolute gap between a total's forecast and the sum of its parts', over the mean of the total's; by id of the total.

    Steps at which the total or a part has no forecast do not count; a total without any is left out. 0 is coherent; a gap around a
    total that is all zero is infinite.
    """
    wide = forecast.pivot_table(index="ds", columns="unique_id", values=column).reindex(columns=list(hierarchy.ids))
    totals = wide[list(hierarchy.totals)]
    leaves = wide[list(hierarchy.leaves)].to_numpy(dtype=float)
    whole = (hierarchy.parts @ np.isnan(leaves).T.astype(float)).T == 0
    sums = (hierarchy.parts @ np.nan_to_num(leaves).T).T
    comparable = totals.where(whole).dropna(axis="columns", how="all")
    gap = (comparable - pd.DataFrame(sums, index=wide.index, columns=totals.columns)).abs().mean()
    share: pd.Series[float] = (gap / comparable.abs().mean()).where(gap > 0, 0.0)
    return share
