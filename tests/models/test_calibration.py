"""Calibration: the stated coverage holds on data that nobody saw."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.calibration import ALL_SERIES, OFFSET_COLUMNS, Calibration, apply_offsets, fit_calibration
from models.conformal_offsets import PAIRS, unshrunk_offsets
from models.pinball import coverage


def forecasts(
    rows: int,
    *,
    seed: int,
    truth: float = 1.0,
    bias: float = 0.0,
    horizons: tuple[int, ...] = (3, 12, 60),
    windows: int = 60,
    series: tuple[str, ...] = ("r/s/cpu", "r/t/cpu", "r/u/cpu", "r/v/cpu"),
) -> pd.DataFrame:
    """Normal forecasts of deviation 10 % of the level, of series of very different size; the truth deviates `truth` times as much."""
    random = np.random.default_rng(seed)
    level = random.choice([1.0, 50.0, 10_000.0], rows)
    steps = np.array([NormalDist().inv_cdf(q) for q in QUANTILES])
    frame = pd.DataFrame(level[:, None] * (1 + 0.1 * steps), columns=list(QUANTILE_COLUMNS))
    y = level * (1 + 0.1 * (bias + truth * random.normal(size=rows)))
    who, when = np.array(series)[np.arange(rows) % len(series)], np.arange(rows) // len(series) % windows
    return frame.assign(unique_id=who, cutoff=when, horizon=random.choice(horizons, rows), y=y)


@pytest.mark.parametrize("truth", [0.5, 2.0, 3.0])
@pytest.mark.parametrize("level", [0.6, 0.8, 0.98])
def test_coverage_holds_whether_the_forecast_was_too_narrow_or_too_wide(truth, level):
    calibration = fit_calibration(forecasts(3000, seed=1, truth=truth, windows=750))
    fresh = forecasts(3000, seed=2, truth=truth)
    assert abs(coverage(fresh, level) - level) > 0.015
    assert coverage(calibration.apply(fresh), level) == pytest.approx(level, abs=0.03)


@pytest.mark.parametrize("truth", [0.5, 2.0])
def test_inner_intervals_follow_as_evidence_grows(truth):
    fresh = forecasts(6000, seed=2, truth=truth)
    gaps = [abs(coverage(fresh, 0.6) - 0.6)]
    for windows in (3, 30, 300):
        learnt = fit_calibration(forecasts(6000, seed=1, truth=truth, windows=windows))
        gaps.append(abs(coverage(learnt.apply(fresh), 0.6) - 0.6))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.02


def test_one_window_of_one_series_moves_intervals_by_a_sixth_of_what_it_says_and_inner_ones_by_a_twentyfirst():
    def moved(truth: float) -> pd.DataFrame:
        learnt = fit_calibration(forecasts(3000, seed=1, truth=truth, windows=1, series=("r/s/cpu",), horizons=(12,)))
        return learnt.offsets.set_index("quantile")["offset"]

    # A normal truth of deviation `truth` needs the interval up to quantile q moved by (truth - 1) z_q / (2 z_0.9) of the 80 % one's width.
    for truth in (3.0, 0.5):
        found = moved(truth)
        for name, part in (("0.7", 1 / 21), ("0.8", 1 / 21), ("0.9", 1 / 6), ("0.95", 1 / 6)):
            share = NormalDist().inv_cdf(float(name)) / NormalDist().inv_cdf(0.9)
            assert found[name] == pytest.approx((truth - 1.0) / 2 * share * part, rel=0.1)


def test_a_bucket_with_few_windows_is_drawn_towards_all_hours():
    """The first hours alone are off: one window believes half of the difference, many believe it."""

    def moved(windows: int) -> pd.Series:
        near, far = (
            forecasts(4000, seed=seed, truth=truth, windows=windows, series=("r/s/cpu",), horizons=hours)
            for seed, (truth, hours) in enumerate(((3.0, (3,)), (1.0, (12, 60))))
        )
        offsets = fit_calibration(pd.concat([near, far], ignore_index=True)).offsets
        found = offsets[offsets["quantile"] == "0.9"].set_index("bucket")["offset"]
        return found * (windows + 5) / windows  # without the shrinkage that all buckets have

    few, many = moved(1), moved(600)
    assert many["1-6"] == pytest.approx(1.0, rel=0.1)
    assert abs(many["25-72"]) < 0.05
    assert 0.5 < few["1-6"] < 0.8
    assert 0.1 < few["25-72"] < 0.5
    assert few["1-6"] - few["25-72"] == pytest.approx((many["1-6"] - many["25-72"]) / 2, rel=0.1)


def test_more_rows_of_the_same_windows_are_no_more_evidence():
    few, many = (fit_calibration(forecasts(rows, seed=1, truth=2.0, windows=2, horizons=(12,))) for rows in (2000, 20_000))
    both = [learnt.offsets.set_index("quantile")["offset"]["0.9"] for learnt in (few, many)]
    assert both[0] == pytest.approx(both[1], rel=0.1)


def test_fits_that_had_seen_too_little_widen_the_rare_intervals_only():
    """Half of the windows are of fits that missed five times as much, because they were young."""
    grown, young = forecasts(2000, seed=1, horizons=(12,)), forecasts(2000, seed=2, truth=5.0, horizons=(12,))
    both = pd.concat([grown.assign(seasoned=True), young.assign(seasoned=False, cutoff=young["cutoff"] + 60)], ignore_index=True)
    alone, mixed, blind = (
        fit_calibration(rows).offsets.set_index("quantile")["offset"] for rows in (grown, both, both.drop(columns="seasoned"))
    )
    inside = [name for name in QUANTILE_COLUMNS if 0.05 <= float(name) <= 0.95 and name != "0.5"]
    pd.testing.assert_series_equal(mixed[inside].sort_index(), alone[inside].sort_index())
    assert mixed["0.99"] == blind["0.99"]
    assert blind["0.9"] > mixed["0.9"] + 0.5


def test_a_forecast_that_has_seen_too_little_learns_from_its_like():
    young = forecasts(2000, seed=1, truth=3.0, horizons=(12,)).assign(seasoned=False)
    fresh = forecasts(2000, seed=2, truth=3.0, horizons=(12,))
    assert coverage(fit_calibration(young, seasoned=False).apply(fresh)) == pytest.approx(0.8, abs=0.03)
    later = fit_calibration(young, seasoned=True)
    assert later.apply(fresh)["0.9"].equals(fresh["0.9"])
    assert (later.apply(fresh)["0.99"] > fresh["0.99"]).all()


def test_rare_intervals_reach_further_than_the_few_scores_seen():
    """Of 3 windows of 24 normal rows, the 98 % point of the scores leaves out more than 2 % of fresh ones."""
    fresh = np.sort(np.abs(np.random.default_rng(0).normal(size=50_000)))
    missed = {"scores": [], "reach": []}
    for seed in range(200):
        score = np.abs(np.random.default_rng(seed + 1).normal(size=72))
        reach = unshrunk_offsets(np.tile(score[:, None], len(PAIRS)), np.ones(72), np.zeros(72, dtype=int), np.array([3.0]))[0, 0]
        for name, bound in (("scores", np.quantile(score, 0.98)), ("reach", reach)):
            missed[name].append(1 - np.searchsorted(fresh, bound) / len(fresh))
    assert np.mean(missed["scores"]) > 0.025
    assert 0.01 < np.mean(missed["reach"]) < 0.02


def test_one_series_that_nobody_saw_coming_does_not_move_the_others():
    calm = forecasts(2000, seed=1, horizons=(12,))
    quantiles = dict.fromkeys(QUANTILE_COLUMNS, 0.0) | {"0.9": 1e-3, "0.95": 1e-3, "0.99": 1e-3}
    woken = forecasts(500, seed=2, horizons=(12,), series=("r/new/cpu",)).assign(**quantiles, y=5.0)
    without, beside = fit_calibration(calm).offsets, fit_calibration(pd.concat([calm, woken], ignore_index=True)).offsets
    assert np.allclose(beside["offset"], without["offset"], atol=0.05)


def test_a_segment_that_is_off_in_every_window_moves_by_itself():
    calm = {"truth": 1.0, "series": ("r/s/cpu", "r/t/cpu"), "windows": 200}
    wild = {"truth": 3.0, "series": ("r/s/memory", "r/t/memory"), "windows": 200}
    learnt = fit_calibration(pd.concat([forecasts(4000, seed=seed, **of) for seed, of in enumerate((calm, wild))], ignore_index=True))
    assert {ALL_SERIES, "*/cpu", "*/memory"} == set(learnt.offsets["unique_id"])
    for of in (calm, wild):
        assert coverage(learnt.apply(forecasts(4000, seed=5, **of))) == pytest.approx(0.8, abs=0.05)
    stranger = learnt.apply(forecasts(500, seed=6, series=("r/s/storage",)))
    assert coverage(stranger) > 0.85  # what all series have in common


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


def test_a_series_that_is_negative_stays_so_and_the_others_do_not_become_it():
    offsets = pd.DataFrame({"unique_id": ALL_SERIES, "bucket": "7-24", "quantile": ["0.01", "0.99"], "offset": [-50.0, 50.0], "rows": 1})
    forecast = forecasts(50, seed=1, horizons=(12,))
    below = (forecast["unique_id"] == "r/t/cpu").to_numpy()
    levels = list(QUANTILE_COLUMNS)
    forecast.loc[below, levels] -= 1.1 * forecast.loc[below, ["0.5"]].to_numpy()
    moved = apply_offsets(forecast, offsets)
    assert (moved.loc[below, levels[1:-1]].to_numpy() == forecast.loc[below, levels[1:-1]].to_numpy()).all()
    assert (moved.loc[below, "0.01"] < forecast.loc[below, "0.01"]).all()
    assert (moved.loc[~below, "0.01"] == 0).all()


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


def test_forecasts_that_are_off_by_the_same_everywhere_are_calibrated_too():
    forecast = forecasts(100, seed=1)
    exact = fit_calibration(forecast.assign(y=forecast["0.5"]))
    assert (exact.offsets.loc[exact.offsets["quantile"].isin(["0.9", "0.95", "0.99"]), "offset"] < 0).all()
