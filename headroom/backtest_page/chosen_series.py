"""Which series of a backtest are worth looking at."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

__all__ = ["MOST_CHARTS", "chosen_series"]

MOST_CHARTS: Final = 12
_PER_REASON: Final = 3


def chosen_series(per_series: pd.DataFrame, weights: pd.DataFrame) -> dict[str, str]:
    """At most `MOST_CHARTS` series, each with why it is shown, in the order worst, middle, best, most blended.

    Args:
        per_series: `relative_wql` (NaN where undefined) and `wql`, indexed by `unique_id`.
        weights: `unique_id, cutoff, candidate, weight`.
    """
    ranked = per_series.sort_values(["relative_wql", "wql"], kind="stable", na_position="first").index.astype(str).to_list()
    if len(ranked) <= MOST_CHARTS:
        middle = ["" for _ in ranked[2:]]
        words = (["worst", *middle, "best"] if len(ranked) > 1 else [""])[: len(ranked)]
        return dict(zip(reversed(ranked), words, strict=True))
    half = len(ranked) // 2
    blended = [name for name in _most_blended(weights) if name in per_series.index]
    groups = {
        "worst": ranked[::-1][:_PER_REASON],
        "middle": ranked[half - 1 : half - 1 + _PER_REASON],
        "best": ranked[:_PER_REASON][::-1],
        "most blended": blended,
    }
    chosen: dict[str, str] = {}
    for why, names in groups.items():
        fresh = [name for name in names if name not in chosen][:_PER_REASON]
        chosen.update(dict.fromkeys(fresh, why))
    return chosen


def _most_blended(weights: pd.DataFrame) -> list[str]:
    """Series by how many candidates effectively share their forecast (the exponential of the weights' entropy), most first."""
    if weights.empty:
        return []
    mean = weights.groupby(["unique_id", "candidate"], observed=True)["weight"].mean().clip(lower=0)
    share = mean / mean.groupby(level=0, observed=True).transform("sum")
    surprise = pd.Series(np.where(share > 0, -share * np.log(share.where(share > 0, 1.0)), 0.0), index=share.index)
    return surprise.groupby(level=0, observed=True).sum().sort_values(ascending=False, kind="stable").index.astype(str).to_list()
