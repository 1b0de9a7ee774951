"""Forecasts as they would have been issued: at every issue time of a replay, from the history up to then and the events known by then.

Models are fitted at the first issue time and again whenever `refit_every` has passed (`models.ready_model`); in between they forecast without a
refit, as the loop does between two trainings. Issue times before the first one teach the correction of the next steps (`models.short_lead`)
what the newest error says.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.progress import Progress, SilentProgress
from headroom.vocabulary import QUANTILE_COLUMNS
from models.anomaly_doubt import believed
from models.candidates import NAIVES
from models.engine_clock import engine_clock
from models.forecaster import SeriesCalendar
from models.long_frame import LongFrame
from models.ready_model import READY, fit_ready
from models.rhythm import Rhythm
from models.short_lead import correct_short_leads
from models.worker_processes import given, worker_processes

__all__ = ["READY", "IssuedQuantiles", "issue_forecasts", "measured"]

_WEEK: Final = pd.Timedelta(days=7)
_WARM_UP: Final = 72


@dataclass(frozen=True, eq=False)
class IssuedQuantiles:
    """Attributes:
    series: their ids, sorted.
    issue_times: UTC without a zone.
    values: shape (issue times, series, horizon, quantiles of `headroom.vocabulary`), `float32`; NaN where a series could not be forecast.
        The first step ahead is the one that begins at the issue time.
    """

    series: list[str]
    issue_times: list[pd.Timestamp]
    values: npt.NDArray[np.float32]


def issue_forecasts(
    series: LongFrame,
    issue_times: Sequence[pd.Timestamp],
    horizon: int,
    *,
    events: pd.DataFrame | None = None,
    candidates: Sequence[str] = READY,
    refit_every: pd.Timedelta = _WEEK,
    seed: int = 0,
    progress: Progress | None = None,
    jobs: int = 1,
) -> IssuedQuantiles:
    """Forecast `horizon` steps at every issue time; what lies after an issue time changes nothing in its forecast.

    Args:
        issue_times: on the grid of the series, UTC without a zone, ascending, one distance between all.
        events: see `models.drivers.read_events`.
        candidates: among those that forecast without a refit; the naives always take part.
        jobs: processes at most, one per fit; above 1 the caller's main module must be importable.

    Raises:
        BadInputError: for a candidate that must be refitted, for issue times of several distances, or when no series has the history for a
            fit at the first issue time.
    """
    if unknown := sorted(set(candidates) - set(READY)):
        raise BadInputError(f"candidate {unknown[0]!r} cannot forecast without a refit; a replay takes {', '.join(READY)}")
    names = [name for name in READY if name in {*candidates, *NAIVES}]
    listener = progress or SilentProgress()
    clock = engine_clock(series, horizon, events)
    history, ids = clock.history, sorted(clock.ends.index)
    stride = _stride(issue_times, series.step, horizon)
    before = _warm_up(history, clock.rhythm, _utc(issue_times)[0], stride)
    moments = [*before, *_utc(issue_times)]
    work = _Work(history, clock.events, clock.calendar, names, ids, seed)
    listener.start(len(moments), "forecasts")
    values = np.concatenate(_each(work, _stretches(moments, refit_every), jobs, listener))
    truth, last = measured(history, ids, moments, series.step, horizon)
    corrected = correct_short_leads(values, truth, last, stride)
    return IssuedQuantiles(ids, list(issue_times), corrected[len(before) :])


@dataclass(frozen=True, eq=False)
class _Work:
    """What every fit and forecast needs; a worker is started with it."""

    history: pd.DataFrame
    events: pd.DataFrame
    calendar: SeriesCalendar
    names: Sequence[str]
    ids: Sequence[str]
    seed: int


def _stretches(moments: Sequence[pd.Timestamp], refit_every: pd.Timedelta) -> list[list[pd.Timestamp]]:
    """The issue times of each fit; the first of each is when it is made."""
    found: list[list[pd.Timestamp]] = []
    for moment in moments:
        if not found or moment - found[-1][0] >= refit_every:
            found.append([])
        found[-1].append(moment)
    return found


def _each(work: _Work, stretches: Sequence[Sequence[pd.Timestamp]], jobs: int, listener: Progress) -> list[npt.NDArray[np.float32]]:
    """Forecasts of every stretch, in order; fits do not depend on each other, so that processes share them out."""
    workers = min(jobs, len(stretches))
    if workers == 1:
        return [_stretch(work, moments, listener) for moments in stretches]
    with worker_processes(workers, work) as pool:
        running = [pool.submit(_given_stretch, moments) for moments in stretches]
        for done in as_completed(running):
            listener.advance(len(done.result()))
        return [done.result() for done in running]


def _given_stretch(moments: Sequence[pd.Timestamp]) -> npt.NDArray[np.float32]:
    return _stretch(given(), moments, SilentProgress())


def _stretch(work: _Work, moments: Sequence[pd.Timestamp], listener: Progress) -> npt.NDArray[np.float32]:
    """A fit at the first moment, and its forecasts at all of them: shape (moments, series, horizon, quantiles)."""
    rhythm, history = work.calendar.rhythm, work.history
    model = fit_ready(history, work.events, work.calendar, work.names, moments[0], work.seed)
    values = np.full((len(moments), len(work.ids), rhythm.horizon, len(QUANTILE_COLUMNS)), np.nan, dtype=np.float32)
    places = np.array(work.ids, dtype=object)
    for number, moment in enumerate(moments):
        known = believed(history[history["ds"] >= moment - rhythm.context * rhythm.step], moment)
        rows = model.predict(known, work.events, moment, rhythm.horizon, refit=False)
        at = np.searchsorted(places, rows["unique_id"].to_numpy(dtype=object)[:: rhythm.horizon])
        found = rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float32)
        values[number, at] = found.reshape(len(at), rhythm.horizon, len(QUANTILE_COLUMNS))
        listener.advance(1)
    return values


def _stride(issue_times: Sequence[pd.Timestamp], step: pd.Timedelta, horizon: int) -> int:
    """Steps between two issue times."""
    gaps = {later - earlier for earlier, later in itertools.pairwise(issue_times)} or {step}
    stride = round(min(gaps) / step)
    if len(gaps) > 1 or stride * step != min(gaps) or not 0 < stride <= horizon:
        raise BadInputError(
            f"issue times: expected one distance between all, of 1 to {horizon} whole steps; found {min(gaps)} to {max(gaps)}"
        )
    return stride


def _warm_up(history: pd.DataFrame, rhythm: Rhythm, first: pd.Timestamp, stride: int) -> list[pd.Timestamp]:
    """Issue times before the first, from which the short-lead correction learns; fewer where the history is young."""
    gap = stride * rhythm.step
    earliest = history["ds"].min() + (rhythm.shortest + rhythm.day) * rhythm.step
    count = int(min(max((first - earliest) // gap, 0), _WARM_UP))
    return [first - number * gap for number in range(count, 0, -1)]


def measured(
    own: pd.DataFrame, ids: Sequence[str], moments: Sequence[pd.Timestamp], step: pd.Timedelta, horizon: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What was measured at every lead, shape (issue times, series, horizon), and right before every issue time; NaN where nothing was."""
    grid = pd.date_range(moments[0] - step, moments[-1] + (horizon - 1) * step, freq=step)
    wide = own.set_index(["unique_id", "ds"])["y"].unstack("ds").reindex(index=list(ids), columns=grid).to_numpy(dtype=float)  # noqa: PD010 - every pair is there once
    start = np.array([(moment - moments[0]) // step for moment in moments])
    at = start[:, None] + np.arange(horizon + 1)
    seen = wide[:, at].transpose(1, 0, 2)
    return seen[..., 1:], seen[..., 0]


def _utc(times: Sequence[pd.Timestamp]) -> list[pd.Timestamp]:
    return [moment.tz_localize("UTC").as_unit("us") for moment in times]
