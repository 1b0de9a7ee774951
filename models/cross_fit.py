"""What intervals are calibrated on: the ensemble's rows of every backtest window, each with weights that have not seen it.

Windows are dealt out in two parts (`models.backtest.split_windows`). The weights of the forecast come from the early part, so its rows of
the late part are as good as new. Those of the early part are made as new by weights that the late part alone would have given
(cross-conformal: Vovk 2015). Twice as many windows tell luck from width better, and cost no fit.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from models.ensemble import blend, ensemble_weights

__all__ = ["unseen"]


def unseen(early: pd.DataFrame, late: pd.DataFrame, weights: pd.DataFrame, shrinkage: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Rows of the ensemble, as `models.ensemble.blend` gives them: of `late` by `weights`, of `early` by those of `late`.

    A series that one part does not know has no rows of the other.

    Args:
        early: out-of-fold rows that `weights` were learnt on; at least one.
        late: those of all other windows; at least one.
        weights: see `models.ensemble.ensemble_weights`.
        shrinkage: the one that `weights` were learnt with.

    Raises:
        BadInputError: when `late` holds no seasonal naive.
    """
    return pd.concat([blend(late, weights), blend(early, ensemble_weights(late, shrinkage))], ignore_index=True)
