"""What the ridge regression on whole windows promises beyond the contract of candidates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, no_events, rhythm

from headroom.vocabulary import QUANTILE_COLUMNS
from models.candidates.window_ridge import WindowRidge
from models.forecaster import SeriesCalendar
from models.rhythm import HOURLY, Rhythm
from models.window_regression import fit_windows, windows

LEVELS = list(QUANTILE_COLUMNS)


def many(series: int = 8, days: int = 35) -> pd.DataFrame:
    return pd.concat([rhythm(f"r/s{each}/cpu", days, level=10.0**each, seed=each) for each in range(series)], ignore_index=True)


def forecast(history: pd.DataFrame, horizon: int = 72, calendar: SeriesCalendar = UTC) -> pd.DataFrame:
    seen = history[history["ds"] < CUTOFF]
    return WindowRidge().fit(seen, no_events(), calendar).predict_quantiles(seen, no_events(), CUTOFF, horizon)


def relative_error(found: pd.DataFrame, truth: pd.DataFrame) -> float:
    rows = found.merge(truth, on=["unique_id", "ds"])
    return float(((rows["0.5"] - rows["y"]).abs() / rows["y"]).mean())


def test_the_week_is_learnt_across_series_of_any_size():
    """The noise is 3 %; the last day, which is the anchor, errs more whenever the weekend begins or ends."""
    truth = many(5)
    day_before = truth.assign(ds=truth["ds"] + 72 * HOUR).rename(columns={"y": "0.5"})
    naive = relative_error(day_before[day_before["ds"] >= CUTOFF], truth)
    assert relative_error(forecast(truth), truth) < min(0.06, 0.8 * naive)


def test_a_series_times_a_thousand_is_forecast_times_a_thousand():
    truth = many(3)
    larger = forecast(truth.assign(y=truth["y"] * 1000.0))
    np.testing.assert_allclose(larger[LEVELS], 1000.0 * forecast(truth)[LEVELS], rtol=1e-3)


def test_intervals_hold_what_they_say():
    """On days that the fit never saw, of 24 series of noise around a rhythm of the day."""
    hours = pd.date_range(CUTOFF - 35 * 24 * HOUR, CUTOFF + 71 * HOUR, freq="h", unit="us")
    noise = np.random.default_rng(0).normal(0, 1, (24, len(hours)))
    y = 50.0 + 10.0 * np.sin(2 * np.pi * hours.hour.to_numpy() / 24) + noise
    names = np.array([f"r/s{each}/cpu" for each in range(24)], dtype=object)
    truth = pd.DataFrame({"unique_id": np.repeat(names, len(hours)), "ds": np.tile(hours.array, 24), "y": y.ravel()})
    rows = forecast(truth).merge(truth, on=["unique_id", "ds"])
    for low, high, share in (("0.1", "0.9", 0.8), ("0.01", "0.99", 0.98)):
        assert rows["y"].between(rows[low], rows[high]).mean() == pytest.approx(share, abs=0.05)


def test_a_history_too_short_to_learn_from_repeats_its_last_day():
    short = rhythm(days=4, after=0)
    found = forecast(short)["0.5"].to_numpy().reshape(3, 24)
    np.testing.assert_allclose(found, np.tile(short["y"].to_numpy()[-24:], (3, 1)))


def test_beyond_the_horizon_of_the_fit_its_last_day_is_repeated():
    found = forecast(many(2), horizon=100)[LEVELS].to_numpy().reshape(2, 100, -1)
    np.testing.assert_array_equal(found[:, 72:96], found[:, 48:72])


def test_a_window_reads_nothing_at_or_after_its_origin():
    random = np.random.default_rng(0)
    values = random.random((2, 600))
    changed = np.where(np.arange(600) >= 400, 1e6, values)
    for before, after in zip(*(windows(each, np.array([0, 1]), np.array([400, 400]), HOURLY) for each in (values, changed)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_no_more_windows_are_learnt_from_than_the_cap(monkeypatch):
    """So that the time a fit takes does not grow with the series."""
    monkeypatch.setattr("models.window_regression._MOST_ROWS", 200)
    seen: list[int] = []
    regression = fit_windows.__globals__["_regression"]
    monkeypatch.setattr("models.window_regression._regression", lambda inputs, *rest: seen.append(len(inputs)) or regression(inputs, *rest))
    fit_windows([f"s{each}" for each in range(40)], np.random.default_rng(0).random((40, 900)), HOURLY)
    assert 100 < seen[0] <= 200


def test_two_weeks_of_five_minutes_are_told_as_hours():
    five = Rhythm(pd.Timedelta(minutes=5), 36)
    told = windows(np.random.default_rng(0).random((1, five.context)), np.array([0]), np.array([five.context]), five)
    assert told.inputs.shape == (1, 337)
    assert told.anchor.shape == (1, 36)


@pytest.mark.parametrize("step", ["15min", "1D"])
def test_other_steps_are_served(step):
    pace = Rhythm(pd.Timedelta(step), 12)
    ds = pd.date_range(end=CUTOFF - pace.step, periods=30 * pace.day if pace.day > 1 else 200, freq=step, unit="us")
    y = 50.0 + 10.0 * np.sin(2 * np.pi * np.arange(len(ds)) / max(pace.day, 7)) + np.random.default_rng(0).normal(0, 0.5, len(ds))
    found = forecast(pd.DataFrame({"unique_id": "r/x/cpu", "ds": ds, "y": y}), 12, SeriesCalendar(rhythm=pace))
    assert len(found) == 12
    assert found["0.5"].between(35, 65).all()
