"""The assets through which DAGs wake each other. Each event carries the issue time, row counts and a digest."""

from __future__ import annotations

from airflow.sdk import Asset

__all__ = ["EVENTS", "FORECASTS", "METRICS", "MODEL", "OUTCOMES", "PLAN", "RETRAINING"]

METRICS = Asset(name="metrics", uri="headroom://lake/metrics", group="headroom")
EVENTS = Asset(name="events", uri="headroom://lake/events", group="headroom")
FORECASTS = Asset(name="forecasts", uri="headroom://lake/forecasts", group="headroom")
PLAN = Asset(name="plan", uri="headroom://lake/plans", group="headroom")
OUTCOMES = Asset(name="outcomes", uri="headroom://lake/outcomes", group="headroom")
MODEL = Asset(name="demand-forecaster", uri="headroom://mlflow/demand-forecaster", group="headroom")
RETRAINING = Asset(name="retraining-requested", uri="headroom://requests/retraining", group="headroom")
