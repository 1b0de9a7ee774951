"""What a backtest decides: the ensemble weights of every series, the leaderboard, and the score against the better naive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from models.candidates import NAIVES
from models.ensemble import blend, ensemble_weights
from models.pinball import coverage, row_pinball, wql

__all__ = ["BLEND", "Selection", "leaderboard", "ratio_to_best_naive", "select"]

# Stands for the ensemble among the candidates of a frame.
BLEND: Final = "ensemble"


@dataclass(frozen=True)
class Selection:
    """What the backtest decided.

    Attributes:
        weights: index unique_id, a column per candidate, rows add up to 1 (see `models.ensemble`).
        leaderboard: see `leaderboard`.
        score_vs_best_naive: mean over series of the ensemble's pinball loss / that of the better naive, on the rows that selected.
            The choice was made on them, so `ratio_to_best_naive` on later windows is the honest figure.
    """

    weights: pd.DataFrame
    leaderboard: pd.DataFrame
    score_vs_best_naive: float


def select(oof: pd.DataFrame, shrinkage: Mapping[str, float] | None = None) -> Selection:
    """Ensemble weights of every series, from out-of-fold rows.

    Args:
        oof: see `models.backtest.backtest`.
        shrinkage: see `models.ensemble.ensemble_weights`.

    Raises:
        BadInputError: when no naive is in `oof`, or `oof` has no rows.
    """
    weights = ensemble_weights(oof, shrinkage)
    both = pd.concat([oof, blend(oof, weights).assign(candidate=BLEND)], ignore_index=True)
    return Selection(weights=weights, leaderboard=leaderboard(oof, weights), score_vs_best_naive=ratio_to_best_naive(both, BLEND))


def ratio_to_best_naive(oof: pd.DataFrame, candidate: str) -> float:
    """Mean over series of the candidate's pinball loss / that of the series' better naive on the same rows."""
    losses = _mean_losses(oof)
    return float(_ratios(losses, pd.Series(candidate, index=losses.index)).mean())


def leaderboard(oof: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """One row per candidate, best first.

    Columns: candidate, series (served), ratio (mean over series of pinball loss / the better naive's), wql (mean over series),
    coverage_80, weight (mean over series), seconds (all windows together).
    """
    losses = _mean_losses(oof)
    shares = weights.mean()
    rows = []
    for name, part in oof.groupby("candidate", sort=True):
        per_series = part.groupby("unique_id")
        rows.append(
            {
                "candidate": name,
                "series": per_series.ngroups,
                "ratio": float(_ratios(losses, pd.Series(name, index=losses.index)).mean()),
                "wql": float(np.nanmean([wql(group) for _, group in per_series])),
                "coverage_80": coverage(part),
                "weight": float(shares.get(str(name), 0.0)),
                "seconds": float(part.drop_duplicates(["unique_id", "cutoff"])["seconds"].sum()),
            }
        )
    return pd.DataFrame(rows).sort_values("ratio", kind="stable").reset_index(drop=True)


def _mean_losses(oof: pd.DataFrame) -> pd.DataFrame:
    """Mean pinball loss, series x candidates; empty where a candidate left out hours that another one forecast."""
    if oof.empty:
        raise BadInputError("the backtest has no rows: no series had enough history at any cutoff; take more history or fewer windows")
    if not set(NAIVES) & set(oof["candidate"]):
        raise BadInputError(f"the backtest has no seasonal naive; include at least one of {', '.join(NAIVES)}")
    rows = oof.assign(loss=row_pinball(oof))
    losses, counts = (
        rows.pivot_table(index="unique_id", columns="candidate", values="loss", aggfunc=how, observed=True) for how in ("mean", "size")
    )
    return losses.where(counts.eq(counts.max(axis=1), axis=0))


def _ratios(losses: pd.DataFrame, picked: pd.Series[str]) -> pd.Series[float]:
    floor = losses[[name for name in NAIVES if name in losses.columns]].min(axis=1).reindex(picked.index)
    rows, columns = losses.index.get_indexer(picked.index), losses.columns.get_indexer(pd.Index(picked))
    own = pd.Series(losses.to_numpy()[rows, columns], index=picked.index).where((rows >= 0) & (columns >= 0))
    # A series that the naive forecasts without error (a constant) counts as 1 when the candidate does too.
    without_error = pd.Series(np.where(own > 0, np.inf, 1.0), index=picked.index)
    ratios: pd.Series[float] = (own / floor).where(floor > 0, without_error)
    return ratios
