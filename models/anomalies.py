"""Anomalies: measured hours that neither the rhythm nor a known event explains. Two methods look, and an hour that both find is the first one's.

*Weekly median*: the expectation is the median of the same hour in the weeks before, of which at least two must be free of events. Residuals are scaled by
1.4826 x their median absolute deviation (the standard deviation, were they normal), which outliers do not inflate; a score above `THRESHOLD` is
an anomaly. With weeks to compare, it finds a fault that repeats as well as the first.

*Online detector* (`models.anomaly_detector`): its alarms, at most one a day and series; the score is `-log10` of a probability. It needs four days of history where the
other needs two weeks, and finds what is slight but new. It is replayed over the last eight weeks, so it has no state that could be lost or torn.

Hours touched by a known event are neither flagged nor used for expectation and scale: a match is no fault, nor is a week without. What trainings leave out is
decided in `models.anomaly_doubt`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from headroom.demand import hourly_demand, known_events
from headroom.lake import Lake
from headroom.schemas import TABLES
from headroom.settings import Settings
from headroom.vocabulary import split_series_ids
from models.anomaly_detector import detect_anomalies
from models.visible_events import events_of_series

__all__ = ["METHOD", "ONLINE_METHOD", "THRESHOLD", "eventful", "find_alarms", "find_anomalies", "flag_anomalies"]

THRESHOLD: Final = 6.0
METHOD: Final = "weekly-median-mad"
ONLINE_METHOD: Final = "online-detector"

_HOUR: Final = pd.Timedelta("1h")
_WEEKS: Final = 4
_LEAST_WEEKS: Final = 2
_NORMAL: Final = 1.4826
# No series is steadier than this share of its expectation: the smallest scale.
_LEAST_SHARE: Final = 0.02
# Demand rises before an event and falls after it.
_BEFORE: Final = pd.Timedelta("1h")
_AFTER: Final = pd.Timedelta("2h")
_LONGEST_EVENT: Final = pd.Timedelta(days=35)
_TIME: Final = "datetime64[us]"
_RECENT: Final = pd.Timedelta(days=2)
_WEEK: Final = pd.Timedelta(days=7)
_LOOKBACK: Final = 2 * _WEEKS * _WEEK


def flag_anomalies(settings: Settings, lake: Lake, *, issue_time: pd.Timestamp) -> pd.DataFrame:
    """Write `anomalies` of the last two days that are known at `issue_time` and were not flagged before; return them.

    A repetition of the run writes the same rows.
    """
    start = (issue_time - _LOOKBACK).floor("7D")  # all runs of a week replay from the same hour, and so agree on every score
    demand = hourly_demand(lake, settings, start=start, end=issue_time, as_of=issue_time).dropna(subset=["y"])
    events = known_events(lake, start=start - _LONGEST_EVENT, end=issue_time + _BEFORE, as_of=issue_time)
    both = [find_anomalies(demand, events).assign(method=METHOD), find_alarms(demand, events).assign(method=ONLINE_METHOD)]
    found = pd.concat([part for part in both if len(part)] or both[:1]).drop_duplicates(["unique_id", "ds"])
    found = found[found["ds"] >= issue_time - _RECENT].sort_values(["unique_id", "ds"])
    before = lake.read("anomalies", start=issue_time - _RECENT, end=issue_time, as_of=issue_time - pd.Timedelta("1us"))
    known = pd.MultiIndex.from_frame(before[["unique_id", "ds"]])
    new = found[~pd.MultiIndex.from_frame(found[["unique_id", "ds"]]).isin(known)].reset_index(drop=True)
    rows = pd.concat([new, split_series_ids(new["unique_id"])], axis=1) if len(new) else new.assign(region="", service="", resource="")
    rows = rows.assign(available_at=issue_time)[list(TABLES["anomalies"].columns)]
    lake.replace("anomalies", rows, start=issue_time - _RECENT, end=issue_time, where={"available_at": issue_time})
    return rows


def find_anomalies(demand: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, ds, y, expected, score, reason` of the hours that stand out, sorted by series and hour.

    Args:
        demand: `unique_id, ds, y`, two weeks or more before the hours of interest.
        events: known events. Those with a `value` (weather) are drivers, not happenings, and explain nothing by themselves.
    """
    touched = eventful(demand, events)
    rows = demand.assign(expected=_expected(demand.assign(y=demand["y"].mask(touched))), eventful=touched).dropna(subset=["expected"])
    residual = rows["y"] - rows["expected"]
    spread = residual.where(~rows["eventful"]).abs().groupby(rows["unique_id"]).transform("median") * _NORMAL
    level = rows["expected"].abs().groupby(rows["unique_id"]).transform("median")
    scale = spread.clip(lower=_LEAST_SHARE * level)
    score = (residual.abs() / scale).where(scale > 0)
    far = rows.assign(score=score, residual=residual)[(score > THRESHOLD) & ~rows["eventful"]]
    word = far["residual"].gt(0).map({True: "above", False: "below"})
    reason = far["residual"].abs().map("{:.4g} ".format) + word + " the same hour of the weeks before, with no known event"
    found = far.assign(reason=reason).sort_values(["unique_id", "ds"])
    return found[["unique_id", "ds", "y", "expected", "score", "reason"]].reset_index(drop=True)


