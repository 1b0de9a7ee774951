"""The tooltips of a chart's hours."""

from __future__ import annotations

import pandas as pd

from headroom.report_page.fan_data import FanChart
from headroom.summary_text import amount

__all__ = ["hours_ahead", "hours_behind"]


def hours_behind(chart: FanChart) -> pd.DataFrame:
    """`ds, words` of the hours before the issue time: what was measured."""
    when = chart.history["ds"].dt.strftime("%a %d %b %H:%M")
    return pd.DataFrame({"ds": chart.history["ds"], "words": when + " UTC: " + chart.history["y"].map(amount) + f" {chart.unit}"})


def hours_ahead(chart: FanChart) -> pd.DataFrame:
    """`ds, words` of the forecast hours: median and interval, what was measured since, the plan and its reason."""
    rows = chart.forecast.merge(chart.capacity[["ds", "hot", "held", "why"]], on="ds", how="left").merge(
        chart.measured, on="ds", how="left"
    )
    text = {column: rows[column].map(_amount) for column in ("0.1", "0.5", "0.9", "y", "hot", "held")}
    interval = text["0.5"] + f" {chart.unit}, 80 %: " + text["0.1"] + " to " + text["0.9"]
    words = rows["ds"].dt.strftime("%a %d %b %H:%M") + " UTC\nmedian " + interval
    words += ("\nmeasured " + text["y"]).where(rows["y"].notna(), "")
    warm = (", with warm " + text["held"]).where(rows["held"] > rows["hot"], "")
    words += ("\nhot capacity " + text["hot"] + warm + "\n" + rows["why"].fillna("")).where(rows["hot"].notna(), "")
    return pd.DataFrame({"ds": rows["ds"], "words": words})


def _amount(value: float) -> str:
    """The amount as text, empty where there is none."""
    return "" if pd.isna(value) else amount(value)
