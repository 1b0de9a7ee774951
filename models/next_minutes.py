"""Demand of the next minutes at steps of 5: fitted once a day, issued anew at every step without a refit, corrected by the newest errors.

The engine is that of the hourly forecasts, at the step of 5 minutes. Fits and what was issued are kept in a folder as a cache: each file says by
when it was known, so that an issue time uses none that knew more, and without the folder the same is calculated again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.atomic_write import write_whole
from headroom.demand import demand_by_step, known_events
from headroom.errors import BadInputError
from headroom.lake import Lake
from headroom.settings import Settings
from headroom.vocabulary import QUANTILE_COLUMNS, SHORT_STEP_MINUTES, split_series_ids
from models.anomaly_doubt import believed, with_doubts
from models.demand_model import DemandModel
from models.forecaster import SeriesCalendar
from models.issued_forecasts import measured
from models.ready_model import HELD_OUT, READY, fit_ready
from models.rhythm import Rhythm
from models.short_lead import correct_short_leads

__all__ = ["NextMinutes", "fit_next_minutes", "forecast_next_minutes"]

STEP: Final = pd.Timedelta(minutes=SHORT_STEP_MINUTES)
_RHYTHM: Final = Rhythm(STEP, horizon=3)
_CONTEXT: Final = _RHYTHM.context * STEP
# Issue times before the present one, whose errors say what the newest is worth: three hours.
_WARM_UP: Final = 36
# A series whose newest measurement is older than this, beside its source's own delay, is not known well enough to act upon.
_STALE: Final = 2 * STEP
_EVENTS_BEFORE: Final = pd.Timedelta(days=35)
_DAY: Final = pd.Timedelta(days=1)
_STAMP: Final = "%Y%m%dT%H%M"


@dataclass(frozen=True)
class NextMinutes:
    """A forecast of the next 15 minutes.

    Attributes:
        rows: `unique_id, region, service, resource, ds, measured`, the quantiles of `headroom.vocabulary`; three steps per series. `measured` is
            the series' newest measurement.
        left_out: series that have none -> why.
        fitted_at: moment of the fit.
    """

    rows: pd.DataFrame
    left_out: dict[str, str]
    fitted_at: pd.Timestamp


def fit_next_minutes(settings: Settings, lake: Lake, folder: Path, *, issue_time: pd.Timestamp) -> DemandModel:
    """The day's model, from what was known when the day (UTC) of `issue_time` began; fitted when `folder` does not hold it yet.

    Raises:
        BadInputError: when no series has the history for a fit.
    """
    moment = issue_time.floor("D")
    place = folder / f"fit-{moment:%Y%m%d}-{_fingerprint(settings)}"
    if place.is_dir():
        return DemandModel.load(place)
    history, events = _history(settings, lake, moment - HELD_OUT - _CONTEXT, moment)
    if history.empty:
        raise BadInputError(
            f"nothing was measured at steps of {SHORT_STEP_MINUTES} minutes before {moment.isoformat()} (as known then); ingest metrics first"
        )
    zones = SeriesCalendar.from_settings(settings).timezones
    model = fit_ready(history, events, SeriesCalendar(zones, rhythm=_RHYTHM), READY, moment, seed=0)
    _keep_fit(model, place)
    return model


def forecast_next_minutes(settings: Settings, lake: Lake, folder: Path, *, issue_time: pd.Timestamp) -> NextMinutes:
    """Quantiles of every series for the three steps of 5 minutes from `issue_time` on; nothing that became known later is used.

    Args:
        folder: the cache.
        issue_time: a multiple of 5 minutes, UTC.

    Raises:
        BadInputError: when no series has the history for a fit.
    """
    model = fit_next_minutes(settings, lake, folder, issue_time=issue_time)
    moments = [issue_time - back * STEP for back in range(_WARM_UP, -1, -1)]
    history, events = _history(settings, lake, moments[0] - _CONTEXT, issue_time)
    left_out = _left_out(settings, model, history, issue_time)
    served = sorted(str(series) for series in settings.series if str(series) not in left_out)
    if not served:
        nothing = _rows([], np.empty(0, dtype=np.float32), issue_time).assign(measured=0.0)
        return NextMinutes(nothing, dict(sorted(left_out.items())), model.train_end)
    values = _issued(model, history, events, served, moments, folder)
    truth, last = measured(history, served, moments, STEP, _RHYTHM.horizon)
    corrected = correct_short_leads(values, truth, last, 1)[-1]
    finite = np.isfinite(corrected).all(axis=(1, 2))
    left_out |= {name: "no candidate could forecast it" for name, fine in zip(served, finite, strict=True) if not fine}
    kept = [name for name, fine in zip(served, finite, strict=True) if fine]
    _prune(folder, issue_time)
    newest = history.sort_values("ds").groupby("unique_id")["y"].last()
    rows = _rows(kept, corrected[finite], issue_time)
    return NextMinutes(rows.assign(measured=rows["unique_id"].map(newest)), dict(sorted(left_out.items())), model.train_end)


def _history(settings: Settings, lake: Lake, start: pd.Timestamp, end: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(demand of `[start, end)` with doubts, events), both as known at `end`."""
    wanted = [str(series) for series in settings.series]
    columns = ["unique_id", "ds", "y", "source"]
    rows = lake.read("metrics", start=start, end=end, as_of=end, where={"unique_id": wanted}, columns=columns)
    demand = demand_by_step(settings, rows, STEP)
    events = known_events(lake, start=start - _EVENTS_BEFORE, end=end + _DAY, as_of=end)
    return with_doubts(demand, events, step=STEP), events


