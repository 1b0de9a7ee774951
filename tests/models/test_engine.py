"""Backtest and forecast of a long frame: own cutoffs, no view of the future, weights that add up, reasons for what is left out."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.progress import SilentProgress
from headroom.vocabulary import QUANTILE_COLUMNS
from models.candidates import NAIVES
from models.engine import FINAL, BacktestResult, backtest_frame, forecast_frame
from models.long_frame import LongFrame

HOUR = pd.Timedelta(hours=1)
END = pd.Timestamp("2026-03-10T00:00")
ENDS = {"a/web/cpu": END, "b/web/cpu": END - 75 * HOUR}
RIDGE = ("seasonal-ridge",)
LEVELS = list(QUANTILE_COLUMNS)
HORIZON = 48


def rows(name: str, end: pd.Timestamp, days: int = 24) -> pd.DataFrame:
    ds = pd.date_range(end - days * 24 * HOUR, periods=days * 24, freq="h", unit="us")
    noise = np.random.default_rng(len(name) + days).normal(1, 0.05, len(ds))
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": 100 * (1 + 0.4 * np.sin(2 * np.pi * ds.hour / 24)) * noise})


def frame(*parts: pd.DataFrame) -> LongFrame:
    found = parts or tuple(rows(name, end) for name, end in ENDS.items())
    return LongFrame(pd.concat(found, ignore_index=True), HOUR)


def young() -> LongFrame:
    """A series beside one of two days."""
    return frame(rows("a/web/cpu", END), rows("new/web/cpu", END, days=2))


def backtested(series: LongFrame, **told: object) -> BacktestResult:
    return backtest_frame(series, **{"horizon": HORIZON, "windows": 2, "candidates": RIDGE, **told})


@cache
def plain() -> BacktestResult:
    return backtested(frame())


def final(found: BacktestResult) -> pd.DataFrame:
    return found.forecasts[found.forecasts["candidate"] == FINAL].reset_index(drop=True)


def assert_proper(forecasts: pd.DataFrame) -> None:
    values = forecasts[LEVELS].to_numpy()
    assert np.isfinite(values).all()
    assert (np.diff(values, axis=1) >= 0).all()
    assert (values >= 0).all()


def test_every_series_is_tested_on_its_own_last_windows():
    forecasts = final(plain())
    assert_proper(forecasts)
    assert {str(name): sorted(cutoffs) for name, cutoffs in forecasts.groupby("unique_id")["cutoff"].unique().items()} == {
        name: [end - 2 * HORIZON * HOUR, end - HORIZON * HOUR] for name, end in ENDS.items()
    }
    hours = (forecasts["ds"] - forecasts["cutoff"]) / HOUR
    assert forecasts.assign(hours=hours).groupby(["unique_id", "cutoff"])["hours"].apply(list).tolist() == [list(range(HORIZON))] * 4


def test_truth_stands_beside_the_forecast():
    joined = final(plain()).merge(frame().rows, on=["unique_id", "ds"], suffixes=("", "_measured"))
    assert len(joined) == 4 * HORIZON
    assert (joined["y"] == joined["y_measured"]).all()


def test_a_series_that_goes_below_zero_is_forecast_below_zero():
    """Every night of the series is far below zero; calibration once cut it off there."""
    below = rows("a/web/cpu", END)
    found = final(backtested(frame(below.assign(y=below["y"] - 100.0), rows("b/web/cpu", END))))
    nights = found[(found["unique_id"] == "a/web/cpu") & found["ds"].dt.hour.isin([17, 18, 19])]
    assert (nights[LEVELS[:-1]] < 0).all(axis=None)
    assert_proper(found[found["unique_id"] == "b/web/cpu"])


def test_the_candidates_are_there_beside_the_forecast():
    counts = plain().forecasts.groupby("candidate").size().to_dict()
    assert counts == dict.fromkeys([*NAIVES, *RIDGE, FINAL], 4 * HORIZON)


@pytest.mark.parametrize("windows_back", [1, 2])
def test_a_forecast_does_not_change_with_what_comes_after_its_cutoff(windows_back):
    """One series' test values become garbage, and every forecast made up to then, of both series, stays as it was."""
    cutoff = END - windows_back * HORIZON * HOUR
    honest = frame().rows
    garbage = honest.assign(y=honest["y"].mask((honest["unique_id"] == "a/web/cpu") & (honest["ds"] >= cutoff), 1e6))
    before, after = plain().forecasts, backtested(LongFrame(garbage, HOUR)).forecasts
    back = (before["unique_id"].map(ENDS) - before["cutoff"]) / HOUR / HORIZON
    kept = back >= windows_back
    assert kept.any()
    pd.testing.assert_frame_equal(after[kept].drop(columns="y"), before[kept].drop(columns="y"), check_exact=True)
    if windows_back == 2:  # the garbage is history of the last window
        assert (after.loc[~kept, LEVELS].to_numpy() != before.loc[~kept, LEVELS].to_numpy()).any()


