"""
### Train models

**What.** Backtests every candidate in mapped shards, selects per series by pinball loss, calibrates, logs one MLflow run with a
nested run per candidate, and registers the winner as a version of `demand-forecaster` with the alias `challenger`. The gate
promotes it to `champion` when it beats the present champion on the same windows.

**When.** Weekly (Monday 03:00 UTC), when `learn_from_usage` asks for it (drift), and by hand.

**In.** `metrics`, `events` as known at the issue time. **Out.** MLflow run and model version, a line in the promotion log; the asset
`demand-forecaster`.

**When it fails.** Clear the failed task: finished shards are kept, and a rerun reuses its MLflow run and model version. Too little
history names the series and the hours needed. Runbook: docs/runbooks/training.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronDataIntervalTimetable, Metadata, Param, dag, get_current_context, task

from headroom_airflow.assets import MODEL, RETRAINING
from headroom_airflow.conduct import AS_OF, DAG_ARGS, asset_extra, run_issue_time

DEFAULT_CANDIDATES = ["seasonal-naive-24", "seasonal-naive-168", "flair", "seasonal-ridge", "exponential-smoothing", "lightgbm"]
CANDIDATES = [*DEFAULT_CANDIDATES, "auto-arima", "auto-ets", "mstl", "theta", "auto-ces", "prophet", "window-ridge", "gru"]


@dag(
    **DAG_ARGS,
    schedule=AssetOrTimeSchedule(timetable=CronDataIntervalTimetable("0 3 * * 1", timezone="UTC"), assets=[RETRAINING]),
    max_active_runs=1,
    tags=["headroom", "models"],
    doc_md=__doc__,
    params={
        "as_of": AS_OF,
        "history_days": Param(41, type="integer", minimum=14, maximum=730, description="Days of history to learn from."),
        "candidates": Param(
            DEFAULT_CANDIDATES,
            type="array",
            items={"type": "string", "enum": CANDIDATES},
            minItems=1,
            description="Models to weigh. The seasonal naives are always among them.",
        ),
        "shards": Param(2, type="integer", minimum=1, maximum=256, description="Parallel shards of series for the per-series models."),
        "promote": Param(
            "auto",
            enum=["auto", "review", "never"],
            description="auto: the gate decides. review: a person promotes (headroom promote). never: challenger only.",
        ),
    },
)
def train_models() -> None:
    @task
    def plan() -> list[dict[str, str]]:
        from headroom.runtime import Runtime
        from models.training import TrainingOptions, plan_training

        context, run = get_current_context(), Runtime.open()
        params, run_id = context["params"], context["dag_run"].run_id
        options = TrainingOptions(**{name: params[name] for name in ("history_days", "candidates", "shards", "promote")})
        log = run.home.database_url
        made = plan_training(
            run.settings, run.lake, run.home.work, issue_time=run_issue_time(), run_id=run_id, options=options, tuning_url=log
        )
        return [{"folder": str(made.folder), "shard": shard} for shard in made.shards]

    @task(map_index_template="{{ shard_name }}")
    def backtest(job: dict[str, str]) -> dict[str, Any]:
        from models.training import backtest_shard

        get_current_context()["shard_name"] = job["shard"]  # type: ignore[typeddict-unknown-key]
        return backtest_shard(Path(job["folder"]), job["shard"])

    @task(outlets=[MODEL])
    def select_and_register(jobs: list[dict[str, str]]) -> Any:
        from headroom.runtime import Runtime
        from models.training import finish_training

        run = Runtime.open()
        result = finish_training(run.settings, run.lake, run.home, Path(jobs[0]["folder"]))
        facts = {"version": result.version, "promoted": result.promoted, "reason": result.reason, "score": result.score}
        yield Metadata(MODEL, asset_extra(run_issue_time(), **facts))

    jobs = plan()
    backtest.expand(job=jobs) >> select_and_register(jobs)


train_models()
