"""From out-of-fold quantiles to the fitted model: selection on the early windows, score on the late ones, calibration on all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from models.anomaly_doubt import believed
from models.backtest import split_windows
from models.calibration import Calibration, fit_calibration
from models.cross_fit import unseen
from models.demand_model import DemandModel
from models.ensemble import blend
from models.judging import floor_rows, score_rows
from models.selection import Selection, select
from models.training_plan import TrainingPlan
from models.tuning.arm_scores import arm_scores
from models.young_series import with_young_series

__all__ = ["Fitted", "fit_chosen"]


@dataclass(frozen=True)
class Fitted:
    """The result of a selection, and the model that follows from it.

    Attributes:
        selection: from the early windows.
        weights: of every series of the plan, as in `Selection`.
        calibration: from all windows (see `models.cross_fit`).
        judged: the ensemble's rows of the late windows, which no choice has seen, before calibration.
        floor: those of each series' better naive.
        score: mean over series of the pinball loss of `judged` over the floor's.
        model: fitted on all history.
        folder: where `model` is saved.
        arms: what the arms that were chosen came to on the late windows (see `models.tuning.arm_scores`).
    """

    selection: Selection
    weights: pd.DataFrame
    calibration: Calibration
    judged: pd.DataFrame
    floor: pd.DataFrame
    score: float
    model: DemandModel
    folder: Path
    arms: pd.DataFrame


def fit_chosen(plan: TrainingPlan, oof: pd.DataFrame) -> Fitted:
    """Select, calibrate and fit; a model that was fitted for this plan before is opened instead of fitted again."""
    early, late = split_windows(oof, min(plan.options.calibration_windows, oof["cutoff"].nunique() // 2))
    selection = select(early, plan.weight_shrinkage)
    weights = _for_every_series(plan, selection)
    own, floor = blend(late, weights), floor_rows(oof, late)
    calibration = fit_calibration(unseen(early, late, weights, plan.weight_shrinkage))
    folder = plan.path("model", f"-{_digest(weights, calibration)}")
    if not folder.is_dir():
        model = DemandModel.fit(
            believed(plan.history(), plan.issue_time),
            plan.events(),
            plan.calendar,
            weights=_as_mapping(weights),
            calibration=calibration,
            issue_time=plan.issue_time,
            tuning=plan.parameters,
        )
        _save_whole(model, folder)
    return Fitted(
        selection=selection,
        weights=weights,
        calibration=calibration,
        judged=own,
        floor=floor,
        score=score_rows(floor, own),
        model=DemandModel.load(folder),
        folder=folder,
        arms=arm_scores(floor, own, plan.tuning),
    )


def _for_every_series(plan: TrainingPlan, selection: Selection) -> pd.DataFrame:
    """A series too young for the early windows has weights by `models.young_series`: the late ones calibrate it."""
    trained = sorted({series for shard in plan.shards.values() for series in shard.series})
    return with_young_series(selection.weights, trained, list(selection.weights.columns)).reindex(trained)


def _as_mapping(weights: pd.DataFrame) -> Mapping[str, Mapping[str, float]]:
    """unique_id -> candidate -> weight, of weights above 0."""
    return {str(series): {str(name): float(row[name]) for name in row.index[row > 0]} for series, row in weights.iterrows()}


def _digest(weights: pd.DataFrame, calibration: Calibration) -> str:
    told = json.dumps([weights.round(9).to_json(orient="split"), calibration.offsets.to_json(orient="values")])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _save_whole(model: DemandModel, folder: Path) -> None:
    """Save so that a folder that is there is complete."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".model-") as scratch:
        whole = Path(scratch) / "model"
        model.save(whole)
        try:
            whole.rename(folder)
        except OSError:  # another process finished the same plan meanwhile
            if not folder.is_dir():
                raise
            shutil.rmtree(whole)
