"""The MLflow record of a training: one run, a nested run per candidate and shard, metrics, plots, tables, the data it stood on."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from headroom.home import Home
from models.breakdown import as_metrics, breakdown
from models.candidate_parameters import candidate_parameters
from models.candidates import NAIVES
from models.fitting import Fitted
from models.mlflow_session import mlflow_session
from models.pinball import coverage
from models.selection import ratio_to_best_naive
from models.training_pictures import draw_pictures
from models.training_plan import TrainingPlan

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

__all__ = ["Training", "log_training"]

# How MLflow names the tags that nest a run and title it.
_PARENT, _TITLE = "mlflow.parentRunId", "mlflow.runName"
_LONGEST: Final = 5000
# MLflow's database has room for as much of a dataset's digest; the whole one is a parameter and a tag of the run.
_LONGEST_DIGEST: Final = 36
# MLflow takes this many metrics in one call.
_MOST_POINTS: Final = 1000


@dataclass(frozen=True)
class Training:
    """What there is to record.

    Attributes:
        oof: all out-of-fold rows.
        calibrated: the ensemble's rows of the late windows, calibrated on the windows before them.
        failed: "candidate in shard" -> why it took no part.
    """

    plan: TrainingPlan
    fitted: Fitted
    oof: pd.DataFrame
    calibrated: pd.DataFrame
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
        client.log_inputs(run_id, [_dataset(plan)])
        for shard, work in plan.shards.items():
            oof = training.oof[training.oof["unique_id"].isin(work.series)]
            for name in work.candidates:
                _log_candidate(client, experiment, run_id, training, oof, name, shard)
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
    points = [Metric(name, value, stamp, 0) for name, value in metrics.items() if pd.notna(value)]
    client.log_batch(run_id, params=[Param(name, str(value)[:_LONGEST]) for name, value in parameters.items()])
    for start in range(0, len(points), _MOST_POINTS):
        client.log_batch(run_id, metrics=points[start : start + _MOST_POINTS])


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


def _dataset(plan: TrainingPlan) -> DatasetInput:
    """What MLflow shows as the run's dataset: table, digest and window. The data stay in the lake, and no path of it is told."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    window = {"table": "metrics", "from": plan.history_start.isoformat(), "to": plan.issue_time.isoformat()}
    profile = {"series": len({s for shard in plan.shards.values() for s in shard.series}), "data_digest": plan.data_digest}
    dataset = Dataset(
        name=f"metrics {plan.history_start:%Y-%m-%d} to {plan.issue_time:%Y-%m-%d %H:%M}",
        digest=plan.data_digest[:_LONGEST_DIGEST],
        source_type="headroom-lake",
        source=json.dumps(window),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _overall(training: Training) -> dict[str, float]:
    """Of the ensemble on the windows that judge: before calibration, and its coverage after one that has not seen them."""
    fitted, calibrated = training.fitted, training.calibrated
    return {
        **as_metrics(breakdown(fitted.judged, fitted.floor)),
        "score": fitted.score,
        "score_selection": fitted.selection.score_vs_best_naive,
        "coverage_80_calibrated": coverage(calibrated, 0.8),
        "coverage_98_calibrated": coverage(calibrated, 0.98),
        "failed": len(training.failed),
    }


def _log_candidate(
    client: MlflowClient, experiment: str, parent: str, training: Training, oof: pd.DataFrame, name: str, shard: str
) -> None:
    """The nested run of a candidate on the series of a shard, whose out-of-fold rows are `oof`; a candidate that failed there has none."""
    plan = training.plan
    rows = oof[oof["candidate"] == name]
    if rows.empty:
        return
    identity = {"plan_digest": plan.digest, "role": "candidate", "candidate": name, "shard": shard}
    run_id = _find_or_create(client, experiment, identity, {_PARENT: parent, _TITLE: f"{name} {shard}", "training": plan.run_id})
    sizes = {"series": rows["unique_id"].nunique(), "windows": rows["cutoff"].nunique(), "rows": len(rows)}
    parameters = {"candidate": name, "shard": shard, **sizes, **candidate_parameters(name, training.fitted.model.seed)}
    _log(client, run_id, plan, parameters, {**as_metrics(breakdown(rows)), **_standing(oof, rows, name, training.fitted)})
    client.set_terminated(run_id)


def _standing(oof: pd.DataFrame, rows: pd.DataFrame, name: str, fitted: Fitted) -> dict[str, float]:
    """How a candidate did in the selection on a shard's series, its mean weight there, and the seconds that it took."""
    weights = fitted.weights.reindex(index=pd.Index(rows["unique_id"].unique()))
    early = oof[oof["candidate"].isin({name, *NAIVES}) & ~oof["cutoff"].isin(fitted.judged["cutoff"].unique())]
    return {
        "selection_ratio": ratio_to_best_naive(early, name) if name in set(early["candidate"]) else np.nan,
        "selection_weight": float(weights[name].mean()) if name in weights.columns else 0.0,
        "seconds": float(rows.drop_duplicates(["unique_id", "cutoff"])["seconds"].sum()),
    }


def _write_artifacts(folder: Path, training: Training) -> None:
    plan, fitted = training.plan, training.fitted
    fitted.selection.leaderboard.to_csv(folder / "leaderboard.csv", index=False)
    fitted.weights.to_csv(folder / "weights.csv")
    _metrics_table(training).to_csv(folder / "metrics.csv", index=False)
    if plan.tuning:
        told = [{"unique_id": series, "arm": choice.arm, **asdict(choice.tuning)} for series, choice in plan.tuning.items()]
        pd.DataFrame(told).to_csv(folder / "tuning.csv", index=False)
    data = {
        "digest": plan.data_digest,
        "window": [plan.history_start.isoformat(), plan.issue_time.isoformat()],
        "missing": plan.missing,
        "failed": training.failed,
    }
    (folder / "data.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    plots = folder / "plots"
    plots.mkdir()
    draw_pictures(plots, fitted, training.calibrated, plan.history())


def _metrics_table(training: Training) -> pd.DataFrame:
    """The breakdowns of the ensemble and of every candidate on the windows that judge."""
    fitted = training.fitted
    late = training.oof[training.oof["cutoff"].isin(fitted.judged["cutoff"].unique())]
    parts = [("ensemble", fitted.judged), ("ensemble, calibrated", training.calibrated)]
    parts += [(str(name), rows) for name, rows in late.groupby("candidate", sort=True)]
    tables = []
    for name, rows in parts:
        table = breakdown(rows, fitted.floor)
        table.insert(0, "forecaster", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
