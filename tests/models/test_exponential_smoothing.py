"""What exponential smoothing adds to the contract of every candidate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, no_events, rhythm

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.candidates.exponential_smoothing import ExponentialSmoothing
from models.candidates.seasonal_naive import SeasonalNaive
from models.forecaster import Forecaster, SeriesCalendar, StoredForecaster
from models.rhythm import Rhythm

LEVELS = list(QUANTILE_COLUMNS)


def forecast(candidate: Forecaster, history: pd.DataFrame, calendar: SeriesCalendar = UTC, horizon: int = 72) -> np.ndarray:
    """Quantiles of shape (rows, quantiles)."""
    fitted = candidate.fit(history, no_events(), calendar)
    return fitted.predict_quantiles(history, no_events(), CUTOFF, horizon)[LEVELS].to_numpy()


def split(truth: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """(history, what came after it)."""
    return truth[truth["ds"] < CUTOFF], truth.loc[truth["ds"] >= CUTOFF, "y"].to_numpy()


def loss(quantiles: np.ndarray, y: np.ndarray) -> float:
    error = y[:, None] - quantiles
    return float(np.maximum(QUANTILES * error, (np.array(QUANTILES) - 1) * error).mean())


def many(days: int, noise: float = 0.1) -> pd.DataFrame:
    return pd.concat([rhythm(f"r/s{at}/cpu", days, noise=noise, seed=at) for at in range(8)], ignore_index=True)


def test_it_is_kept_with_its_fit():
    assert isinstance(ExponentialSmoothing(), StoredForecaster)


def test_it_beats_the_seasonal_naive_on_a_noisy_rhythm_and_its_intervals_hold():
    history, y = split(many(days=42))
    found = forecast(ExponentialSmoothing(), history)
    assert loss(found, y) < 0.8 * loss(forecast(SeasonalNaive(season=168), history), y)
    low, high = found[:, LEVELS.index("0.1")], found[:, LEVELS.index("0.9")]
    assert 0.7 < ((y >= low) & (y <= high)).mean() < 0.9


def test_it_widens_with_the_noise():
    widths = []
    for noise in (0.02, 0.2):
        found = forecast(ExponentialSmoothing(), split(many(days=42, noise=noise))[0])
        widths.append((found[:, LEVELS.index("0.9")] - found[:, LEVELS.index("0.1")]).mean())
    assert widths[1] > 4 * widths[0]


def test_a_series_that_falls_by_factors_is_followed_on_the_logarithmic_scale():
    truth = rhythm(days=30, noise=0.05)
    days = (truth["ds"] - CUTOFF) / (24 * HOUR)
    history, y = split(truth.assign(y=truth["y"] * np.exp(-0.12 * days)))
    found = ExponentialSmoothing().fit(history, no_events(), UTC)
    assert found.fitted is not None
    kept = found.fitted.chosen.shape[2]
    assert found.fitted.weights[0, :, kept:].sum(axis=1).mean() > 0.8
    median = found.predict_quantiles(history, no_events(), CUTOFF)["0.5"].to_numpy()
    assert median.mean() == pytest.approx(y.mean(), rel=0.35)


def test_a_fit_of_last_week_serves_today_with_weekends_in_their_place():
    """The issue time is 53 hours past the fit: no multiple of a day."""
    truth = rhythm(days=45, noise=0.01)
    history, y = split(truth)
    fitted = ExponentialSmoothing().fit(history[history["ds"] < CUTOFF - 53 * HOUR], no_events(), UTC)
    median = fitted.predict_quantiles(history, no_events(), CUTOFF)["0.5"].to_numpy()
    assert np.abs(median - y).mean() < 0.04 * y.mean()


def test_a_save_is_the_fit(tmp_path):
    history, _ = split(many(days=10))
    fitted = ExponentialSmoothing().fit(history, no_events(), UTC)
    fitted.save(tmp_path / "fit")
    loaded = ExponentialSmoothing().load(tmp_path / "fit", UTC)
    expected = fitted.predict_quantiles(history, no_events(), CUTOFF)
    pd.testing.assert_frame_equal(loaded.predict_quantiles(history, no_events(), CUTOFF), expected, check_exact=True)


@pytest.mark.parametrize(("step", "horizon", "length"), [("5min", 36, 1000), ("15min", 12, 800), ("3h", 24, 300), ("1D", 14, 120)])
def test_any_step_is_served(step, horizon, length):
    calendar = SeriesCalendar(rhythm=Rhythm(step=pd.Timedelta(step), horizon=horizon))
    ds = pd.date_range(end=CUTOFF - calendar.rhythm.step, periods=length, freq=step, unit="us")
    period = max(calendar.rhythm.day, 7)
    usual = 50 + 20 * np.sin(2 * np.pi * np.arange(length + horizon) / period)
    noise = np.random.default_rng(0).normal(size=length)
    history = pd.DataFrame({"unique_id": "r/edge/cpu", "ds": ds, "y": usual[:length] + noise})
    median = forecast(ExponentialSmoothing(), history, calendar, horizon)[:, LEVELS.index("0.5")]
    assert np.abs(median - usual[length:]).mean() < 4


def test_at_short_steps_a_forecast_goes_on_from_the_fit_and_so_does_one_from_files(tmp_path):
    minutes = Rhythm(pd.Timedelta(minutes=5), 36)
    ds = pd.date_range(CUTOFF - pd.Timedelta(days=5), periods=5 * 288, freq=minutes.step, unit="us")
    random = np.random.default_rng(4)
    y = [100 * (1 + 0.4 * np.sin(2 * np.pi * np.arange(ds.size) / 288)) * np.exp(random.normal(0, 0.02, ds.size)) for _ in range(3)]
    history = pd.concat([pd.DataFrame({"unique_id": f"r/s{at}/cpu", "ds": ds, "y": y[at]}) for at in range(3)], ignore_index=True)
    calendar = SeriesCalendar(rhythm=minutes)
    fitted = ExponentialSmoothing().fit(history[history["ds"] < CUTOFF - 6 * HOUR], no_events(), calendar)
    fitted.save(tmp_path)
    newest = history[history["ds"] >= CUTOFF - 6 * HOUR]
    found = fitted.predict_quantiles(history, no_events(), CUTOFF, 36)
    loaded = ExponentialSmoothing().load(tmp_path, calendar).predict_quantiles(history, no_events(), CUTOFF, 36)
    pd.testing.assert_frame_equal(found, loaded)
    # The middle needs the steps since the fit alone; widths look at all of the context.
    alone = fitted.predict_quantiles(newest, no_events(), CUTOFF, 36)
    np.testing.assert_allclose(alone["0.5"], found["0.5"], rtol=0.01)
    again = ExponentialSmoothing().fit(history, no_events(), calendar).predict_quantiles(history, no_events(), CUTOFF, 36)
    np.testing.assert_allclose(again["0.5"], found["0.5"], rtol=0.05)
