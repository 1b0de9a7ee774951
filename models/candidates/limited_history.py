"""A candidate that is given no more history of a series than its tuning allows."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from models.candidates.changed_history import ChangedHistory
from models.forecaster import Forecaster

__all__ = ["LimitedHistory"]


class LimitedHistory(ChangedHistory):
    """Cuts off what is older than a series' limit, in days before the end of the history or the issue time; series without a limit stay whole."""

    def __init__(self, inner: Forecaster, days: Mapping[str, int]) -> None:
        super().__init__(inner)
        self._oldest = {series: pd.Timedelta(days=limit) for series, limit in days.items()}

    def _changed(self, history: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
        oldest = history["unique_id"].astype(object).map(self._oldest)
        return history[oldest.isna() | (history["ds"] >= end - oldest)]
