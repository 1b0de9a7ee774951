"""The MLflow record of a training: one run, a nested run per candidate, metrics, plots, the leaderboard, the data it stood on."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from headroom.home import Home
from headroom.vocabulary import HORIZON_BUCKETS, horizon_bucket
from models.calibration import Calibration
from models.fitting import Fitted
from models.mlflow_session import mlflow_session
from models.pinball import coverage, wql
from models.training_plan import TrainingPlan
from models.training_plots import plot_fan, plot_leaderboard, plot_reliability

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Training", "log_training"]

# How MLflow names the tags that nest a run and title it.
_PARENT, _TITLE = "mlflow.parentRunId", "mlflow.runName"
_LONGEST: Final = 5000


@dataclass(frozen=True)
class Training:
    """What there is to record.

    Attributes:
        oof: all out-of-fold rows.
        failed: "candidate in shard" -> why it took no part.
    """

    plan: TrainingPlan
    fitted: Fitted
    oof: pd.DataFrame
    failed: dict[str, str]


def log_training(home: Home, training: Training) -> str:
    """Record a training and return the id of its MLflow run; a plan has one run, which a repetition finds and completes.

    Raises:
        UnavailableError: when MLflow does not answer.
    """
    plan = training.plan
    with mlflow_session(home) as client:
        experiment = _experiment(client)
        tags = {"training": plan.run_id, "issue_time": plan.issue_time.isoformat(), "data_digest": plan.data_digest}
        run_id = _find_or_create(client, experiment, {"plan_digest": plan.digest, "role": "training"}, {_TITLE: plan.run_id, **tags})
        _log(client, run_id, plan, _parameters(plan), _overall(training))
        for name, rows in training.oof.groupby("candidate", sort=True):
            _log_candidate(client, experiment, run_id, plan, str(name), rows, training.fitted)
        with tempfile.TemporaryDirectory() as scratch:
            _write_artifacts(Path(scratch), training)
            client.log_artifacts(run_id, scratch)
        client.set_terminated(run_id)
    return run_id


def _experiment(client: MlflowClient) -> str:
    from models.registry import EXPERIMENT

    found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id) if found else str(client.create_experiment(EXPERIMENT))


def _find_or_create(client: MlflowClient, experiment: str, identity: dict[str, str], more: dict[str, str]) -> str:
    """The oldest run that has the tags of `identity`; created with them in one call, so a kill leaves none without."""
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in identity.items())
    found = client.search_runs([experiment], wanted, order_by=["attributes.start_time ASC"], max_results=1)
    if found:
        return str(found[0].info.run_id)
    return str(client.create_run(experiment, tags={**identity, **more}).info.run_id)


def _log(client: MlflowClient, run_id: str, plan: TrainingPlan, parameters: dict[str, Any], metrics: dict[str, float]) -> None:
    """Metrics carry the issue time, so that logging them again adds no second point."""
    from mlflow.entities import Metric, Param

    stamp = int(plan.issue_time.timestamp() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, stamp, 0) for name, value in metrics.items() if pd.notna(value)],
        params=[Param(name, str(value)[:_LONGEST]) for name, value in parameters.items()],
    )


def _parameters(plan: TrainingPlan) -> dict[str, Any]:
    options = {name: value for name, value in asdict(plan.options).items() if name != "promote"}
    return {
        **options,
        "candidates": ", ".join(plan.options.chosen_candidates),
        "issue_time": plan.issue_time.isoformat(),
        "history_start": plan.history_start.isoformat(),
        "cutoffs": ", ".join(cutoff.isoformat() for cutoff in plan.cutoffs),
        "data_digest": plan.data_digest,
        "series": len({s for shard in plan.shards.values() for s in shard.series}),
    }


def _overall(training: Training) -> dict[str, float]:
    fitted = training.fitted
    own = fitted.judged
    return {"score": fitted.score, "score_selection": fitted.selection.score_vs_best_naive, **_quality(own), "failed": len(training.failed)}


def _quality(rows: pd.DataFrame) -> dict[str, float]:
    """WQL (mean over series) overall and by horizon bucket, and coverage of the 80 % and 98 % intervals."""
    buckets = horizon_bucket(rows["horizon"])
    by_bucket = {f"wql_h{name}": _mean_wql(rows[buckets == name]) for name in HORIZON_BUCKETS}
    return {"wql": _mean_wql(rows), **by_bucket, "coverage_80": coverage(rows, 0.8), "coverage_98": coverage(rows, 0.98)}


def _mean_wql(rows: pd.DataFrame) -> float:
    return float(pd.Series([wql(part) for _, part in rows.groupby("unique_id")], dtype=float).mean())


def _log_candidate(
    client: MlflowClient, experiment: str, parent: str, plan: TrainingPlan, name: str, rows: pd.DataFrame, fitted: Fitted
) -> None:
    identity = {"plan_digest": plan.digest, "role": "candidate", "candidate": name}
    run_id = _find_or_create(client, experiment, identity, {_PARENT: parent, _TITLE: name, "training": plan.run_id})
    row = fitted.selection.leaderboard.set_index("candidate").reindex([name]).iloc[0]
    board = {f"selection_{key}" if key != "seconds" else key: float(row[key]) for key in ("ratio", "weight", "seconds")}
    _log(client, run_id, plan, {"candidate": name, "windows": rows["cutoff"].nunique()}, {**board, **_quality(rows)})
    client.set_terminated(run_id)


def _write_artifacts(folder: Path, training: Training) -> None:
    plan, fitted = training.plan, training.fitted
    fitted.selection.leaderboard.to_csv(folder / "leaderboard.csv", index=False)
    fitted.weights.to_csv(folder / "weights.csv")
    data = {
        "digest": plan.data_digest,
        "window": [plan.history_start.isoformat(), plan.issue_time.isoformat()],
        "missing": plan.missing,
        "failed": training.failed,
    }
    (folder / "data.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    own = fitted.judged
    plots = folder / "plots"
    plots.mkdir()
    plot_leaderboard(fitted.selection.leaderboard, plots / "leaderboard.png")
    plot_fan(own, plan.history(), plots / "fan.png")
    plot_reliability({"as forecast": own, "calibrated (on these rows)": _calibrated(own, fitted.calibration)}, plots / "reliability.png")


def _calibrated(rows: pd.DataFrame, calibration: Calibration) -> pd.DataFrame:
    return calibration.apply(rows)
