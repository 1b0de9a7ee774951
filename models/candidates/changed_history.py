"""A candidate whose inner one is given another history than there is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

import pandas as pd

from headroom.vocabulary import HORIZON_HOURS
from models.forecaster import Forecaster, SeriesCalendar, StoredForecaster, restored
from models.rhythm import HOURLY

__all__ = ["ChangedHistory"]


class ChangedHistory(ABC):
    """Fits the inner candidate on what `_changed` makes of a history, and forecasts from what it makes of the one before the issue time."""

    def __init__(self, inner: Forecaster) -> None:
        self.name = inner.name
        self.inner = inner
        self._rhythm = HOURLY

    @abstractmethod
    def _changed(self, history: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
        """The inner candidate's history instead of `history`, which is left as it is and ends before `end`."""

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:
        self._rhythm = calendar.rhythm
        if len(history):
            history = self._changed(history, history["ds"].max() + calendar.rhythm.step)
        self.inner = self.inner.fit(history, events, calendar)
        return self

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        return self.inner.predict_quantiles(self._changed(history, issue_time), events, issue_time, horizon)

    def save(self, folder: Path) -> None:
        """Write the inner candidate's fit when it keeps one."""
        if isinstance(self.inner, StoredForecaster):
            self.inner.save(folder)

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote."""
        self._rhythm = calendar.rhythm
        self.inner = restored(self.inner, folder, calendar)
        return self
