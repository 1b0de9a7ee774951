"""The tooltips of a chart's hours."""

from __future__ import annotations

import pandas as pd

from headroom.report_page.fan_data import FanChart
from headroom.summary_text import amount

__all__ = ["anomalous_hours", "hours_ahead", "hours_behind"]


def hours_behind(chart: FanChart) -> pd.DataFrame:
    """`ds, words` of the hours before the issue time: what was measured, and what was expected of an anomaly."""
    rows = chart.history.merge(_oddities(chart), on="ds", how="left")
    words = rows["ds"].dt.strftime("%a %d %b %H:%M") + " UTC: " + rows["y"].map(amount) + f" {chart.unit}"
    return pd.DataFrame({"ds": rows["ds"], "words": words + ("\n" + rows["odd"]).fillna("")})


def hours_ahead(chart: FanChart) -> pd.DataFrame:
    """`ds, words` of the forecast hours: median and interval, what was measured since, the plan and its reason."""
    rows = chart.forecast.merge(chart.capacity[["ds", "hot", "held", "why"]], on="ds", how="left").merge(
        chart.measured, on="ds", how="left"
    )
    rows = rows.merge(_oddities(chart), on="ds", how="left")
    text = {column: rows[column].map(_amount) for column in ("0.1", "0.5", "0.9", "y", "hot", "held")}
    interval = text["0.5"] + f" {chart.unit}, 80 %: " + text["0.1"] + " to " + text["0.9"]
    words = rows["ds"].dt.strftime("%a %d %b %H:%M") + " UTC\nmedian " + interval
    words += ("\nmeasured " + text["y"]).where(rows["y"].notna(), "") + ("\n" + rows["odd"]).fillna("")
    warm = (", with warm " + text["held"]).where(rows["held"] > rows["hot"], "")
    words += ("\nhot capacity " + text["hot"] + warm + "\n" + rows["why"].fillna("")).where(rows["hot"].notna(), "")
    return pd.DataFrame({"ds": rows["ds"], "words": words})


def anomalous_hours(chart: FanChart) -> pd.DataFrame:
    """`ds, y, words` of the anomalies: what was measured and what was expected."""
    rows = chart.anomalies.merge(_oddities(chart), on="ds")
    words = [
        f"{ds:%a %d %b %H:%M} UTC: {amount(y)} {chart.unit}\n{odd}"
        for ds, y, odd in rows[["ds", "y", "odd"]].itertuples(index=False, name=None)
    ]
    return rows[["ds", "y"]].assign(words=words)


def _oddities(chart: FanChart) -> pd.DataFrame:
    """`ds, odd`: one line per anomaly."""
    rows = chart.anomalies
    told = [
        f"anomaly: {amount(expected)} expected from {compared}; {'left out of' if left_out else 'counted in'} trainings"
        for expected, compared, left_out in rows[["expected", "compared", "left_out"]].itertuples(index=False, name=None)
    ]
    return pd.DataFrame({"ds": rows["ds"], "odd": pd.Series(told, index=rows.index, dtype=object)})


def _amount(value: float) -> str:
    """The amount as text, empty where there is none."""
    return "" if pd.isna(value) else amount(value)
