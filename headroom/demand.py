"""Hourly demand of every series, as it was known at an issue time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from headroom.lake import Lake
from headroom.settings import Settings

__all__ = ["demand_by_step", "hourly_demand", "known_events"]

# An hour with fewer of its measurements than this is a gap, not a small demand.
_COMPLETE: Final = 0.5
_STATISTIC: Final = {"mean": "mean", "max": "max"}
_MINUTE: Final = pd.Timedelta("1min")


def hourly_demand(
    lake: Lake, settings: Settings, *, start: pd.Timestamp, end: pd.Timestamp, as_of: pd.Timestamp, series: Sequence[str] | None = None
) -> pd.DataFrame:
    """Long frame `unique_id, ds, y` of the hours in `[start, end)`, sorted; `ds` is the start of the hour.

    `y` is the hour's maximum or mean (`policy.demand_statistic`) in the resource's canonical unit. Hours with less than
    half of their measurements are left out. Nothing that became available after `as_of` is used.
    """
    wanted = list(series) if series is not None else [str(s) for s in settings.series]
    rows = lake.read("metrics", start=start, end=end, as_of=as_of, where={"unique_id": wanted}, columns=["unique_id", "ds", "y", "source"])
    return demand_by_step(settings, rows, pd.Timedelta("1h"))


def demand_by_step(settings: Settings, rows: pd.DataFrame, step: pd.Timedelta) -> pd.DataFrame:
    """Long frame `unique_id, ds, y` of measurements (`unique_id, ds, y, source`), one row per series and step as `hourly_demand` has them.

    Rows of sources whose own step is longer than `step` are left out.
    """
    minutes = {source.name: source.step_minutes * _MINUTE for source in settings.metrics}
    rows = rows[rows["source"].map(minutes).fillna(step) <= step]
    if rows.empty:
        return rows[["unique_id", "ds", "y"]]
    expected = rows["source"].map({name: step / own for name, own in minutes.items()}).fillna(1)
    grouped = rows.assign(ds=rows["ds"].dt.floor(step), expected=expected).groupby(["unique_id", "ds"], sort=True)
    steps = grouped.agg(y=("y", _STATISTIC[settings.policy.demand_statistic]), found=("y", "size"), expected=("expected", "max"))
    complete = steps[steps["found"] >= _COMPLETE * steps["expected"]]
    return complete[["y"]].reset_index()


def known_events(lake: Lake, *, start: pd.Timestamp, end: pd.Timestamp, as_of: pd.Timestamp) -> pd.DataFrame:
    """Events that start in `[start, end)`, as known at `as_of`, without the cancelled ones."""
    events = lake.read("events", start=start, end=end, as_of=as_of)
    return events[events["strength"] > 0].reset_index(drop=True)
