"""A candidate that sees all of a series' history at its present level."""

from __future__ import annotations

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, MEDIAN, QUANTILE_COLUMNS
from models.candidates.changed_history import ChangedHistory
from models.hourly_grid import grid, with_demand
from models.level_shift import level_changes
from models.quantile_frame import widened
from models.rhythm import Rhythm
from models.shared_work import once

__all__ = ["LevelAdjusted"]


class LevelAdjusted(ChangedHistory):
    """Hands the inner candidate histories without lasting changes of level (see `models.level_shift`).

    Half-widths of its intervals are joined with the doubt whether a young change lasts, as independent errors are.
    """

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        changed, doubt = self._levelled(history, issue_time)
        found = self.inner.predict_quantiles(changed, events, issue_time, horizon)
        deviation = found["unique_id"].astype(object).map(doubt).fillna(0.0).to_numpy(dtype=float) * found[MEDIAN].abs().to_numpy()
        doubted = deviation > 0
        if not doubted.any():
            return found
        quantiles = found[list(QUANTILE_COLUMNS)].to_numpy(dtype=float, copy=True)
        # Only a series that is never negative has a level.
        quantiles[doubted] = np.maximum(widened(quantiles[doubted], deviation[doubted]), 0.0)
        return found.assign(**dict(zip(QUANTILE_COLUMNS, quantiles.T, strict=True)))

    def _changed(self, history: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
        return self._levelled(history, end)[0]

    def _levelled(self, history: pd.DataFrame, end: pd.Timestamp) -> tuple[pd.DataFrame, dict[str, float]]:
        return once(history, ("levels", end, self._rhythm), lambda: _at_present_level(history, end, self._rhythm))


def _at_present_level(history: pd.DataFrame, end: pd.Timestamp, rhythm: Rhythm) -> tuple[pd.DataFrame, dict[str, float]]:
    """(`history` with what lies before a change of level multiplied by it, unique_id -> standard deviation of the logarithm of its next days' level)."""
    names, values = grid(history, end, rhythm)
    moving, changes, deviations = level_changes(values, rhythm)
    if not moving.size:
        return history, {}
    # Few series change: their rows alone are looked at one by one.
    series = pd.Index(names)[moving].get_indexer(pd.Index(history["unique_id"]))
    rows = np.flatnonzero(series >= 0)
    back = -((history["ds"].iloc[rows] - end) // rhythm.step).to_numpy(dtype=np.int64)
    steps = changes.shape[1]
    y = history["y"].to_numpy(dtype=float, copy=True)
    y[rows] *= np.exp(changes[series[rows], steps - np.clip(back, 1, steps)])
    return with_demand(history, y), {names[row]: float(deviation) for row, deviation in zip(moving, deviations, strict=True)}
