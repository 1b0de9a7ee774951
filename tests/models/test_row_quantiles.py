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


def test_rows_without_a_gap_have_the_same_quantiles_beside_one_with_a_gap():
    values = np.random.default_rng(4).normal(size=(6, 40))
    gappy = np.vstack([values, np.full(40, np.nan)])
    np.testing.assert_array_equal(row_quantiles(values, LEVELS), row_quantiles(gappy, LEVELS)[:-1])
    np.testing.assert_allclose(row_quantiles(values, LEVELS), np.quantile(values, LEVELS, axis=1).T, rtol=1e-12)
    assert row_quantiles(np.empty((0, 40)), LEVELS).shape == (0, LEVELS.size)
