"""The measures: pinball loss by hand, coverage, weighted quantile loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.pinball import coverage, pinball_loss, row_pinball, wql


def frame(y: list[float], quantiles: list[float]) -> pd.DataFrame:
    rows = pd.DataFrame([quantiles] * len(y), columns=list(QUANTILE_COLUMNS))
    return rows.assign(y=y)


def test_too_low_costs_q_and_too_high_costs_the_rest():
    losses = pinball_loss(np.array([10.0, 0.0]), np.full((2, len(QUANTILES)), 4.0))
    assert losses[0] == pytest.approx([6 * q for q in QUANTILES])
    assert losses[1] == pytest.approx([4 * (1 - q) for q in QUANTILES])


def test_the_true_quantiles_cost_least():
    y = np.random.default_rng(0).gamma(2.0, size=4000)
    true = frame(list(y), list(np.quantile(y, QUANTILES)))
    for factor in (0.8, 1.25):
        other = true.assign(**{column: true[column] * factor for column in QUANTILE_COLUMNS})
        assert row_pinball(other).mean() > row_pinball(true).mean()


def test_coverage_counts_what_lies_between_the_quantiles():
    rows = frame([0.5, 1.0, 5.0, 11.9, 12.5], [float(i) for i in range(len(QUANTILES))])
    assert coverage(rows, 0.8) == 1 / 5  # only 5.0 lies between the quantiles 0.1 (2) and 0.9 (10)
    assert coverage(rows, 0.98) == 4 / 5  # all but 12.5 lie between 0 and 12


def test_wql_does_not_depend_on_the_unit():
    rows = frame([3.0, 9.0], [float(i) for i in range(len(QUANTILES))])
    scaled = rows * 1000
    assert wql(scaled) == pytest.approx(wql(rows))
    assert np.isnan(wql(frame([0.0], [0.0] * len(QUANTILES))))
