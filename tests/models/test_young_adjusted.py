"""A series of a few days takes the shape of its week from the older series of its segment, and its intervals are as wide as so little told them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, no_events, rhythm

from models.candidates import create
from models.candidates.young_adjusted import YoungAdjusted
from models.forecaster import Forecaster, restored
from models.hourly_grid import grid
from models.rhythm import HOURLY
from models.week_shape import WeekShape, learn_week_shape

LEVELS = ["0.01", "0.1", "0.5", "0.9", "0.99"]
# The hours after it are of a Monday to Wednesday; a history of four days ends on a weekend, when demand is 0.7 of what it is then.
MONDAY = CUTOFF - pd.Timedelta(days=2)


def young(days: float, name: str = "r/young/cpu", *, noise: float = 0.03) -> pd.DataFrame:
    rows = rhythm(name, days=42, seed=9, level=50.0, noise=noise)
    return rows[(rows["ds"] >= MONDAY - days * 24 * HOUR) & (rows["ds"] < MONDAY)]


def older(count: int = 4, resource: str = "cpu") -> list[pd.DataFrame]:
    rows = [rhythm(f"r/s{n}/{resource}", seed=n, level=100.0 * (n + 1)) for n in range(count)]
    return [part[part["ds"] < MONDAY] for part in rows]


def ahead(frames: list[pd.DataFrame], name: str = "flair", *, fitted: Forecaster | None = None) -> pd.DataFrame:
    history = pd.concat(frames, ignore_index=True)
    model = fitted or create(name).fit(history, no_events(), UTC)
    return model.predict_quantiles(history, no_events(), MONDAY, 72)


def of(found: pd.DataFrame, name: str = "r/young/cpu") -> pd.DataFrame:
    return found.loc[found["unique_id"] == name, LEVELS].reset_index(drop=True)


@pytest.mark.parametrize("name", ["flair", "seasonal-ridge", "exponential-smoothing", "lightgbm"])
def test_a_series_that_ends_on_its_first_weekend_is_forecast_at_the_weekdays_level(name: str) -> None:
    found = of(ahead([*older(), young(4)], name))
    assert found["0.5"].mean() == pytest.approx(50.0, rel=0.12)


def test_without_older_series_the_interval_reaches_what_its_other_days_were() -> None:
    found = of(ahead([young(4), young(4, "r/other/cpu")]))
    assert found["0.99"].mean() > 50.0
    assert found["0.5"].mean() < 45.0  # nothing tells that the weekend ends


def test_a_profile_is_of_the_segment_or_of_all() -> None:
    flat = rhythm("r/flat/memory", noise=0.01)
    flat["y"] = 10.0 + 0.01 * np.random.default_rng(0).random(len(flat))
    history = pd.concat(
        [*older(), flat[flat["ds"] < MONDAY], flat.assign(unique_id="r/even/memory")[flat["ds"] < MONDAY]], ignore_index=True
    )
    names, values = grid(history, MONDAY)
    shape = learn_week_shape(names, values, MONDAY, HOURLY)
    by_segment = dict(zip([*shape.segments, "*"], shape.profiles, strict=True))
    # From Monday on, the last two of seven days are a weekend.
    weekday = {name: (profile[:120].mean(), profile[120:].mean()) for name, profile in by_segment.items()}
    assert weekday["cpu"] == pytest.approx((1.09, 0.77), abs=0.03)
    assert weekday["memory"] == pytest.approx((1.0, 1.0), abs=0.01)
    assert 0.77 < weekday["*"][1] < 1.0


def test_weeks_that_disagree_lend_no_shape() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([np.repeat(random.gamma(4.0, size=(6, 28)), 24, axis=1)])
    shape = learn_week_shape([f"r/s{n}/cpu" for n in range(6)], values, MONDAY, HOURLY)
    assert np.abs(shape.profiles - 1.0).max() < 0.1


def test_own_days_that_know_no_weekend_are_believed() -> None:
    even = young(6)
    even["y"] = even["y"] / np.where(even["ds"].dt.dayofweek >= 5, 0.7, 1.0)
    factors = _factors([*older(), even])
    assert np.abs(factors - 1.0).max() < 0.15
    assert np.abs(_factors([*older(), young(6)]) - 1.0).max() > 0.2


def _factors(frames: list[pd.DataFrame]) -> np.ndarray:
    names, values = grid(pd.concat(frames, ignore_index=True), MONDAY)
    told = learn_week_shape(names, values, MONDAY, HOURLY).of_young(names, values, MONDAY, 72, HOURLY)
    assert told is not None
    return told.factors


def test_intervals_are_the_wider_the_younger_a_series_is_and_those_of_others_stay() -> None:
    history = [*older(), young(12, "r/known/cpu"), young(8, "r/fresh/cpu"), young(5, "r/new/cpu")]
    model = create("flair").fit(pd.concat(history, ignore_index=True), no_events(), UTC)
    with_young = ahead(history, fitted=model)
    inner = model
    while not isinstance(inner, YoungAdjusted):
        inner = inner.inner  # type: ignore[attr-defined]
    assert inner.shape is not None
    inner.shape = WeekShape(inner.shape.segments, np.ones_like(inner.shape.profiles), inner.shape.end, inner.shape.series)
    flat = ahead(history, fitted=model)
    inner.shape = None
    plain = ahead(history, fitted=model)
    assert of(with_young, "r/s0/cpu").equals(of(plain, "r/s0/cpu"))
    assert of(flat, "r/known/cpu").to_numpy() == pytest.approx(of(plain, "r/known/cpu").to_numpy())
    for level, least in (("0.9", 0.2), ("0.99", 0.4)):
        wider = [_width(flat, name, level) / _width(plain, name, level) for name in ("r/fresh/cpu", "r/new/cpu")]
        assert 1.0 + least < wider[0] < wider[1]


def _width(found: pd.DataFrame, name: str, level: str) -> float:
    rows = of(found, name)
    return float((rows[level] - rows["0.5"]).mean())


@pytest.mark.parametrize("name", ["flair", "exponential-smoothing"])
def test_a_saved_shape_gives_the_same_forecast(name: str, tmp_path: Path) -> None:
    history = pd.concat([*older(), young(4)], ignore_index=True)
    model = create(name).fit(history, no_events(), UTC)
    model.save(tmp_path)  # type: ignore[attr-defined]
    again = restored(create(name), tmp_path, UTC)
    pd.testing.assert_frame_equal(ahead([history], fitted=again), ahead([history], fitted=model))
