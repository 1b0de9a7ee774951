"""Confidence is the chance that demand falls within the tolerance of the median."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.confidence import confidence


def normal(mean: float, deviation: float) -> pd.DataFrame:
    return pd.DataFrame([[NormalDist(mean, deviation).inv_cdf(q) for q in QUANTILES]], columns=list(QUANTILE_COLUMNS))


@pytest.mark.parametrize("deviation", [1.0, 5.0, 10.0, 20.0, 60.0])
def test_it_is_the_probability_of_a_normal_forecast(deviation):
    exact = NormalDist(100, deviation).cdf(115) - NormalDist(100, deviation).cdf(85)
    assert confidence(normal(100, deviation), 0.15).iloc[0] == pytest.approx(exact, abs=0.015)


def test_a_narrower_forecast_is_more_certain():
    found = [confidence(normal(100, deviation), 0.15).iloc[0] for deviation in (2, 8, 16, 32)]
    assert found == sorted(found, reverse=True)


def test_a_certain_forecast_has_confidence_one_even_of_nothing():
    certain = pd.DataFrame(np.array([[5.0] * 13, [0.0] * 13]), columns=list(QUANTILE_COLUMNS))
    assert list(confidence(certain, 0.1)) == [1.0, 1.0]


def test_mass_on_one_point_counts_where_it_lies():
    half_zero = pd.DataFrame([[0.0] * 7 + [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]], columns=list(QUANTILE_COLUMNS))
    assert confidence(half_zero, 0.2).iloc[0] == pytest.approx(0.5)
