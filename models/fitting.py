"""From out-of-fold quantiles to the fitted model: selection on the early windows, calibration and score on the late ones."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from models.backtest import split_windows
from models.calibration import Calibration, fit_calibration
from models.candidates import NAIVES
from models.demand_model import DemandModel
from models.judging import floor_rows, score_rows
from models.selection import Selection, of_chosen, select
from models.training_plan import TrainingPlan

__all__ = ["Fitted", "fit_chosen"]


@dataclass(frozen=True)
class Fitted:
    """The result of a selection, and the model that follows from it.

    Attributes:
        selection: from the early windows.
        chosen: unique_id -> candidate, for every series of the plan.
        calibration: from the late windows.
        judged: out-of-fold rows of the late windows, which no choice has seen.
        floor: those of each series' better naive.
        score: mean over series of the chosen candidate's pinball loss over the floor's on `judged`, before calibration.
        model: fitted on all history.
        folder: where `model` is saved.
    """

    selection: Selection
    chosen: dict[str, str]
    calibration: Calibration
    judged: pd.DataFrame
    floor: pd.DataFrame
    score: float
    model: DemandModel
    folder: Path


def fit_chosen(plan: TrainingPlan, oof: pd.DataFrame) -> Fitted:
    """Select, calibrate and fit; a model that was fitted for this plan before is opened instead of fitted again."""
    early, judged = split_windows(oof, plan.options.calibration_windows)
    selection = select(early)
    chosen = _for_every_series(plan, selection, judged)
    own, floor = of_chosen(judged, chosen), floor_rows(oof, judged)
    calibration = fit_calibration(own)
    folder = plan.path("model", f"-{_digest(chosen, calibration)}")
    if not folder.is_dir():
        model = DemandModel.fit(
            plan.history(), plan.events(), plan.calendar, chosen=chosen, calibration=calibration, issue_time=plan.issue_time
        )
        _save_whole(model, folder)
    return Fitted(
        selection=selection,
        chosen=chosen,
        calibration=calibration,
        judged=judged,
        floor=floor,
        score=score_rows(floor, own),
        model=DemandModel.load(folder),
        folder=folder,
    )


def _for_every_series(plan: TrainingPlan, selection: Selection, judged: pd.DataFrame) -> dict[str, str]:
    """A series too young for the early windows is chosen for on the late ones; one too young for those repeats its last day."""
    young = judged[~judged["unique_id"].isin(list(selection.chosen))]
    late = select(young).chosen if len(young) else {}
    trained = sorted({series for shard in plan.shards.values() for series in shard.series})
    return {series: selection.chosen.get(series) or late.get(series) or NAIVES[0] for series in trained}


def _digest(chosen: dict[str, str], calibration: Calibration) -> str:
    told = json.dumps([sorted(chosen.items()), calibration.offsets.to_json(orient="values")])
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