def find_alarms(demand: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, ds, y, expected, score, reason` of the alarms of the online detector, which saw all hours of `demand` in order.

    Args:
        demand: `unique_id, ds, y`, hourly; a series is judged from its 101st hour on.
        events: known events, as in `find_anomalies`.
    """
    if demand.empty:
        return demand.assign(expected=0.0, score=0.0, reason="")
    judged = detect_anomalies(demand, step=_HOUR, excused=eventful(demand, events))
    far = judged[judged["alarm"]].reset_index(drop=True)
    reason = [
        f"{abs(y - expected):.4g} {'above' if y > expected else 'below'} what level and rhythm let expect, with no known event: rarer than one hour in "
        f"{10.0**score:,.0f} of this series"
        for y, expected, score in zip(far["y"], far["expected"], far["score"], strict=True)
    ]
    return far.assign(reason=reason)[["unique_id", "ds", "y", "expected", "score", "reason"]]


def eventful(demand: pd.DataFrame, events: pd.DataFrame) -> pd.Series[bool]:
    """Whether a known event touches the hour, for the series it concerns; with the index of `demand`."""
    happenings = events[events["value"].isna()]
    touched, times = np.zeros(len(demand), dtype=bool), demand["ds"].to_numpy(dtype=_TIME)
    for series, places in (demand.groupby("unique_id").indices if len(happenings) else {}).items():
        own = events_of_series(happenings, str(series))
        begun = np.searchsorted(np.sort((own["start"] - _BEFORE - _HOUR).to_numpy(dtype=_TIME)), times[places], side="left")
        over = np.searchsorted(np.sort((own["end"] + _AFTER).to_numpy(dtype=_TIME)), times[places], side="right")
        touched[places] = begun > over
    marked: pd.Series[bool] = pd.Series(touched, index=demand.index, dtype=bool)
    return marked


def _expected(demand: pd.DataFrame) -> pd.Series[float]:
    """Median of the same hour in up to four weeks before; empty with fewer than two of them."""
    keyed = demand.set_index(["unique_id", "ds"])["y"]
    weeks = {}
    for week in range(1, _WEEKS + 1):
        then = pd.MultiIndex.from_arrays([demand["unique_id"], demand["ds"] - pd.Timedelta(days=7 * week)])
        weeks[week] = keyed.reindex(then).to_numpy()
    past = pd.DataFrame(weeks, index=demand.index)
    return past.median(axis=1).where(past.notna().sum(axis=1) >= _LEAST_WEEKS)
