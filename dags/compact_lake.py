"""
### Compact the lake

**What.** Puts together the many small files that a day's commits left, deletes those that were replaced more than a week ago, and shortens
the tables' logs. No row changes; a run says for every table how many files it had and has.

**When.** Daily at 01:40 UTC; by hand at any time, or `headroom compact`.

**In.** Every table of the lake. **Out.** The same rows in fewer files.

**When it fails.** Nothing is lost: clear the task, it goes on where it ended. Days that other tasks kept writing to are named in the log
and taken by the next run. Runbook: docs/runbooks/stack.md.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, dag, task

from headroom_airflow.conduct import DAG_ARGS


@dag(
    **DAG_ARGS,
    schedule=CronDataIntervalTimetable("40 1 * * *", timezone="UTC"),
    max_active_runs=1,
    tags=["headroom", "data"],
    doc_md=__doc__,
)
def compact_lake() -> None:
    @task
    def compact() -> list[dict[str, Any]]:
        from headroom.lake_upkeep import tend_lake
        from headroom.runtime import Runtime

        return [done.as_dict() for done in tend_lake(Runtime.open().lake)]

    compact()


compact_lake()
