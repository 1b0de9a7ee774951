"""What the chosen arms came to on windows that chose nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from models.judging import relative_losses
from models.tuning.arms import TuningChoice

__all__ = ["arm_scores"]


def arm_scores(floor: pd.DataFrame, judged: pd.DataFrame, tuning: Mapping[str, TuningChoice]) -> pd.DataFrame:
    """`arm, series, score`, one row per arm that was chosen, the most chosen first.

    `score` is the mean over the series that chose it of the pinball loss over the better naive's. Series chose for a reason, so the
    scores of two arms do not tell which one is better: that is what the rewards are for. Series that were not tuned, or that the naive
    forecasts without error, are left out.

    Args:
        floor: see `models.judging.floor_rows`.
        judged: the ensemble's rows of the windows that judge.
        tuning: unique_id -> what was chosen.
    """
    losses = relative_losses(floor, judged).groupby("unique_id")["loss"].mean()
    arms = {series: choice.arm for series, choice in tuning.items()}
    rows = pd.DataFrame({"arm": losses.index.map(arms), "loss": losses.to_numpy()}).dropna()
    table = rows.groupby("arm")["loss"].agg(series="size", score="mean").reset_index()
    return table.sort_values(["series", "arm"], ascending=[False, True], ignore_index=True)
