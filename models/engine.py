"""Backtest and forecast of any long frame: the calculation that the training DAG spreads over tasks, in one call.

A window's forecast is made as a training would make it at its cutoff: candidates are fitted on what lies before, their weights come from
every other out-of-fold window before it (see `models.backtest.split_windows`), the calibration from all of them, each with weights that
have not seen it (see `models.cross_fit`). The windows of a backtest are the last non-overlapping horizons of each series, so the out-of-fold windows of a later one are the test windows of an
earlier one and are computed once. Before means by the clock, for all series, wherever each of them ends (see `models.engine_rounds`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

import pandas as pd

from headroom.errors import BadInputError
from headroom.progress import Progress, SilentProgress
from headroom.vocabulary import QUANTILE_COLUMNS
from models.anomaly_doubt import DOUBTED, believed
from models.backtest import split_windows
from models.calibration import fit_calibration
from models.candidates import CANDIDATES, DECLARED, NAIVES
from models.cross_fit import unseen
from models.engine_budget import affordable, seconds_of
from models.engine_clock import EngineClock, engine_clock, without_zone
from models.engine_rounds import engine_rounds
from models.engine_workers import Rows, out_of_fold
from models.ensemble import blend, ensemble_weights
from models.hourly_grid import unservable
from models.long_frame import LongFrame
from models.trial import may_win, sampled, trial_windows
from models.visible_events import events_known_at
from models.young_series import equal_weights, with_young_series

__all__ = ["FINAL", "BacktestResult", "ForecastResult", "backtest_frame", "forecast_frame"]

FINAL: Final = "headroom"
# Out-of-fold windows before a cutoff: those that weigh, and those that calibrate only.
_WEIGHING: Final = 3
_CALIBRATING: Final = 3
# Less work than this is not worth another process.
_SECONDS_PER_WORKER: Final = 15.0
_COLUMNS: Final = ["unique_id", "cutoff", "ds", "candidate", *QUANTILE_COLUMNS, "y"]


@dataclass(frozen=True)
class BacktestResult:
    """What a backtest gives.

    Attributes:
        forecasts: `unique_id, cutoff, ds, candidate, *QUANTILE_COLUMNS, y`; candidate `FINAL` is the forecast, the others went into it.
        weights: `unique_id, cutoff, candidate, weight`.
        importance: `feature, share` of what the gradient-boosted model of the last window leaned on; empty when it took no part.
        seconds: candidate -> CPU seconds; `FINAL` is the total.
        left_out: unique_id -> why it has no forecast.
        doubted: unique_id -> measurements that the last window's fit took for faults and left out (`models.anomaly_doubt`); series with none are absent.
    """

    forecasts: pd.DataFrame
    weights: pd.DataFrame
    importance: pd.DataFrame
    seconds: dict[str, float]
    left_out: dict[str, str] = field(default_factory=dict)
    doubted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ForecastResult:
    """`forecasts`: `unique_id, ds, *QUANTILE_COLUMNS`; `weights` and `left_out` as in `BacktestResult`."""

    forecasts: pd.DataFrame
    weights: pd.DataFrame
    left_out: dict[str, str] = field(default_factory=dict)


def backtest_frame(
    series: LongFrame,
    *,
    horizon: int,
    windows: int,
    candidates: Sequence[str] = (),
    events: pd.DataFrame | None = None,
    future: pd.DataFrame | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    jobs: int = 1,
) -> BacktestResult:
    """Forecast the last `windows` horizons of every series from what lay before each.

    Args:
        events: see `models.drivers.read_events`.
        future: see `models.drivers.read_future`; taken as known ahead, so hand in what was forecast then.
        jobs: processes at most, where the work is worth them; above 1 the caller's main module must be importable.
        candidates: these and the seasonal naives; none takes what the time budget allows.

    Raises:
        BadInputError: an unknown candidate, a step longer than a day, or no series with enough history.
    """
    started = time.process_time()
    clock = engine_clock(series, horizon, events, future)
    made = _out_of_fold(clock, candidates, windows, _Way(seed, progress or SilentProgress(), jobs))
    tested = made.rows[made.rows["back"] <= windows]
    if tested.empty:
        raise BadInputError(f"no series has the history for a window: {_first_reason(clock, horizon)}")
    final, weights = _combined(clock, made, tested)
    forecasts = without_zone(pd.concat([final, tested], ignore_index=True))
    return BacktestResult(
        forecasts=forecasts[_COLUMNS].sort_values(["unique_id", "cutoff", "candidate", "ds"], ignore_index=True),
        weights=weights,
        importance=_importance(clock, list(made.seconds), horizon, seed),
        seconds={**made.seconds, FINAL: time.process_time() - started + made.elsewhere},
        left_out=clock.left_out(set(forecasts["unique_id"]), horizon * windows),
        doubted=_doubted(clock),
    )


def forecast_frame(
    series: LongFrame,
    *,
    horizon: int,
    candidates: Sequence[str] = (),
    events: pd.DataFrame | None = None,
    future: pd.DataFrame | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    jobs: int = 1,
) -> ForecastResult:
    """Select, calibrate, fit and forecast the next `horizon` steps of every series; arguments and errors as in `backtest_frame`."""
    clock = engine_clock(series, horizon, events, future)
    made = _out_of_fold(clock, candidates, 0, _Way(seed, progress or SilentProgress(), jobs))
    ahead = made.rows[made.rows["back"] == 0]
    if ahead.empty:
        raise BadInputError(f"no series has the history for a forecast: {_first_reason(clock, 0)}")
    final, weights = _combined(clock, made, ahead)
    forecasts = without_zone(final)[["unique_id", "ds", *QUANTILE_COLUMNS]]
    return ForecastResult(
        forecasts=forecasts.sort_values(["unique_id", "ds"], ignore_index=True),
        weights=weights.drop(columns="cutoff"),
        left_out=clock.left_out(set(forecasts["unique_id"]), 0),
    )


def _combined(clock: EngineClock, made: Rows, wanted: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(final forecast of the windows of `wanted`, their weights): each combined by what was known when its candidates were fitted."""
    horizon, cutoffs = clock.rhythm.horizon * clock.rhythm.step, cast("pd.Series[pd.Timestamp]", made.rows["cutoff"])
    finals, weights = [], []
    for moment in sorted(wanted["moment"].unique()):
        now = wanted[wanted["moment"] == moment]
        # Whole horizons before the moment in which a window ends: series that end at different times have it at different cutoffs.
        ago = (moment - cutoffs) // horizon
        past = made.rows[(ago >= 1) & (ago <= _WEIGHING + _CALIBRATING) & (made.rows["back"] > 0)]
        past = past.assign(cutoff=moment - ago[past.index] * horizon)
        entered = [name for name in made.seconds if made.since.get(name, moment) <= moment]
        final, mix = _combine(past[past["candidate"].isin(entered)], now[now["candidate"].isin(entered)])
        finals.append(final)
        windows = now[["unique_id", "cutoff"]].drop_duplicates()
        weights.append(_long_weights(mix).merge(windows, on="unique_id"))
    table = without_zone(pd.concat(weights, ignore_index=True))
    return pd.concat(finals, ignore_index=True), table[["unique_id", "cutoff", "candidate", "weight"]]


