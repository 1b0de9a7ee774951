"""The trimmed mean of a few forecasts is what the definition says, for any number of rows, ties and weights of nothing."""

import numpy as np
import pytest

from models.trimmed_mean import trimmed_mean


def by_definition(values, shares, trim):
    order = np.argsort(values, kind="stable")
    share = shares[order] / shares.sum()
    upto = np.cumsum(share)
    inner = np.clip(np.minimum(upto, 1 - trim) - np.maximum(upto - share, trim), 0, None)
    return (values[order] * inner).sum() / inner.sum()


@pytest.mark.parametrize("candidates", [1, 2, 5, 6])
def test_every_number_is_the_mean_of_its_own_values_without_the_outer_weight(candidates):
    random = np.random.default_rng(candidates)
    values = np.sort(random.normal(size=(candidates, 1100, 3)), axis=2).round(1)  # many are equal
    shares = random.uniform(size=(candidates, 1100))
    shares[1:, ::2] *= random.integers(0, 2, size=(candidates - 1, 550))
    found = trimmed_mean(values, shares, 0.3)
    for row in (0, 511, 512, 513, 1099):  # beside the edges of what is worked on at once
        wanted = [by_definition(values[:, row, level], shares[:, row], 0.3) for level in range(3)]
        assert found[row] == pytest.approx(wanted)


def test_candidates_that_agree_are_left_at_their_very_number_and_nothing_is_changed_in_place():
    values, shares = np.full((5, 4, 2), 0.1 + 0.2), np.full((5, 4), 1 / 3)
    values[4], shares[4] = 1e300, 0.0
    before = values.copy(), shares.copy()
    assert (trimmed_mean(values, shares, 0.3) == 0.1 + 0.2).all()
    assert (values == before[0]).all()
    assert (shares == before[1]).all()
