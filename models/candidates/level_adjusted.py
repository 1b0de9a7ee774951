"""A candidate that sees all of a series' history at its present level."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.candidates.changed_history import ChangedHistory
from models.hourly_grid import grid, with_demand
from models.level_shift import level_changes
from models.rhythm import Rhythm
from models.shared_work import once

__all__ = ["LevelAdjusted"]


class LevelAdjusted(ChangedHistory):
    """Hands the inner candidate histories without lasting changes of level (see `models.level_shift`)."""

    def _changed(self, history: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
        return once(history, ("levels", end, self._rhythm), lambda: _at_present_level(history, end, self._rhythm))


def _at_present_level(history: pd.DataFrame, end: pd.Timestamp, rhythm: Rhythm) -> pd.DataFrame:
    """`history` with what lies before a change of level multiplied by it."""
    names, values = grid(history, end, rhythm)
    moving, changes = level_changes(values, rhythm)
    if not moving.size:
        return history
    # Few series change: their rows alone are looked at one by one.
    series = pd.Index(names)[moving].get_indexer(pd.Index(history["unique_id"]))
    rows = np.flatnonzero(series >= 0)
    back = -((history["ds"].iloc[rows] - end) // rhythm.step).to_numpy(dtype=np.int64)
    steps = changes.shape[1]
    y = history["y"].to_numpy(dtype=float, copy=True)
    y[rows] *= np.exp(changes[series[rows], steps - np.clip(back, 1, steps)])
    return with_demand(history, y)
