"""Signals of every service (errors, latency), as they were known at an issue time."""

from __future__ import annotations

import pandas as pd

from headroom.lake import Lake
from headroom.settings import Settings
from headroom.vocabulary import SeriesId

__all__ = ["measured_signals"]


def measured_signals(lake: Lake, settings: Settings, *, start: pd.Timestamp, end: pd.Timestamp, as_of: pd.Timestamp) -> pd.DataFrame:
    """`region, service, resource, ds, y, minutes` of the steps in `[start, end)`; `resource` is the signal, `minutes` the length of the step.

    `y` is in the signal's canonical unit. Nothing that became available after `as_of` is used.
    """
    wanted = [
        str(SeriesId(region, name, signal))
        for name, service in settings.services.items()
        for region in service.regions
        for signal in service.signals
    ]
    columns = ["region", "service", "resource", "ds", "y", "source"]
    rows = lake.read("metrics", start=start, end=end, as_of=as_of, where={"unique_id": wanted}, columns=columns)
    steps = {source.name: float(source.step_minutes) for source in settings.metrics}
    return rows.assign(minutes=rows["source"].map(steps).astype(float)).dropna(subset=["minutes"]).drop(columns="source")
