"""
### Score forecasts

**What.** The champion as of the issue time gives 72 hours of calibrated quantiles for every series.

**When.** When an hour's metrics are published; at 20 minutes past the hour in any case (with what is known by then). Backfill any
past range: `airflow backfill create --dag-id score_forecasts --from-date ... --to-date ...` gives the forecasts that live runs
had, because everything it reads is read as of its issue time.

**In.** `metrics`, `events`, `calibration`, the champion. **Out.** `forecasts`, and `totals` when `forecasting.totals` asks for them; the asset `forecasts` wakes allocation. A backfilled
event says `live: false`, and allocation then plans without touching the cloud.

**When it fails.** No champion or no MLflow: it falls back (last cached champion, seasonal naive), marks the rows and says so in
the log; it does not fail. Missing history for every series fails with the window it looked at. Runbook: docs/runbooks/scoring.md.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronDataIntervalTimetable, Metadata, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from headroom_airflow.assets import FORECASTS, METRICS
from headroom_airflow.conduct import AS_OF, DAG_ARGS, asset_extra, current_run_type, run_issue_time


@dag(
    **DAG_ARGS,
    schedule=AssetOrTimeSchedule(timetable=CronDataIntervalTimetable("20 * * * *", timezone="UTC"), assets=[METRICS]),
    max_active_runs=2,
    tags=["headroom", "models"],
    doc_md=__doc__,
    params={"as_of": AS_OF},
)
def score_forecasts() -> None:
    @task(outlets=[FORECASTS])
    def score() -> Any:
        from headroom.runtime import Runtime
        from models.lake_totals import write_totals
        from models.scoring import already_scored
        from models.scoring import score_forecasts as score_series

        run, issue, kind = Runtime.open(), run_issue_time(), current_run_type()
        if kind == "scheduled" and already_scored(run.lake, issue):
            raise AirflowSkipException(f"{issue.isoformat()} was scored when its metrics were published")
        report = score_series(run.settings, run.lake, run.home, issue_time=issue, live=kind != "backfill")
        if run.settings.forecasting.totals:
            write_totals(run.lake, issue_time=issue)
        facts = {"rows": report.rows, "model_version": report.model_version, "fallbacks": len(report.fallbacks), "digest": report.digest}
        yield Metadata(FORECASTS, asset_extra(issue, live=kind != "backfill", **facts))

    score()


score_forecasts()
