"""Simple seasonal forecasts: worked by hand on a ramp, and blind to the origin and what follows it."""

from __future__ import annotations

import numpy as np
import pytest

from models.seasonal_bases import BASES, REFERENCE, base_forecasts

WEEK = 168


def bases(filled: np.ndarray, origin: int, horizon: int) -> dict[str, float]:
    found = base_forecasts(filled[None, :], np.array([origin]), np.array([[horizon]]))
    assert found.shape == (1, 1, 1, len(BASES))
    return dict(zip(BASES, found[0, 0, 0], strict=True))


def test_on_a_ramp_every_base_reads_the_hours_it_names():
    """Hour t holds t. From origin 700 the 30th hour ahead is 729, two days after 681 and a week after 561."""
    assert bases(np.arange(800.0), 700, 30) == pytest.approx(
        {
            "day_1": 681,
            "last_1": 699,
            "last_3": 698,
            "last_day": 687.5,
            "last_week": 615.5,
            "day_3": 681 - 24,
            "day_7": 681 - 3 * 24,
            "week_1": 561,
            "week_2": 561 - WEEK / 2,
            "week_4": 561 - 1.5 * WEEK,
            "week_1_moved_by_day": 561 + WEEK,
            "week_1_moved_by_3": 561 + WEEK,
            "day_1_moved_by_3": 681 + 24,
        }
    )


@pytest.mark.parametrize(("horizon", "day"), [(1, 76), (24, 99), (25, 76), (48, 99), (49, 76), (72, 99)])
def test_the_reference_is_the_last_known_hour_at_the_same_time_of_day(horizon, day):
    assert bases(np.arange(200.0), 100, horizon)[REFERENCE] == day


def test_beyond_a_week_ahead_the_last_known_week_is_taken():
    found = bases(np.arange(1000.0), 700, 200)
    assert found["week_1"] == 899 - 2 * WEEK
    assert found["day_1"] == 899 - 9 * 24


def test_without_a_week_the_days_stand_in_and_nothing_is_moved():
    """100 hours known; 10 hours ahead is 109, whose time of day was at 85, 61, 37 and 13."""
    found = bases(np.arange(200.0), 100, 10)
    assert found["day_3"] == 61
    assert found["day_7"] == 49
    assert {found[name] for name in ("week_1", "week_2", "week_4", "week_1_moved_by_day", "week_1_moved_by_3")} == {49}
    assert found["last_week"] == np.arange(100).mean()


def test_without_a_day_the_nearest_known_hour_stands_in():
    """Five hours known; the same time of day lies before the first of them."""
    found = bases(np.arange(10.0) + 50, 5, 2)
    assert found["day_1"] == found["day_7"] == found["week_1"] == 50
    assert found["last_3"] == 53


def test_nothing_at_or_after_the_origin_is_read():
    random = np.random.default_rng(0)
    filled = random.normal(100, 10, (3, 600))
    origins = np.array([1, 5, 72, 200, 527])
    horizon = np.tile(np.array([1, 24, 25, 72, 169]), (origins.size, 1))
    honest = base_forecasts(filled, origins, horizon)
    for place, origin in enumerate(origins):
        poisoned = np.where(np.arange(600) >= origin, 1e9, filled)
        np.testing.assert_array_equal(base_forecasts(poisoned, origins, horizon)[:, place], honest[:, place])
        before = np.where(np.arange(600) < origin, filled + 1.0, filled)
        assert (base_forecasts(before, origins, horizon)[:, place] != honest[:, place]).all()


def test_a_level_moves_every_base_by_itself_and_a_unit_scales_it():
    filled = np.random.default_rng(1).normal(0, 1, (2, 400))
    origins, horizon = np.array([90, 300]), np.array([[1, 40], [24, 72]])
    honest = base_forecasts(filled, origins, horizon)
    np.testing.assert_allclose(base_forecasts(filled + 500.0, origins, horizon), honest + 500.0, atol=1e-9)
    np.testing.assert_allclose(base_forecasts(filled * 1e6, origins, horizon), honest * 1e6, rtol=1e-6, atol=1e-3)
