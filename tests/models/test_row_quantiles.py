"""Quantiles of rows with gaps are those of each row alone."""

from __future__ import annotations

import numpy as np

from models.row_quantiles import row_quantiles

LEVELS = np.array([0.0, 0.05, 0.5, 0.99, 1.0])


def test_each_row_has_numpys_quantiles_of_what_it_has():
    random = np.random.default_rng(3)
    values = random.normal(size=(6, 40))
    for row in range(6):
        values[row, random.permutation(40)[: 7 * row]] = np.nan
    found = row_quantiles(values, LEVELS)
    for row in range(6):
        np.testing.assert_allclose(found[row], np.nanquantile(values[row], LEVELS), rtol=1e-12)


def test_a_row_of_one_number_repeats_it_and_one_without_any_has_none():
    found = row_quantiles(np.array([[np.nan, 3.0], [np.nan, np.nan]]), LEVELS)
    assert (found[0] == 3.0).all()
    assert np.isnan(found[1]).all()
