"""
### Replay

**What.** Walks past days hour by hour with several planning policies, each knowing what was known then: what it would have held, cost
and missed, beside a plan that knew the future. Look at it before you change `policy.name`.

**When.** By hand, for any past moment. Backfillable: an earlier `as_of` replays the days before it.

**In.** `metrics`, `events` as known at the issue time; services and prices of capacity.yaml. **Out.** A page and figures in
`<home>/replay/<issue time>`; nothing in the lake, nothing in the cloud.

**When it fails.** Too little history: run ingest_metrics for the days before, or replay fewer. Clearing the task is always safe, it
writes the same again. Runbook: docs/runbooks/choosing-a-policy.md.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from headroom_airflow.conduct import AS_OF, DAG_ARGS, run_issue_time

POLICIES = ["optimal", "newsvendor", "tiered", "reactive", "static", "google", "aws"]


@dag(
    **DAG_ARGS,
    schedule=None,
    max_active_runs=1,
    tags=["headroom", "capacity"],
    doc_md=__doc__,
    params={
        "as_of": AS_OF,
        "days": Param(7, type="integer", minimum=1, maximum=90, description="Days to replay, up to the issue time."),
        "policies": Param(
            POLICIES[:5],
            type="array",
            items={"type": "string", "enum": POLICIES},
            minItems=1,
            description="Policies to compare; the plan that knew the future is always beside them.",
        ),
        "frontier": Param(False, type="boolean", description="Also run every policy at its other settings: cost against unmet demand."),
    },
)
def replay() -> None:
    @task
    def walk() -> dict[str, Any]:
        from headroom.lake_replay import replay_lake
        from headroom.runtime import Runtime

        params = get_current_context()["params"]
        chosen = {name: params[name] for name in ("days", "policies", "frontier")}
        return replay_lake(Runtime.open(), issue_time=run_issue_time(), **chosen).facts()

    walk()


replay()
