"""Calibration: the stated coverage holds on data that nobody saw."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.calibration import ALL_SERIES, OFFSET_COLUMNS, Calibration, apply_offsets, fit_calibration
from models.pinball import coverage


def forecasts(rows: int, *, seed: int, truth: float = 1.0, bias: float = 0.0, horizons: tuple[int, ...] = (3, 12, 60)) -> pd.DataFrame:
    """Normal forecasts of deviation 10 % of the level, of series of very different size; the truth deviates `truth` times as much."""
    random = np.random.default_rng(seed)
    level = random.choice([1.0, 50.0, 10_000.0], rows)
    steps = np.array([NormalDist().inv_cdf(q) for q in QUANTILES])
    frame = pd.DataFrame(level[:, None] * (1 + 0.1 * steps), columns=list(QUANTILE_COLUMNS))
    y = level * (1 + 0.1 * (bias + truth * random.normal(size=rows)))
    return frame.assign(unique_id="r/s/cpu", horizon=random.choice(horizons, rows), y=y)


@pytest.mark.parametrize("truth", [0.5, 2.0, 3.0])
@pytest.mark.parametrize("level", [0.6, 0.8, 0.98])
def test_coverage_holds_whether_the_forecast_was_too_narrow_or_too_wide(truth, level):
    calibration = fit_calibration(forecasts(3000, seed=1, truth=truth))
    fresh = forecasts(3000, seed=2, truth=truth)
    assert abs(coverage(fresh, level) - level) > 0.015
    assert coverage(calibration.apply(fresh), level) == pytest.approx(level, abs=0.03)


def test_a_bias_widens_the_interval_and_leaves_the_median():
    calibration = fit_calibration(forecasts(3000, seed=1, bias=1.0))
    fresh = forecasts(3000, seed=2, bias=1.0)
    calibrated = calibration.apply(fresh)
    assert coverage(calibrated) == pytest.approx(0.8, abs=0.03)
    assert calibrated["0.5"].equals(fresh["0.5"])


def test_every_horizon_bucket_has_its_own_offsets():
    near, far = forecasts(2000, seed=1, truth=0.5, horizons=(1, 6)), forecasts(2000, seed=2, truth=3.0, horizons=(25, 72))
    calibration = fit_calibration(pd.concat([near, far], ignore_index=True))
    for seed, truth, horizons in ((3, 0.5, (2, 5)), (4, 3.0, (30, 70))):
        fresh = calibration.apply(forecasts(2000, seed=seed, truth=truth, horizons=horizons))
        assert coverage(fresh) == pytest.approx(0.8, abs=0.03)
    untouched = forecasts(10, seed=5, horizons=(12,))
    pd.testing.assert_frame_equal(calibration.apply(untouched), untouched)


def test_moved_quantiles_do_not_cross_and_are_not_negative():
    offsets = pd.DataFrame({"unique_id": ALL_SERIES, "bucket": "7-24", "quantile": ["0.01", "0.5"], "offset": [9.0, -50.0], "rows": 1})
    moved = apply_offsets(forecasts(50, seed=1, horizons=(12,)), offsets)[list(QUANTILE_COLUMNS)].to_numpy()
    assert (np.diff(moved, axis=1) >= 0).all()
    assert (moved >= 0).all()


def test_the_offset_of_a_series_adds_to_that_of_all():
    offsets = pd.DataFrame([[ALL_SERIES, "1-6", "0.99", 0.5, 9], ["r/s/cpu", "1-6", "0.99", 0.25, 9]], columns=list(OFFSET_COLUMNS))
    forecast = forecasts(1, seed=1, horizons=(3,))
    width = forecast["0.9"] - forecast["0.1"]
    moved = apply_offsets(forecast, offsets)
    assert (moved["0.99"] - forecast["0.99"]).iloc[0] == pytest.approx(0.75 * width.iloc[0])
    assert moved["0.95"].iloc[0] == pytest.approx(forecast["0.95"].iloc[0])


def test_without_offsets_nothing_changes():
    forecast = forecasts(5, seed=1)
    pd.testing.assert_frame_equal(Calibration.none().apply(forecast), forecast)
    flat = forecast.assign(**dict.fromkeys(QUANTILE_COLUMNS, 0.0))
    assert fit_calibration(flat).offsets.empty  # a forecast of nothing has no width to measure in
