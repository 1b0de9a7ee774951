"""Anomalies: measured hours that neither the weekly rhythm nor a known event explains.

For every hour, the expectation is the median of the same hour in the weeks before, of which at least two must be free of events. Residuals are scaled by 1.4826 x their median
absolute deviation (the standard deviation, were they normal), which outliers do not inflate; a score above `THRESHOLD` is an anomaly.
Hours touched by a known event are neither flagged nor used for expectation and scale: a match is no fault, nor is a week without.

The lake's table keeps this plain rule: with weeks to compare, it finds a fault that repeats as well as the first. The online detector (`models.anomaly_detector`), which learns that what
happens again is not rare, works on any step and follows a new level within days: so training takes its weights from it.
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
from models.anomaly_detector import THRESHOLD as ONLINE_THRESHOLD
from models.anomaly_detector import detect_anomalies
from models.visible_events import events_of_series

__all__ = ["THRESHOLD", "find_anomalies", "flag_anomalies", "training_weights"]

THRESHOLD: Final = 6.0
METHOD: Final = "weekly-median-mad"

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
_RECENT: Final = pd.Timedelta(days=2)


def flag_anomalies(settings: Settings, lake: Lake, *, issue_time: pd.Timestamp) -> pd.DataFrame:
    """Write `anomalies` of the last two days that are known at `issue_time` and were not flagged before; return them.

    A repetition of the run writes the same rows.
    """
    start = issue_time - (2 * _WEEKS) * pd.Timedelta(days=7)
    demand = hourly_demand(lake, settings, start=start, end=issue_time, as_of=issue_time).dropna(subset=["y"])
    events = known_events(lake, start=start - _LONGEST_EVENT, end=issue_time + _BEFORE, as_of=issue_time)
    found = find_anomalies(demand, events)
    found = found[found["ds"] >= issue_time - _RECENT]
    before = lake.read("anomalies", start=issue_time - _RECENT, end=issue_time, as_of=issue_time - pd.Timedelta("1us"))
    known = pd.MultiIndex.from_frame(before[["unique_id", "ds"]])
    new = found[~pd.MultiIndex.from_frame(found[["unique_id", "ds"]]).isin(known)].reset_index(drop=True)
    rows = pd.concat([new, split_series_ids(new["unique_id"])], axis=1) if len(new) else new.assign(region="", service="", resource="")
    rows = rows.assign(method=METHOD, available_at=issue_time)[list(TABLES["anomalies"].columns)]
    lake.replace("anomalies", rows, start=issue_time - _RECENT, end=issue_time, where={"available_at": issue_time})
    return rows


def find_anomalies(demand: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, ds, y, expected, score, reason` of the hours that stand out, sorted by series and hour.

    Args:
        demand: `unique_id, ds, y`, two weeks or more before the hours of interest.
        events: known events. Those with a `value` (weather) are drivers, not happenings, and explain nothing by themselves.
    """
    eventful = _eventful(demand, events)
    rows = demand.assign(expected=_expected(demand.assign(y=demand["y"].mask(eventful))), eventful=eventful).dropna(subset=["expected"])
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


def training_weights(demand: pd.DataFrame, events: pd.DataFrame, *, step: pd.Timedelta = _HOUR) -> pd.Series[float]:
    """How much each row should count in training, in [0, 1], with the index of `demand`: anomalies little, everything else fully.

    With the score `s` of `models.anomaly_detector`, which is a `-log10` probability, the weight is `min(1, 10^(threshold - s))`: a row that is k times rarer than the threshold
    counts one k-th. The weight of a row depends on the rows before it alone. Rows that a known event touches, that have no value, or that come too early to judge count fully.

    Args:
        demand: `unique_id, ds, y`, one row per series and time, `step` apart; rows may be missing.
        events: known events; those with a `value` (weather) excuse nothing.
        step: time between two rows of a series.

    Raises:
        BadInputError: a series has two rows of the same time.
    """
    if demand.empty:
        return pd.Series(dtype=float, index=demand.index)
    found = detect_anomalies(demand, step=step, excused=_eventful(demand, events))
    score = found.set_index(["unique_id", "ds"])["score"].reindex(pd.MultiIndex.from_frame(demand[["unique_id", "ds"]]))
    return pd.Series(np.minimum(1.0, 10.0 ** (ONLINE_THRESHOLD - score.to_numpy())), index=demand.index)


def _expected(demand: pd.DataFrame) -> pd.Series[float]:
    """Median of the same hour in up to four weeks before; empty with fewer than two of them."""
    keyed = demand.set_index(["unique_id", "ds"])["y"]
    weeks = {}
    for week in range(1, _WEEKS + 1):
        then = pd.MultiIndex.from_arrays([demand["unique_id"], demand["ds"] - pd.Timedelta(days=7 * week)])
        weeks[week] = keyed.reindex(then).to_numpy()
    past = pd.DataFrame(weeks, index=demand.index)
    return past.median(axis=1).where(past.notna().sum(axis=1) >= _LEAST_WEEKS)


def _eventful(demand: pd.DataFrame, events: pd.DataFrame) -> pd.Series[bool]:
    """Whether a known event touches the hour, for the series it concerns."""
    happenings = events[events["value"].isna()]
    touched = pd.Series(False, index=demand.index)
    for series, rows in demand.groupby("unique_id")["ds"]:
        own = events_of_series(happenings, str(series))
        for start, end in zip(own["start"] - _BEFORE - _HOUR, own["end"] + _AFTER, strict=True):
            touched.loc[rows.index] |= (rows > start) & (rows < end)
    return touched
