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


def champion_score(home: Home, plan: TrainingPlan, floor: pd.DataFrame, *, except_run: str) -> ChampionScore | None:
    """The score (see `models.judging`) of the champion at the plan's issue time; None without a champion.

    The champion forecasts every cutoff of `floor` with its own selection and fits. Neither side is calibrated here, because the
    challenger's calibration was learnt on these very rows. The champion may have been fitted on hours of these windows (when it is
    younger than they are); that only raises the bar.

    Args:
        floor: rows of the better naive on the windows that judge.
        except_run: MLflow run of the challenger, which may be champion already when a training is finished again.
    """
    with PromotionLog.open(home.database_url) as log:
        lines = log.champions_until(MODEL_NAME, plan.issue_time)
    reigning = next((line for line in lines if line.run_id != except_run), None)
    if reigning is None:
        return None
    try:
        model = DemandModel.load(fetch_model(home, ModelVersion(reigning.version, reigning.run_id)))
        rows = _forecasts(model, plan, floor)
        score = score_rows(floor, rows)
    except Exception:  # noqa: BLE001 - a champion that an upgrade broke may fail in any way, and that is no reason to keep it
        _LOG.exception("champion %s cannot be scored, so the challenger is not compared with it", reigning.version)
        return ChampionScore(reigning.version, None, None)
    return ChampionScore(reigning.version, score, rows)


def _forecasts(model: DemandModel, plan: TrainingPlan, floor: pd.DataFrame) -> pd.DataFrame:
    raw = dataclasses.replace(model, calibration=Calibration.none())
    history, events = plan.history(), plan.events()
    cutoffs = [pd.Timestamp(cutoff) for cutoff in sorted(floor["cutoff"].unique())]
    parts = [raw.predict(believed(history, cutoff), events, cutoff).assign(cutoff=cutoff) for cutoff in cutoffs]
    return pd.concat(parts, ignore_index=True)
