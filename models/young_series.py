"""Weights of an ensemble for series that no out-of-fold window tells about: what was learnt from the others, or else equal ones.

Where nobody has been judged, weights are what `models.ensemble` draws all weights towards when windows are few: equal ones of all candidates that
are no naive. Decision 12 has what that brings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from models.candidates import NAIVES
from models.ensemble import segment_of

__all__ = ["equal_weights", "with_young_series"]


def with_young_series(weights: pd.DataFrame, served: Sequence[str], candidates: Sequence[str]) -> pd.DataFrame:
    """`weights` (see `models.ensemble.ensemble_weights`; may be empty) and those of the `served` series that they do not have.

    These have the mean weights of their segment, of all series where nobody of their segment has any, and where nobody has `equal_weights`.

    Args:
        candidates: those that forecast.
    """
    young = sorted(set(served) - set(weights.index))
    if not young:
        return weights
    if weights.empty:
        return equal_weights(young, candidates)
    segments = segment_of(pd.Series(weights.index, index=weights.index, dtype=str))
    alike = weights.groupby(segments).mean().reindex(segment_of(pd.Series(young, dtype=str))).to_numpy()
    mean = np.where(np.isnan(alike), weights.mean().to_numpy(), alike)
    return pd.concat([weights, pd.DataFrame(mean, index=pd.Index(young, name="unique_id"), columns=weights.columns)])


def equal_weights(series: Sequence[str], candidates: Sequence[str]) -> pd.DataFrame:
    """Equal weights of those of `candidates` that are no naive, or of the naives when there is nothing else, for all of `series` alike."""
    names = [name for name in sorted(set(candidates)) if name not in NAIVES] or sorted(set(candidates))
    return pd.DataFrame(1.0 / len(names), index=pd.Index(list(series), name="unique_id", dtype=object), columns=names)
