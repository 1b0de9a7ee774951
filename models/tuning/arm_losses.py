"""What every arm would have come to on windows that chose nothing: the yardstick for what self-tuning is worth in a training.

The weight shrinkage acts after the candidates have forecast, so the loss of the arms that were not chosen is computed, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from models.ensemble import blend, ensemble_weights
from models.judging import relative_losses
from models.tuning.arms import TRAINING_ARMS, Tuning, TuningChoice

__all__ = ["arm_losses", "arm_summary"]


def arm_losses(early: pd.DataFrame, late: pd.DataFrame, floor: pd.DataFrame, arms: Mapping[str, Tuning] = TRAINING_ARMS) -> pd.DataFrame:
    """Pinball loss over the better naive's, before calibration, of every series (rows) had it taken an arm (columns).

    Series that the early windows do not weigh, or that the naive forecasts without error, are left out.

    Args:
        early: out-of-fold rows that select.
        late: those that judge.
        floor: see `models.judging.floor_rows`.
    """
    known = sorted(set(early["unique_id"]) & set(late["unique_id"]))
    late, floor = late[late["unique_id"].isin(known)], floor[floor["unique_id"].isin(known)]
    columns = {}
    for name, tuning in arms.items():
        weights = ensemble_weights(early, dict.fromkeys(known, tuning.weight_shrinkage))
        columns[name] = relative_losses(floor, blend(late, weights)).groupby("unique_id")["loss"].mean()
    return pd.DataFrame(columns)


def arm_summary(losses: pd.DataFrame, tuning: Mapping[str, TuningChoice]) -> pd.DataFrame:
    """`choice, series, score, regret`: the tuner's choices, every arm for all series alike, and the best arm of each series.

    Args:
        losses: see `arm_losses`.
        tuning: unique_id -> what was chosen.

    Returns:
        `series` counts those that chose the arm, `score` is the mean over series, and `regret` what it exceeds the best fixed arm's by.
    """
    arms = pd.Series({series: choice.arm for series, choice in tuning.items()}, dtype=str).reindex(losses.index)
    rows = losses[arms.isin(losses.columns).to_numpy()]
    if rows.empty:
        return pd.DataFrame({"choice": pd.Series(dtype=str), "series": 0, "score": 0.0, "regret": 0.0})
    picked = arms.loc[rows.index]
    own = rows.to_numpy()[range(len(rows)), rows.columns.get_indexer(pd.Index(picked))]
    fixed = rows.mean()
    scores = {"as tuned": float(own.mean()), **{f"{arm} for all": float(score) for arm, score in fixed.items()}}
    scores["best of each series"] = float(rows.min(axis=1).mean())
    counts = [len(rows), *(int((picked == arm).sum()) for arm in rows.columns), len(rows)]
    table = pd.DataFrame({"choice": list(scores), "series": counts, "score": list(scores.values())})
    return table.assign(regret=table["score"] - float(fixed.min()))
