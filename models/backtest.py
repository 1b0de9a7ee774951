"""Rolling-origin backtest: at every cutoff a candidate sees what was known then, and forecasts the next 72 hours."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS, QUANTILE_COLUMNS
from models.anomaly_doubt import believed
from models.candidates import create
from models.forecaster import Forecaster, SeriesCalendar
from models.hourly_grid import recent, unservable
from models.rhythm import Rhythm, hours_ahead
from models.shared_work import SharedWork, once
from models.tuning.arms import Tuning
from models.visible_events import events_known_at

__all__ = ["OOF_COLUMNS", "backtest", "backtest_cutoffs", "forecast_windows", "seasoned", "split_windows"]

# Columns of an out-of-fold frame; `seconds` is the time that fit and forecast took, per series; `seasoned` says how much the fit had seen.
OOF_COLUMNS = ("candidate", "unique_id", "cutoff", "ds", "horizon", *QUANTILE_COLUMNS, "y", "seconds", "seasoned")


def backtest_cutoffs(
    history_end: pd.Timestamp, windows: int, step_hours: int = HORIZON_HOURS, horizon: int = HORIZON_HOURS
) -> list[pd.Timestamp]:
    """Cutoffs of `windows` windows, oldest first; the last window ends at `history_end` (the first hour not known).

    Raises:
        BadInputError: when `windows` or `step_hours` is below 1.
    """
    if windows < 1 or step_hours < 1:
        raise BadInputError(f"backtest of {windows} windows every {step_hours} hours: both must be at least 1")
    last = history_end.floor("h") - pd.Timedelta(hours=horizon)
    return [last - pd.Timedelta(hours=step_hours * back) for back in reversed(range(windows))]


def split_windows(oof: pd.DataFrame, calibration_windows: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(rows to select on, rows that have no say in it): cutoffs are dealt out in turn, the newest to the selection.

    So both see the newest demand. The second ones judge, and calibrate as they are; how the first ones calibrate as well is told in
    `models.cross_fit`. When the second part is more than every other window, it takes the oldest of the rest.

    Raises:
        BadInputError: when no cutoff would be left to select on.
    """
    cutoffs = sorted(oof["cutoff"].unique(), reverse=True)
    if len(cutoffs) <= calibration_windows:
        raise BadInputError(
            f"{len(cutoffs)} backtest windows leave none to select on beside {calibration_windows} to calibrate on; add windows"
        )
    in_turn = [*cutoffs[1::2], *cutoffs[2::2][::-1]]
    late = oof["cutoff"].isin(in_turn[:calibration_windows])
    return oof[~late].reset_index(drop=True), oof[late].reset_index(drop=True)


def backtest(
    candidates: Sequence[str],
    history: pd.DataFrame,
    events: pd.DataFrame,
    calendar: SeriesCalendar,
    cutoffs: Sequence[pd.Timestamp],
    horizon: int = HORIZON_HOURS,
    *,
    seed: int = 0,
    tuning: Mapping[str, Tuning] | None = None,
) -> pd.DataFrame:
    """Out-of-fold quantiles (`OOF_COLUMNS`) of every candidate, series and cutoff; hours without a measurement are left out.

    At a cutoff a candidate sees history before it and events with `available_at` up to it, nothing else. Hand in every version of
    an event, so that an early cutoff sees the early one. A series that cannot be served at a cutoff has no rows there. Hours of `history`
    that are doubted at a cutoff (`models.anomaly_doubt`) are hidden from its candidates, and judged nevertheless.

    Args:
        tuning: unique_id -> parameters of its forecasts (see `models.candidates.create`).
    """
    parts = []
    for cutoff in cutoffs:
        with SharedWork():
            for name in candidates:
                forecaster = create(name, seed=seed, tuning=tuning)
                parts.append(forecast_windows(forecaster, history, events, calendar, cutoff, [(cutoff, history)], horizon))
    if not parts:
        return pd.DataFrame(columns=list(OOF_COLUMNS))
    return pd.concat(parts, ignore_index=True).dropna(subset=["y"]).reset_index(drop=True)


def seasoned(rows: pd.DataFrame, history: pd.DataFrame, cutoff: pd.Timestamp, horizon: int, rhythm: Rhythm) -> pd.Series[bool]:
    """Whether the series of every one of `rows` began a week and a horizon before `cutoff`, or earlier, by `history`.

    Before that, a fit has not seen how far a week's repeat is off over a whole horizon, and its intervals are of another kind: the
    ensemble's of 80 % covered, in the mean of 69 groups of series, 41 % after less than 5 days, 52 % after 6 to 8, 75 % after 13 to 16.
    """
    first = history.groupby("unique_id", observed=True)["ds"].min()
    enough = first <= cutoff - (rhythm.week + horizon) * rhythm.step
    return rows["unique_id"].isin(list(enough.index[enough]))


def forecast_windows(
    forecaster: Forecaster,
    history: pd.DataFrame,
    events: pd.DataFrame,
    calendar: SeriesCalendar,
    moment: pd.Timestamp,
    windows: Sequence[tuple[pd.Timestamp, pd.DataFrame]],
    horizon: int,
) -> pd.DataFrame:
    """`OOF_COLUMNS` of windows that one fit serves; `y` is NaN where nothing was measured.

    The fit sees all of `history` that was known at `moment`; every window is forecast from what was known of its own series at its own cutoff,
    which is `moment` or later. There are no rows of a series that cannot be served.

    Args:
        windows: cutoffs, each with the history of the series that are forecast there.
    """
    rhythm = calendar.rhythm
    seen = _servable(history, moment, rhythm)
    if seen.empty:
        return pd.DataFrame(columns=list(OOF_COLUMNS))
    started = time.perf_counter()
    fitted = forecaster.fit(seen, events_known_at(events, moment), calendar)
    parts = []
    for cutoff, own in windows:
        known = seen if own is history and cutoff == moment else _servable(own, cutoff, rhythm)
        if known.empty:
            continue
        lately = once(known, ("recent", cutoff, rhythm), partial(recent, known, cutoff, rhythm))
        quantiles = fitted.predict_quantiles(lately, events_known_at(events, cutoff), cutoff, horizon)
        ahead = (own["ds"] >= cutoff) & (own["ds"] < cutoff + horizon * rhythm.step)
        rows = quantiles.merge(own.loc[ahead, ["unique_id", "ds", "y"]], on=["unique_id", "ds"], how="left")
        hours, grown = hours_ahead(rows["ds"], cutoff, rhythm), seasoned(rows, known, cutoff, horizon, rhythm)
        parts.append(rows.assign(candidate=fitted.name, cutoff=cutoff, horizon=hours, seasoned=grown))
    if not parts:
        return pd.DataFrame(columns=list(OOF_COLUMNS))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(seconds=(time.perf_counter() - started) / max(found["unique_id"].nunique(), 1))[list(OOF_COLUMNS)]


def _servable(history: pd.DataFrame, moment: pd.Timestamp, rhythm: Rhythm) -> pd.DataFrame:
    """What is believed at `moment` of the series that can be forecast then; a step that is not over by then is not known."""

    def found() -> pd.DataFrame:
        seen = believed(history, moment)
        under_way = seen["ds"] > moment - rhythm.step
        seen = seen[~under_way] if under_way.any() else seen
        return seen[~seen["unique_id"].isin(list(unservable(seen, moment, rhythm)))]

    return once(history, ("servable", moment, rhythm), found)
