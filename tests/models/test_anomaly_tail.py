"""Rarity is the -log10 probability of a deviation in its own series' past, also beyond what was ever seen."""

from __future__ import annotations

import numpy as np
import pytest

from models.anomaly_tail import TailHistogram


def filled(samples: np.ndarray, *, half_life: float = 1e9) -> TailHistogram:
    made = TailHistogram(series=1, kinds=1, half_life=half_life)
    made.start(np.array([1.0]))
    for value in samples:
        made.add(np.array([[value]]), np.array([True]))
    return made


def rarity(of: TailHistogram, value: float) -> float:
    return float(of.rarity(np.array([[value]]))[0, 0])


@pytest.fixture(scope="module")
def pareto() -> TailHistogram:
    """P(X > x) = x^-2."""
    return filled(np.random.default_rng(0).random(20_000) ** -0.5)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_within_the_history_rarity_is_the_share_of_it(pareto: TailHistogram, exponent: float) -> None:
    assert rarity(pareto, 10 ** (exponent / 2)) == pytest.approx(exponent, abs=0.1)


@pytest.mark.parametrize("exponent", [6.0, 9.0])
def test_beyond_the_history_the_tail_goes_on(pareto: TailHistogram, exponent: float) -> None:
    """One in a million, from 20,000 rows."""
    assert rarity(pareto, 10 ** (exponent / 2)) == pytest.approx(exponent, rel=0.1)


def test_eight_deviations_are_rare_for_a_normal_series_and_common_for_a_heavy_one() -> None:
    random = np.random.default_rng(1)
    normal, heavy = filled(np.abs(random.normal(size=3000))), filled(random.lognormal(0, 1.5, 3000))
    assert rarity(normal, 8.0) > 4
    assert rarity(heavy, 8.0) < 1.5


def test_no_value_is_off_the_axis(pareto: TailHistogram) -> None:
    values = [0.0, 1e-12, 1e3, 1e6, 1e9]
    found = [rarity(pareto, value) for value in values]
    assert found == sorted(found)
    assert found[-1] > found[-2] > found[-3] > 4


def test_what_was_long_ago_is_forgotten() -> None:
    made = filled(np.concatenate([np.full(500, 100.0), np.full(500, 1.0)]), half_life=50)
    assert rarity(made, 100.0) > 2


def test_forgetting_for_very_long_stays_finite() -> None:
    made = filled(np.tile([1.0, 2.0], 2000), half_life=5)
    assert rarity(made, 2.0) == pytest.approx(0.3, abs=0.15)


def test_without_history_nothing_is_rare() -> None:
    assert rarity(TailHistogram(series=1, kinds=1, half_life=10), 1e6) == 0
