"""Forecasts as issued: nothing after an issue time changes them, and the newest error corrects the next steps."""

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILES
from models.issued_forecasts import issue_forecasts
from models.long_frame import LongFrame
from models.short_lead import correct_short_leads

HOUR = pd.Timedelta(hours=1)
START = pd.Timestamp("2026-01-05")
MIDDLE = QUANTILES.index(0.5)


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The correction learns from four issue times before the first: what is tested does not depend on how many there are."""
    monkeypatch.setattr("models.issued_forecasts._WARM_UP", 4)


def series(days: int = 16, seed: int = 0) -> LongFrame:
    random = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    parts = []
    for name, level in (("a", 100.0), ("b", 40.0)):
        drift = np.zeros(hours.size)
        for hour in hours[1:]:
            drift[hour] = 0.9 * drift[hour - 1] + random.normal(0, 0.05)
        y = level * (1 + 0.5 * np.sin(2 * np.pi * hours / 24)) * np.exp(drift)
        parts.append(pd.DataFrame({"unique_id": name, "ds": pd.date_range(START, periods=hours.size, freq="h", unit="us"), "y": y}))
    return LongFrame(pd.concat(parts, ignore_index=True), HOUR)


def issues(first_day: int, count: int) -> list[pd.Timestamp]:
    return list(pd.date_range(START + pd.Timedelta(days=first_day), periods=count, freq="h", unit="us"))


def test_what_is_measured_later_changes_no_forecast_before() -> None:
    told, moments = series(), issues(14, 6)
    rows = told.rows.copy()
    rows.loc[rows["ds"] >= moments[3], "y"] *= 9.0
    before = issue_forecasts(told, moments, 4, candidates=())
    after = issue_forecasts(LongFrame(rows, HOUR), moments, 4, candidates=())
    np.testing.assert_array_equal(before.values[:4], after.values[:4])
    assert (before.values[4:] != after.values[4:]).any()


def test_every_series_and_issue_has_proper_quantiles() -> None:
    made = issue_forecasts(series(), issues(14, 5), 4, candidates=())
    assert made.series == ["a", "b"]
    assert made.values.shape == (5, 2, 4, len(QUANTILES))
    assert np.isfinite(made.values).all()
    assert (np.diff(made.values, axis=3) >= -1e-5).all()


def test_days_are_forecast_too_and_calibrated() -> None:
    """Thirteen days ahead reach beyond the nine days before a fit that weigh its candidates at steps of an hour."""
    days = np.arange(120)
    y = 100 + 30 * np.sin(2 * np.pi * days / 7) + np.random.default_rng(0).normal(0, 5, days.size)
    rows = pd.DataFrame({"unique_id": "a", "ds": pd.date_range(START, periods=days.size, freq="D", unit="us"), "y": y})
    moments = list(pd.date_range(START + pd.Timedelta(days=110), periods=3, freq="D", unit="us"))
    made = issue_forecasts(LongFrame(rows, pd.Timedelta(days=1)), moments, 13, candidates=("seasonal-ridge",))
    assert np.isfinite(made.values).all()
    away = np.abs(made.values[0, 0, :10, MIDDLE] - y[110:])
    assert away.mean() < 15


def test_a_series_that_begins_too_late_is_told_as_missing() -> None:
    told = series()
    rows = told.rows[(told.rows["unique_id"] == "a") | (told.rows["ds"] >= START + pd.Timedelta(days=13))]
    made = issue_forecasts(LongFrame(rows.reset_index(drop=True), HOUR), issues(14, 2), 4, candidates=())
    assert np.isnan(made.values[:, 1]).all()
    assert np.isfinite(made.values[:, 0]).all()


def test_bad_issue_times_and_candidates_are_refused() -> None:
    told = series()
    with pytest.raises(BadInputError, match="'mstl' cannot forecast without a refit"):
        issue_forecasts(told, issues(14, 2), 4, candidates=("mstl",))
    with pytest.raises(BadInputError, match="one distance between all"):
        issue_forecasts(told, [*issues(14, 2), *issues(15, 1)], 4, candidates=())
    with pytest.raises(BadInputError, match=r"no series has 3 days of history.*choose a later time"):
        issue_forecasts(told, issues(1, 2), 4, candidates=())


def drifting(count: int = 400, horizon: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A forecast that always says 10 with a spread three times too wide, of demand that wanders around 10."""
    random = np.random.default_rng(3)
    y = np.empty(count + horizon + 1)
    y[0] = 10.0
    for step in range(1, y.size):
        y[step] = 10 + 0.8 * (y[step - 1] - 10) + random.normal(0, 0.5)
    at = 1 + np.arange(count)[:, None] + np.arange(horizon)
    spread = np.linspace(-3, 3, len(QUANTILES))
    values = np.broadcast_to(10.0 + spread, (count, 1, horizon, len(QUANTILES))).astype(np.float32)
    return values, y[at][:, None, :], y[:count][:, None]


def test_errors_that_last_are_learnt_and_spreads_are_brought_to_size() -> None:
    values, truth, last = drifting()
    corrected = correct_short_leads(values, truth, last, 1)
    late = slice(200, None)
    before, after = (np.abs(truth[late, 0] - told[late, 0, :, MIDDLE]).mean(axis=0) for told in (values, corrected))
    assert (after < before * [0.8, 0.95, 1.05]).all()
    inside = (truth[late, 0, 0] <= corrected[late, 0, 0, QUANTILES.index(0.9)]).mean()
    assert inside == pytest.approx(0.9, abs=0.06)
    assert (np.diff(corrected, axis=3) >= -1e-5).all()


def test_a_correction_knows_only_what_was_measured_by_then() -> None:
    values, truth, last = drifting()
    at, step = 100, np.arange(400)[:, None] + np.arange(3)
    later = np.where((step >= at)[:, None, :], truth * 50, truth)
    newer = np.where(np.arange(400)[:, None] > at, last * 50, last)
    changed = correct_short_leads(values, later, newer, 1)
    np.testing.assert_array_equal(changed[: at + 1], correct_short_leads(values, truth, last, 1)[: at + 1])


def test_what_was_not_measured_teaches_nothing() -> None:
    values, truth, last = drifting(50)
    silent = correct_short_leads(values, np.full_like(truth, np.nan), np.full_like(last, np.nan), 1)
    np.testing.assert_allclose(silent, values)


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    told, moments, half_day = series(), issues(14, 18), pd.Timedelta(hours=12)
    alone = issue_forecasts(told, moments, 4, candidates=(), refit_every=half_day)
    shared = issue_forecasts(told, moments, 4, candidates=(), refit_every=half_day, jobs=2)
    np.testing.assert_array_equal(alone.values, shared.values)


def test_series_that_end_at_different_times_keep_their_own() -> None:
    told = series()
    ended = told.rows["unique_id"].eq("b") & (told.rows["ds"] >= START + pd.Timedelta(days=15))
    shorter = LongFrame(told.rows[~ended].reset_index(drop=True), HOUR)
    moments = issues(14, 3)
    np.testing.assert_array_equal(
        issue_forecasts(told, moments, 4, candidates=()).values, issue_forecasts(shorter, moments, 4, candidates=()).values
    )
