"""A training in three steps that processes share: plan, backtest by shard, finish. Each step may be killed and run again.

`plan_training` freezes what is known at the issue time. `backtest_shard` gives out-of-fold quantiles of its candidates and series.
`finish_training` selects, calibrates, fits, logs to MLflow, registers one version, and promotes it when the gate says so.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from headroom.demand import hourly_demand
from headroom.errors import BadInputError
from headroom.home import Home
from headroom.lake import Lake
from headroom.settings import Settings
from models.backtest import backtest
from models.candidates import NAIVES
from models.champion_score import champion_score
from models.fitting import Fitted, fit_chosen
from models.forecaster import SeriesCalendar
from models.gate import Decision, decide
from models.gate_guards import GuardLimits, examine
from models.judging import calibrated_elsewhere
from models.model_card import model_card
from models.packaging import register_model
from models.promotion import await_review, promote
from models.registry import ModelVersion
from models.review_record import record_review
from models.tracking import Training, log_training
from models.training_plan import TrainingOptions, TrainingPlan, folder_name, load_plan, make_plan, write_atomically
from models.tuning.trainings import choose_for_training

__all__ = ["TrainingOptions", "TrainingPlan", "TrainingResult", "backtest_shard", "finish_training", "plan_training"]

_LOG: Final = logging.getLogger(__name__)
# Events count from before the history (they may last into it) to a year ahead (a moved event must not leave its old self behind).
_EVENTS_BEFORE: Final = pd.Timedelta(days=35)
_EVENTS_AFTER: Final = pd.Timedelta(days=400)
_EXAMPLE_HOURS: Final = 48


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to.

    Attributes:
        run_id: of the training, as it was planned.
        mlflow_run_id: the MLflow run with the nested runs of the candidates.
        version: of `demand-forecaster`.
        promoted: whether the version is champion from the issue time on.
        reason: of the gate, with the guards that failed.
        guards: guard -> its verdict, `pass: ...` or `fail: ...`, as on the tags `gate.<guard>`.
        score: mean over series of pinball loss over the better naive's, on windows that did not select.
        champion_score: the same of the champion until now, on the same windows; None without one.
        leaderboard: one row per candidate, best first (see `models.selection.leaderboard`).
        failed: "candidate in shard" -> why it took no part.
        missing: series of the settings without history.
    """

    run_id: str
    mlflow_run_id: str
    version: str
    promoted: bool
    reason: str
    guards: dict[str, str]
    score: float
    champion_score: float | None
    leaderboard: list[dict[str, Any]]
    failed: dict[str, str]
    missing: list[str]


def plan_training(
    settings: Settings,
    lake: Lake,
    work: Path,
    *,
    issue_time: pd.Timestamp,
    run_id: str,
    options: TrainingOptions | None = None,
    tuning_url: str | None = None,
) -> TrainingPlan:
    """Freeze history and events as known at `issue_time` under `work/training/<run_id>`, and decide windows and shards.

    Repeating it with the same facts finds the same plan; with other facts (new rows, other options) it makes a new one.

    Args:
        tuning_url: database of the tuning log, which is asked for the parameters of every series; None takes the defaults.

    Raises:
        BadInputError: when no series has enough history.
        UnavailableError: when the lake or the tuning log does not answer.
    """
    options = options or TrainingOptions()
    start = issue_time - pd.Timedelta(days=options.history_days)
    history = hourly_demand(lake, settings, start=start, end=issue_time, as_of=issue_time).dropna(subset=["y"])
    frozen = settings.forecasting.tuning == "frozen"
    tuning = choose_for_training(tuning_url, history, issue_time=issue_time, frozen=frozen) if tuning_url and len(history) else {}
    events = lake.versions("events", start=start - _EVENTS_BEFORE, end=issue_time + _EVENTS_AFTER)
    plan = make_plan(
        work / "training" / folder_name(run_id),
        run_id=run_id,
        issue_time=issue_time,
        history=history.reset_index(drop=True),
        events=events[events["available_at"] <= issue_time].reset_index(drop=True),
        series=[str(series) for series in settings.series],
        calendar=SeriesCalendar.from_settings(settings),
        options=options,
        tuning=tuning,
    )
    if plan.missing:
        _LOG.warning("no history for %s: left out of this training", ", ".join(plan.missing))
    return plan


