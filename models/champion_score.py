"""The present champion, judged on the windows that judge its challenger."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass

import pandas as pd

from headroom.home import Home
from models.anomaly_doubt import believed
from models.calibration import Calibration
from models.demand_model import DemandModel
from models.ensemble import blend
from models.judging import score_rows
from models.promotion_log import PromotionLog
from models.registry import MODEL_NAME, ModelVersion, fetch_model
from models.training_plan import TrainingPlan

__all__ = ["ChampionScore", "champion_score"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChampionScore:
    """The champion until now; `score` and its rows (before calibration) are None when it could not be scored."""

    version: str
    score: float | None
    rows: pd.DataFrame | None


def champion_score(home: Home, plan: TrainingPlan, floor: pd.DataFrame, oof: pd.DataFrame, *, except_run: str) -> ChampionScore | None:
    """The score (see `models.judging`) of the champion at the plan's issue time; None without a champion.

    Neither side has been fitted on a window that judges it. Windows that began after the champion was trained are forecast by its own
    fits, as old as they are. Those before it, which its fits have seen, are forecast by its selection: its weights on this training's
    out-of-fold rows, as the challenger's are. Neither side is calibrated here, because the challenger's calibration was learnt on these
    very rows.

    Args:
        floor: rows of the better naive on the windows that judge.
        oof: out-of-fold rows of this training's candidates on all its windows. When the champion weighs a candidate that has none, its own
            fits forecast every window; that only raises the bar.
        except_run: MLflow run of the challenger, which may be champion already when a training is finished again.
    """
    with PromotionLog.open(home.database_url) as log:
        lines = log.champions_until(MODEL_NAME, plan.issue_time)
    reigning = next((line for line in lines if line.run_id != except_run), None)
    if reigning is None:
        return None
    try:
        model = DemandModel.load(fetch_model(home, ModelVersion(reigning.version, reigning.run_id)))
        rows = _forecasts(model, plan, floor, oof)
        score = score_rows(floor, rows)
    except Exception:  # noqa: BLE001 - a champion that an upgrade broke may fail in any way, and that is no reason to keep it
        _LOG.exception("champion %s cannot be scored, so the challenger is not compared with it", reigning.version)
        return ChampionScore(reigning.version, None, None)
    return ChampionScore(reigning.version, score, rows)


def _forecasts(model: DemandModel, plan: TrainingPlan, floor: pd.DataFrame, oof: pd.DataFrame) -> pd.DataFrame:
    raw = dataclasses.replace(model, calibration=Calibration.none())
    weights = pd.DataFrame.from_dict(dict(model.weights), orient="index").fillna(0.0)
    cutoffs = [pd.Timestamp(cutoff) for cutoff in sorted(floor["cutoff"].unique())]
    backtested = set(weights.columns) <= set(oof["candidate"])
    fitted_on = [cutoff for cutoff in cutoffs if backtested and cutoff < model.train_end]
    history, events = plan.history(), plan.events()
    parts = [raw.predict(believed(history, cutoff), events, cutoff).assign(cutoff=cutoff) for cutoff in cutoffs if cutoff not in fitted_on]
    if fitted_on:
        parts.append(blend(oof[oof["cutoff"].isin(fitted_on)], weights))
    return pd.concat(parts, ignore_index=True)
