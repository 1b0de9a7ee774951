"""
### Ingest metrics

**What.** Pulls the window's measurements from every source in `capacity.yaml`, validates them, quarantines what is wrong
and publishes the rest to the lake table `metrics`.

**When.** Hourly, for the hour that just ended. By hand with `hours` for a longer window (a first import of history).

**In.** The sources. **Out.** `metrics`, `quarantine`, Data Docs; the asset `metrics` wakes scoring and learning.

**When it fails.** A source that does not answer is retried with backoff. A window without one good row fails at once: open
Data Docs (the address is what the run's `write_data_docs` task returned) and the `quarantine` table, mend the source, clear the task. Rerunning is
always safe: rows that did not change are not written again. Runbook: docs/runbooks/ingestion.md.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Metadata, Param, TriggerRule, dag, get_current_context, task

from headroom_airflow.assets import METRICS
from headroom_airflow.conduct import AS_OF, DAG_ARGS, asset_extra, run_issue_time
from headroom_airflow.source_credentials import source_credentials


@dag(
    **DAG_ARGS,
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    max_active_runs=1,
    tags=["headroom", "data"],
    doc_md=__doc__,
    params={
        "as_of": AS_OF,
        "hours": Param(1, type="integer", minimum=1, maximum=24 * 366, description="Length of the window that ends at the issue time."),
    },
)
def ingest_metrics() -> None:
    @task
    def list_sources() -> list[str]:
        from headroom.runtime import Runtime

        return [source.name for source in Runtime.open().settings.metrics]

    @task(map_index_template="{{ source_name }}")
    def ingest(source: str) -> dict[str, Any]:
        from dataclasses import asdict

        import pandas as pd

        from feature_store.ingestion import ingest_metrics as ingest_window
        from headroom.runtime import Runtime

        context = get_current_context()
        context["source_name"] = source  # type: ignore[typeddict-unknown-key]
        issue, run = run_issue_time(), Runtime.open()
        report = ingest_window(
            run.settings,
            run.lake,
            run.base,
            run.home.validation,
            source=source,
            start=issue - pd.Timedelta(hours=context["params"]["hours"]),
            end=issue,
            issue_time=issue,
            credentials=source_credentials(run.settings.metric_source(source)),
        )
        return asdict(report)

    @task(outlets=[METRICS])
    def publish(reports: Any) -> Any:
        from headroom.home import Home

        done = list(reports)
        facts = {name: sum(r[name] for r in done) for name in ("published", "added", "quarantined", "warned")}
        digests = {r["source"]: r["digest"] for r in done}
        page = (Home.from_environment().data_docs / "index.html").as_uri()
        yield Metadata(METRICS, asset_extra(run_issue_time(), **facts, digests=digests, data_docs=page))

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def write_data_docs() -> str:
        from feature_store.data_docs import write_data_docs as write_pages
        from headroom.home import Home

        home = Home.from_environment()
        return write_pages(home.validation, home.data_docs).as_uri()

    reports = ingest.expand(source=list_sources())
    reports >> write_data_docs()
    publish(reports)


ingest_metrics()
