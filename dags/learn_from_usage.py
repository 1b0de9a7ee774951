"""
### Learn from usage

**What.** Joins forecasts and plans with what was really used: error by horizon, coverage, unmet demand, cost. Updates the
calibration offsets, flags anomalies, and asks for retraining when the forecasts drift. Then rewards the parameters that trainings
chose, once their first day in service is over.

**When.** When a later hour's metrics arrive; by hand for any past hour.

**In.** `forecasts`, `plans`, `metrics`, `events`. **Out.** `outcomes`, `calibration`, `anomalies`; the asset `outcomes`, and
`retraining-requested` on drift; rewards in the tuning log (`HEADROOM_DATABASE_URL`).

**When it fails.** Clear the task; it recomputes the same rows. Runbook: docs/runbooks/drift.md.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Metadata, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from headroom_airflow.assets import METRICS, OUTCOMES, RETRAINING
from headroom_airflow.conduct import AS_OF, DAG_ARGS, asset_extra, run_issue_time


@dag(
    **DAG_ARGS,
    schedule=[METRICS],
    max_active_runs=1,
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

    @task
    def reward_tuning() -> dict[str, Any]:
        from dataclasses import asdict

        from headroom.runtime import Runtime
        from models.tuning.trainings import reward_trainings

        run = Runtime.open()
        frozen = run.settings.forecasting.tuning == "frozen"
        return asdict(reward_trainings(run.settings, run.lake, run.home.database_url, issue_time=run_issue_time(), frozen=frozen))

    learnt = learn()
    request_retraining(learnt)
    learnt >> reward_tuning()


learn_from_usage()
