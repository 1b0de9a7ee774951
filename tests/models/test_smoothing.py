"""Smoothing of many rows at once: its formulas, and what it does not let in."""

from __future__ import annotations

import numpy as np
import pytest

from models.log_scale import LogScale
from models.rhythm import HOURLY, Rhythm
from models.smoothing import Gains, Seasons, Smoothing
from models.weighted_quantiles import weighted_quantiles

WEEK = HOURLY.week
AHEAD = np.arange(1, 73)


def gains(*rows: tuple[float, float, float, float]) -> Gains:
    """One choice (level, day, week, persistence) per row."""
    return Gains(*(np.array(rows)[:, at : at + 1] for at in range(4)))


def weekly(weeks: int, *, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """One row with a rhythm of the day that is weaker at the weekend."""
    hours = np.arange(weeks * WEEK)
    usual = 100 + 40 * np.sin(2 * np.pi * hours / 24) * np.where(hours % WEEK >= 120, 0.3, 1.0)
    return (usual + noise * np.random.default_rng(seed).normal(size=hours.size))[None]


def smoothed_forecasts(
    values: np.ndarray, choices: Gains, origins: np.ndarray, horizon: np.ndarray, rhythm: Rhythm = HOURLY, start: Seasons | None = None
) -> tuple[np.ndarray, Seasons]:
    """(forecasts of shape (origins, choices, rows, horizons), seasons after the last step) of one pass."""
    smoothing = Smoothing(values, choices, rhythm, start)
    found = dict(smoothing.forecasts(origins, horizon))
    return np.stack([np.moveaxis(found[at], 0, -1) for at in range(origins.size)]), smoothing.seasons()


def test_the_recursion_is_the_one_that_is_written_down():
    values = weekly(1, noise=2.0)
    level_gain, day_gain, persistence = 0.1, 0.3, 0.8
    found, _ = smoothed_forecasts(values, gains((level_gain, day_gain, 0.0, persistence)), np.array([WEEK]), AHEAD)
    days = values[0, :48].reshape(2, 24)
    level, error, day = days[1].mean(), 0.0, list((days - days.mean(axis=1, keepdims=True)).mean(axis=0))
    for step in range(48, WEEK):
        error = values[0, step] - level - day[step % 24]
        gain = max(level_gain, 1 / (step - 24 + 1))
        level += gain * error
        day[step % 24] += (1 - gain) * day_gain * error
    expected = [level + day[(WEEK + ahead - 1) % 24] + persistence**ahead * error for ahead in AHEAD]
    assert found[0, 0, 0] == pytest.approx(expected, rel=1e-9)


def test_a_season_of_the_week_is_used_after_two_weeks_and_then_repeats_what_repeats():
    values, choices = weekly(4), gains((0.0, 0.2, 0.15, 0.0), (0.0, 0.2, 0.0, 0.0))
    truth = values[0, (3 * WEEK + 60) + AHEAD - 1]
    found, _ = smoothed_forecasts(values[:, : 3 * WEEK + 60], choices, np.array([2 * WEEK - 1, 3 * WEEK + 60]), AHEAD)
    assert (found[0, 0] == found[0, 1]).all()
    with_week, without = np.abs(found[1, :, 0] - truth).mean(axis=1)
    assert with_week < 3
    assert with_week < 0.4 * without


def test_an_origin_does_not_see_what_comes_after_it():
    values, choices, origins = weekly(3, noise=3.0), gains((0.03, 0.2, 0.15, 0.8)), np.array([100, 400])
    changed = values.copy()
    changed[:, 400:] = np.random.default_rng(1).normal(size=changed[:, 400:].shape)
    before, _ = smoothed_forecasts(values, choices, origins, AHEAD)
    after, _ = smoothed_forecasts(changed, choices, origins, AHEAD)
    np.testing.assert_array_equal(after, before)


def test_an_outlier_hardly_moves_a_forecast_and_a_gap_even_less():
    values, choices = weekly(3, noise=2.0), gains((0.03, 0.2, 0.15, 0.8), (0.0, 0.5, 0.0, 0.97))
    origin = np.array([3 * WEEK])
    usual, _ = smoothed_forecasts(values, choices, origin, AHEAD)
    spiked, missing = values.copy(), values.copy()
    spiked[:, -30] = 1e6
    missing[:, -40:-30] = np.nan
    for changed in (spiked, missing):
        found, _ = smoothed_forecasts(changed, choices, origin, AHEAD)
        assert np.abs(found - usual).max() < 30


def test_seasons_that_were_handed_on_know_the_week_from_the_first_step():
    values, choice = weekly(4), gains((0.0, 0.2, 0.15, 0.0))
    split = 3 * WEEK + 30
    _, seasons = smoothed_forecasts(values[:, :split], choice, np.array([split]), AHEAD)
    short = values[:, split : split + 50]
    truth = values[0, split + 50 + AHEAD - 1]  # from a Thursday into the weekend
    resumed, _ = smoothed_forecasts(short, choice, np.array([50]), AHEAD, HOURLY, seasons)
    assert np.abs(resumed[0, 0, 0] - truth).max() < 3
    unknown = Seasons(np.full_like(seasons.day, np.nan), np.full_like(seasons.week, np.nan))
    fresh, _ = smoothed_forecasts(short, choice, np.array([50]), AHEAD, HOURLY, unknown)
    plain, _ = smoothed_forecasts(short, choice, np.array([50]), AHEAD)
    np.testing.assert_array_equal(fresh, plain)
    assert np.abs(fresh[0, 0, 0] - truth).max() > 10


def test_equal_weights_give_usual_quantiles_and_no_weight_gives_none():
    values, levels = np.random.default_rng(0).normal(size=(3, 41)), np.array([0.01, 0.1, 0.5, 0.9, 0.99])
    weights = np.ones_like(values)
    expected = np.quantile(values, levels, axis=1, method="hazen").T
    assert weighted_quantiles(values, weights, levels) == pytest.approx(expected)
    weights[1], weights[2, :20] = 0.0, 0.0
    found = weighted_quantiles(values, weights, levels)
    assert np.isnan(found[1]).all()
    assert found[2] == pytest.approx(np.quantile(values[2, 20:], levels, method="hazen"))


def test_the_logarithm_leads_back_and_leaves_negative_and_empty_series_alone():
    values = np.array([[0.0, 1.0, 50.0, 7.0], [-1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
    scale = LogScale.of(values)
    assert scale.applies.tolist() == [True, False, False]
    assert scale.back(scale.to(values)) == pytest.approx(values)
    np.testing.assert_array_equal(scale.to(values)[1:], values[1:])
    assert scale.back(np.full((3, 1), 1e3))[0, 0] == pytest.approx(200.0)


def test_a_pass_that_goes_on_from_where_one_ended_is_one_pass():
    values, split = np.concatenate([weekly(3, noise=2.0), weekly(3, noise=5.0, seed=1)]), 2 * WEEK - 7
    values[1, split + 5 : split + 9] = np.nan
    choice = gains((0.1, 0.2, 0.0, 0.8), (0.0, 0.2, 0.0, 0.0))
    at_end = np.array([values.shape[1] - split])
    whole, _ = smoothed_forecasts(values, choice, at_end + split, AHEAD)
    _, seasons = smoothed_forecasts(values[:, :split], choice, np.array([split]), AHEAD)
    seasons = Seasons(seasons.day, np.full((WEEK, 1, 2), np.nan), seasons.last)
    went_on, _ = smoothed_forecasts(values[:, split:], choice, at_end, AHEAD, HOURLY, seasons)
    np.testing.assert_allclose(went_on, whole, rtol=1e-12)
    at_once, _ = smoothed_forecasts(values[:, split:split], choice, np.array([0]), AHEAD, HOURLY, seasons)
    before, _ = smoothed_forecasts(values[:, :split], choice, np.array([split]), AHEAD)
    np.testing.assert_allclose(at_once, before, rtol=1e-12)
