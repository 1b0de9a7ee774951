"""Events as numbers per hour: is one going on, how soon does one start, how long ago did one end; and readings of drivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from models.hourly_grid import Array
from models.rhythm import HOURLY

__all__ = ["COLUMNS_PER_KIND", "driver_hours", "driver_kinds", "event_hours", "event_kinds", "known_at_each_origin"]

COLUMNS_PER_KIND: Final = ("during", "lead", "lag")
# Beyond this an event is neither coming nor just over.
_REACH_HOURS: Final = 24.0
_MOST_KINDS: Final = 8


def event_kinds(events: pd.DataFrame) -> list[str]:
    """The most frequent kinds of events that are not readings, at most eight."""
    counts = events.loc[events["value"].isna(), "kind"].value_counts()
    return sorted(str(kind) for kind in counts.index[:_MOST_KINDS])


def driver_kinds(events: pd.DataFrame) -> list[str]:
    """The most frequent kinds whose events carry a reading (`value`), such as a temperature; at most eight."""
    counts = events.loc[events["value"].notna(), "kind"].value_counts()
    return sorted(str(kind) for kind in counts.index[:_MOST_KINDS])


def event_hours(events: pd.DataFrame, kinds: Sequence[str], hours: pd.DatetimeIndex, step: pd.Timedelta = HOURLY.step) -> Array:
    """Shape (hours, kinds x 3), per kind the columns of `COLUMNS_PER_KIND`; `hours` are the starts of steps of any length.

    `during`: strength-weighted share of the step that events cover; `lead`: hours until the next start; `lag`: hours since the last
    end; both at most 24, which also stands for "none".
    """
    at, width = _hours_since_epoch(hours)[:, None], step / HOURLY.step
    blocks = []
    for kind in kinds:
        chosen = events[(events["kind"] == kind) & events["value"].isna()]
        start, end = _hours_since_epoch(chosen["start"]), _hours_since_epoch(chosen["end"])
        during = np.clip((np.minimum(at + width, end) - np.maximum(at, start)) / width, 0.0, 1.0) @ chosen["strength"].to_numpy(dtype=float)
        lead = np.where(start >= at, start - at, _REACH_HOURS).min(axis=1, initial=_REACH_HOURS)
        lag = np.where(end <= at, at - end, _REACH_HOURS).min(axis=1, initial=_REACH_HOURS)
        blocks += [during, np.minimum(lead, _REACH_HOURS), np.minimum(lag, _REACH_HOURS)]
    return np.column_stack(blocks) if blocks else np.empty((len(hours), 0))


def driver_hours(events: pd.DataFrame, kinds: Sequence[str], hours: pd.DatetimeIndex, step: pd.Timedelta = HOURLY.step) -> Array:
    """Shape (hours, kinds): the mean of the readings that start within each step, NaN where there is none."""
    blocks, at = [], _hours_since_epoch(hours) / (step / HOURLY.step)
    for kind in kinds:
        chosen = events[(events["kind"] == kind) & events["value"].notna()]
        place = np.floor(_hours_since_epoch(chosen["start"]) / (step / HOURLY.step) - at[0] + 1e-6).astype(np.int64) if len(at) else []
        readings = chosen["value"].astype(float).groupby(np.asarray(place)).mean()
        blocks.append(readings.reindex(np.rint(at - at[0]).astype(np.int64) if len(at) else []).to_numpy(dtype=float))
    return np.column_stack(blocks) if blocks else np.empty((len(hours), 0))


def known_at_each_origin(events: pd.DataFrame, origins: pd.DatetimeIndex, horizon: float) -> dict[int, pd.DataFrame]:
    """Position of an origin -> events known there, for the origins at which an event that bears on their forecast was not known yet.

    An event that became available only after its end was imported after the fact: when it was announced is not recorded. It counts as
    known at every origin, so that its effect can be learnt.

    Args:
        horizon: hours that a forecast looks ahead.
    """
    announced = events[events["available_at"] <= events["end"]]
    if announced.empty:
        return {}
    at = _hours_since_epoch(origins)[:, None]
    available, start = _hours_since_epoch(announced["available_at"]), _hours_since_epoch(announced["start"])
    surprise = (available > at) & (start < at + horizon + _REACH_HOURS)
    imported = events["available_at"] > events["end"]
    positions = [int(position) for position in np.flatnonzero(surprise.any(axis=1))]
    return {position: events.loc[imported | (events["available_at"] <= origins[position])] for position in positions}


def _hours_since_epoch(times: pd.DatetimeIndex | pd.Series[pd.Timestamp]) -> Array:
    elapsed = pd.DatetimeIndex(pd.to_datetime(times, utc=True)) - pd.Timestamp(0, tz="UTC")
    return np.asarray(elapsed / pd.Timedelta(hours=1), dtype=float)
