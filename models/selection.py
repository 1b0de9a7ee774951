"""Choice of a candidate per series by mean pinball loss, with the seasonal naive as the floor.

A few windows of one series tell luck from skill badly: the best of seven on three windows is often not the best on the next. So what is
compared is r, the logarithm of a candidate's loss over the better naive's, shrunk towards the candidate's mean over all series:

    (1 - w) r + w mean(r),    w = noise / total, at most 3/4,

where `total` is the variance of r between series, and `noise` the part of it that the variance between the windows of a series explains
(empirical Bayes; Efron and Morris 1975). A candidate whose r differs between series by more than chance keeps its own r; and a quarter
of it always counts, so that a series on which the candidate is far worse than the naive stays with the naive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from models.candidates import NAIVES
from models.pinball import coverage, row_pinball, wql

__all__ = ["Selection", "leaderboard", "of_chosen", "ratio_to_best_naive", "select"]

_MOST_SHRUNK: Final = 0.75


@dataclass(frozen=True)
class Selection:
    """What the backtest decided.

    Attributes:
        chosen: unique_id -> candidate.
        leaderboard: see `leaderboard`.
        score_vs_best_naive: mean over series of the chosen candidate's pinball loss / that of the better naive, on the rows that selected.
            The choice was made on them, so `ratio_to_best_naive` on later windows is the honest figure.
    """

    chosen: dict[str, str]
    leaderboard: pd.DataFrame
    score_vs_best_naive: float


def select(oof: pd.DataFrame) -> Selection:
    """The candidate with the least mean pinball loss over all quantiles, hours and windows, shrunk as above, for every series.

    A candidate wins only when its shrunk loss is below the better naive's and it forecast every hour that the naive did; ties go to
    the naive.

    Raises:
        BadInputError: when a naive is missing from `oof`, or `oof` has no rows.
    """
    losses = _mean_losses(oof)
    rivals = [name for name in losses.columns if name not in NAIVES]
    floor = losses[[name for name in NAIVES if name in losses.columns]].idxmin(axis=1)
    best = floor
    if rivals:
        shrunk = _shrunk_log_ratios(oof, losses)[rivals].fillna(np.inf)
        best = shrunk.idxmin(axis=1).where(shrunk.min(axis=1) < 0, floor)
    chosen = {str(series): str(name) for series, name in best.items()}
    return Selection(chosen=chosen, leaderboard=leaderboard(oof, chosen), score_vs_best_naive=ratio_to_best_naive(oof, chosen))


def of_chosen(oof: pd.DataFrame, chosen: dict[str, str]) -> pd.DataFrame:
    """The rows of every series' chosen candidate."""
    return oof[oof["candidate"] == oof["unique_id"].map(chosen)].reset_index(drop=True)


def ratio_to_best_naive(oof: pd.DataFrame, chosen: dict[str, str] | str) -> float:
    """Mean over series of pinball loss / that of the series' better naive on the same rows; `chosen` may be one candidate for all."""
    losses = _mean_losses(oof)
    picked = pd.Series(chosen if isinstance(chosen, dict) else dict.fromkeys(losses.index, chosen))
    return float(_ratios(losses, picked).mean())


def leaderboard(oof: pd.DataFrame, chosen: dict[str, str]) -> pd.DataFrame:
    """One row per candidate, best first.

    Columns: candidate, series (served), ratio (mean over series of pinball loss / the better naive's), wql (mean over series),
    coverage_80, chosen_for (series), seconds (all windows together).
    """
    losses = _mean_losses(oof)
    wins = pd.Series(chosen).value_counts()
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
                "chosen_for": int(wins.get(str(name), 0)),
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


def _shrunk_log_ratios(oof: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """Shape and labels of `losses`; with one window the noise is unknown, and own and common ratio count alike."""
    own = _log_ratios(losses)
    windows = [_log_ratios(_mean_losses(part)) for _, part in oof.groupby("cutoff")]
    noise = pd.concat(windows).groupby(level=0).var().mean() / len(windows)
    weight = (noise / own.var()).replace(np.inf, 0.5).fillna(0.5).clip(0.0, _MOST_SHRUNK)
    return own * (1.0 - weight) + own.mean() * weight


def _log_ratios(losses: pd.DataFrame) -> pd.DataFrame:
    """Logarithm of loss over the better naive's, within a factor of a million either way."""
    ratios = {name: _ratios(losses, pd.Series(name, index=losses.index)) for name in losses.columns}
    return pd.DataFrame({name: np.log(ratio.clip(1e-6, 1e6)) for name, ratio in ratios.items()})


def _ratios(losses: pd.DataFrame, picked: pd.Series[str]) -> pd.Series[float]:
    floor = losses[[name for name in NAIVES if name in losses.columns]].min(axis=1).reindex(picked.index)
    rows, columns = losses.index.get_indexer(picked.index), losses.columns.get_indexer(pd.Index(picked))
    own = pd.Series(losses.to_numpy()[rows, columns], index=picked.index).where((rows >= 0) & (columns >= 0))
    # A series that the naive forecasts without error (a constant) counts as 1 when the candidate does too.
    without_error = pd.Series(np.where(own > 0, np.inf, 1.0), index=picked.index)
    ratios: pd.Series[float] = (own / floor).where(floor > 0, without_error)
    return ratios
