"""A small installation for the tests: three series with a daily and a weekly rhythm, a lake, a home, an MLflow database."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from headroom.home import Home
from headroom.lake import Lake
from headroom.settings import Settings, parse_settings
from headroom.vocabulary import split_series_ids

__all__ = ["CAPACITY", "ISSUE", "Installation", "at", "demand", "event", "settings", "store"]

CAPACITY = """
regions:
  paris: {zones: [paris-a], timezone: Europe/Paris, quotas: {N2_CPUS: 400}}
  tokyo: {zones: [tokyo-a], timezone: Asia/Tokyo, quotas: {N2_CPUS: 400}}
services:
  edge:
    regions: [paris, tokyo]
    demand: {cpu: cpu_vcpu}
    capacity: {machine_type: n2-standard-8, target_utilisation: 0.5}
  scores:
    regions: [paris]
    demand: {requests: requests_per_s}
    capacity: {machine_type: n2-standard-4, target_utilisation: 0.5, requests_per_vcpu: 20}
metrics:
  - kind: file
    name: traces
    path: metrics.csv
    step_minutes: 60
    metrics: {cpu_vcpu: {unit: vCPU}, requests_per_s: {unit: 1/s}}
cloud: {project: test}
"""
ISSUE = pd.Timestamp("2026-07-08T00:00Z")
HOUR = pd.Timedelta("1h")


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def settings(text: str = CAPACITY) -> Settings:
    return parse_settings(text)


class Installation:
    """Settings, lake and home under one folder."""

    def __init__(self, root: Path, text: str = CAPACITY) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.settings = settings(text)
        self.home = Home(
            root=root,
            capacity_file=root / "capacity.yaml",
            lake_uri=str(root / "lake"),
            database_url=f"sqlite:///{root}/headroom.db",
            mlflow_uri=f"sqlite:///{root}/mlflow/mlflow.db",
        )
        self.lake = Lake(self.home.lake_uri)
        self.lake.create()
        self.series = [str(series) for series in self.settings.series]


def demand(unique_id: str, start: pd.Timestamp, hours: int, *, level: float = 100.0, noise: float = 0.03) -> pd.DataFrame:
    """Hourly rows of a series; each has its own phase and noise, the same in every process."""
    seed = zlib.crc32(unique_id.encode())
    ds = pd.date_range(start, periods=hours, freq="h", unit="us")
    phase = seed % 24
    since = (ds - at("2026-01-01")) // HOUR
    daily = np.sin(2 * np.pi * (since + phase) / 24)
    weekend = np.where(ds.dayofweek >= 5, 0.7, 1.0)
    random = np.random.default_rng([seed, int(start.timestamp())]).normal(0, noise, hours)
    return pd.DataFrame({"unique_id": unique_id, "ds": ds, "y": level * (1 + 0.4 * daily) * weekend * (1 + random)})


def store(lake: Lake, rows: pd.DataFrame, *, available_at: pd.Timestamp | None = None) -> None:
    """Publish hourly rows as measurements that are known when their hour ends, or at `available_at`."""
    full = rows.reset_index(drop=True)
    known = full["ds"] + HOUR if available_at is None else available_at
    full = pd.concat([full, split_series_ids(full["unique_id"])], axis=1).assign(available_at=known, source="traces", warnings="")
    names = sorted(full["unique_id"].unique())
    start, end = full["ds"].min(), full["ds"].max() + HOUR
    kept = lake.versions("metrics", start=start, end=end, where={"unique_id": names}).drop(columns="day", errors="ignore")
    lake.replace(
        "metrics", pd.concat([kept, full], ignore_index=True) if len(kept) else full, start=start, end=end, where={"unique_id": names}
    )


def event(lake: Lake, event_id: str, start: pd.Timestamp, hours: int, *, known: pd.Timestamp, service: str = "", region: str = "") -> None:
    """Publish one event."""
    row = {
        "event_id": event_id,
        "source": "matches",
        "kind": "match",
        "title": event_id,
        "region": region,
        "service": service,
        "start": start,
        "end": start + hours * HOUR,
        "strength": 1.0,
        "value": None,
        "available_at": known,
    }
    lake.replace("events", pd.DataFrame([row]).astype({"value": float}), start=start, end=start + HOUR, where={"event_id": event_id})
