"""The test of champion against challenger: finds what is better, takes luck for luck, and knows what few days can tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_world import HOUR, ISSUE

from headroom.errors import BadInputError
from models.significance import compare_daily, daily_differences, diebold_mariano

DAY = 24 * HOUR


def losses(loss: float, days: int = 3, series: int = 2) -> pd.DataFrame:
    """Hourly relative losses of one window."""
    ds = pd.date_range(ISSUE, periods=days * 24, freq="h")
    return pd.concat(
        [pd.DataFrame({"unique_id": f"a/b{n}/cpu", "cutoff": ISSUE, "ds": ds, "loss": loss}) for n in range(series)], ignore_index=True
    )


def test_on_one_window_it_is_students_paired_test_by_day() -> None:
    days = np.array([0.10, 0.04, 0.07])
    test = diebold_mariano(days)
    assert (test.days, test.gain) == (3, pytest.approx(0.07))
    assert test.p_value == pytest.approx(stats.ttest_1samp(days, 0.0, alternative="greater").pvalue)


def test_the_correction_is_the_one_of_harvey_leybourne_and_newbold() -> None:
    """Eight days allow two autocovariances, so h = 3; worked out by hand."""
    days = np.array([0.3, 0.4, 0.2, 0.1, -0.1, 0.0, 0.2, 0.3])
    e = days - days.mean()
    variance = (e @ e + 2 * e[1:] @ e[:-1] + 2 * e[2:] @ e[:-2]) / 8
    statistic = days.mean() / np.sqrt(variance / 8) * np.sqrt((8 + 1 - 6 + 6 / 8) / 8)
    assert diebold_mariano(days).p_value == pytest.approx(stats.t.sf(statistic, 7))


@pytest.mark.parametrize("days", [3, 6, 30])
def test_a_challenger_that_is_no_better_is_rarely_called_better(days: int) -> None:
    """At a level of 10 %, in 2,000 draws; days that follow each other are correlated, as those of one window are."""
    noise = np.random.default_rng(7).normal(size=(2000, days + 1))
    draws = noise[:, 1:] + 0.3 * noise[:, :-1]
    found = np.mean([diebold_mariano(draw).p_value <= 0.10 for draw in draws])
    assert 0.05 < found < 0.17


def test_more_days_find_a_smaller_gain() -> None:
    draws = np.random.default_rng(7).normal(0.5, 1.0, size=(300, 30))
    found = [np.mean([diebold_mariano(draw[:days]).p_value <= 0.10 for draw in draws]) for days in (3, 30)]
    assert found[0] < 0.5 < found[1]


def test_hours_and_series_of_one_day_count_once() -> None:
    one, many = (compare_daily(losses(1.0, series=n), losses(0.9, series=n)) for n in (1, 9))
    assert one == many
    assert one.days == 3


def test_days_follow_the_cutoff_and_every_series_weighs_the_same() -> None:
    champion = losses(1.0)
    gain = np.where(champion["unique_id"] == "a/b0/cpu", 0.4, 0.0)
    missing = champion[(champion["unique_id"] != "a/b0/cpu") | (champion["ds"] < ISSUE + 6 * HOUR) | (champion["ds"] >= ISSUE + DAY)]
    challenger = champion.assign(loss=champion["loss"] - gain).loc[missing.index]
    found = daily_differences(missing, challenger)
    assert list(found.index) == [(ISSUE, 0), (ISSUE, 1), (ISSUE, 2)]
    assert list(found) == pytest.approx([0.2, 0.2, 0.2])


@pytest.mark.parametrize(("own", "p_value"), [(0.9, 0.0), (1.0, 1.0), (1.1, 1.0)])
def test_a_difference_without_noise_is_what_it_is(own: float, p_value: float) -> None:
    assert compare_daily(losses(1.0), losses(own)).p_value == p_value


def test_one_day_shows_nothing() -> None:
    assert diebold_mariano(np.array([0.5])).p_value == 1.0


def test_different_rows_are_refused() -> None:
    with pytest.raises(BadInputError, match="judge both on one floor"):
        daily_differences(losses(1.0), losses(1.0, days=2))
