"""Small forecasts in the lake's schema, for the planner's tests."""

import numpy as np
import pandas as pd

from headroom.settings import Settings, parse_settings
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES

ISSUE = pd.Timestamp("2026-07-08", tz="UTC")

SETTINGS = """
regions:
  us-central1: {zones: [us-central1-a], quotas: {N2_CPUS: 1000}, interconnect: {attachment: headroom-us}}
  asia-east1: {zones: [asia-east1-a], quotas: {N2_CPUS: 1000}}
services:
  edge:
    regions: [us-central1, asia-east1]
    criticality: high
    demand: {cpu: cpu_vcpu, bandwidth: egress_gbps}
    capacity: {machine_type: n2-standard-8, target_utilisation: 0.5, boot_minutes: 90, resume_minutes: 40}
  tenants:
    regions: [us-central1]
    criticality: low
    demand: {cpu: cpu_vcpu, memory: memory_gib, storage: disk_gib}
    capacity: {machine_type: n2-standard-4, target_utilisation: 1.0, minimum_instances: 2}
  scores:
    regions: [us-central1]
    demand: {requests: requests_per_s}
    capacity: {machine_type: n2-standard-4, target_utilisation: 0.5, requests_per_vcpu: 20, minimum_instances: 0, boot_minutes: 0, resume_minutes: 0}
metrics:
  - kind: file
    name: traces
    path: metrics.parquet
    metrics: {cpu_vcpu: {unit: vCPU}, memory_gib: {unit: GiB}, disk_gib: {unit: GiB}, egress_gbps: {unit: Gbit/s}, requests_per_s: {unit: 1/s}}
policy: {BUDGET}
cloud: {project: test}
"""


def settings(policy: str = "{}") -> Settings:
    return parse_settings(SETTINGS.replace("{BUDGET}", policy))


def forecasts(
    settings: Settings, *, hours: int = 72, median: float = 10.0, confidence: float = 0.95, issue: pd.Timestamp = ISSUE
) -> pd.DataFrame:
    """Every series at the same median, quantile q at median x (0.5 + q), so that the 0.9 quantile is 1.4 x the median."""
    ds = pd.date_range(issue, periods=hours, freq="h")
    frames = []
    for series in settings.series:
        frame = pd.DataFrame(
            {"issue_time": issue, "unique_id": str(series), **series._asdict(), "ds": ds, "horizon": np.arange(1, hours + 1)}
        )
        frames.append(frame.assign(**{c: median * (0.5 + q) for c, q in zip(QUANTILE_COLUMNS, QUANTILES, strict=True)}))
    return pd.concat(frames, ignore_index=True).assign(
        confidence=confidence,
        model="demand-forecaster",
        model_version="7",
        candidate="mstl",
        fallback_reason="",
        train_start=issue,
        train_end=issue,
        available_at=issue,
    )


def set_demand(frame: pd.DataFrame, unique_id: str, demand: list[float]) -> pd.DataFrame:
    """Give one series a demand per hour, the same at every quantile."""
    frame = frame.copy()
    rows = frame["unique_id"] == unique_id
    for column in QUANTILE_COLUMNS:
        frame.loc[rows, column] = demand
    return frame
