"""A candidate that is given no more history of a series than its tuning allows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pandas as pd

from headroom.vocabulary import HORIZON_HOURS
from models.forecaster import Forecaster, SeriesCalendar, StoredForecaster, restored

__all__ = ["LimitedHistory"]


class LimitedHistory:
    """Cuts off what is older than a series' limit, in days before the end of the history or the issue time; series without a limit stay whole."""

    def __init__(self, inner: Forecaster, days: Mapping[str, int]) -> None:
        self.name = inner.name
        self.inner = inner
        self._oldest = {series: pd.Timedelta(days=limit) for series, limit in days.items()}

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:
        if len(history):
            history = self._newest(history, history["ds"].max() + calendar.rhythm.step)
        self.inner = self.inner.fit(history, events, calendar)
        return self

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        return self.inner.predict_quantiles(self._newest(history, issue_time), events, issue_time, horizon)

    def save(self, folder: Path) -> None:
        """Write the inner candidate's fit when it keeps one."""
        if isinstance(self.inner, StoredForecaster):
            self.inner.save(folder)

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote."""
        self.inner = restored(self.inner, folder, calendar)
        return self

    def _newest(self, history: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
        oldest = history["unique_id"].astype(object).map(self._oldest)
        return history[oldest.isna() | (history["ds"] >= end - oldest)]