def test_weights_add_up_to_one_for_every_series_and_window():
    weights = plain().weights
    assert set(weights["candidate"]) <= {*NAIVES, *RIDGE}
    assert (weights["weight"] > 0).all()
    sums = weights.groupby(["unique_id", "cutoff"])["weight"].sum()
    assert sums.to_numpy() == pytest.approx(np.ones(4))
    assert set(sums.index) == set(final(plain()).groupby(["unique_id", "cutoff"]).groups)


def test_seconds_are_told_by_candidate_and_the_total_holds_them():
    seconds = plain().seconds
    assert set(seconds) == {*NAIVES, *RIDGE, FINAL}
    assert all(value > 0 for value in seconds.values())
    assert seconds[FINAL] >= sum(value for name, value in seconds.items() if name != FINAL)


def test_importance_is_of_the_boosted_model_and_empty_without_it():
    assert list(plain().importance.columns) == ["feature", "share"]
    assert plain().importance.empty
    single = frame(rows("a/web/cpu", END, days=16))
    told = backtested(single, windows=1, candidates=("lightgbm",)).importance
    assert told["share"].sum() == pytest.approx(1.0)
    assert told["share"].is_monotonic_decreasing


def test_the_same_input_gives_the_same_result():
    again = backtested(frame())
    pd.testing.assert_frame_equal(again.forecasts, plain().forecasts, check_exact=True)
    pd.testing.assert_frame_equal(again.weights, plain().weights, check_exact=True)


def test_a_series_without_history_is_left_out_with_the_reason_and_the_others_are_served():
    found = backtested(young(), windows=1)
    assert list(found.left_out) == ["new/web/cpu"]
    assert set(final(found)["unique_id"]) == {"a/web/cpu"}
    ahead = forecast_frame(young(), horizon=HORIZON, candidates=RIDGE)
    assert "48 measured hours" in ahead.left_out["new/web/cpu"]
    assert "72 are needed" in ahead.left_out["new/web/cpu"]
    assert set(ahead.forecasts["unique_id"]) == {"a/web/cpu"}


def test_nobody_left_out_is_told_too():
    assert plain().left_out == {}


def test_the_next_hours_of_every_series_follow_its_own_last_one():
    found = forecast_frame(frame(), horizon=HORIZON, candidates=RIDGE)
    assert list(found.forecasts.columns) == ["unique_id", "ds", *LEVELS]
    assert_proper(found.forecasts)
    assert found.left_out == {}
    for name, part in found.forecasts.groupby("unique_id"):
        assert part["ds"].tolist() == [ENDS[str(name)] + step * HOUR for step in range(HORIZON)]
    assert found.weights.groupby("unique_id")["weight"].sum().to_dict() == pytest.approx(dict.fromkeys(ENDS, 1.0))


def test_a_forecast_is_what_the_backtest_gives_at_that_cutoff():
    """All cut at the last window of a series, `forecast_frame` sees what the backtest saw there; the other had ended before."""
    whole, cutoff = frame().rows, END - HORIZON * HOUR
    past = LongFrame(whole[whole["ds"] < cutoff].reset_index(drop=True), HOUR)
    ahead = forecast_frame(past, horizon=HORIZON, candidates=RIDGE).forecasts
    last = final(plain())
    last = last[(last["unique_id"] == "a/web/cpu") & (last["cutoff"] == cutoff)].sort_values("ds", ignore_index=True)
    own = ahead[ahead["unique_id"] == "a/web/cpu"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, last[["unique_id", "ds", *LEVELS]], rtol=1e-9)


