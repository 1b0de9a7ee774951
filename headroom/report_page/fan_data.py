"""What one fan chart shows."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["FanChart"]


@dataclass(frozen=True)
class FanChart:
    """What one chart shows. All amounts are in `unit`; all times are UTC, the starts of hours.

    Attributes:
        key: unique on the page; letters, digits and hyphens.
        title: for people who hear the page.
        history: `ds, y` before the issue time.
        measured: `ds, y` from the issue time on.
        earlier: `ds, 0.1, 0.9` of the forecasts that were in force in the past.
        forecast: `ds, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, confidence`.
        capacity: `ds, hot, held, tier, why`: hot, and hot plus warm, in the unit of the demand; before the issue time as
            the plans of that time had it.
        events: `start, end, title`.
        anomalies: `ds, y, expected, method, compared, left_out`, see `headroom.report_page.anomaly_rows`.
    """

    key: str
    title: str
    unit: str
    issue_time: pd.Timestamp
    history: pd.DataFrame
    measured: pd.DataFrame
    earlier: pd.DataFrame
    forecast: pd.DataFrame
    capacity: pd.DataFrame
    events: pd.DataFrame
    anomalies: pd.DataFrame
