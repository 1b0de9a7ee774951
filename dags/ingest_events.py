"""
### Ingest events

**What.** Reads every calendar in `capacity.yaml` (iCal, tables, public holidays, news and status feeds, weather) into the lake
table `events`. Each event keeps the moment it became known, so that a backfill never uses what was announced later.

**When.** Daily, 20 minutes past midnight UTC; by hand at any time.

**In.** The calendars. **Out.** `events`; the asset `events`.

**When it fails.** One broken calendar does not stop the others: the task's log and the asset event name it. All broken: the run
fails with each calendar's message. Mend the calendar, clear the task. Runbook: docs/runbooks/ingestion.md.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Metadata, dag, task

from headroom_airflow.assets import EVENTS
from headroom_airflow.conduct import AS_OF, DAG_ARGS, asset_extra, run_issue_time


@dag(
    **DAG_ARGS,
    schedule=CronDataIntervalTimetable("20 0 * * *", timezone="UTC"),
    max_active_runs=1,
    tags=["headroom", "data"],
    doc_md=__doc__,
    params={"as_of": AS_OF},
)
def ingest_events() -> None:
    @task(outlets=[EVENTS])
    def ingest() -> Any:
        from dataclasses import asdict

        from feature_store.ingestion import ingest_events as ingest_calendars
        from headroom.runtime import Runtime

        run, issue = Runtime.open(), run_issue_time()
        report = ingest_calendars(run.settings, run.lake, run.base, issue_time=issue)
        yield Metadata(EVENTS, asset_extra(issue, **asdict(report)))

    ingest()


ingest_events()
