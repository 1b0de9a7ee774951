"""What the optimal policy plans together: a line of the plan is a place of the program, with its demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.settings import Settings
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from infra.capacity_need import COMPUTE, INSTANCES, LINE, demand_at
from infra.lead_times import PATCH_LEAD_HOURS, boot_lead_hours

__all__ = ["BANDWIDTH", "RESOURCES", "Array", "Indices", "Key", "Lines", "lines_of", "places_of"]

BANDWIDTH: Final = "bandwidth"
RESOURCES: Final = (*COMPUTE, BANDWIDTH)
Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
# Region, service, resource of the plan.
Key = tuple[str, str, str]

# With mixed blocks the hours of the first day are planned one by one, those after it in blocks of so many hours. Both part days evenly.
_SINGLE_HOURS: Final = 24
_BLOCK_HOURS: Final = 6


@dataclass(frozen=True, eq=False)
class Lines:
    """`keys`, one per place, and `demand` (places, hour blocks, levels of a forecast, RESOURCES); block b begins with hour `first_hour[b]`.

    Attributes:
        asked: (places, hours, RESOURCES) what an hour itself asks for at `policy.quantile`.
        sent: (places, hour blocks) Gbit/s that the service of a place with machines sends, by the median of its bandwidth's forecast, whether or not
            that can be reserved; 0 for one that demands no bandwidth, NaN where the forecast lacks it.
    """

    keys: list[Key]
    demand: Array
    asked: Array
    sent: Array
    first_hour: Indices
    hours: int

    @property
    def block_hours(self) -> Indices:
        """(blocks,) hours of each block."""
        return np.diff(self.first_hour, append=self.hours)

    @property
    def block_of_hour(self) -> Indices:
        """(hours,) the block of each hour."""
        return np.repeat(np.arange(self.first_hour.size), self.block_hours)


def lines_of(settings: Settings, rows: pd.DataFrame, need: pd.DataFrame, hours: int) -> Lines:
    """The lines of a need with machines, and with bandwidth where the region has an interconnect.

    In an hour a line is asked for what its lead time makes due: its demand is the highest of the hour and of those within the lead time.
    That of a block is the highest of its hours, level by level.
    """
    there = need.drop_duplicates(LINE)
    reserved = {name for name, region in settings.regions.items() if region.interconnect is not None}
    wanted = (there["resource"] == INSTANCES) | ((there["resource"] == BANDWIDTH) & there["region"].isin(reserved))
    keys = list(there.loc[wanted, LINE].itertuples(index=False, name=None))
    place_of = {key: place for place, key in enumerate(keys)}
    ordered = rows.sort_values(["unique_id", "ds"], kind="stable")
    quantiles = ordered[list(QUANTILE_COLUMNS)].to_numpy(float).reshape(-1, hours, len(QUANTILES))
    levels = demand_at(ordered, settings.policy.quantile).to_numpy(float).reshape(-1, hours)
    demand = np.zeros((len(keys), hours, len(QUANTILES), len(RESOURCES)))
    asked = np.zeros((len(keys), hours, len(RESOURCES)))
    sends = [resource == INSTANCES and BANDWIDTH in settings.services[service].demand for _, service, resource in keys]
    sent = np.where(np.array(sends, dtype=bool)[:, None], np.nan, np.zeros(hours))
    series = ordered.iloc[::hours][LINE].itertuples(index=False, name=None)
    for number, (region, service, resource) in enumerate(series):
        place = place_of.get((region, service, INSTANCES if resource in COMPUTE else resource))
        if place is not None:
            demand[place, :, :, RESOURCES.index(resource)] = quantiles[number]
            asked[place, :, RESOURCES.index(resource)] = levels[number]
        if resource == BANDWIDTH and (region, service, INSTANCES) in place_of:
            sent[place_of[region, service, INSTANCES]] = quantiles[number][:, QUANTILES.index(0.5)]
    for place, (_, service, resource) in enumerate(keys):
        lead = boot_lead_hours(settings.services[service].capacity) if resource == INSTANCES else PATCH_LEAD_HOURS
        now = demand[place].copy()
        for ahead in range(1, min(lead, hours - 1) + 1):
            demand[place, :-ahead] = np.maximum(demand[place, :-ahead], now[ahead:])
    first_hour = _first_hours(settings, hours)
    highest, sent = (np.maximum.reduceat(amount, first_hour, axis=1) for amount in (demand, sent))
    return Lines(keys, highest, asked, sent, first_hour, hours)


def places_of(need: pd.DataFrame, lines: Lines) -> Indices:
    """Per row of `need` its place, -1 for what is not in the program."""
    known = pd.Series(np.arange(len(lines.keys)), index=pd.MultiIndex.from_tuples(lines.keys))
    found: Indices = known.reindex(pd.MultiIndex.from_frame(need[LINE])).fillna(-1).to_numpy(np.int64)
    return found


def _first_hours(settings: Settings, hours: int) -> Indices:
    """(blocks,) the first hour of each block by `policy.hour_blocks`."""
    if settings.policy.hour_blocks == "hourly":
        return np.arange(hours)
    return np.append(np.arange(min(hours, _SINGLE_HOURS)), np.arange(_SINGLE_HOURS, hours, _BLOCK_HOURS))
