"""A candidate that sees all of a series' history at its present level."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS
from models.forecaster import Forecaster, SeriesCalendar, StoredForecaster, restored
from models.hourly_grid import grid
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
        names, values = grid(history.dropna(subset=["y"]), end, rhythm)
        changes = level_changes(values, rhythm)
        if not changes.any():
            return history
        days = changes.shape[1]
        series = pd.Index(names).get_indexer(pd.Index(history["unique_id"]))
        back = -((history["ds"] - end) // (rhythm.day * rhythm.step)).to_numpy(dtype=np.int64)
        moved = np.where(series >= 0, changes[series, days - np.clip(back, 1, days)], 0.0)
        return history.assign(y=history["y"] * np.exp(moved))
