"""The newest anomalies of all charts as a short list: hours in a row are one entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from headroom.report_page.fan_data import FanChart
from headroom.vocabulary import SeriesId

__all__ = ["AnomalySpan", "anomaly_spans"]

_HOUR: Final = pd.Timedelta("1h")


@dataclass(frozen=True)
class AnomalySpan:
    """Anomalous hours in a row of one series.

    Attributes:
        start: the first hour.
        hours: how many.
        expected, measured, compared, method: of the hour that was farthest from its expectation, in `unit`; what that was made of, and the rule.
        left_out: hours that trainings and forecasts treat as not measured.
    """

    series: SeriesId
    unit: str
    start: pd.Timestamp
    hours: int
    expected: float
    measured: float
    compared: str
    method: str
    left_out: int

    @property
    def use(self) -> str:
        """What trainings and forecasts do with its hours."""
        if not self.left_out:
            return "counted"
        return "left out" if self.left_out == self.hours else f"{self.left_out} of {self.hours} hours left out"


def anomaly_spans(charts: Mapping[SeriesId, FanChart]) -> list[AnomalySpan]:
    """All of them, those that began last first."""
    spans = [_span(series, chart, rows) for series, chart in charts.items() for rows in _in_a_row(chart.anomalies)]
    return sorted(spans, key=lambda span: span.start, reverse=True)


def _in_a_row(rows: pd.DataFrame) -> list[pd.DataFrame]:
    return [part for _, part in rows.groupby((rows["ds"].diff() > _HOUR).cumsum())]


def _span(series: SeriesId, chart: FanChart, rows: pd.DataFrame) -> AnomalySpan:
    farthest = rows.to_dict("records")[int((rows["y"] - rows["expected"]).abs().to_numpy().argmax())]
    return AnomalySpan(
        series=series,
        unit=chart.unit,
        start=rows["ds"].iloc[0],
        hours=len(rows),
        expected=float(farthest["expected"]),
        measured=float(farthest["y"]),
        compared=str(farthest["compared"]),
        method=str(farthest["method"]),
        left_out=int(rows["left_out"].sum()),
    )
