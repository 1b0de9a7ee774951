"""
### Learn from usage

**What.** Joins forecasts and plans with what was really used: error by horizon, coverage, unmet demand, cost. Updates the
calibration offsets, flags anomalies, and asks for retraining when the forecasts drift.

**When.** When a later hour's metrics arrive; by hand for any past hour.

**In.** `forecasts`, `plans`, `metrics`, `events`. **Out.** `outcomes`, `calibration`, `anomalies`; the asset `outcomes`, and
`retraining-requested` on drift.

**When it fails.** Clear the task; it recomputes the same rows. Runbook: docs/runbooks/drift.md.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Metadata, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from headroom_airflow.assets import METRICS, OUTCOMES, RETRAINING
from headroom_airflow.conduct import AS_OF, DEFAULT_ARGS, END, START, asset_extra, run_issue_time


@dag(
    schedule=[METRICS],
    start_date=START,
    end_date=END,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["headroom", "models"],
    doc_md=__doc__,
    params={"as_of": AS_OF},
)
def learn_from_usage() -> None:
    @task(outlets=[OUTCOMES])
    def learn() -> Any:
        from dataclasses import asdict

        from headroom.runtime import Runtime
        from models.learning import learn_from_usage as learn_from

        run, issue = Runtime.open(), run_issue_time()
        report = asdict(learn_from(run.settings, run.lake, issue_time=issue))
        yield Metadata(OUTCOMES, asset_extra(issue, **report))
        return report

    @task(outlets=[RETRAINING])
    def request_retraining(report: dict[str, Any]) -> Any:
        if not report["retrain"]:
            raise AirflowSkipException("The forecasts hold: no retraining needed")
        yield Metadata(RETRAINING, asset_extra(run_issue_time(), reason=report["reason"]))

    request_retraining(learn())


learn_from_usage()
