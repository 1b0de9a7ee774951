"""The champion as of an issue time, opened and ready to forecast, or the reason why there is none.

Live runs ask the alias `champion`, backfills the promotion log. The two agree, because a promotion writes both, and because an alias
that somebody moved by hand in MLflow is written into the log by the first live run that meets it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from headroom.errors import UnavailableError
from headroom.home import Home
from headroom.lake import Lake
from models.demand_model import DemandModel
from models.promotion_log import Promotion, PromotionLog
from models.registry import CHAMPION, MODEL_NAME, ModelVersion, alias_holder, cached_model, fetch_model, forget_model

__all__ = ["Champion", "open_champion"]

_LOG: Final = logging.getLogger(__name__)
_MOMENT: Final = pd.Timedelta("1us")
_FAR: Final = pd.Timedelta(days=3660)


@dataclass(frozen=True)
class Champion:
    """Who forecasts.

    Attributes:
        version: None when nobody does.
        model: the fitted model of `version`.
        notices: what is not as it should be, each in one sentence.
    """

    version: str | None = None
    model: DemandModel | None = None
    notices: list[str] = field(default_factory=list)


def open_champion(home: Home, lake: Lake, *, issue_time: pd.Timestamp, live: bool) -> Champion:
    """The champion at `issue_time`.

    When MLflow does not answer, the promotion log decides and the cached files serve. When the champion's files cannot be had, the
    champion before it serves. Both are said in `notices`.

    Args:
        live: ask the alias too; a run for an hour before the newest promotion, or before an hour that was scored, is no live run.

    Raises:
        UnavailableError: when the database of the promotion log does not answer.
    """
    notices: list[str] = []
    with PromotionLog.open(home.database_url) as log:
        if live:
            _follow_alias(home, lake, log, issue_time, notices)
        lines = log.champions_until(MODEL_NAME, issue_time)
    if not lines:
        return Champion(notices=[*notices, f"no champion at {issue_time.isoformat()}: train a model, or promote one"])
    for version in dict.fromkeys(ModelVersion(line.version, line.run_id) for line in lines):
        try:
            return Champion(version.version, _open(home, version, first=version.version == lines[0].version), notices)
        except UnavailableError as error:
            _LOG.warning("champion %s cannot be opened: %s", version.version, error)
            notices.append(f"champion {version.version} cannot be opened: {error}")
    return Champion(notices=notices)


def _follow_alias(home: Home, lake: Lake, log: PromotionLog, issue_time: pd.Timestamp, notices: list[str]) -> None:
    """Write an alias that was moved by hand into the log, effective now."""
    try:
        held = alias_holder(home, CHAMPION)
    except UnavailableError as error:
        notices.append(f"the promotion log names the champion: {error}")
        return
    newest = log.champion_as_of(MODEL_NAME)
    if held is None:
        if newest is not None:
            notices.append(f"MLflow has no alias {CHAMPION}; the promotion log names version {newest.version}, promote it again")
        return
    if newest is not None and _same(newest, held):
        return
    if (newest is not None and issue_time < newest.effective_at) or _scored_later(lake, issue_time):
        return  # an hour of the past is scored by the champion that it had
    known = {line.version for line in log.champions_until(MODEL_NAME)}
    log.record(
        model=MODEL_NAME,
        version=held.version,
        run_id=held.run_id,
        effective_at=issue_time,
        reason="the alias was moved by hand in MLflow",
        action="rollback" if held.version in known else "promote",
    )
    notices.append(f"the alias {CHAMPION} was moved to version {held.version} by hand in MLflow; recorded from {issue_time.isoformat()}")


def _same(line: Promotion, held: ModelVersion) -> bool:
    return (line.version, line.run_id) == (held.version, held.run_id)


def _scored_later(lake: Lake, issue_time: pd.Timestamp) -> bool:
    later = lake.read("forecasts", start=issue_time + _MOMENT, end=issue_time + _FAR, columns=["issue_time"])
    return not later.empty


def _open(home: Home, version: ModelVersion, *, first: bool) -> DemandModel:
    """The model of a version; files that turn out broken are fetched once more.

    Raises:
        UnavailableError: when it cannot be opened.
    """
    if not first and cached_model(home, version) is None:
        raise UnavailableError("it is not on this machine")  # an older champion is a stopgap: not worth waiting for MLflow again
    try:
        return DemandModel.load(fetch_model(home, version))
    except UnavailableError:
        raise
    except Exception:  # noqa: BLE001 - broken files show in any way
        _LOG.exception("the files of version %s on this machine are broken; fetching them again", version.version)
    forget_model(home, version)
    try:
        return DemandModel.load(fetch_model(home, version))
    except UnavailableError:
        raise
    except Exception as error:
        raise UnavailableError(f"its files in MLflow are broken ({type(error).__name__}: {error})") from error