def _combine(past: pd.DataFrame, now: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the final forecast for the rows of `now`, weights) from the out-of-fold rows of the windows before.

    A single window calibrates and weighs nothing: no window does both.
    """
    count = past["cutoff"].nunique()
    early, late = split_windows(past, min(_CALIBRATING, count // 2)) if count > 1 else (past.iloc[:0], past)
    served, names = list(now["unique_id"].unique()), [str(name) for name in now["candidate"].unique()]
    mix = with_young_series(ensemble_weights(early) if len(early) else pd.DataFrame(), served, names)
    final = blend(now, mix)
    if len(late):
        told = unseen(early, late, mix) if len(early) else blend(late, equal_weights(list(late["unique_id"].unique()), names))
        parts = [fit_calibration(told, seasoned=bool(grown)).apply(rows) for grown, rows in final.groupby(final["seasoned"].astype(bool))]
        final = pd.concat(parts, ignore_index=True)
    return final.assign(candidate=FINAL), mix


def _windows_before(clock: EngineClock, windows: int) -> int:
    """Out-of-fold windows that the longest series has room for before its test windows; 0 leaves the naive uncalibrated.

    A series whose fits are made before its own cutoffs needs one more, to have as many that ended by then.
    """
    horizon, most = clock.rhythm.horizon, _WEIGHING + _CALIBRATING
    room = clock.steps - (windows + 1) * horizon - clock.rhythm.shortest
    rounds = engine_rounds(clock.ends, clock.rhythm, range(windows + most + 1))
    ragged = any(at.moment < window.cutoff for at in rounds for window in at.windows)
    return max(0, min(most + ragged, room // horizon + 1))


@dataclass(frozen=True)
class _Way:
    """How out-of-fold rows are made: see `backtest_frame`."""

    seed: int
    progress: Progress
    jobs: int


def _out_of_fold(clock: EngineClock, asked: Sequence[str], windows: int, way: _Way) -> Rows:
    """Rows of the last `windows`, or of what lies ahead for 0, and of those that combine them.

    They are of the candidates asked for and the naives, or else of those that are worth their time.
    """
    if unknown := sorted(set(asked) - set(CANDIDATES)):
        raise BadInputError(f"candidate {unknown[0]!r} is unknown; known: {', '.join(CANDIDATES)}")
    back = _windows_before(clock, windows)
    backs = range(windows + back, 0 if windows else -1, -1)
    if asked:
        return _rows(clock, [name for name in CANDIDATES if name in {*asked, *NAIVES}], backs, way)
    cheap_names, dear = affordable(clock, backs)
    stages = len(dear) + 2  # the trial of each dear one, and the backtest of those that win
    cheap = _rows(clock, cheap_names, backs, way, f"stage 1 of at most {stages}, backtest" if dear else "backtest")
    past = cheap.rows[cheap.rows["back"] > windows]
    if not dear or past.empty:
        return cheap
    sample = sampled(clock, list(past["unique_id"].unique()))
    newest = range(windows + trial_windows(sample.count, back), windows, -1)
    trials = [
        _rows(clock if DECLARED[name].fewest_series else sample, [name], newest, way, f"stage {stage} of at most {stages}, trial of {name}")
        for stage, name in enumerate(dear, start=2)
    ]
    # Who won counts from the end of the trial on: of series that ended before it, nobody could have known.
    horizon = clock.rhythm.horizon * clock.rhythm.step
    since = {name: trial.rows["cutoff"].max() + horizon for trial in trials for name in may_win(past, trial.rows)}
    if not since:
        return cheap
    return replace(
        cheap.joined(_rows(clock, list(since), backs, way, f"stage {stages} of {stages}, backtest of {', '.join(since)}")), since=since
    )


def _rows(clock: EngineClock, names: Sequence[str], backs: Sequence[int], way: _Way, what: str = "backtest") -> Rows:
    """`out_of_fold` with as many processes as pay: a new one costs seconds before it works."""
    jobs = max(1, min(way.jobs, int(seconds_of(names, clock.count * len(backs)) / _SECONDS_PER_WORKER)))
    return out_of_fold(clock, names, backs, seed=way.seed, progress=way.progress, jobs=jobs, what=what)


def _importance(clock: EngineClock, names: Sequence[str], horizon: int, seed: int) -> pd.DataFrame:
    """What LightGBM leans on when fitted on everything before the last window of most series."""
    nothing = pd.DataFrame({"feature": pd.Series(dtype=str), "share": pd.Series(dtype=float)})
    if "lightgbm" not in names:
        return nothing
    from models.candidates.lightgbm_quantile import LightGBMQuantile

    cutoff = clock.usual_end - horizon * clock.rhythm.step
    seen = believed(clock.history, cutoff)
    seen = seen[~seen["unique_id"].isin(list(unservable(seen, cutoff, clock.rhythm)))]
    if seen.empty:
        return nothing
    return LightGBMQuantile(seed=seed).fit(seen, events_known_at(clock.events, cutoff), clock.calendar).importance()


def _doubted(clock: EngineClock) -> dict[str, int]:
    """How many rows of each series are known to be faults at the beginning of its last window."""
    ids, horizon = clock.history["unique_id"].astype(object), clock.rhythm.horizon * clock.rhythm.step
    rows = ids[clock.history[DOUBTED] <= ids.map(clock.ends) - horizon]
    return {str(name): int(count) for name, count in rows.value_counts().sort_index().items()}


def _long_weights(mix: pd.DataFrame) -> pd.DataFrame:
    table = mix.reset_index().melt(id_vars="unique_id", var_name="candidate", value_name="weight")
    return table[table["weight"] > 0].reset_index(drop=True)


def _first_reason(clock: EngineClock, horizon: int) -> str:
    name, why = next(iter(clock.left_out(set(), horizon).items()), ("", "the file is empty"))
    return f"{name}: {why}"
