"""Promotion: the alias first, then the log, then the version's tags; safe to repeat after a kill anywhere between.

The alias comes first because scoring takes an alias that the log does not know for a move by hand, honours it and records it. So a
promotion that was cut in the middle is completed by whoever comes next, instead of being taken back.
"""

from __future__ import annotations

import logging

import pandas as pd

from headroom.errors import BadInputError
from headroom.home import Home
from models.promotion_log import Promotion, PromotionLog
from models.registry import CHAMPION, MODEL_NAME, ModelVersion, find_version, set_alias, tag_version

__all__ = ["AWAITING_REVIEW", "await_review", "promote"]

AWAITING_REVIEW = "awaiting-review"
_LOG = logging.getLogger(__name__)


def promote(
    version: str, *, home: Home, reason: str, effective_at: pd.Timestamp, action: str | None = None, score: float | None = None
) -> Promotion:
    """Make `version` the champion from `effective_at` on.

    The alias `champion` names who reigns after everything in the log: a promotion effective before a later one does not move it.

    Args:
        version: version of `demand-forecaster` in MLflow.
        reason: kept in the log and on the version.
        effective_at: first issue time that it serves; a training's is its issue time.
        action: promote or rollback; by default what it is: a version that reigned before and was replaced is rolled back to.
        score: mean pinball loss over the best naive's, when known.

    Raises:
        BadInputError: when there is no such version.
        UnavailableError: when MLflow or the database does not answer.
    """
    found = find_version(home, version)
    if found is None:
        raise BadInputError(f"{MODEL_NAME} has no version {version!r}; MLflow's registry at {home.mlflow_uri} lists those that it has")
    with PromotionLog.open(home.database_url) as log:
        newest = log.champion_as_of(MODEL_NAME)
        if newest is None or newest.effective_at <= effective_at or newest.version == found.version:
            set_alias(home, CHAMPION, found.version)
        else:
            later = newest.effective_at.isoformat()
            _LOG.warning("version %s serves from %s to %s; version %s keeps the alias", version, effective_at, later, newest.version)
        line = log.record(
            model=MODEL_NAME,
            version=found.version,
            run_id=found.run_id,
            effective_at=effective_at,
            reason=reason,
            action=action or _action(log, found, effective_at),
            score=score,
        )
    tag_version(home, found.version, {AWAITING_REVIEW: None, "promoted-from": effective_at.isoformat(), "promotion-reason": reason})
    return line


def _action(log: PromotionLog, version: ModelVersion, effective_at: pd.Timestamp) -> str:
    """A rollback returns to a version that another one has replaced."""
    lines = [(line.version, line.run_id) for line in log.champions_until(MODEL_NAME, effective_at)]
    own = (version.version, version.run_id)
    return "rollback" if own in lines and lines[0] != own else "promote"


def await_review(version: str, *, home: Home, reason: str, effective_at: pd.Timestamp) -> None:
    """Mark a version that passed the gate and waits for a person; the tag says how to promote it."""
    how = f'headroom promote {version} --as-of {effective_at.strftime("%Y-%m-%dT%H:%MZ")} --why "..."'
    tag_version(home, version, {AWAITING_REVIEW: how, "promotion-reason": reason})
