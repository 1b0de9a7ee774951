"""Is one forecast better than another, or only luckier? The test of Diebold and Mariano on daily losses, corrected for few days.

For every day t of the judged windows, d_t is the mean over series of the champion's relative loss minus the challenger's (a loss relative
to the naive floor's, so that series of every size weigh alike, and hours of one day, which err together, count once). With the mean m of
n days and their autocovariances g_k,

    DM = m / sqrt((g_0 + 2 sum_{k=1..h-1} g_k) / n)                              Diebold and Mariano (1995)
    DM* = DM sqrt((n + 1 - 2h + h (h - 1) / n) / n), against Student's t, n - 1  Harvey, Leybourne and Newbold (1997)

h - 1 is two days, because the three days of a window share a cutoff, but at most a quarter of n: more cannot be estimated. With one window
(n = 3, h = 1) this is Student's paired t-test on three days. A block bootstrap by day was turned down: three days have 27 resamples, so its
smallest p-value is an artefact of n. The three
days of one window leave no lag to estimate, so where their differences go together (a moving average of equal weights) a level of 10 % is
one of 18 % in truth; without correlation it is 10 %. What the test cannot tell apart stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from models.hourly_grid import Array

__all__ = ["Comparison", "compare_daily", "daily_differences", "diebold_mariano"]

_KEYS: Final = ["unique_id", "cutoff", "ds"]
_WINDOW_LAGS: Final = 2
_DAYS_PER_LAG: Final = 4


@dataclass(frozen=True)
class Comparison:
    """What the test says.

    Attributes:
        days: number of daily differences.
        gain: their mean, in units of the naive's loss; above 0 the challenger is better.
        p_value: probability of such a gain or a larger one when the challenger is no better; 1 when there are fewer than two days.
    """

    days: int
    gain: float
    p_value: float


def compare_daily(champion: pd.DataFrame, challenger: pd.DataFrame) -> Comparison:
    """The one-sided test on relative losses (`models.judging.relative_losses`) of the same rows."""
    return diebold_mariano(np.asarray(daily_differences(champion, challenger), dtype=np.float64))


def daily_differences(champion: pd.DataFrame, challenger: pd.DataFrame) -> pd.Series[float]:
    """Champion's minus challenger's mean relative loss by `cutoff, day` (0 is the first day after the cutoff), in time order.

    Args:
        champion: `unique_id, cutoff, ds, loss`.
        challenger: the same rows.

    Raises:
        BadInputError: when the two are not about the same rows.
    """
    both = champion[[*_KEYS, "loss"]].merge(challenger[[*_KEYS, "loss"]], on=_KEYS, suffixes=("_champion", "_challenger"))
    if not len(both) == len(champion) == len(challenger):
        raise BadInputError(
            f"comparison: {len(champion)} rows of the champion and {len(challenger)} of the challenger share {len(both)}; judge both on one floor"
        )
    day = (both["ds"] - both["cutoff"]).dt.days
    difference = (both["loss_champion"] - both["loss_challenger"]).rename("difference")
    by_series = difference.groupby([both["cutoff"], day.rename("day"), both["unique_id"]]).mean()
    return by_series.groupby(level=["cutoff", "day"]).mean().sort_index()


def diebold_mariano(differences: Array) -> Comparison:
    """The test of the module's docstring on daily differences in time order, one-sided: are they above 0?"""
    n = len(differences)
    gain = float(differences.mean()) if n else math.nan
    if n < 2:
        return Comparison(days=n, gain=gain, p_value=1.0)
    lags = min(_WINDOW_LAGS, n // _DAYS_PER_LAG)
    variance = _long_run_variance(differences, lags)
    if variance <= 0:  # autocovariances of few days may outweigh the variance; without them it is one
        lags, variance = 0, _long_run_variance(differences, 0)
    if variance <= 0 or math.isclose(variance, 0.0, abs_tol=1e-24):
        return Comparison(days=n, gain=gain, p_value=0.0 if gain > 0 else 1.0)
    from scipy.stats import t

    h = lags + 1
    correction = (n + 1 - 2 * h + h * (h - 1) / n) / n
    statistic = gain / math.sqrt(variance / n) * math.sqrt(correction)
    return Comparison(days=n, gain=gain, p_value=float(t.sf(statistic, n - 1)))


def _long_run_variance(differences: Array, lags: int) -> float:
    """g_0 + 2 (g_1 + ... + g_lags)."""
    centred = differences - differences.mean()
    n = len(centred)
    covariances = [float(np.dot(centred[lag:], centred[: n - lag])) / n for lag in range(lags + 1)]
    return covariances[0] + 2.0 * sum(covariances[1:])
