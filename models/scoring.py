"""Scoring: 72 hours of quantiles for every series, by the champion as of the issue time.

Everything is read as of the issue time, so a backfilled hour equals the live one. A series that the champion cannot serve repeats its
last week and says why in `fallback_reason`; without a champion all series do.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from headroom.demand import hourly_demand, known_events
from headroom.errors import BadInputError
from headroom.home import Home
from headroom.lake import Lake
from headroom.schemas import TABLES, content_digest
from headroom.settings import Settings
from headroom.vocabulary import HORIZON_HOURS, QUANTILE_COLUMNS, split_series_ids
from models.anomaly_doubt import believed, with_doubts
from models.calibration import apply_offsets
from models.candidates import NAIVES, create
from models.champion import Champion, open_champion
from models.confidence import confidence
from models.forecaster import SeriesCalendar
from models.online_calibration import learnt_offsets
from models.quantile_frame import proper
from models.registry import MODEL_NAME
from models.rhythm import HOURLY

__all__ = ["FALLBACK", "ScoreReport", "already_scored", "score_forecasts"]

# Model and version of rows that no trained model made.
FALLBACK: Final = "seasonal-naive"

_LOG: Final = logging.getLogger(__name__)
_HOUR: Final = pd.Timedelta("1h")
# Events that began this long before the history may still last into it.
_EVENTS_BEFORE: Final = pd.Timedelta(days=35)
_KEYS: Final = ["unique_id", "ds", "horizon", "candidate", "model", "model_version", "fallback_reason"]


@dataclass(frozen=True)
class ScoreReport:
    """What was written.

    Attributes:
        rows: forecast rows.
        series: series with a forecast.
        model_version: of the champion, or `FALLBACK` when there is none.
        fallbacks: series that repeat their last week -> why.
        unserved: series without any recent history, which have no forecast -> why.
        notices: what was not as it should be about the champion.
        digest: sha256 of the rows.
    """

    rows: int
    series: int
    model_version: str
    fallbacks: dict[str, str]
    digest: str
    unserved: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def score_forecasts(settings: Settings, lake: Lake, home: Home, *, issue_time: pd.Timestamp, live: bool) -> ScoreReport:
    """Write the `forecasts` of an issue time, replacing those that are there.

    Guaranteed of every series with recent history: 72 hours from `issue_time` on, quantiles finite, not negative, not crossing.

    Args:
        issue_time: full hour, UTC; nothing that became known later is used.
        live: ask MLflow's alias for the champion; otherwise the promotion log alone decides.

    Raises:
        BadInputError: when no series has recent history, or `issue_time` is not a full hour.
        UnavailableError: when lake or database do not answer.
    """
    if issue_time != issue_time.floor("h"):
        raise BadInputError(f"issue time {issue_time.isoformat()} is not a full hour; forecasts are hourly")
    wanted = [str(series) for series in settings.series]
    start = issue_time - HOURLY.context * _HOUR
    history = hourly_demand(lake, settings, start=start, end=issue_time, as_of=issue_time).dropna(subset=["y"])
    if history.empty:
        raise BadInputError(
            f"no series was measured between {start.isoformat()} and {issue_time.isoformat()} (as known then); ingest metrics first"
        )
    events = known_events(lake, start=start - _EVENTS_BEFORE, end=issue_time + HORIZON_HOURS * _HOUR, as_of=issue_time)
    history = believed(with_doubts(history, events), issue_time)
    champion = open_champion(home, lake, issue_time=issue_time, live=live)
    served, fallbacks = _by_champion(champion, history, events, issue_time)
    naive = _by_naive(history[~history["unique_id"].isin(list(served["unique_id"]))], events, issue_time, fallbacks)
    forecast = _learnt(lake, pd.concat([part for part in (served, naive) if len(part)], ignore_index=True), issue_time)
    rows = _rows(settings, champion, forecast, issue_time)
    lake.replace("forecasts", rows, start=issue_time, end=issue_time + _HOUR)
    report = _report(champion, rows, sorted(set(wanted) - set(history["unique_id"])))
    _say(report, issue_time)
    return report


def already_scored(lake: Lake, issue_time: pd.Timestamp) -> bool:
    """Whether the lake has forecasts of this issue time."""
    return not lake.read("forecasts", start=issue_time, end=issue_time + _HOUR, columns=["issue_time"]).empty


def _by_champion(
    champion: Champion, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp
) -> tuple[pd.DataFrame, dict[str, str]]:
    """(forecast of the series it served, whole and finite; the other series -> why)."""
    names = sorted(history["unique_id"].unique())
    model = champion.model
    if model is None:
        return pd.DataFrame(columns=_KEYS), dict.fromkeys(names, champion.notices[-1])
    left_out = model.unservable(history, issue_time)
    broken: dict[str, str] = {}
    try:
        forecast = model.predict(history, events, issue_time)
    except Exception:  # noqa: BLE001 - a model that fails in any way must not cost the services their forecast
        _LOG.exception("champion %s failed; trying series by series", champion.version)
        forecast, broken = _one_by_one(champion, [name for name in names if name not in left_out], history, events, issue_time)
    values = forecast[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)
    finite = forecast[np.isfinite(values).all(axis=1)] if len(forecast) else forecast
    whole = finite.groupby("unique_id")["ds"].transform("nunique") == HORIZON_HOURS
    good = finite[whole].assign(model=MODEL_NAME, model_version=champion.version, fallback_reason="")
    served = set(good["unique_id"])
    partly = f"champion {champion.version} gave no whole finite forecast"
    return good, {name: broken.get(name) or left_out.get(name) or partly for name in names if name not in served}


def _one_by_one(
    champion: Champion, names: list[str], history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp
) -> tuple[pd.DataFrame, dict[str, str]]:
    assert champion.model is not None
    parts, broken = [pd.DataFrame(columns=["unique_id", "ds", "horizon", "candidate", *QUANTILE_COLUMNS])], {}
    for name in names:
        try:
            parts.append(champion.model.predict(history[history["unique_id"] == name], events, issue_time))
        except Exception as error:  # noqa: BLE001 - as above, for one series
            _LOG.exception("champion %s failed for %s", champion.version, name)
            broken[name] = f"champion {champion.version} failed: {type(error).__name__}: {error}"
    kept = [part for part in parts if len(part)]
    return (pd.concat(kept, ignore_index=True) if kept else parts[0]), broken


def _by_naive(history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, reasons: dict[str, str]) -> pd.DataFrame:
    if history.empty:
        return pd.DataFrame(columns=_KEYS)
    weekly = create(NAIVES[-1]).fit(history, events, SeriesCalendar())
    forecast = weekly.predict_quantiles(history, events, issue_time)
    return forecast.assign(
        horizon=((forecast["ds"] - issue_time) // _HOUR).astype("int32") + 1,
        candidate=weekly.name,
        model=FALLBACK,
        model_version=FALLBACK,
        fallback_reason=forecast["unique_id"].map(reasons),
    )


def _learnt(lake: Lake, forecast: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    """Every row moved by the offsets that its version has learnt for its series, sorted by series and hour."""
    learnt = learnt_offsets(lake, issue_time)
    parts = [
        apply_offsets(rows.reset_index(drop=True), learnt[learnt["model_version"] == version])
        for version, rows in forecast.groupby("model_version", sort=True)
    ]
    moved = pd.concat(parts, ignore_index=True).sort_values(["unique_id", "ds"], ignore_index=True)
    quantiles = list(QUANTILE_COLUMNS)
    return moved.assign(**dict(zip(quantiles, proper(moved[quantiles].to_numpy(dtype=float)).T, strict=True)))


def _rows(settings: Settings, champion: Champion, forecast: pd.DataFrame, issue_time: pd.Timestamp) -> pd.DataFrame:
    model = champion.model
    trained = forecast["model_version"] != FALLBACK
    start, end = (model.train_start, model.train_end) if model is not None else (pd.NaT, pd.NaT)
    full = pd.concat([forecast, split_series_ids(forecast["unique_id"])], axis=1).assign(
        issue_time=issue_time,
        available_at=issue_time,
        confidence=confidence(forecast, settings.policy.tolerance),
        train_start=pd.Series(start, index=forecast.index, dtype="datetime64[us, UTC]").where(trained),
        train_end=pd.Series(end, index=forecast.index, dtype="datetime64[us, UTC]").where(trained),
    )
    return full.astype({"horizon": "int32"})[list(TABLES["forecasts"].columns)]


def _report(champion: Champion, rows: pd.DataFrame, without_history: list[str]) -> ScoreReport:
    fallen = rows[rows["fallback_reason"] != ""].drop_duplicates("unique_id")
    why = f"not measured in the {HOURLY.context // HOURLY.day} days before the issue time"
    return ScoreReport(
        rows=len(rows),
        series=int(rows["unique_id"].nunique()),
        model_version=champion.version or FALLBACK,
        fallbacks=dict(zip(fallen["unique_id"], fallen["fallback_reason"], strict=True)),
        digest=content_digest("forecasts", rows),
        unserved=dict.fromkeys(without_history, why),
        notices=champion.notices,
    )


def _say(report: ScoreReport, issue_time: pd.Timestamp) -> None:
    for notice in report.notices:
        _LOG.warning("%s", notice)
    for series, reason in report.fallbacks.items():
        _LOG.warning("%s repeats its last week: %s", series, reason)
    for series, reason in report.unserved.items():
        _LOG.warning("%s has no forecast issued %s: %s", series, issue_time.isoformat(), reason)
