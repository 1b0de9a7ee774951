"""The score of a gate: pinball loss over that of each series' better naive, on windows that nobody selected on.

The better naive of a series is the one with the smaller loss over *all* backtest windows. Taking the better one of the judged
windows alone would be hindsight: over three days either of the two may be lucky, and no one can know which.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from headroom.vocabulary import QUANTILE_COLUMNS
from models.candidates import NAIVES
from models.pinball import row_pinball
from models.selection import ratio_to_best_naive

__all__ = ["floor_rows", "score_rows"]

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
    own = floor.drop(columns=list(QUANTILE_COLUMNS)).merge(forecasts[[*_KEYS, *QUANTILE_COLUMNS]], on=_KEYS, how="inner")
    served = pd.MultiIndex.from_frame(floor[_KEYS]).isin(pd.MultiIndex.from_frame(own[_KEYS]))
    rows = pd.concat([own, floor[~served]], ignore_index=True)
    both = [floor.assign(candidate=NAIVES[0]), rows.assign(candidate=_JUDGED)]
    return ratio_to_best_naive(pd.concat(both, ignore_index=True), _JUDGED)
