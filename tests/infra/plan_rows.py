"""Small plans in the lake's schema, and the settings that they fit, for the reconciler's tests."""

from collections.abc import Mapping

import pandas as pd

from headroom.schemas import TABLES, conform
from headroom.settings import Settings, parse_settings

ISSUE = pd.Timestamp("2026-07-08", tz="UTC")
REGION = "europe-west9"
ZONES = ("europe-west9-a", "europe-west9-b")
PROJECT = "headroom-test"

# What a plan says besides, which no reconciliation depends on.
UNREAD = {
    "cold": 0.0,
    "unmet": 0.0,
    "leased": 0.0,
    "leased_usd": 0.0,
    "confidence": 0.9,
    "tier": "high",
    "policy": "tiered",
    "why": "test",
    "cost_usd": 1.0,
    "peak_cost_usd": 1.0,
    "model_version": "1",
}

_SETTINGS = """
regions:
  {region}: {{zones: [{region}-a, {region}-b], quotas: {{N2_CPUS: 1000}}, interconnect: {{attachment: link, minimum_gbps: 1}}}}
services:
  edge:
    regions: [{region}]
    criticality: high
    demand: {{cpu: cpu_vcpu, bandwidth: egress_gbps}}
    capacity: {{machine_type: n2-standard-8, boot_minutes: 4, resume_minutes: 1}}
  batch:
    regions: [{region}]
    criticality: low
    demand: {{cpu: cpu_vcpu, storage: disk_gib}}
    capacity: {{machine_type: n2-standard-4, boot_minutes: 0, minimum_instances: 0, storage: {{kind: {storage}, type: pd-balanced}}}}
metrics:
  - kind: file
    name: traces
    path: metrics.parquet
    metrics: {{cpu_vcpu: {{unit: vCPU}}, disk_gib: {{unit: GiB}}, egress_gbps: {{unit: Gbit/s}}}}
policy: {{hold_hours: {hold}}}
cloud: {{project: headroom-test}}
"""
_UNITS = {"instances": "instances", "bandwidth": "Gbit/s", "storage": "GiB"}
_MACHINES = {"edge": "n2-standard-8", "batch": "n2-standard-4"}


def settings_text(region: str = REGION, *, storage: str = "disk", hold: int = 12) -> str:
    return _SETTINGS.format(region=region, storage=storage, hold=hold)


def settings(region: str = REGION, *, storage: str = "disk", hold: int = 12) -> Settings:
    return parse_settings(settings_text(region, storage=storage, hold=hold))


def plan_of(
    wants: Mapping[str, Mapping[str, float | tuple[float, float]]],
    *,
    issue: pd.Timestamp = ISSUE,
    region: str = REGION,
    later: Mapping[int, float] | None = None,
) -> pd.DataFrame:
    """A plan of 72 equal hours: service -> resource -> hot, or (hot, warm); `later` multiplies the hours of those offsets."""
    factors = pd.Series(1.0, index=range(72))
    for hour, factor in (later or {}).items():
        factors[hour] = factor
    rows = []
    for service, resources in wants.items():
        for resource, amount in resources.items():
            hot, warm = amount if isinstance(amount, tuple) else (amount, 0.0)
            rows += [_row(issue, region, service, resource, hour, hot * f, warm * f) for hour, f in factors.items()]
    frame = pd.DataFrame(rows)
    return conform(TABLES["plans"], frame).to_pandas().drop(columns="day")


def _row(issue: pd.Timestamp, region: str, service: str, resource: str, hour: int, hot: float, warm: float) -> dict[str, object]:
    return {
        "issue_time": issue,
        "region": region,
        "service": service,
        "resource": resource,
        "ds": issue + pd.Timedelta(hours=hour),
        "unit": _UNITS[resource],
        "machine_type": _MACHINES[service] if resource == "instances" else "",
        "needed": hot + warm,
        "hot": hot,
        "warm": warm,
        **UNREAD,
        "available_at": issue,
    }
