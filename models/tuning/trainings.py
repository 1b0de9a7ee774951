"""The loop of self-tuning: a training takes the tuner's choice for every series, and what its version forecasts on its first day rewards it.

Choices are made when a training is planned, at its issue time, and at no other moment: a choice that no model was fitted with would have
nothing to be rewarded for. Every series is its own segment, and the bandit lets those that look alike learn from each other.

A training is judged by the forecasts that its version issued in its first 24 hours as champion, at all horizons, once all of their hours
are over. A version that never served is not judged, and after `GIVEN_UP` its choices are not waited for any longer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from headroom.demand import hourly_demand
from headroom.lake import Lake
from headroom.settings import Settings
from headroom.vocabulary import HORIZON_HOURS
from models.tuning.arms import TuningChoice
from models.tuning.context import segment_contexts
from models.tuning.reward import with_naive_pinball
from models.tuning.store import TuningLog
from models.tuning.tuner import choose, record_outcomes

__all__ = ["GIVEN_UP", "TuningReport", "choose_for_training", "reward_trainings"]

_LOG: Final = logging.getLogger(__name__)
_HOUR: Final = pd.Timedelta("1h")
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7 * _DAY
_OVER: Final = _DAY + HORIZON_HOURS * _HOUR
GIVEN_UP: Final = pd.Timedelta(days=21)
_ASKED: Final = 50
_TIME: Final = "datetime64[us, UTC]"
_OUTCOME: Final[dict[str, Any]] = {
    "segment": str,
    "unique_id": str,
    "issue_time": _TIME,
    "ds": _TIME,
    "pinball": float,
    "naive_pinball": float,
}


@dataclass(frozen=True)
class TuningReport:
    """What a run learnt about choices; JSON-ready.

    Attributes:
        rewarded: choices whose reward this run recorded.
        waiting: younger choices without a reward yet.
        mean_reward: arm -> mean reward of those that this run recorded; -1 is as good as repeating the last week, 0 is without error.
        frozen: whether the rewards were written down without being learnt from.
    """

    rewarded: int
    waiting: int
    frozen: bool
    mean_reward: dict[str, float] = field(default_factory=dict)


def choose_for_training(url: str, history: pd.DataFrame, *, issue_time: pd.Timestamp, frozen: bool) -> dict[str, TuningChoice]:
    """unique_id -> what a training at `issue_time` shall use; asked again, the same answer.

    Args:
        url: of the database that holds the tuning log.
        history: `unique_id, ds, y` that the training learns from.
        frozen: explore nothing: take what is expected to be best, the default while nothing is known.

    Raises:
        UnavailableError: when the database does not answer.
    """
    contexts = segment_contexts(history, issue_time)
    with TuningLog.open(url) as log:
        chosen = choose(log, contexts, issue_time=issue_time, frozen=frozen)
    return {series: TuningChoice(choice.arm, choice.tuning) for series, choice in chosen.items()}


def reward_trainings(settings: Settings, lake: Lake, url: str, *, issue_time: pd.Timestamp, frozen: bool) -> TuningReport:
    """Reward the choices of trainings whose first day in service is over and measured, as known at `issue_time`; once each.

    Runs after the outcomes of `issue_time` are written. A repetition reports the same; a run that was missed is made up for by the next.

    Args:
        url: of the database that holds the tuning log.
        frozen: write rewards down and never learn from them.

    Raises:
        UnavailableError: when lake or database do not answer.
    """
    with TuningLog.open(url) as log:
        waiting = log.unrewarded(issue_time - _OVER)
        outcomes = _of_trainings(settings, lake, waiting[waiting["issue_time"] >= issue_time - GIVEN_UP], issue_time)
        rewarded = record_outcomes(log, outcomes, issue_time=issue_time, frozen=frozen)
        recent = log.history(issue_time - GIVEN_UP, issue_time)
    now = recent[recent["learnt_at"] == issue_time]
    means = now.groupby("arm")["reward"].mean()
    report = TuningReport(
        rewarded=rewarded,
        waiting=int(recent["learnt_at"].isna().sum()),
        mean_reward={str(arm): float(mean) for arm, mean in means.items()},
        frozen=frozen,
    )
    _LOG.info("%d choices rewarded, %d wait", report.rewarded, report.waiting)
    return report


def _of_trainings(settings: Settings, lake: Lake, waiting: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    """What `record_outcomes` reads about these choices (`segment, issue_time`); `issue_time` is that of the training."""
    served = _first_served(lake, waiting, issue_time)
    trainings = [pd.Timestamp(end) for end in sorted(served["train_end"].unique())]
    parts = [_judged(lake, training, served[served["train_end"] == training], issue_time) for training in trainings]
    full = [part for part in parts if len(part)]
    if not full:
        return pd.DataFrame(columns=list(_OUTCOME)).astype(_OUTCOME)
    outcomes = pd.concat(full, ignore_index=True)
    start, end = outcomes["ds"].min() - _WEEK, outcomes["ds"].max() - _WEEK + _HOUR
    return with_naive_pinball(outcomes, hourly_demand(lake, settings, start=start, end=end, as_of=issue_time))


def _first_served(lake: Lake, waiting: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    """`train_end, model_version, first` of the trainings that have served: `first` is the first issue time of any of their versions."""
    columns = ["issue_time", "model_version", "train_end"]
    if waiting.empty:
        return pd.DataFrame(columns=["train_end", "model_version", "first"])
    # When a version served is written on the rows of all of its series; some of them tell as much.
    some = {"unique_id": sorted(waiting["segment"].unique())[:_ASKED]}
    rows = lake.read("forecasts", start=waiting["issue_time"].min(), end=issue_time, as_of=issue_time, where=some, columns=columns)
    rows = rows[rows["train_end"].isin(waiting["issue_time"])]
    versions = rows[["train_end", "model_version"]].drop_duplicates()
    return versions.assign(first=versions["train_end"].map(rows.groupby("train_end")["issue_time"].min()))


def _judged(lake: Lake, training: pd.Timestamp, versions: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    """Outcomes of the first day of a training's versions; none before that day's last forecast is over."""
    first = versions["first"].iloc[0]
    if first + _OVER > issue_time:
        return pd.DataFrame()
    columns = ["issue_time", "unique_id", "ds", "y", "pinball", "model_version"]
    rows = lake.read("outcomes", start=first, end=first + _OVER, as_of=issue_time, columns=columns)
    own: pd.DataFrame = rows[(rows["issue_time"] < first + _DAY) & rows["model_version"].isin(versions["model_version"])]
    return own.drop(columns="model_version").assign(segment=own["unique_id"], issue_time=training)
