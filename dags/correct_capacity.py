"""
### Correct capacity

**What.** Between two allocations: forecasts the next minutes at steps of 5, and lets as many standby machines of the plan run as they need
beyond its hot ones; they stand by again when the need falls. It reserves and buys nothing; what is needed above hot and warm is
named in the log of `decide` and in the ledger's unmet rows.

**When.** Every 5 minutes, when `policy.correction` is set in capacity.yaml; otherwise the run is skipped and says so. By hand with `dry_run`
on (the default then): it reads no source, decides from what the lake has, and moves nothing. A backfill, and a run that comes
more than 15 minutes late, never acts.

**In.** The sources' last minutes, `metrics`, `events`, the plan that was acted upon last, the ledger, the cloud. **Out.** `metrics`, the
ledger, Google Cloud.

**When it fails.** Nothing is lost: what runs keeps running until the next correction or plan, and the next run begins anew. A source that does not
answer leaves its services uncorrected, by name; the others go on. A newer plan or correction makes `reconcile` skip. The first run of a
day fits the forecast anew and takes longer. Clearing any task is safe. Runbooks: docs/runbooks/correction.md, cloud-unreachable.md.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, TriggerRule, dag, get_current_context, task

from headroom_airflow.conduct import DAG_ARGS, run_issue_time
from headroom_airflow.correction import CorrectOperator, asked_of_run
from headroom_airflow.source_credentials import source_credentials


@dag(
    **DAG_ARGS,
    schedule=CronDataIntervalTimetable("*/5 * * * *", timezone="UTC"),
    max_active_runs=1,
    tags=["headroom", "capacity"],
    doc_md=__doc__,
    params={
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date-time",
            description="Act as if it were this moment (UTC, whole 5 minutes). Empty: the logical date of the run.",
        ),
        "regions": Param(None, type=["null", "array"], items={"type": "string"}, description="Regions to correct. Empty: all."),
        "dry_run": Param(True, type="boolean", description="Say what would move; write nothing to the cloud. Runs by hand only."),
    },
)
def correct_capacity() -> None:
    @task
    def list_sources() -> list[str]:
        asked = asked_of_run()
        return [] if asked.why_dry else asked.sources

    @task(map_index_template="{{ source_name }}")
    def ingest(source: str) -> dict[str, Any]:
        from dataclasses import asdict

        from headroom.correction import CORRECTION_STEP, ingest_last_minutes
        from headroom.runtime import Runtime

        get_current_context()["source_name"] = source  # type: ignore[typeddict-unknown-key]
        opened, issue = Runtime.open(), run_issue_time(CORRECTION_STEP)
        credentials = source_credentials(opened.settings.metric_source(source))
        return asdict(ingest_last_minutes(opened, source=source, issue_time=issue, credentials=credentials))

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def decide() -> list[dict[str, Any]]:
        from headroom.runtime import Runtime
        from headroom_airflow.correction import orders_for

        return orders_for(Runtime.open(), asked_of_run())

    decided = decide()
    ingest.expand(source=list_sources()) >> decided
    CorrectOperator.partial(task_id="reconcile", map_index_template="{{ task.order['region'] }}").expand(order=decided)


correct_capacity()
