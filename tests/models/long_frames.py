"""Histories and events for the tests of the forecasting engine."""

from __future__ import annotations

import numpy as np
import pandas as pd

from headroom.schemas import TABLES
from models.forecaster import SeriesCalendar

__all__ = ["CUTOFF", "HOUR", "UTC", "event_rows", "no_events", "rhythm", "with_events"]

CUTOFF = pd.Timestamp("2026-07-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
UTC = SeriesCalendar()


def rhythm(
    name: str = "r/edge/cpu", days: int = 42, *, level: float = 100.0, noise: float = 0.03, seed: int = 0, after: int = 3
) -> pd.DataFrame:
    """A daily and weekly rhythm with noise: `days` before CUTOFF and `after` days behind it."""
    ds = pd.date_range(CUTOFF - pd.Timedelta(days=days), CUTOFF + pd.Timedelta(days=after), freq="h", inclusive="left", unit="us")
    random = np.random.default_rng(seed)
    daily = 1 + 0.4 * np.sin(2 * np.pi * ds.hour.to_numpy() / 24) + 0.1 * np.cos(4 * np.pi * ds.hour.to_numpy() / 24)
    y = level * daily * np.where(ds.dayofweek >= 5, 0.7, 1.0) * (1 + random.normal(0, noise, len(ds)))
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": y})


def no_events() -> pd.DataFrame:
    return TABLES["events"].schema.empty_table().to_pandas().drop(columns="day")


def event_rows(
    starts: list[pd.Timestamp],
    *,
    hours: float = 2,
    kind: str = "match",
    service: str = "edge",
    region: str = "",
    known: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """One event per start, known 30 days before it unless said otherwise."""
    start = pd.Series(pd.DatetimeIndex(starts))
    return pd.DataFrame(
        {
            "event_id": [f"{kind}-{stamp.isoformat()}" for stamp in start],
            "source": "test",
            "kind": kind,
            "title": kind,
            "region": region,
            "service": service,
            "start": start,
            "end": start + hours * HOUR,
            "strength": 1.0,
            "value": np.nan,
            "available_at": start - pd.Timedelta(days=30) if known is None else known,
        }
    )


def with_events(history: pd.DataFrame, events: pd.DataFrame, effect: float) -> pd.DataFrame:
    """`history` with `effect` added to every hour that an event covers."""
    covered = np.zeros(len(history), dtype=bool)
    for start, end in zip(events["start"], events["end"], strict=True):
        covered |= ((history["ds"] >= start) & (history["ds"] < end)).to_numpy()
    return history.assign(y=history["y"] + effect * covered)
