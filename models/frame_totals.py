"""Totals in a backtest or forecast of a file: history of services, regions and everything beside the series, and forecasts that agree.

Totals are forecast like any other series and then reconciled (`models.reconciliation`). The errors that say how series move together, and how
much each is to be trusted, are those of repeating the last week, over the four weeks before: they are known for every series at every cutoff,
and no forecast has to be kept for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS, SeriesId
from models.hierarchy import ALL, hierarchy_of, with_totals
from models.long_frame import LongFrame
from models.reconciliation import METHODS, Method, Reconciliation, reconcile

__all__ = ["coherent_backtest", "coherent_forecast", "method_of", "of_given_series", "with_total_series"]

_WEEK: Final = pd.Timedelta(days=7)
_PAST: Final = 4 * _WEEK


def method_of(name: str) -> Method:
    """The method of this name.

    Raises:
        BadInputError: when there is none.
    """
    for method in METHODS:
        if method == name:
            return method
    raise BadInputError(f"--totals {name}: unknown method; known: {', '.join(METHODS)}")


def with_total_series(series: LongFrame) -> LongFrame:
    """`series` and its totals (`models.hierarchy`).

    Raises:
        BadInputError: when an id is not region/service/resource.
    """
    rows = with_totals(series.rows)
    added = rows["unique_id"].nunique() - series.rows["unique_id"].nunique()
    return replace(series, rows=rows, notes=(*series.notes, f"{added:,} totals added"))


def coherent_forecast(forecasts: pd.DataFrame, series: LongFrame, method: Method) -> pd.DataFrame:
    """`forecasts` (`unique_id, ds, *QUANTILE_COLUMNS`) of `series` with its totals, made coherent; same columns, sorted.

    A total keeps its own forecast where a part of it has none.

    Args:
        series: see `with_total_series`.

    Raises:
        BadInputError: when the history before the forecast is shorter than eight days.
    """
    return _coherent(forecasts, series.rows, forecasts["ds"].min(), method)


def coherent_backtest(forecasts: pd.DataFrame, series: LongFrame, method: Method, candidate: str) -> pd.DataFrame:
    """The rows of a backtest, those of `candidate` made coherent per cutoff from what lay before it; errors as in `coherent_forecast`."""
    own = forecasts["candidate"] == candidate
    parts = [forecasts[~own]]
    for cutoff, rows in forecasts[own].groupby("cutoff", sort=True):
        found = _coherent(rows[["unique_id", "ds", *QUANTILE_COLUMNS]], series.rows, pd.Timestamp(str(cutoff)), method)
        parts.append(rows.drop(columns=list(QUANTILE_COLUMNS)).merge(found, on=["unique_id", "ds"], how="left")[list(forecasts.columns)])
    keys = ["unique_id", "cutoff", "candidate", "ds"]
    return pd.concat(parts, ignore_index=True).sort_values(keys, ignore_index=True)


def of_given_series(counts: Mapping[str, int]) -> dict[str, int]:
    """unique_id -> count without the totals, in which what was counted in a series is there once more."""
    return {name: count for name, count in counts.items() if ALL not in SeriesId.parse(name)}


def _coherent(forecast: pd.DataFrame, history: pd.DataFrame, moment: pd.Timestamp, method: Method) -> pd.DataFrame:
    hierarchy = hierarchy_of(history["unique_id"].unique())
    columns: Sequence[str] = ["unique_id", "ds", *QUANTILE_COLUMNS]
    found = reconcile(forecast, _weekly_errors(history, moment), hierarchy, Reconciliation(method))[columns]
    both = pd.concat([found, forecast[columns]]).drop_duplicates(["unique_id", "ds"])
    return both.sort_values(["unique_id", "ds"], ignore_index=True)


def _weekly_errors(history: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    """`unique_id, cutoff, ds, error` of repeating the last week before `moment`."""
    recent = history[(history["ds"] < moment) & (history["ds"] >= moment - _PAST - _WEEK)]
    before = recent.assign(ds=recent["ds"] + _WEEK).rename(columns={"y": "last_week"})
    rows = recent.merge(before, on=["unique_id", "ds"], how="inner")
    return rows.assign(cutoff=moment, error=rows["y"] - rows["last_week"])[["unique_id", "cutoff", "ds", "error"]]
