"""Forecasts of totals in the lake: what a service, a region and everything together will need, as sums of the published forecasts.

Series keep the forecasts they have, because capacity is reserved by them; a total is the sum of their joint draws (`models.reconciliation`, method
`bottom-up`). Which values come together is copied from the errors of the forecasts 24 hours ahead, of the two weeks before.
"""

from __future__ import annotations

import logging
from typing import Final

import pandas as pd

from headroom.lake import Lake
from headroom.schemas import TABLES
from headroom.vocabulary import QUANTILE_COLUMNS, split_series_ids
from models.hierarchy import hierarchy_of
from models.reconciliation import Reconciliation, reconcile

__all__ = ["write_totals"]

_LOG: Final = logging.getLogger(__name__)
_HOUR: Final = pd.Timedelta("1h")
_PAST: Final = pd.Timedelta(days=14)
_AHEAD: Final = 24


def write_totals(lake: Lake, *, issue_time: pd.Timestamp) -> int:
    """Write the `totals` of an issue time, replacing those that are there; a repetition writes the same rows.

    Without forecasts of the issue time, or without judged ones before it, there is nothing to sum or no way to say what comes together:
    then nothing is written, and the log says so.

    Returns:
        Rows written.
    """
    columns = ["unique_id", "ds", *QUANTILE_COLUMNS]
    forecasts = lake.read("forecasts", start=issue_time, end=issue_time + _HOUR, as_of=issue_time, columns=columns)
    errors = _errors(lake, issue_time)
    rows = pd.DataFrame(columns=list(TABLES["totals"].columns))
    if forecasts.empty or not errors["unique_id"].isin(forecasts["unique_id"]).any():
        _LOG.warning("no totals for %s: %s", issue_time.isoformat(), "no forecasts" if forecasts.empty else "no forecast was judged before")
    else:
        hierarchy = hierarchy_of(forecasts["unique_id"].unique())
        found = reconcile(forecasts, errors, hierarchy, Reconciliation("bottom-up"))
        found = found[found["unique_id"].isin(hierarchy.totals)].reset_index(drop=True)
        known = pd.concat([found, split_series_ids(found["unique_id"])], axis=1) if len(found) else rows
        rows = known.assign(issue_time=issue_time, available_at=issue_time)[list(TABLES["totals"].columns)]
    return lake.replace("totals", rows, start=issue_time, end=issue_time + _HOUR)


def _errors(lake: Lake, issue_time: pd.Timestamp) -> pd.DataFrame:
    """`unique_id, cutoff, ds, error` of past forecasts 24 hours ahead, as known at `issue_time`."""
    columns = ["unique_id", "issue_time", "ds", "horizon", "error"]
    past = lake.read("outcomes", start=issue_time - _PAST, end=issue_time, as_of=issue_time, columns=columns)
    ahead = past[past["horizon"] == _AHEAD]
    return ahead.rename(columns={"issue_time": "cutoff"})[["unique_id", "cutoff", "ds", "error"]]
