"""The expectation takes up a rhythm that is there, and leaves one that is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.anomaly_expectation import RhythmExpectation

HOUR = pd.Timedelta("1h")
MOMENTS = pd.date_range("2026-06-01", periods=6 * 168, freq=HOUR)
DAILY = 10 * np.sin(2 * np.pi * MOMENTS.hour.to_numpy() / 24)
WEEKEND = np.where(MOMENTS.dayofweek >= 5, -20.0, 0.0)


def last_week_error(y: np.ndarray) -> float:
    """Mean absolute error of the expectation in the sixth week."""
    made, errors = RhythmExpectation(1, HOUR), []
    for moment, value in zip(MOMENTS, y, strict=True):
        errors.append(abs(made.expect(moment)[0] - value))
        made.learn(moment, np.array([value]), np.array([True]))
    return float(np.mean(errors[-168:]))


@pytest.mark.parametrize("rhythm", [DAILY, DAILY + WEEKEND], ids=["day", "week"])
def test_a_rhythm_is_expected_after_some_weeks(rhythm: np.ndarray) -> None:
    plain = float(np.abs(rhythm - rhythm.mean()).mean())
    assert last_week_error(100 + rhythm) < 0.2 * plain


def test_noise_without_a_rhythm_is_not_taken_for_one() -> None:
    noise = np.random.default_rng(0).normal(0, 1, len(MOMENTS))
    floor = float(np.abs(noise[-168:]).mean())
    assert last_week_error(100 + noise) < 1.08 * floor


def test_a_row_that_may_not_be_used_teaches_nothing() -> None:
    made, untouched = RhythmExpectation(1, HOUR), RhythmExpectation(1, HOUR)
    for row, moment in enumerate(MOMENTS[:100]):
        value = np.array([100.0 + DAILY[row]])
        untouched.learn(moment, value, np.array([row != 70]))
        made.learn(moment, np.where(row == 70, 1e6, value), np.array([row != 70]))
    assert made.expect(MOMENTS[100]) == untouched.expect(MOMENTS[100])
