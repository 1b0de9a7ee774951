"""A small installation: two regions, two services, one CSV or Parquet file as source, a lake in a folder."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feature_store.ingestion import IngestReport, ingest_metrics
from headroom.lake import Lake
from headroom.settings import Settings, parse_settings

SETTINGS = """
regions:
  europe-west9: {zones: [europe-west9-a], quotas: {N2_CPUS: 400}, holidays: FR, timezone: Europe/Paris}
  asia-east1: {zones: [asia-east1-a], quotas: {N2_CPUS: 400}}
services:
  edge:
    regions: [europe-west9, asia-east1]
    demand: {cpu: cpu_vcpu, bandwidth: egress_mbps}
    capacity: {machine_type: n2-standard-8}
  batch:
    regions: [europe-west9]
    demand: {cpu: cpu_vcpu}
    capacity: {machine_type: n2-standard-8}
metrics:
  - kind: file
    name: traces
    path: FILE
    required: REQUIRED
    delay_minutes: DELAY
    metrics:
      cpu_vcpu: {unit: vCPU, maximum: 1000}
      egress_mbps: {unit: EGRESS_UNIT}
cloud: {project: test}
"""
PLACES = [("europe-west9", "edge", "cpu_vcpu"), ("europe-west9", "edge", "egress_mbps"), ("asia-east1", "edge", "cpu_vcpu")]
PLACES += [("asia-east1", "edge", "egress_mbps"), ("europe-west9", "batch", "cpu_vcpu")]


def at(text: object) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def settings(file: str = "rows.csv", *, required: bool = True, delay: int = 0, egress_unit: str = "Mbit/s") -> Settings:
    text = SETTINGS.replace("FILE", file).replace("REQUIRED", str(required).lower()).replace("DELAY", str(delay))
    return parse_settings(text.replace("EGRESS_UNIT", egress_unit))


def rows(start: str, end: str) -> pd.DataFrame:
    """Five series that wave like days do, one row per 5 minutes and series."""
    stamps = pd.date_range(at(start), at(end), freq="5min", inclusive="left")
    frames = []
    for number, (region, service, metric) in enumerate(PLACES, start=1):
        day = (stamps.hour * 60 + stamps.minute) / 1440 * 2 * math.pi
        value = np.round(number * (100 + 10 * np.sin(day) + 0.1 * (stamps.dayofyear % 7)), 6)
        frames.append(pd.DataFrame({"timestamp": stamps, "region": region, "service": service, "metric": metric, "value": value}))
    return pd.concat(frames, ignore_index=True)


@dataclass
class Case:
    """An installation under `root`; `put` gives the source its rows, `ingest` reads a window."""

    root: Path
    settings: Settings = field(default_factory=settings)
    source: str = "traces"

    def __post_init__(self) -> None:
        self.lake = Lake(str(self.root / "lake"))
        self.lake.create()
        self.work = self.root / "work"

    def put(self, frame: pd.DataFrame) -> None:
        path = self.root / self.settings.metrics[0].path  # type: ignore[union-attr]
        if path.suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, date_format="%Y-%m-%dT%H:%M:%SZ")

    def ingest(self, start: object, end: object, issue: object = None) -> IngestReport:
        return ingest_metrics(
            self.settings,
            self.lake,
            self.root,
            self.work,
            source=self.source,
            start=at(start),
            end=at(end),
            issue_time=at(issue or end),
        )

    def table(self) -> pd.DataFrame:
        return self.lake.versions("metrics", start=at("2000-01-01"), end=at("2100-01-01"))

    def commits(self, table: str = "metrics") -> int:
        return len(list((self.root / "lake" / table / "_delta_log").glob("*.json")))

    def quarantine(self) -> pd.DataFrame:
        return self.lake.read("quarantine")


def like(frame: pd.DataFrame, **change: Any) -> pd.DataFrame:
    """The first row of `frame`, changed."""
    return frame.iloc[[0]].astype("object").assign(**change)