def _left_out(settings: Settings, model: DemandModel, history: pd.DataFrame, issue_time: pd.Timestamp) -> dict[str, str]:
    """Series that cannot be forecast or acted upon, and why."""
    steps = {metric: source for source in settings.metrics for metric in source.metrics}
    newest = history.groupby("unique_id")["ds"].max() + STEP
    why = model.unservable(history, issue_time)
    for series in settings.series:
        source = steps[settings.services[series.service].demand[series.resource]]  # type: ignore[index]
        until = newest.get(str(series))
        if source.step_minutes > SHORT_STEP_MINUTES:
            why[str(series)] = f"source {source.name} measures every {source.step_minutes} minutes, not every {SHORT_STEP_MINUTES}"
        elif until is None:
            why[str(series)] = f"not measured in the {_CONTEXT.days} days before {issue_time.isoformat()}"
        elif until < issue_time - pd.Timedelta(minutes=source.delay_minutes) - _STALE:
            why[str(series)] = f"last measured until {until.isoformat()}; source {source.name} gave nothing since"
    return why


def _issued(
    model: DemandModel, history: pd.DataFrame, events: pd.DataFrame, served: Sequence[str], moments: Sequence[pd.Timestamp], folder: Path
) -> npt.NDArray[np.float32]:
    """Forecasts of every moment, shape (moments, series, steps, quantiles): those that were kept, and the others made from what is known now."""
    values = np.full((len(moments), len(served), _RHYTHM.horizon, len(QUANTILE_COLUMNS)), np.nan, dtype=np.float32)
    for number, moment in enumerate(moments):
        rows = _kept(folder, moment, moments[-1])
        if rows is None:
            known = believed(history[history["ds"] >= moment - _CONTEXT], moment)
            rows = model.predict(known, events, moment, _RHYTHM.horizon, refit=False)[["unique_id", "ds", *QUANTILE_COLUMNS]]
            _keep(rows, folder, moment, moments[-1])
        own = rows[rows["unique_id"].isin(list(served))]
        at = np.searchsorted(np.array(served, dtype=object), own["unique_id"].to_numpy(dtype=object)[:: _RHYTHM.horizon])
        values[number, at] = own[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float32).reshape(len(at), *values.shape[2:])
    return values


def _rows(names: Sequence[str], values: npt.NDArray[np.float32], issue_time: pd.Timestamp) -> pd.DataFrame:
    ids = pd.Series(np.repeat(np.array(names, dtype=object), _RHYTHM.horizon), name="unique_id", dtype=object)
    steps = pd.Series([issue_time + step * STEP for step in range(_RHYTHM.horizon)] * len(names), name="ds", dtype="datetime64[us, UTC]")
    quantiles = pd.DataFrame(values.reshape(-1, len(QUANTILE_COLUMNS)).astype(float), columns=list(QUANTILE_COLUMNS))
    named = split_series_ids(ids) if names else pd.DataFrame(columns=["region", "service", "resource"])
    return pd.concat([ids, named, steps, quantiles], axis=1)


def _fingerprint(settings: Settings) -> str:
    """Of what a fit depends on beside the history."""
    told = [*(str(series) for series in settings.series), settings.policy.demand_statistic]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def _keep_fit(model: DemandModel, place: Path) -> None:
    """Whole or not at all; another process that was first is left its own."""
    fresh = place.with_name(f".{os.getpid()}.{place.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    model.save(fresh)
    try:
        fresh.rename(place)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not place.is_dir():
            raise


def _keep(rows: pd.DataFrame, folder: Path, moment: pd.Timestamp, known: pd.Timestamp) -> None:
    write_whole(folder / f"issued-{moment:{_STAMP}}-{known:{_STAMP}}.parquet", lambda path: rows.to_parquet(path, index=False))


def _kept(folder: Path, moment: pd.Timestamp, known: pd.Timestamp) -> pd.DataFrame | None:
    """What was issued at a moment, of what was known by then or soon after, not later than `known`."""
    files = sorted(folder.glob(f"issued-{moment:{_STAMP}}-*.parquet"))
    fitting = [file for file in files if file.stem.rpartition("-")[2] <= f"{known:{_STAMP}}"]
    return pd.read_parquet(fitting[0]) if fitting else None


def _prune(folder: Path, issue_time: pd.Timestamp) -> None:
    """Delete what no issue time from the day before `issue_time` on asks for."""
    oldest = issue_time - _DAY
    for file in folder.glob("issued-*.parquet"):
        if file.stem.split("-")[1] < f"{oldest - _WARM_UP * STEP:{_STAMP}}":
            file.unlink(missing_ok=True)
    for place in folder.glob("fit-*"):
        if place.name.split("-")[1] < f"{oldest:%Y%m%d}":
            shutil.rmtree(place, ignore_errors=True)
