"""The loop of self-tuning: a training takes the tuner's choice for every series, and what its version forecasts on its first day rewards it.

Choices are made when a training is planned, at its issue time, and at no other moment: a choice that no model was fitted with would have
nothing to be rewarded for. Every series is its own segment, and the bandit lets those that look alike learn from each other.

A training is judged by forecasts that its version issued in its first 24 hours as champion, the first one and the one in the middle, at all
horizons, once all hours of that day's forecasts are over; against what an untuned reference would have forecast then. A version that never served is not judged, and after `GIVEN_UP` its choices are not waited for any longer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from headroom.demand import hourly_demand, known_events
from headroom.lake import Lake
from headroom.settings import Settings
from headroom.vocabulary import HORIZON_HOURS
from models.anomaly_doubt import believed, with_doubts
from models.forecaster import SeriesCalendar
from models.rhythm import HOURLY
from models.tuning.arms import TuningChoice
from models.tuning.context import segment_contexts
from models.tuning.reference import reference_forecast, with_reference_pinball
from models.tuning.store import TuningLog
from models.tuning.tuner import choose, record_outcomes

__all__ = ["GIVEN_UP", "TuningReport", "choose_for_training", "reward_trainings"]

_LOG: Final = logging.getLogger(__name__)
_HOUR: Final = pd.Timedelta("1h")
_DAY: Final = 24 * _HOUR
# Events that began this long ago may last until the issue time.
_EVENTS_BEFORE: Final = 35 * _DAY
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
    "reference_pinball": float,
}


@dataclass(frozen=True)
class TuningReport:
    """What a run learnt about choices; JSON-ready.

    Attributes:
        rewarded: choices whose reward this run recorded.
        waiting: younger choices without a reward yet.
        mean_reward: arm -> mean reward of those that this run recorded; -1 is as good as the untuned reference, 0 is without error.
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
    moments = [pd.Timestamp(moment) for moment in sorted(outcomes["issued"].unique())]
    told = [_against_reference(settings, lake, outcomes[outcomes["issued"] == moment], moment) for moment in moments]
    return pd.concat(told, ignore_index=True).drop(columns="issued")


def _against_reference(settings: Settings, lake: Lake, outcomes: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    """`outcomes` of one issue time with the loss of the reference, which sees what was known then."""
    start = issue_time - HOURLY.context * _HOUR
    names = sorted(outcomes["unique_id"].unique())
    history = hourly_demand(lake, settings, start=start, end=issue_time, as_of=issue_time, series=names).dropna(subset=["y"])
    events = known_events(lake, start=start - _EVENTS_BEFORE, end=issue_time + HORIZON_HOURS * _HOUR, as_of=issue_time)
    history = believed(with_doubts(history, events), issue_time) if len(history) else history
    return with_reference_pinball(outcomes, reference_forecast(history, events, SeriesCalendar.from_settings(settings), issue_time))


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
    """Outcomes of two issue times (`issued`) of the first day of a training's versions; none before that day's last forecast is over."""
    first = versions["first"].iloc[0]
    if first + _OVER > issue_time:
        return pd.DataFrame()
    columns = ["issue_time", "unique_id", "ds", "y", "pinball", "model_version"]
    rows = lake.read("outcomes", start=first, end=first + _OVER, as_of=issue_time, columns=columns)
    rows = rows[(rows["issue_time"] < first + _DAY) & rows["model_version"].isin(versions["model_version"])]
    issued = sorted(rows["issue_time"].unique())
    own: pd.DataFrame = rows[rows["issue_time"].isin({*issued[:1], *issued[len(issued) // 2 :][:1]})]
    return own.drop(columns="model_version").assign(segment=own["unique_id"], issued=own["issue_time"], issue_time=training)
