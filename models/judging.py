"""The score of a gate: pinball loss over that of each series' better naive, on windows that nobody selected on.

The better naive of a series is the one with the smaller loss over *all* backtest windows. Taking the better one of the judged
windows alone would be hindsight: over three days either of the two may be lucky, and no one can know which.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.vocabulary import QUANTILE_COLUMNS
from models.calibration import fit_calibration
from models.candidates import NAIVES
from models.ensemble import blend
from models.pinball import row_pinball
from models.selection import ratio_to_best_naive

__all__ = ["calibrated_elsewhere", "floor_rows", "relative_losses", "score_rows"]

_KEYS: Final = ["unique_id", "cutoff", "ds"]
_JUDGED: Final = "judged"


def floor_rows(oof: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """Rows of `judged` of the naive that forecast their series best over all windows of `oof`."""
    naive = oof[oof["candidate"].isin(NAIVES)]
    losses = naive.assign(loss=row_pinball(naive)).groupby(["unique_id", "candidate"])["loss"].mean()
    best = losses.sort_values(kind="stable").reset_index().drop_duplicates("unique_id").set_index("unique_id")["candidate"]
    return judged[judged["candidate"] == judged["unique_id"].map(best)].reset_index(drop=True)


def score_rows(floor: pd.DataFrame, forecasts: pd.DataFrame) -> float:
    """Mean over series of the pinball loss of `forecasts` over that of `floor`, on the rows of `floor`.

    An hour that `forecasts` leaves out counts with the floor's forecast: a series that a model cannot serve falls back to the naive.

    Args:
        floor: see `floor_rows`.
        forecasts: `unique_id, cutoff, ds, *QUANTILE_COLUMNS`.
    """
    both = [floor.assign(candidate=NAIVES[0]), _on_the_floor(floor, forecasts).assign(candidate=_JUDGED)]
    return ratio_to_best_naive(pd.concat(both, ignore_index=True), _JUDGED)


def relative_losses(floor: pd.DataFrame, forecasts: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, cutoff, ds, loss`: pinball loss of every row of `floor`, over the floor's mean loss of the series.

    Hours left out count as in `score_rows`. A series that the floor forecasts without error is left out: nothing is relative to it.
    """
    mean = floor.assign(loss=row_pinball(floor)).groupby("unique_id")["loss"].mean()
    rows = _on_the_floor(floor, forecasts)
    rows = rows.assign(loss=row_pinball(rows) / rows["unique_id"].map(mean.where(mean > 0)))
    return rows.dropna(subset=["loss"])[[*_KEYS, "loss"]].sort_values(_KEYS, ignore_index=True)


def calibrated_elsewhere(oof: pd.DataFrame, weights: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """`judged` as it would have been published: calibrated on other windows, which is what the next 72 hours will get.

    A calibration that was learnt on `judged` itself covers those rows by construction and says nothing.

    Args:
        oof: all out-of-fold rows.
        weights: of the ensemble (see `models.ensemble`).
        judged: the ensemble's rows of the late windows.
    """
    others = oof[~oof["cutoff"].isin(judged["cutoff"].unique())]
    return fit_calibration(blend(others, weights)).apply(judged)


def _on_the_floor(floor: pd.DataFrame, forecasts: pd.DataFrame) -> pd.DataFrame:
    """The rows of `floor` with the quantiles of `forecasts`, and with its own where those have none."""
    columns = list(QUANTILE_COLUMNS)
    rows = floor.drop(columns=columns).merge(forecasts[[*_KEYS, *columns]], on=_KEYS, how="left", validate="many_to_one")
    served = rows[columns].notna().all(axis=1).to_numpy()[:, None]
    return rows.assign(**dict(zip(columns, np.where(served, rows[columns], floor[columns]).T, strict=True)))
