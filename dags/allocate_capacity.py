"""
### Allocate capacity

**What.** Turns the forecasts into a plan (hot, warm, cold per region, service and hour), compares it with what the ledger and the
cloud hold, waits for a person when the increase or decrease in cost is above its limit, and reconciles region by region.

**When.** When forecasts are published. By hand with `dry_run` on (the default then): it plans and shows the difference, and writes
nothing to the cloud. A backfilled forecast, or one older than the last plan acted upon, is planned and never acted upon.
A run that acts first grants boosts to services whose signals (`services.<service>.trouble`) broke their limit in the hour before.

**In.** `forecasts`, the ledger, the cloud. **Out.** `plans`, `quota_requests` (what a person may ask Google for; nothing asks by
itself, see the log of `plan`), the ledger, Google Cloud; the asset `plan`.

**When it fails.** Quota and stockout are not failures: they are recorded, the next zone is tried, and what stays unmet is
marked. An unreachable cloud is retried with backoff; clearing `reconcile` is always safe, it re-attaches to unfinished
operations and never reserves twice. An approval without an answer counts as Reject: what is held stays held. Runbooks:
docs/runbooks/stockout.md, quota.md, cloud-unreachable.md, approval.md.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, TaskGroup, TriggerRule, dag, get_current_context, task

from headroom_airflow.approval import PlanApprovalOperator
from headroom_airflow.assets import FORECASTS, PLAN
from headroom_airflow.conduct import AS_OF, DAG_ARGS, asset_extra, current_run_type, run_issue_time
from headroom_airflow.reconcile_operator import ReconcileOperator


@dag(
    **DAG_ARGS,
    schedule=[FORECASTS],
    max_active_runs=1,
    tags=["headroom", "capacity"],
    doc_md=__doc__,
    render_template_as_native_obj=True,
    params={
        "as_of": AS_OF,
        "regions": Param(None, type=["null", "array"], items={"type": "string"}, description="Regions to allocate. Empty: all."),
        "policy": Param(None, type=["null", "string"], description="Policy by name, for example tiered. Empty: the one in capacity.yaml."),
        "dry_run": Param(True, type="boolean", description="Plan and show the difference; write nothing to the cloud. Runs by hand only."),
    },
)
def allocate_capacity() -> None:
    @task.branch(outlets=[PLAN])
    def plan() -> str:
        from headroom.allocation import newest_plan_acted_upon
        from headroom.runtime import Runtime
        from headroom_airflow.allocation import AllocationRequest, plan_for

        context, opened, issue = get_current_context(), Runtime.open(), run_issue_time()
        request = AllocationRequest.of_run(context, issue, by_hand=current_run_type() == "manual", newest=newest_plan_acted_upon(opened))
        made = plan_for(opened, request)
        context["ti"].xcom_push(key="request", value=made)
        context["outlet_events"][PLAN].extra = asset_extra(issue, dry_run=made["dry_run"], why_dry=made["why_dry"], **made["facts"])
        return "ask_for_approval" if made["ask"] else "within_limit"

    planned = plan()
    with TaskGroup("agreement", prefix_group_id=False, tooltip="A person agrees, or the change is within its limit") as agreement:
        PlanApprovalOperator(
            task_id="ask_for_approval",
            subject="Capacity plan of {{ ti.xcom_pull(task_ids='plan', key='request')['issue_time'] }} needs approval",
            body="{{ ti.xcom_pull(task_ids='plan', key='request')['approval_text'] }}",
        )
        EmptyOperator(task_id="within_limit")

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def regions() -> Any:
        return get_current_context()["ti"].xcom_pull(task_ids="plan", key="request")["regions"]

    chosen = regions()
    ReconcileOperator.partial(
        task_id="reconcile",
        issue_time="{{ ti.xcom_pull(task_ids='plan', key='request')['issue_time'] }}",
        dry_run="{{ ti.xcom_pull(task_ids='plan', key='request')['dry_run'] }}",
        map_index_template="{{ task.region }}",
    ).expand(region=chosen)
    planned >> agreement >> chosen


allocate_capacity()