def backtest_shard(plan_dir: Path, shard: str) -> dict[str, Any]:
    """Backtest the shard's candidates on its series; a shard that is done is not done again.

    A candidate that fails takes no part and is named in the answer; when a seasonal naive fails the shard fails.

    Returns:
        shard, rows, series, seconds, failed (candidate -> why), skipped.

    Raises:
        BadInputError: when the plan has no such shard.
    """
    plan = load_plan(plan_dir)
    if shard not in plan.shards:
        raise BadInputError(f"training {plan.run_id}: no shard {shard!r}; it has {', '.join(plan.shards)}")
    done = plan.path(f"oof-{shard}", ".parquet")
    if done.is_file():
        return {**json.loads(done.with_suffix(".json").read_text(encoding="utf-8")), "skipped": True}
    started, work = time.perf_counter(), plan.shards[shard]
    history = plan.history()
    history = history[history["unique_id"].isin(work.series)].reset_index(drop=True)
    parts: list[pd.DataFrame] = []
    failed: dict[str, str] = {}
    for name in work.candidates:
        try:
            parts.append(backtest([name], history, plan.events(), plan.calendar, plan.cutoffs, tuning=plan.parameters))
        except Exception as error:  # a library's fit may raise anything, and one candidate must not cost the others their backtest
            if name in NAIVES:
                raise
            _LOG.exception("candidate %s failed in shard %s and takes no part", name, shard)
            failed[name] = f"{type(error).__name__}: {error}"
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    report = {"shard": shard, "rows": len(rows), "series": len(work.series), "seconds": time.perf_counter() - started, "failed": failed}
    done.with_suffix(".json").write_text(json.dumps(report) + "\n", encoding="utf-8")
    write_atomically(done, rows)
    return {**report, "skipped": False}


def finish_training(settings: Settings, lake: Lake, home: Home, plan_dir: Path, *, limits: GuardLimits | None = None) -> TrainingResult:
    """Select, calibrate, fit, log, register, and promote when the gate says so; repeating it changes nothing.

    One plan has one MLflow run, the run has one model version, the version has one line in the promotion log, however often and
    wherever this was killed before.

    Args:
        limits: of the gate's guards; they change no number, only who is promoted.

    Raises:
        BadInputError: when a shard has not been backtested.
        UnavailableError: when MLflow or the database does not answer.
    """
    del settings, lake  # everything a training may know is frozen in its plan
    plan = load_plan(plan_dir)
    oof, failed = _out_of_fold(plan)
    fitted = fit_chosen(plan, oof)
    calibrated = calibrated_elsewhere(oof, fitted.weights, fitted.judged)
    run_id = log_training(home, Training(plan=plan, fitted=fitted, oof=oof, calibrated=calibrated, failed=failed))
    reigning = champion_score(home, plan, fitted.floor, oof, except_run=run_id)
    version = _register(home, plan, fitted, run_id)
    rival = reigning.rows if reigning else None
    verdicts = examine(floor=fitted.floor, challenger=fitted.judged, calibrated=calibrated, champion=rival, limits=limits)
    decision = decide(
        mode=plan.options.promote,
        challenger=fitted.score,
        verdicts=verdicts,
        champion=reigning.score if reigning else None,
        champion_version=reigning.version if reigning else None,
    )
    card = model_card(plan, fitted, calibrated, version=version.version, decision=decision, verdicts=verdicts)
    record_review(home, version, card=card, decision=decision, verdicts=verdicts)
    _act(home, plan, version, decision, fitted.score)
    _LOG.info("version %s: %s", version.version, decision.reason)
    result = TrainingResult(
        run_id=plan.run_id,
        mlflow_run_id=run_id,
        version=version.version,
        promoted=decision.promote,
        reason=decision.reason,
        guards={verdict.name: str(verdict) for verdict in verdicts},
        score=fitted.score,
        champion_score=reigning.score if reigning else None,
        leaderboard=json.loads(fitted.selection.leaderboard.to_json(orient="records")),
        failed=failed,
        missing=plan.missing,
    )
    _write_result(plan, result)
    return result


def _out_of_fold(plan: TrainingPlan) -> tuple[pd.DataFrame, dict[str, str]]:
    frames: list[pd.DataFrame] = []
    failed: dict[str, str] = {}
    for shard in plan.shards:
        file = plan.path(f"oof-{shard}", ".parquet")
        if not file.is_file():
            raise BadInputError(f"training {plan.run_id}: shard {shard} has not been backtested; run it, then finish")
        frames.append(pd.read_parquet(file))
        told = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        failed |= {f"{name} in {shard}": why for name, why in told["failed"].items()}
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True), failed


def _register(home: Home, plan: TrainingPlan, fitted: Fitted, run_id: str) -> ModelVersion:
    history = plan.history()
    recent = history.loc[history["ds"] >= plan.issue_time - pd.Timedelta(hours=_EXAMPLE_HOURS), ["unique_id", "ds", "y"]]
    example = recent[recent["unique_id"] == recent["unique_id"].min()]
    tags = {
        "training": plan.run_id,
        "issue_time": plan.issue_time.isoformat(),
        "train_start": fitted.model.train_start.isoformat(),
        "train_end": fitted.model.train_end.isoformat(),
        "data_digest": plan.data_digest,
        "score": f"{fitted.score:.4f}",
    }
    return register_model(home, run_id=run_id, folder=fitted.folder, candidates=list(fitted.model.fitted), example=example, tags=tags)


def _act(home: Home, plan: TrainingPlan, version: ModelVersion, decision: Decision, score: float) -> None:
    if decision.promote:
        promote(version.version, home=home, reason=decision.reason, effective_at=plan.issue_time, action="promote", score=score)
    elif decision.await_review:
        await_review(version.version, home=home, reason=decision.reason, effective_at=plan.issue_time)


def _write_result(plan: TrainingPlan, result: TrainingResult) -> None:
    path = plan.folder / "result.json"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
