"""New levels: found two days after they came, not taken for weekends, noise or a single odd day; candidates then need not unlearn the old one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.candidates import NAIVES, bare, create
from models.candidates.level_adjusted import LevelAdjusted
from models.forecaster import SeriesCalendar
from models.hourly_grid import recent
from models.level_shift import level_changes
from models.rhythm import HOURLY
from models.visible_events import events_known_at

DAYS = 28
CUTOFF = pd.Timestamp("2026-03-02", tz="UTC")
NONE = pd.DataFrame(
    {name: pd.Series(dtype="datetime64[us, UTC]") for name in ("start", "end", "available_at")}
    | {name: pd.Series(dtype=float) for name in ("strength", "value")}
    | {name: pd.Series(dtype=object) for name in ("event_id", "kind", "title", "region", "service")}
)


def demand(series: int = 5, weekend: float = 0.6, seed: int = 1) -> np.ndarray:
    """Hourly demand with a day, a weekend and noise, shape (series, hours)."""
    hour = np.arange(DAYS * 24)
    shape = (1 + 0.4 * np.sin(2 * np.pi * hour / 24)) * np.where(hour // 24 % 7 < 5, 1.0, weekend)
    return 100 * shape * np.random.default_rng(seed).normal(1, 0.05, (series, hour.size))


def changed(values: np.ndarray, days: int, factor: float) -> np.ndarray:
    return np.where(np.arange(values.shape[1]) >= values.shape[1] - days * 24, factor, 1.0) * values


def drifting(values: np.ndarray, days: int, factor: float) -> np.ndarray:
    """Growing or fading evenly over the last `days`, by `factor` in all."""
    return values * factor ** np.clip(1 - np.arange(values.shape[1])[::-1] / (days * 24), 0, 1)


@pytest.mark.parametrize("days", [2, 3, 6, 12])
@pytest.mark.parametrize("factor", [0.1, 0.5, 2.0])
def test_a_new_level_is_found_two_days_after_it_came(days: int, factor: float):
    rows, found, _ = level_changes(changed(demand(), days, factor), HOURLY)
    assert rows.size == 5
    np.testing.assert_allclose(np.exp(found[:, 0]), factor, rtol=0.12)
    assert (found[:, -days * 24 :] == 0).all()
    assert (found[:, -days * 24 - 1] != 0).all()


def test_two_changes_are_both_taken_off():
    found = np.exp(level_changes(changed(changed(demand(), 15, 3.0), 4, 0.5), HOURLY)[1])
    np.testing.assert_allclose(found[:, 0], 1.5, rtol=0.2)
    np.testing.assert_allclose(found[:, -10 * 24], 0.5, rtol=0.2)


@pytest.mark.parametrize("days", [5, 8, 14])
@pytest.mark.parametrize("factor", [0.2, 0.5, 3.0])
def test_a_level_that_drifted_for_days_is_told_at_every_step_of_the_way(days: int, factor: float):
    rows, found, _ = level_changes(drifting(demand(), days, factor), HOURLY)
    assert rows.size == 5
    past = np.linspace(-DAYS, 0, DAYS * 24, endpoint=False)
    np.testing.assert_allclose(np.exp(found.mean(axis=0)), factor ** np.clip(-past / days, 0, 1), rtol=0.15)


def test_weekends_noise_and_one_odd_day_are_no_change():
    odd = demand()
    odd[:, -10 * 24 : -9 * 24] *= 0.3
    for values in (demand(weekend=0.2), demand(seed=4), odd, np.random.default_rng(2).lognormal(3, 1, (20, DAYS * 24))):
        assert not level_changes(values, HOURLY)[0].size


def test_series_without_a_level_to_tell_stay_as_they_are():
    zero, negative, short = changed(demand(1), 4, 0.0), changed(demand(1), 4, 0.5) - 60, changed(demand(1), 4, 0.5)
    short[:, : -10 * 24] = np.nan
    for values in (zero, negative, short):
        assert not level_changes(values, HOURLY)[0].size


def long(values: np.ndarray) -> pd.DataFrame:
    ds = pd.date_range(end=CUTOFF, periods=values.shape[1] + 1, freq="h", unit="us")[:-1]
    return pd.concat([pd.DataFrame({"unique_id": f"s{n}", "ds": ds, "y": row}) for n, row in enumerate(values)], ignore_index=True)


@pytest.mark.parametrize("name", ["seasonal-ridge", "exponential-smoothing", "flair"])
def test_three_days_after_demand_halved_the_forecast_is_at_the_new_level(name: str):
    values = demand()
    assert_at(0.5 * values[:, -28 * 24 : -25 * 24], changed(values, 3, 0.5), name)  # the same weekdays


@pytest.mark.parametrize("name", ["seasonal-ridge", "exponential-smoothing", "flair"])
def test_a_demand_that_faded_for_a_week_is_forecast_at_what_is_left(name: str):
    values = demand()
    assert_at(0.3 * values[:, -28 * 24 : -25 * 24], drifting(values, 7, 0.3), name)


def assert_at(truth: np.ndarray, values: np.ndarray, name: str) -> None:
    """Every hour's forecast is within a tenth of `truth` in the mean, and was more than twice as far off without the layer."""
    history, events = long(values), events_known_at(NONE, CUTOFF)

    def error(forecaster) -> float:
        fitted = forecaster.fit(history, events, SeriesCalendar())
        hours = fitted.predict_quantiles(recent(history, CUTOFF), events, CUTOFF).groupby("ds")["0.5"].mean()
        return float((hours - truth.mean(axis=0)).abs().mean() / truth.mean())

    assert error(LevelAdjusted(bare(name))) < 0.1
    assert error(bare(name)) > 2 * error(LevelAdjusted(bare(name)))


