"""Outcomes: forecasts judged by what was used, once per forecast hour, when the measurement is known."""

from __future__ import annotations

from typing import Final

import pandas as pd

from headroom.demand import hourly_demand
from headroom.lake import Lake
from headroom.schemas import TABLES
from headroom.settings import Settings
from headroom.vocabulary import HORIZON_HOURS, MEDIAN, QUANTILE_COLUMNS, horizon_bucket
from models.held_capacity import with_held
from models.pinball import row_pinball

__all__ = ["LOOKBACK", "judge", "judged_before"]

# Hours that a run still judges: what earlier runs missed while they were down, or what was measured late.
LOOKBACK: Final = pd.Timedelta(days=7)
_HOUR: Final = pd.Timedelta("1h")
_KEYS: Final = ["issue_time", "unique_id", "ds"]
_FORECAST: Final = [*_KEYS, "region", "service", "resource", "horizon", "model_version", *QUANTILE_COLUMNS]


def judge(settings: Settings, lake: Lake, *, issue_time: pd.Timestamp) -> pd.DataFrame:
    """Write `outcomes` of the forecast hours that can be judged at `issue_time` and were not judged before.

    An outcome is known from the run that judged it (`available_at` = `issue_time`), and a repetition of the run writes the same rows.

    Returns:
        The outcomes, with the quantiles they judge.
    """
    start = issue_time - LOOKBACK
    forecasts = lake.read("forecasts", start=start - HORIZON_HOURS * _HOUR, end=issue_time, as_of=issue_time, columns=_FORECAST)
    forecasts = forecasts[(forecasts["ds"] >= start) & (forecasts["ds"] < issue_time)]
    used = hourly_demand(lake, settings, start=start, end=issue_time, as_of=issue_time).dropna(subset=["y"])
    rows = forecasts.merge(used, on=["unique_id", "ds"], how="inner")
    rows = _not_in(rows, judged_before(lake, start=start, issue_time=issue_time, columns=_KEYS))
    plans = lake.read("plans", start=start - HORIZON_HOURS * _HOUR, end=issue_time, as_of=issue_time)
    outcomes = _outcomes(with_held(rows, plans, settings), issue_time)
    lake.replace("outcomes", outcomes[list(TABLES["outcomes"].columns)], start=start, end=issue_time, where={"available_at": issue_time})
    return outcomes


def judged_before(lake: Lake, *, start: pd.Timestamp, issue_time: pd.Timestamp, columns: list[str]) -> pd.DataFrame:
    """Outcomes of the hours from `start` on that runs before `issue_time` wrote."""
    return lake.read("outcomes", start=start, end=issue_time, as_of=issue_time - pd.Timedelta("1us"), columns=columns)


def _not_in(rows: pd.DataFrame, done: pd.DataFrame) -> pd.DataFrame:
    marked = rows.merge(done[_KEYS], on=_KEYS, how="left", indicator=True)
    return marked[marked["_merge"] == "left_only"].drop(columns="_merge").reset_index(drop=True)


def _outcomes(rows: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    return rows.assign(
        bucket=horizon_bucket(rows["horizon"]),
        median=rows[MEDIAN],
        error=rows["y"] - rows[MEDIAN],
        pinball=row_pinball(rows),
        covered_80=rows["y"].between(rows["0.1"], rows["0.9"]),
        covered_98=rows["y"].between(rows["0.01"], rows["0.99"]),
        available_at=issue_time,
    )
