"""Choose parameters for segments, and learn from what became of the choices. Both can be repeated without changing anything.

A run of `learn_from_usage` first records the outcomes, then chooses; what it learns serves from the next issue time on, because runs of
one issue time may work side by side and a backfill must not depend on which was first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS
from models.tuning.arms import ARMS, Tuning
from models.tuning.context import FEATURES
from models.tuning.reward import realised_rewards
from models.tuning.store import Choice, TuningLog

__all__ = ["choose", "decide", "record_outcomes"]

_HOUR: Final = pd.Timedelta(hours=1)
_KEYS: Final = ["segment", "issue_time"]


def choose(
    log: TuningLog,
    contexts: pd.DataFrame,
    *,
    issue_time: pd.Timestamp,
    frozen: bool = False,
    seed: int = 0,
    arms: Mapping[str, Tuning] = ARMS,
) -> dict[str, Choice]:
    """The choice of every segment at an issue time: the logged one, or a new one, which is logged.

    A new choice depends on the rewards learnt before the issue time, the segment's context and the seed, on nothing else.

    Args:
        contexts: see `models.tuning.context.segment_contexts`.
        frozen: take the arm that is expected to be best, never explore. While nothing is learnt (see `record_outcomes`) such choices
            change only with the context.
        arms: presets by name, the default first; it is taken when nothing tells the arms apart and nothing is explored.

    Raises:
        BadInputError: when a context lacks a feature or holds no number.
        UnavailableError: when the database does not answer.
    """
    _check(contexts)
    logged = log.choices(issue_time)
    missing = contexts[~contexts.index.isin(list(logged))]
    if len(missing):
        from models.tuning.bandit import MEMORY

        learnt = log.learnt_before(issue_time, MEMORY)
        features = pd.DataFrame(learnt["context"].tolist(), index=learnt.index).reindex(columns=list(FEATURES), fill_value=0.0)
        rewards = pd.concat([learnt[["segment", "issue_time", "arm", "reward"]], features.fillna(0.0)], axis=1)
        log.add(decide(rewards, missing, issue_time=issue_time, frozen=frozen, seed=seed, arms=arms))
        logged = log.choices(issue_time)  # another process may have been first
    return {str(segment): logged[str(segment)] for segment in contexts.index}


def decide(
    rewards: pd.DataFrame,
    contexts: pd.DataFrame,
    *,
    issue_time: pd.Timestamp,
    frozen: bool = False,
    seed: int = 0,
    arms: Mapping[str, Tuning] = ARMS,
) -> list[Choice]:
    """What the bandit chooses after these rewards (`segment, issue_time, arm, *FEATURES, reward`); pure.

    Rewards of arms that are no longer offered are left out.
    """
    from models.tuning.bandit import EXPLORERS, SegmentThompson

    policy = SegmentThompson(f"{seed}|{issue_time.tz_convert('UTC').isoformat()}", explore=not frozen, explorers=EXPLORERS)
    policy.learn(rewards[rewards["arm"].isin(list(arms))])
    names, choices = list(arms), []
    for row in contexts.reset_index(names="segment").to_dict("records"):
        segment, context = str(row["segment"]), {name: float(row[name]) for name in FEATURES}
        known = {"segment": segment, **context}
        arm = str(policy.pull([*names], known))
        reason = _reason(
            policy.rewards, {name: policy.belief(name, known).mean for name in names}, policy.belief(arm, known).sd, arm, frozen
        )
        choices.append(Choice(segment, issue_time, arm, arms[arm], context, reason, frozen))
    return choices


def record_outcomes(
    log: TuningLog, outcomes: pd.DataFrame, *, issue_time: pd.Timestamp, frozen: bool = False, horizon_hours: int = HORIZON_HOURS
) -> int:
    """Reward the choices whose whole horizon lies before `issue_time` and was measured; once each.

    A choice of which too little was measured (see `realised_rewards`) waits for a later run, for as long as `outcomes` reaches back.

    Args:
        outcomes: `segment, unique_id, issue_time, ds, pinball, reference_pinball` of forecast hours judged until `issue_time`, whenever they
            were judged; `models.tuning.reference.with_reference_pinball` adds the last.
        frozen: write the rewards down, and never learn from them, not even after a thaw.

    Returns:
        Rewards recorded by this issue time's run; the same when it is repeated.

    Raises:
        BadInputError: when a column is missing.
        UnavailableError: when the database does not answer.
    """
    until = issue_time - horizon_hours * _HOUR
    due = log.unrewarded(until)
    rewards = realised_rewards(outcomes[(outcomes["issue_time"] <= until) & (outcomes["ds"] < issue_time)], horizon_hours)
    return log.reward(rewards.merge(due, on=_KEYS, how="inner"), learnt_at=issue_time, learns=not frozen)


def _check(contexts: pd.DataFrame) -> None:
    for name in FEATURES:
        if name not in contexts.columns:
            raise BadInputError(f"tuning: the contexts lack {name!r}; make them with segment_contexts")
        if not (finite := np.isfinite(contexts[name].to_numpy(dtype=float))).all():
            segment = contexts.index[int((~finite).argmax())]
            raise BadInputError(
                f"tuning: {name!r} of segment {segment!r} is no number; leave the segment out or make it with segment_contexts"
            )


def _reason(rewards: int, expected: Mapping[str, float], sd: float, arm: str, frozen: bool) -> str:
    best = max(expected, key=lambda name: expected[name])
    told = f"expected reward {expected[arm]:.3f} +- {sd:.3f}, after {rewards} rewards"
    if frozen:
        return f"frozen: {arm} is expected to be best; {told}"
    if arm == best:
        return f"{arm} is expected to be best; {told}"
    return f"explores {arm}: {told}; {best} is expected to be best with {expected[best]:.3f}"
