"""A candidate that sees all of a series' history at its present level."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS
from models.forecaster import Forecaster, SeriesCalendar, StoredForecaster, restored
from models.hourly_grid import grid, with_demand
from models.level_shift import level_changes

__all__ = ["LevelAdjusted"]


class LevelAdjusted:
    """Hands the inner candidate histories without lasting changes of level (see `models.level_shift`)."""

    def __init__(self, inner: Forecaster) -> None:
        self.name = inner.name
        self.inner = inner
        self._calendar = SeriesCalendar()

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:
        self._calendar = calendar
        if len(history):
            history = self._at_present_level(history, history["ds"].max() + calendar.rhythm.step)
        self.inner = self.inner.fit(history, events, calendar)
        return self

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        return self.inner.predict_quantiles(self._at_present_level(history, issue_time), events, issue_time, horizon)

    def save(self, folder: Path) -> None:
        """Write the inner candidate's fit when it keeps one."""
        if isinstance(self.inner, StoredForecaster):
            self.inner.save(folder)

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote."""
        self._calendar = calendar
        self.inner = restored(self.inner, folder, calendar)
        return self

    def _at_present_level(self, history: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
        """`history` with what lies before a change of level multiplied by it."""
        rhythm = self._calendar.rhythm
        names, values = grid(history, end, rhythm)
        changes = level_changes(values, rhythm)
        if not changes.any():
            return history
        # Few series change, and few of their rows lie before it: those alone are looked at one by one.
        moving = np.flatnonzero(changes.any(axis=1))
        series = pd.Index(names)[moving].get_indexer(pd.Index(history["unique_id"]))
        rows = np.flatnonzero(series >= 0)
        back = -((history["ds"].iloc[rows] - end) // (rhythm.day * rhythm.step)).to_numpy(dtype=np.int64)
        days = changes.shape[1]
        y = history["y"].to_numpy(dtype=float, copy=True)
        y[rows] *= np.exp(changes[moving][series[rows], days - np.clip(back, 1, days)])
        return with_demand(history, y)
