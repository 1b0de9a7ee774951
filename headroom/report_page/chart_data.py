"""The charts' data, read from the lake: one chart per region, service and resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from headroom.demand import hourly_demand, known_events
from headroom.lake import Lake
from headroom.latest import latest_rows
from headroom.report_page.anomaly_rows import read_anomalies
from headroom.report_page.fan_data import FanChart
from headroom.settings import Settings
from headroom.vocabulary import MEDIAN, UNITS, SeriesId
from infra.capacity_need import COMPUTE, INSTANCES, demand_at, demand_per_instance

__all__ = ["read_charts"]

_HISTORY: Final = pd.Timedelta(days=7)
_PLAN_KEYS: Final = ["region", "service", "resource", "ds"]
_POOLS: Final = ["hot", "held"]
_QUARTILES: Final = (0.25, 0.75)


@dataclass(frozen=True)
class _Read:
    """Everything that the charts share, one query each."""

    issued: pd.Timestamp
    forecasts: pd.DataFrame
    earlier: pd.DataFrame
    demand: pd.DataFrame
    plans: pd.DataFrame
    events: pd.DataFrame
    anomalies: pd.DataFrame


def read_charts(settings: Settings, lake: Lake, *, issue_time: pd.Timestamp | None) -> dict[SeriesId, FanChart]:
    """A chart for every series of the newest forecast that is not after `issue_time`, in the order of the settings.

    Raises:
        BadInputError: when there is no forecast yet.
    """
    read = _read(settings, lake, issue_time)
    forecast = {str(key): rows for key, rows in read.forecasts.groupby("unique_id")}
    wanted = [
        SeriesId(region, name, resource)
        for region in settings.regions
        for name, service in settings.services.items()
        if region in service.regions
        for resource in UNITS
        if resource in service.demand
    ]
    return {series: _chart(settings, series, forecast[str(series)], read) for series in wanted if str(series) in forecast}


def _read(settings: Settings, lake: Lake, until: pd.Timestamp | None) -> _Read:
    forecasts = latest_rows(lake, "forecasts", until=until)
    issued = forecasts["issue_time"].iloc[0]
    start, end = issued - _HISTORY, forecasts["ds"].max() + pd.Timedelta("1h")
    past = lake.read("forecasts", start=start, end=issued, columns=["issue_time", "unique_id", "ds", "0.1", "0.9"])
    plans = lake.read("plans", start=start, end=None if until is None else until + pd.Timedelta("1us"))
    quartiles = {str(q): demand_at(forecasts, q) for q in _QUARTILES}
    return _Read(
        issued=issued,
        forecasts=forecasts.assign(**quartiles),
        earlier=_in_force(past[past["ds"] < issued], ["unique_id", "ds"]),
        # A page for people: what was measured after the issue time is shown beside the forecast, so it is read too.
        demand=hourly_demand(lake, settings, start=start, end=end, as_of=end + _HISTORY),
        plans=plans[plans["issue_time"] == plans.groupby(_PLAN_KEYS)["issue_time"].transform("max")].sort_values("ds", kind="stable"),
        events=known_events(lake, start=start, end=end, as_of=until if until is not None else issued),
        anomalies=read_anomalies(settings, lake, start=start, end=end, as_of=until),
    )


def _in_force(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Of the rows for one hour, the one issued last: hours before an issue time are not in what it issued."""
    return rows.sort_values("issue_time", kind="stable").drop_duplicates(keys, keep="last").sort_values("ds")


def _chart(settings: Settings, series: SeriesId, forecast: pd.DataFrame, read: _Read) -> FanChart:
    demand = read.demand[read.demand["unique_id"] == str(series)]
    known = read.events
    here = known["region"].isin(["", series.region]) & known["service"].isin(["", series.service])
    return FanChart(
        key="-".join(series).replace(":", "-"),
        title=f"{series.service} {series.resource} in {series.region}, {UNITS[series.resource]}",
        unit=UNITS[series.resource],
        issue_time=read.issued,
        history=demand.loc[demand["ds"] < read.issued, ["ds", "y"]],
        measured=demand.loc[demand["ds"] >= read.issued, ["ds", "y"]],
        earlier=read.earlier.loc[read.earlier["unique_id"] == str(series), ["ds", "0.1", "0.9"]],
        forecast=forecast.sort_values("ds")[["ds", "0.01", "0.1", "0.25", MEDIAN, "0.75", "0.9", "0.99", "confidence"]],
        capacity=_capacity(settings, series, read.plans),
        # A weather reading is an input of the models, not an event to mark.
        events=known[here & known["value"].isna()],
        anomalies=read.anomalies[read.anomalies["unique_id"] == str(series)].drop(columns="unique_id"),
    )


def _capacity(settings: Settings, series: SeriesId, plans: pd.DataFrame) -> pd.DataFrame:
    """Planned amounts in the unit of the demand: machines count for what they carry at their target utilisation, those of several types together,
    leased ones where they serve.
    """
    compute = series.resource in COMPUTE
    resource = INSTANCES if compute else series.resource
    rows = plans[(plans["region"] == series.region) & (plans["service"] == series.service) & (plans["resource"] == resource)]
    capacity = settings.services[series.service].capacity
    each = rows["machine_type"].map(
        {name: demand_per_instance(capacity, series.resource, name) if compute else 1.0 for name in rows["machine_type"].unique()}
    )
    hot = rows["hot"] + rows["leased"].astype(float).fillna(0.0)
    amounts = rows[["ds", "tier", "why"]].assign(hot=hot * each, held=(hot + rows["warm"]) * each)
    hours = amounts.groupby("ds", as_index=False)
    words = hours.agg(tier=("tier", "first"), why=("why", "\n".join))
    return hours[_POOLS].sum().merge(words, on="ds")[["ds", *_POOLS, "tier", "why"]]
