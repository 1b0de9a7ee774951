"""Which pictures a training leaves: the worst, the median and the best series, calibration, what the ensemble and LightGBM lean on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from models.breakdown import ALL, breakdown
from models.candidates import unwrapped
from models.candidates.lightgbm_quantile import LightGBMQuantile
from models.ensemble import segment_of
from models.fitting import Fitted
from models.judging import relative_losses
from models.training_plots import plot_coverage, plot_fan, plot_importance, plot_leaderboard, plot_reliability, plot_weights

__all__ = ["draw_pictures", "segment_weights", "telling_series"]


def draw_pictures(folder: Path, fitted: Fitted, calibrated: pd.DataFrame, history: pd.DataFrame) -> None:
    """Write the PNG files into `folder`; without LightGBM in the ensemble there is no `importance.png`.

    Args:
        calibrated: `fitted.judged`, calibrated on the windows before.
        history: `unique_id, ds, y`.
    """
    plot_leaderboard(fitted.selection.leaderboard, folder / "leaderboard.png")
    for which, (series, score) in telling_series(fitted.floor, fitted.judged).items():
        title = f"{series}, the {which} series ({score:.2f} of the naive's loss): the last window"
        plot_fan(calibrated, history, series, title, folder / f"fan-{which}.png")
    both = {"as forecast": fitted.judged, "calibrated on the windows before": calibrated}
    plot_reliability(both, folder / "reliability.png")
    tables = {label: breakdown(rows) for label, rows in both.items()}
    plot_coverage({label: table[table["segment"] == ALL] for label, table in tables.items()}, folder / "coverage.png")
    plot_weights(segment_weights(fitted.weights), folder / "weights.png")
    boosted = unwrapped(fitted.model.fitted.get("lightgbm"))
    if isinstance(boosted, LightGBMQuantile):
        plot_importance(boosted.importance(), folder / "importance.png")


def telling_series(floor: pd.DataFrame, judged: pd.DataFrame) -> dict[str, tuple[str, float]]:
    """worst, median, best -> the series and its loss over the naive's; empty when the naive makes no error anywhere."""
    scores = relative_losses(floor, judged).groupby("unique_id")["loss"].mean().sort_values(kind="stable")
    if scores.empty:
        return {}
    places = {"worst": len(scores) - 1, "median": (len(scores) - 1) // 2, "best": 0}
    return {which: (str(scores.index[place]), float(scores.iloc[place])) for which, place in places.items()}


def segment_weights(weights: pd.DataFrame) -> pd.DataFrame:
    """Mean weight of every candidate over the series of a segment (index segment)."""
    segments = segment_of(pd.Series(weights.index, index=weights.index, dtype=str)).rename("segment")
    return weights.groupby(segments).mean()
