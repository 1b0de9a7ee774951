"""Drift: whether the forecasts of the last days still deserve trust. Pure: outcomes in, verdict and its reason out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

__all__ = ["WINDOW", "Drift", "find_drift"]

# Hours that are looked at, and how many of them must have been judged before anything is said.
WINDOW: Final = pd.Timedelta(days=3)
_LEAST_HOURS: Final = 24
# The nominal share is 0.8, and correlated hours move it by a tenth or two over a few days. Too wide is left to the calibration.
_LEAST_COVERAGE: Final = 0.5
# A model that misses by this factor more than the repetition of last week has lost its footing.
_WORST_RATIO: Final = 1.25
_WEEK: Final = pd.Timedelta(days=7)


@dataclass(frozen=True)
class Drift:
    """The verdict.

    Attributes:
        retrain: whether to ask for retraining.
        reason: the figures, whatever the verdict.
        hours: judged hours it rests on.
        coverage_80: share of hours within the 80 % interval.
        error_ratio: median over series of the mean absolute error over that of repeating last week (a scaled error in the sense of
            Hyndman and Koehler 2006); None when last week is not known.
    """

    retrain: bool
    reason: str
    hours: int
    coverage_80: float | None
    error_ratio: float | None


def find_drift(outcomes: pd.DataFrame, demand: pd.DataFrame) -> Drift:
    """Judge recent outcomes by coverage, and by their error against repeating last week.

    Args:
        outcomes: rows of the `outcomes` table of trained models, of the last `WINDOW`.
        demand: `unique_id, ds, y` of these hours and of the week before each.
    """
    hours = int(outcomes["ds"].nunique())
    if hours < _LEAST_HOURS:
        return Drift(False, f"{hours} hours judged; drift needs {_LEAST_HOURS}", hours, None, None)
    covered = float(outcomes["covered_80"].mean())
    ratios = _error_ratios(outcomes, demand)
    ratio = float(ratios.median()) if len(ratios) else None
    told = f"80 % interval covered {covered:.0%} of {hours} hours"
    if ratio is not None:
        told += f", error {ratio:.2f} of repeating last week (worst {ratios.idxmax()}: {ratios.max():.2f})"
    if covered < _LEAST_COVERAGE:
        return Drift(True, f"coverage below {_LEAST_COVERAGE:.0%}: {told}", hours, covered, ratio)
    if ratio is not None and ratio > _WORST_RATIO:
        return Drift(True, f"error above {_WORST_RATIO} of repeating last week: {told}", hours, covered, ratio)
    return Drift(False, told, hours, covered, ratio)


def _error_ratios(outcomes: pd.DataFrame, demand: pd.DataFrame) -> pd.Series[float]:
    """Per series, over its rows whose hour a week before was measured; series that repeat exactly are left out."""
    before = demand.assign(ds=demand["ds"] + _WEEK).rename(columns={"y": "last_week"})
    rows = outcomes.merge(before[["unique_id", "ds", "last_week"]], on=["unique_id", "ds"], how="inner")
    own = rows["error"].abs().groupby(rows["unique_id"]).mean()
    naive = (rows["y"] - rows["last_week"]).abs().groupby(rows["unique_id"]).mean()
    return (own / naive)[naive > 0]