def test_the_naives_stay_naive_and_a_calm_history_is_handed_on_as_it_is():
    assert all(type(create(name)) is type(bare(name)) for name in NAIVES)
    history, events = long(demand()), events_known_at(NONE, CUTOFF)
    own, wrapped = (
        maker("seasonal-ridge").fit(history, events, SeriesCalendar()).predict_quantiles(recent(history, CUTOFF), events, CUTOFF)
        for maker in (bare, create)
    )
    pd.testing.assert_frame_equal(own, wrapped)


def episode(values: np.ndarray, days: int) -> np.ndarray:
    """Twice as much on the first of the last `days`, and less of it on every day since, by a sixth of the whole."""
    since = np.arange(values.shape[1]) // 24 - (DAYS - days)
    return values * np.where(since >= 0, 2.0 ** (1 - since / 6), 1.0)


@pytest.mark.parametrize("days", [3, 4, 5])
def test_about_half_of_what_is_left_of_a_change_that_recedes_is_believed_in_its_first_days(days: int):
    rows, found, _ = level_changes(episode(demand(), days), HOURLY)
    assert rows.size == 5
    np.testing.assert_allclose(found[:, 0], 0.55 * np.log(2) * (1 - (days - 1) / 6), rtol=0.15)
    assert (found[:, -days * 24 :] == 0).all()


def unsteady(values: np.ndarray) -> np.ndarray:
    """The third day from now stands out, so that no change before it is steady."""
    day = np.arange(values.shape[1])[::-1] // 24
    return values * np.where(day == 2, 1.35, 1.0)


@pytest.mark.parametrize(("days", "share"), [(4, 0.55), (6, 0.8), (7, 1.0)])
def test_a_jump_is_believed_the_more_the_longer_it_has_lasted(days: int, share: float):
    found = level_changes(unsteady(changed(demand(), days, 0.2)), HOURLY)[1]
    np.testing.assert_allclose(found[:, 0], share * np.log(0.2), rtol=0.1)


@pytest.mark.parametrize(("days", "share"), [(5, 0.45), (9, 0.6), (13, 0.6), (15, 1.0)])
def test_a_drift_is_believed_less_than_a_jump_of_its_age_until_it_has_gone_on_for_two_weeks(days: int, share: float):
    found, doubt = level_changes(unsteady(drifting(demand(), days, 0.2)), HOURLY)[1:]
    np.testing.assert_allclose(found[:, 0], share * np.log(0.2), rtol=0.1)
    assert ((doubt > 0) == (share < 1)).all()


def test_a_change_that_has_lasted_a_week_is_believed_whole_however_unsteady_its_days_were():
    odd = changed(demand(), 7, 2.0)
    odd[:, -4 * 24 : -3 * 24] *= 1.3
    found = level_changes(odd, HOURLY)[1]
    np.testing.assert_allclose(np.exp(found[:, 0]), 2.0 * 1.3 ** (1 / 7), rtol=0.1)


def test_two_changes_are_told_beside_each_other():
    """The first that is found takes the other for noise, and is told too small by itself."""
    found = np.exp(level_changes(changed(changed(demand(), 15, 3.0), 4, 0.5), HOURLY)[1])
    np.testing.assert_allclose(found[:, 0], 1.5, rtol=0.05)
    np.testing.assert_allclose(found[:, -10 * 24], 0.5, rtol=0.05)


def test_intervals_widen_by_the_doubt_whether_a_young_change_lasts():
    receding, calm = long(episode(demand(), 3)), long(demand())
    events = events_known_at(NONE, CUTOFF)

    def widths(history: pd.DataFrame, *, doubted: bool) -> pd.Series[float]:
        forecaster = LevelAdjusted(bare("seasonal-ridge")).fit(history, events, SeriesCalendar())
        changed = forecaster._changed(recent(history, CUTOFF), CUTOFF)
        maker = forecaster if doubted else forecaster.inner
        found = maker.predict_quantiles(recent(history, CUTOFF) if doubted else changed, events, CUTOFF)
        return (found["0.9"] - found["0.1"]) / found["0.5"]

    doubt = level_changes(episode(demand(), 3), HOURLY)[2].mean()
    assert doubt == pytest.approx(0.33 * np.log(2) * 5 / 6, rel=0.15)
    assert (widths(receding, doubted=True) >= 2 * 1.28 * doubt).all()
    assert (widths(receding, doubted=False) < 2 * 1.28 * doubt).mean() > 0.5
    pd.testing.assert_series_equal(widths(calm, doubted=True), widths(calm, doubted=False))


def test_a_change_that_is_believed_whole_leaves_no_doubt():
    assert (level_changes(changed(demand(), 3, 0.5), HOURLY)[2] == 0).all()
    assert (level_changes(changed(demand(), 12, 0.5), HOURLY)[2] == 0).all()
