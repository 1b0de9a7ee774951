"""Weights of an ensemble for series that no out-of-fold window tells about: what was learnt from the others.

A series of three days has no window that could be forecast and judged. Repeating its last day was all that it got; on 20 sets of series of 3.5 and
5.5 days, cut from recordings before their last nine days, the others' weights lowered the loss of such series in every set, by 37 % in the mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from models.candidates import NAIVES
from models.ensemble import segment_of

__all__ = ["with_young_series"]


def with_young_series(weights: pd.DataFrame, served: Sequence[str]) -> pd.DataFrame:
    """`weights` (see `models.ensemble.ensemble_weights`) and those of the `served` series that they do not have.

    These have the mean weights of their segment, of all series where nobody of their segment has any, and the last day where nobody has.
    """
    young = sorted(set(served) - set(weights.index))
    if not young:
        return weights
    index = pd.Index(young, name="unique_id")
    if weights.empty:
        return pd.DataFrame(1.0, index=index, columns=[NAIVES[0]])
    segments = segment_of(pd.Series(weights.index, index=weights.index, dtype=str))
    alike = weights.groupby(segments).mean().reindex(segment_of(pd.Series(young, dtype=str))).to_numpy()
    mean = np.where(np.isnan(alike), weights.mean().to_numpy(), alike)
    return pd.concat([weights, pd.DataFrame(mean, index=index, columns=weights.columns)])
