"""Learning from usage: outcomes, calibration, drift, anomalies. Every write is idempotent, and nothing looks past the issue time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import pandas as pd

from headroom.demand import hourly_demand
from headroom.lake import Lake
from headroom.schemas import TABLES
from headroom.settings import Settings
from headroom.vocabulary import HORIZON_BUCKETS
from models.anomalies import flag_anomalies
from models.drift import WINDOW, find_drift
from models.held_capacity import plan_resource
from models.online_calibration import applied_offsets, learnt_offsets, moved_offsets
from models.outcomes import LOOKBACK, judge
from models.scoring import FALLBACK

__all__ = ["LearnReport", "learn_from_usage"]

_LOG: Final = logging.getLogger(__name__)
_HOUR: Final = pd.Timedelta("1h")
_WEEK: Final = pd.Timedelta(days=7)


@dataclass(frozen=True)
class LearnReport:
    """What was learnt; JSON-ready.

    Attributes:
        judged: forecast rows judged by this run.
        hours: distinct hours among them.
        buckets: horizon bucket -> rows, mean absolute error over mean demand, coverage of the 80 % and 98 % intervals; last 7 days.
        coverage_80, coverage_98: over all buckets; None when nothing was judged.
        unmet: series -> demand above what the newest plan held, summed over the hours of this run, in the series' unit x hours;
            series without unmet demand are not listed.
        planned_hours: series hours of this run that had a plan.
        cost_usd: planned cost of the hours of this run.
        offsets: calibration offsets written.
        anomalies: hours flagged by this run.
        retrain: whether retraining is asked for.
        reason: of that verdict.
    """

    judged: int
    hours: int
    buckets: dict[str, dict[str, float]]
    coverage_80: float | None
    coverage_98: float | None
    unmet: dict[str, float]
    planned_hours: int
    cost_usd: float
    offsets: int
    anomalies: int
    retrain: bool
    reason: str


def learn_from_usage(settings: Settings, lake: Lake, *, issue_time: pd.Timestamp) -> LearnReport:
    """Judge what can be judged, move the calibration, look for drift and anomalies.

    Writes `outcomes` (forecast hours that no earlier run judged), `calibration` (serves from the next hour on) and `anomalies`.

    Args:
        issue_time: hours before it that are measured by then are judged; nothing that became known later is used.
    """
    outcomes = judge(settings, lake, issue_time=issue_time)
    offsets = _calibrate(lake, outcomes, issue_time)
    anomalies = flag_anomalies(settings, lake, issue_time=issue_time)
    recent = lake.read("outcomes", start=issue_time - LOOKBACK, end=issue_time, as_of=issue_time)
    in_window = recent[(recent["ds"] >= issue_time - WINDOW) & (recent["model_version"] != FALLBACK)]
    demand = hourly_demand(lake, settings, start=issue_time - WINDOW - _WEEK, end=issue_time, as_of=issue_time)
    drift = find_drift(in_window, demand)
    in_force = _in_force(outcomes)
    report = LearnReport(
        judged=len(outcomes),
        hours=int(outcomes["ds"].nunique()),
        buckets=_buckets(recent),
        coverage_80=float(recent["covered_80"].mean()) if len(recent) else None,
        coverage_98=float(recent["covered_98"].mean()) if len(recent) else None,
        unmet=_unmet(in_force),
        planned_hours=len(in_force),
        cost_usd=_cost(in_force),
        offsets=offsets,
        anomalies=len(anomalies),
        retrain=drift.retrain,
        reason=drift.reason,
    )
    _say(report, anomalies)
    return report


def _calibrate(lake: Lake, outcomes: pd.DataFrame, issue_time: pd.Timestamp) -> int:
    """Write the offsets after these outcomes: of every series, for the version that forecast it last."""
    before, applied = learnt_offsets(lake, issue_time), applied_offsets(lake, outcomes, issue_time)
    newest = outcomes.sort_values("issue_time").drop_duplicates("unique_id", keep="last").set_index("unique_id")["model_version"]
    own = outcomes[outcomes["model_version"] == outcomes["unique_id"].map(newest)]
    parts = []
    for version, rows in own.groupby("model_version", sort=True):
        old = before[(before["model_version"] == version) & before["unique_id"].isin(rows["unique_id"])]
        parts.append(moved_offsets(rows, old, applied).assign(model_version=version))
    columns = list(TABLES["calibration"].columns)
    moved = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    lake.replace(
        "calibration", moved.assign(issue_time=issue_time, available_at=issue_time)[columns], start=issue_time, end=issue_time + _HOUR
    )
    return len(moved)


def _buckets(outcomes: pd.DataFrame) -> dict[str, dict[str, float]]:
    found = {}
    for bucket in HORIZON_BUCKETS:
        rows = outcomes[outcomes["bucket"] == bucket]
        if rows.empty:
            continue
        errors, levels = rows["error"].abs().groupby(rows["unique_id"]).mean(), rows["y"].groupby(rows["unique_id"]).mean()
        found[bucket] = {
            "rows": float(len(rows)),
            "relative_error": float((errors / levels)[levels > 0].mean()),
            "coverage_80": float(rows["covered_80"].mean()),
            "coverage_98": float(rows["covered_98"].mean()),
        }
    return found


def _in_force(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Per series and hour, the outcome whose plan was the newest: that is what was held."""
    planned = outcomes.dropna(subset=["cost_usd"])
    return planned.sort_values("issue_time").drop_duplicates(["unique_id", "ds"], keep="last")


def _unmet(in_force: pd.DataFrame) -> dict[str, float]:
    sums = in_force.groupby("unique_id")["unmet"].sum()
    return {str(series): float(total) for series, total in sums[sums > 0].items()}


def _cost(in_force: pd.DataFrame) -> float:
    """Summed over the plans' rows: one that serves several series (cpu and memory) counts once."""
    rows = in_force.assign(planned=plan_resource(in_force["resource"]))
    return float(rows.drop_duplicates(["region", "service", "planned", "ds"])["cost_usd"].sum())


def _say(report: LearnReport, anomalies: pd.DataFrame) -> None:
    _LOG.info("%d forecast hours judged; %s", report.judged, report.reason)
    for series, total in report.unmet.items():
        _LOG.warning("%s: %.4g unit hours of demand above what was held", series, total)
    for found in anomalies.head(20).to_dict("records"):
        _LOG.warning("anomaly: %s at %s: %s", found["unique_id"], found["ds"].isoformat(), found["reason"])
