"""The exponent of a Box-Cox transformation is the one that scipy finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import boxcox

from models.box_cox import likeliest_exponent


@pytest.mark.parametrize("seed", range(8))
def test_it_is_scipys(seed):
    random = np.random.default_rng(seed)
    values = np.exp(random.normal(3, 0.2 + 0.1 * seed, 20 + 10 * seed)) + (100.0 if seed % 2 else 0.0)
    assert likeliest_exponent(values) == pytest.approx(boxcox(values)[1], abs=1e-5)


@pytest.mark.parametrize("values", [np.full(5, 3.0), np.array([1.0, 0.0, 2.0])])
def test_what_has_no_exponent_is_refused(values):
    with pytest.raises(ValueError, match="needs values above 0 that differ"):
        likeliest_exponent(values)
