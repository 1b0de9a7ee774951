"""The check of a forecast before anything is bought with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from headroom.vocabulary import QUANTILE_COLUMNS

__all__ = ["chosen_regions", "first_crossing", "unplanned_services", "usable_forecast"]

_LOG: Final = logging.getLogger(__name__)

_COLUMNS: Final = ("issue_time", "unique_id", "region", "service", "resource", "ds", "confidence", "model_version", *QUANTILE_COLUMNS)
_HOUR: Final = pd.Timedelta("1h")
# Quantiles that were rounded on their way, to single precision say, may seem to cross by this part.
_NOISE: Final = 1e-6


def usable_forecast(settings: Settings, forecasts: pd.DataFrame, *, issue_time: pd.Timestamp, regions: Sequence[str]) -> pd.DataFrame:
    """The rows of `forecasts` for `regions` and the hours from `issue_time` on, sorted by `unique_id, ds`.

    Guaranteed of the result: every series of a service is there, once per hour, for the same gapless hours that begin at
    `issue_time`; every number is finite, quantiles are not negative and do not cross, confidence is a share. A service that lacks a series (it
    was never measured, say) is left out and named in the log: one service without data must not stop the others. What it
    holds stays as it is, and so does the bandwidth of a region whose sum would lack it.

    Args:
        settings: says which series there must be.
        forecasts: rows of one issue time in the `forecasts` schema. It may be older than `issue_time` (the last good
            forecast, when scoring failed): its hours that have passed are dropped.
        issue_time: the hour at which the plan is made, UTC.
        regions: regions to plan.

    Raises:
        BadInputError: naming the series, hour or column, and the rule it breaks.
    """
    if missing := [c for c in _COLUMNS if c not in forecasts.columns]:
        raise BadInputError(f"forecasts: column {missing[0]!r} is missing; pass rows of the lake's table `forecasts`")
    rows = forecasts[forecasts["region"].isin(list(regions)) & (forecasts["ds"] >= issue_time)]
    if rows.empty:
        raise BadInputError(
            f"forecasts: no row for {', '.join(regions)} from {issue_time.isoformat()} on; run score_forecasts for that issue time"
        )
    _check_issue(rows, issue_time)
    rows = _whole_services(settings, rows, regions).sort_values(["unique_id", "ds"], kind="stable").reset_index(drop=True)
    _check_hours(rows, issue_time)
    _check_numbers(rows)
    return rows


def unplanned_services(settings: Settings, forecasts: pd.DataFrame, regions: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """`(region, service)` -> the series that it lacks, for the services that cannot be planned."""
    found = set(forecasts["unique_id"])
    lacking: dict[tuple[str, str], list[str]] = {}
    for series in settings.series:
        if series.region in regions and str(series) not in found:
            lacking.setdefault((series.region, series.service), []).append(str(series))
    return lacking


def chosen_regions(settings: Settings, regions: Sequence[str] | None) -> list[str]:
    """The regions to plan, in the order of the settings; None means all.

    Raises:
        BadInputError: when a region is not in the settings, or none is left.
    """
    wanted = list(settings.regions) if regions is None else list(regions)
    if unknown := [r for r in wanted if r not in settings.regions]:
        raise BadInputError(f"region {unknown[0]!r} is not in capacity.yaml; known: {', '.join(settings.regions)}")
    if not wanted:
        raise BadInputError(f"no region to plan; name one or more of {', '.join(settings.regions)}, or leave it out for all")
    return [r for r in settings.regions if r in wanted]


def first_crossing(values: npt.NDArray[np.float64]) -> tuple[int, int] | None:
    """Row and column of the first quantile (rows, levels) that lies below the one before it by more than rounding; None when none does."""
    found = np.argwhere(values[:, 1:] < values[:, :-1] * (1 - _NOISE))
    return (int(found[0, 0]), int(found[0, 1]) + 1) if len(found) else None


def _check_issue(rows: pd.DataFrame, issue_time: pd.Timestamp) -> None:
    issued = rows["issue_time"].unique()
    if len(issued) > 1:
        raise BadInputError(f"forecasts: rows of {len(issued)} issue times, {issued.min()} to {issued.max()}; pass those of one")
    if issued[0] > issue_time:
        raise BadInputError(
            f"forecasts: issued {issued[0].isoformat()}, after the plan's issue time {issue_time.isoformat()}; use an earlier one"
        )


def _whole_services(settings: Settings, rows: pd.DataFrame, regions: Sequence[str]) -> pd.DataFrame:
    expected = {str(s) for s in settings.series if s.region in regions}
    if unknown := sorted(set(rows["unique_id"]) - expected):
        raise BadInputError(f"forecasts: series {unknown[0]} is not asked for by capacity.yaml; add it there or leave its rows out")
    lacking = unplanned_services(settings, rows, regions)
    for (region, service), missing in lacking.items():
        _LOG.warning("%s in %s is not planned: no forecast of %s; what it holds stays", service, region, ", ".join(missing))
    incomplete = pd.MultiIndex.from_frame(rows[["region", "service"]]).isin(list(lacking))
    shared = {region for region, service in lacking if "bandwidth" in settings.services[service].demand}
    partial = (rows["resource"] == "bandwidth") & rows["region"].isin(shared)
    whole = rows[~incomplete & ~partial]
    if whole.empty:
        first = next(iter(lacking.values()))[0]
        raise BadInputError(f"forecasts: series {first} is missing, and no service has all of its series; score again")
    return whole


def _check_hours(rows: pd.DataFrame, issue_time: pd.Timestamp) -> None:
    doubled = rows.duplicated(["unique_id", "ds"])
    if doubled.any():
        row = rows[doubled].iloc[0]
        raise BadInputError(f"forecasts: {row['unique_id']} has two rows for {row['ds'].isoformat()}; a series has one per hour")
    hours = pd.date_range(issue_time, rows["ds"].max(), freq=_HOUR)
    short = rows.groupby("unique_id")["ds"].size() != len(hours)
    if short.any():
        series = str(short.index[short.to_numpy()][0])
        absent = hours.difference(pd.DatetimeIndex(rows.loc[rows["unique_id"] == series, "ds"]))
        where = absent[0].isoformat() if len(absent) else "rows between the full hours"
        raise BadInputError(f"forecasts: {series} lacks hour {where}; every series needs each hour to {hours[-1].isoformat()}")


def _check_numbers(rows: pd.DataFrame) -> None:
    values = rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise BadInputError(
            f"forecasts: {rows['unique_id'].iloc[row]} at {rows['ds'].iloc[row].isoformat()}: quantile {QUANTILE_COLUMNS[column]} "
            f"is {values[row, column]}; it must be a number, 0 or more"
        )
    if crossing := first_crossing(values):
        row, column = crossing
        raise BadInputError(
            f"forecasts: {rows['unique_id'].iloc[row]} at {rows['ds'].iloc[row].isoformat()}: quantile {QUANTILE_COLUMNS[column]} is "
            f"{values[row, column]:g}, below quantile {QUANTILE_COLUMNS[column - 1]}, {values[row, column - 1]:g}; quantiles must not cross"
        )
    wrong_confidence = ~rows["confidence"].between(0, 1).to_numpy()
    if wrong_confidence.any():
        bad = rows[wrong_confidence].iloc[0]
        raise BadInputError(
            f"forecasts: {bad['unique_id']} at {bad['ds'].isoformat()}: confidence {bad['confidence']} is not between 0 and 1"
        )