def test_an_announced_reading_of_the_future_reaches_the_forecast():
    """Demand follows a regressor; the boosted model, told what it will be, follows it."""
    part = rows("a/web/cpu", END, days=18)
    ds = pd.date_range(part["ds"].iloc[0], END + (HORIZON - 1) * HOUR, freq="h", unit="us")
    campaign = np.random.default_rng(2).random(len(ds)) < 0.3
    future = pd.DataFrame({"unique_id": "", "ds": ds, "campaign": campaign.astype(float)})
    driven = frame(part.assign(y=part["y"] + 100 * campaign[: len(part)]))
    median = forecast_frame(driven, horizon=HORIZON, candidates=("lightgbm",), future=future).forecasts["0.5"].to_numpy()
    on = campaign[len(part) :]
    assert median[on].mean() - median[~on].mean() > 30


def test_an_unknown_candidate_is_refused_with_the_known_ones():
    for engine in (backtested, lambda series, **told: forecast_frame(series, horizon=HORIZON, **told)):
        with pytest.raises(BadInputError, match="'ridge' is unknown; known: seasonal-naive-24"):
            engine(frame(), candidates=("ridge",))


def test_a_step_longer_than_a_day_is_refused():
    for engine in (backtested, lambda series: forecast_frame(series, horizon=HORIZON)):
        with pytest.raises(BadInputError, match="steps of up to a day"):
            engine(LongFrame(frame().rows, pd.Timedelta(days=7)))


def test_a_frame_without_any_history_is_refused_with_the_reason():
    with pytest.raises(BadInputError, match="no series has the history for a window: new/web/cpu"):
        backtested(frame(rows("new/web/cpu", END, days=3)))
    with pytest.raises(BadInputError, match="no series has the history for a forecast: new/web/cpu: 48 measured hours"):
        forecast_frame(frame(rows("new/web/cpu", END, days=2)), horizon=HORIZON, candidates=RIDGE)


def test_a_single_window_before_calibrates_and_weighs_nothing():
    found = forecast_frame(frame(rows("a/web/cpu", END, days=5)), horizon=HORIZON, candidates=("seasonal-ridge", "flair"))
    assert found.weights.set_index("candidate")["weight"].to_dict() == {"flair": 0.5, "seasonal-ridge": 0.5}


@pytest.mark.slow
def test_two_processes_give_the_rows_of_one(monkeypatch):
    monkeypatch.setattr("models.engine._SECONDS_PER_WORKER", 1e-6)
    found = backtested(frame(), jobs=2)
    pd.testing.assert_frame_equal(found.forecasts, plain().forecasts)
    assert found.seconds[FINAL] > sum(seconds for name, seconds in found.seconds.items() if name != FINAL)


FIVE = pd.Timedelta(minutes=5)


@pytest.mark.slow
def test_steps_of_five_minutes_are_forecast_on_their_own_grid():
    ds = pd.date_range(end=END, periods=288 * 9, freq=FIVE, unit="us")
    random = np.random.default_rng(3)
    wave = 100 + 40 * np.sin(2 * np.pi * np.arange(len(ds)) / 288)
    parts = [pd.DataFrame({"unique_id": name, "ds": ds, "y": wave * random.normal(1, 0.02, len(ds))}) for name in ("a", "b")]
    found = backtest_frame(
        LongFrame(pd.concat(parts, ignore_index=True), FIVE), horizon=36, windows=2, candidates=("seasonal-ridge", "lightgbm")
    )
    forecast = final(found)
    assert (forecast.groupby(["unique_id", "cutoff"])["ds"].diff().dropna() == FIVE).all()
    assert forecast.groupby(["unique_id", "cutoff"]).size().eq(36).all()
    assert_proper(forecast)
    error = (forecast["0.5"] - forecast["y"]).abs() / forecast["y"]
    assert error.mean() < 0.03


class Stages(SilentProgress):
    """Keeps what the stages are called."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def start(self, total: int, what: str) -> None:
        self.names.append(what)


@pytest.mark.parametrize(
    ("dear", "told"),
    [
        ([], ["backtest"]),
        (
            ["flair"],
            ["stage 1 of at most 3, backtest", "stage 2 of at most 3, trial of flair", "stage 3 of 3, backtest of flair"],
        ),
    ],
)
def test_progress_says_which_stage_of_how_many(monkeypatch: pytest.MonkeyPatch, dear: list[str], told: list[str]):
    """Who is dear, and who wins its trial, is set here: the real ones take minutes."""
    monkeypatch.setattr("models.engine.affordable", lambda *_: ([*NAIVES, *RIDGE], dear))
    monkeypatch.setattr("models.engine.may_win", lambda *_: dear)
    stages = Stages()
    backtested(frame(), candidates=(), progress=stages)
    assert stages.names == told
