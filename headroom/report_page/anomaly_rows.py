"""The anomalies of the charts, read from the lake, and whether forecasting leaves them out."""

from __future__ import annotations

from typing import Final

import pandas as pd

from headroom.demand import hourly_demand, known_events
from headroom.lake import Lake
from headroom.settings import Settings
from models.anomalies import METHOD, ONLINE_METHOD
from models.anomaly_doubt import DOUBTED, with_doubts

__all__ = ["read_anomalies"]

_HOUR: Final = pd.Timedelta("1h")
# Doubt needs to know the rhythm of the weeks before; a fault weeks back changes nothing.
_BEFORE: Final = pd.Timedelta(days=56)
_LONGEST_EVENT: Final = pd.Timedelta(days=35)
# What the expectation was made of, in plain words.
_COMPARED: Final = {METHOD: "the same hour of the weeks before", ONLINE_METHOD: "the series' level and rhythm"}


def read_anomalies(
    settings: Settings, lake: Lake, *, start: pd.Timestamp, end: pd.Timestamp, as_of: pd.Timestamp | None = None
) -> pd.DataFrame:
    """`unique_id, ds, y, expected, method, compared, left_out` of the anomalies of the hours in `[start, end)`, sorted by series and hour.

    `y` is what was measured when the hour was flagged, `compared` says what it was compared with, and `left_out` whether a training or a
    forecast at `as_of` would treat the hour as not measured (`models.anomaly_doubt`).

    Args:
        as_of: what became available later is not used; None takes everything there is.
    """
    names = [str(series) for series in settings.series]
    found = lake.read("anomalies", start=start, end=end, as_of=as_of, where={"unique_id": names})
    rows = found[["unique_id", "ds", "y", "expected", "method"]].sort_values(["unique_id", "ds"], ignore_index=True)
    rows = rows.assign(compared=rows["method"].map(_COMPARED).fillna(rows["method"]))
    if rows.empty:
        return rows.assign(left_out=pd.Series(dtype=bool))
    doubted = _doubted(settings, lake, sorted(set(rows["unique_id"])), start, end, as_of)
    return rows.assign(left_out=pd.MultiIndex.from_frame(rows[["unique_id", "ds"]]).isin(doubted))


def _doubted(
    settings: Settings, lake: Lake, names: list[str], start: pd.Timestamp, end: pd.Timestamp, as_of: pd.Timestamp | None
) -> pd.MultiIndex:
    """(series, hour) of what is known to be a fault at `as_of`, or else when the last measured hour is over."""
    known = as_of if as_of is not None else end + _BEFORE
    demand = hourly_demand(lake, settings, start=start - _BEFORE, end=end, as_of=known, series=names).dropna(subset=["y"])
    events = known_events(lake, start=start - _BEFORE - _LONGEST_EVENT, end=end, as_of=known)
    rows = with_doubts(demand, events)
    moment = as_of if as_of is not None else demand["ds"].max() + _HOUR
    return pd.MultiIndex.from_frame(rows.loc[rows[DOUBTED] <= moment, ["unique_id", "ds"]])
