"""What drivers do is learnt, shared, told with its uncertainty, and never invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, event_rows, no_events, rhythm

from headroom.vocabulary import QUANTILE_COLUMNS
from models.backtest import backtest
from models.candidates import bare
from models.candidates.driver_adjusted import DriverAdjusted
from models.driver_effects import DriverEffects, Told
from models.driver_learning import learn_effects
from models.forecaster import SeriesCalendar
from models.hourly_grid import grid, recent
from models.visible_events import events_known_at

LEVELS = list(QUANTILE_COLUMNS)
NAIVE = "seasonal-naive-24"
DAYS = 28
START = CUTOFF - DAYS * 24 * HOUR
STEPS = pd.date_range(START, periods=(DAYS + 3) * 24, freq="h", unit="us")
# Every third day at different hours, and one in the hours that are forecast.
STARTS = [START + (72 * at + (7 * at) % 24 + 24) * HOUR for at in range(8)]
AHEAD = CUTOFF + 20 * HOUR
EDGE, OTHER = "r/edge/cpu", "r/other/cpu"


def adjusted(name: str) -> DriverAdjusted:
    """The effect layer alone."""
    return DriverAdjusted(bare(name))


def readings(values: np.ndarray, kind: str = "load", **where: str) -> pd.DataFrame:
    """A value for every step, known all along."""
    return event_rows(list(STEPS), hours=1, kind=kind, service="", **where).assign(value=values)


def matches(*, service: str = "edge", kind: str = "match") -> pd.DataFrame:
    return event_rows([*STARTS, AHEAD], service=service, kind=kind)


def during(starts: list[pd.Timestamp]) -> np.ndarray:
    return sum(((start <= STEPS) & (start + 2 * HOUR > STEPS)).astype(float) for start in starts)


def demand(name: str = EDGE, *, added: np.ndarray | float = 0.0, factor: np.ndarray | float = 1.0, seed: int = 0) -> pd.DataFrame:
    whole = rhythm(name, days=DAYS, seed=seed)
    return whole.assign(y=whole["y"] * factor + added)


def past(*parts: pd.DataFrame) -> pd.DataFrame:
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["ds"] < CUTOFF]


def learnt(history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar = UTC) -> tuple[DriverEffects, list[str], Told]:
    names, values = grid(history, CUTOFF, steps=DAYS * 24)
    effects = learn_effects(names, values, CUTOFF, events, calendar)
    assert effects is not None
    told = effects.at(names, values, CUTOFF, 72, events, calendar)
    assert told is not None
    return effects, names, told


def forecast(history: pd.DataFrame, events: pd.DataFrame, name: str = NAIVE, calendar: SeriesCalendar = UTC) -> pd.DataFrame:
    return adjusted(name).fit(history, events, calendar).predict_quantiles(recent(history, CUTOFF), events, CUTOFF)


def width(found: pd.DataFrame) -> pd.Series:
    return found["0.9"] - found["0.1"]


def walk(seed: int = 5) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(size=len(STEPS))
    found = np.zeros(len(STEPS))
    for at in range(1, len(STEPS)):
        found[at] = 0.8 * found[at - 1] + 0.6 * steps[at]
    return found


@pytest.mark.parametrize("name", [NAIVE, "seasonal-ridge"])
def test_without_events_a_forecast_is_the_candidates_own(name):
    history = past(demand(), demand(OTHER, seed=1))
    own = bare(name).fit(history, no_events(), UTC).predict_quantiles(recent(history, CUTOFF), no_events(), CUTOFF)
    pd.testing.assert_frame_equal(forecast(history, no_events(), name), own, check_exact=True)


def test_events_of_others_change_nothing():
    history = past(demand())
    elsewhere = matches(service="elsewhere")
    pd.testing.assert_frame_equal(forecast(history, elsewhere), forecast(history, no_events()), check_exact=True)


class Seen:
    """Forecasts nothing and keeps the history that it was given."""

    name = "seen"

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Seen:
        self.history = history
        return self

    def predict_quantiles(self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = 72) -> pd.DataFrame:
        raise NotImplementedError


@pytest.mark.parametrize("shifted", [0.0, -500.0])
def test_an_effect_learnt_when_demand_was_larger_leaves_a_tenth_of_it_unless_the_series_goes_below_zero(shifted: float):
    faded = np.where(CUTOFF - 8 * 24 * HOUR <= STEPS, 0.05, 1.0)
    history = past(demand(added=200 * during(STARTS)))
    history["y"] = history["y"] * faded[: len(history)] + shifted
    seen = Seen()
    DriverAdjusted(seen).fit(history, matches(), UTC)
    off = history["y"] - seen.history["y"].to_numpy()
    assert off.max() > 100
    small = (history["ds"] >= CUTOFF - 8 * 24 * HOUR) & during(STARTS)[: len(history)].astype(bool)
    assert small.any()
    left = seen.history["y"].to_numpy() / history["y"].to_numpy()
    if shifted:
        assert (off[small] > 100).all()
    else:
        assert left.min() == pytest.approx(0.1)


def test_the_slope_of_a_reading_is_learnt_and_told_for_what_lies_ahead():
    load = walk()
    _, _, told = learnt(past(demand(added=20 * load)), readings(load + 50))
    assert told.effect.shape == (1, len(STEPS))
    assert told.deviation.shape == (1, 72)
    off = told.effect[0] - 20 * load
    assert np.std(off) < 1.0
    assert told.deviation.max() < 3.0


def test_a_reading_that_pulls_up_at_both_ends_is_learnt():
    load = walk()
    _, _, told = learnt(past(demand(added=20 * np.abs(load))), readings(load))
    assert np.std(told.effect[0] - 20 * np.abs(load)) < 3.0


def test_an_event_that_doubles_demand_does_so_at_noon_and_at_night():
    """The announced match falls into another time of day than most of those before."""
    _, _, told = learnt(past(demand(factor=1 + during(STARTS))), matches())
    usual = demand()["y"].to_numpy()
    on = during([AHEAD]) > 0
    assert told.effect[0, on] == pytest.approx(usual[on], rel=0.25)
    assert np.abs(told.effect[0, ~during([*STARTS, AHEAD]).astype(bool)]).max() < 10


def test_the_announced_event_moves_every_quantile_of_its_hours():
    history = past(demand(added=80 * during(STARTS)))
    told, calm = forecast(history, matches()), forecast(history, matches().iloc[:-1])
    on = told["ds"].isin([AHEAD, AHEAD + HOUR])
    gap = (told[LEVELS] - calm[LEVELS]).to_numpy()
    assert gap[on, LEVELS.index("0.5")] == pytest.approx(80, abs=12)
    assert (gap[on, LEVELS.index("0.1") : LEVELS.index("0.9")] > 50).all()
    assert np.abs(gap[told["ds"] >= AHEAD + 24 * HOUR]).max() < 5


def test_a_useless_driver_has_no_effect_at_all():
    history = past(demand(), demand(OTHER, seed=1))
    noise = np.random.default_rng(9).normal(size=len(STEPS))
    effects, _, told = learnt(history, readings(noise))
    assert effects.columns.size == 0
    assert not told.effect.any()
    pd.testing.assert_frame_equal(forecast(history, readings(noise)), forecast(history, no_events()), check_exact=True)


def test_of_two_drivers_only_the_one_that_matters_is_used():
    load, noise = walk(), np.random.default_rng(9).normal(size=len(STEPS))
    events = pd.concat([readings(load), readings(noise, kind="rain")], ignore_index=True)
    both, _, _ = learnt(past(demand(added=20 * load)), events)
    alone, _, _ = learnt(past(demand(added=20 * load)), readings(load))
    assert both.columns.size == alone.columns.size


def test_a_series_without_history_of_a_kind_takes_the_effect_of_the_others_and_is_less_sure():
    sized = [demand(f"r/edge{number}/cpu", added=(60 + 10 * number) * during(STARTS), seed=number) for number in range(4)]
    had = [matches(service=f"edge{number}") for number in range(4)]
    first = event_rows([AHEAD], service="other")
    events = pd.concat([*had, first], ignore_index=True)
    _, names, told = learnt(past(*sized, demand(OTHER, seed=7)), events)
    on, ahead = during([AHEAD]) > 0, during([AHEAD])[-72:] > 0
    new = names.index(OTHER)
    assert told.effect[new, on] == pytest.approx(75, rel=0.3)
    others = np.delete(told.deviation[:, ahead], new, axis=0)
    assert (told.deviation[new, ahead] > others.max(axis=0)).all()
    calm = forecast(past(*sized, demand(OTHER, seed=7)), events.iloc[:-1])
    found = forecast(past(*sized, demand(OTHER, seed=7)), events)
    here = (found["unique_id"] == OTHER) & found["ds"].isin([AHEAD, AHEAD + HOUR])
    assert (width(found)[here] > width(calm)[here]).all()


def test_an_event_of_a_kind_that_nobody_had_leaves_the_median_and_widens_the_interval():
    history = past(demand(added=80 * during(STARTS)))
    launch = event_rows([AHEAD], kind="launch")
    known = matches().iloc[:-1]
    found, calm = (forecast(history, events) for events in (pd.concat([known, launch], ignore_index=True), known))
    on = found["ds"].isin([AHEAD, AHEAD + HOUR])
    assert found["0.5"].to_numpy() == pytest.approx(calm["0.5"].to_numpy())
    assert (width(found)[on] > width(calm)[on] + 40).all()
    assert width(found)[~on].to_numpy() == pytest.approx(width(calm)[~on].to_numpy())


def test_an_event_announced_after_the_cutoff_is_not_used():
    truth = demand(added=80 * during([*STARTS, AHEAD]))
    late = matches()
    late.loc[late.index[-1], "available_at"] = CUTOFF + HOUR
    found, without = (backtest(["seasonal-ridge"], truth, events, UTC, [CUTOFF])[LEVELS] for events in (late, matches().iloc[:-1]))
    pd.testing.assert_frame_equal(found, without, check_exact=True)
    told = backtest(["seasonal-ridge"], truth, matches(), UTC, [CUTOFF])
    assert (told["0.5"] - without["0.5"]).max() > 60


def test_a_reading_that_is_not_there_ahead_has_no_effect_and_widens():
    load = walk()
    history, whole = past(demand(added=20 * load)), readings(load)
    cut = whole[whole["start"] < CUTOFF]
    _, _, told = learnt(history, cut)
    assert not told.effect[0, -72:].any()
    assert told.deviation[0].min() > 10
    assert (width(forecast(history, cut)) > width(forecast(history, whole))).all()


def test_a_series_is_forecast_alone_as_among_others():
    load = walk()
    history = past(demand(added=20 * load), demand(OTHER, added=25 * load, seed=1))
    fitted = adjusted("seasonal-ridge").fit(history, readings(load), UTC)
    together = fitted.predict_quantiles(history, readings(load), CUTOFF)
    alone = fitted.predict_quantiles(history[history["unique_id"] == OTHER], readings(load), CUTOFF)
    expected = together[together["unique_id"] == OTHER].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected, rtol=1e-9)


@pytest.mark.parametrize("name", [NAIVE, "seasonal-ridge"])
def test_kept_effects_forecast_as_those_they_were_saved_from(name, tmp_path):
    load = walk()
    history = past(demand(added=20 * load), demand(OTHER, added=25 * load, seed=1))
    events = pd.concat([readings(load), matches()], ignore_index=True)
    fitted = adjusted(name).fit(history, events, UTC)
    fitted.save(tmp_path)
    loaded = adjusted(name).load(tmp_path, UTC)
    expected = fitted.predict_quantiles(recent(history, CUTOFF), events, CUTOFF)
    pd.testing.assert_frame_equal(loaded.predict_quantiles(recent(history, CUTOFF), events, CUTOFF), expected, check_exact=True)
    adjusted(name).fit(history, no_events(), UTC).save(tmp_path)
    emptied = adjusted(name).load(tmp_path, UTC).predict_quantiles(recent(history, CUTOFF), events, CUTOFF)
    assert (emptied["0.5"] - expected["0.5"]).abs().max() > 1


def test_demand_that_was_never_negative_stays_so_and_no_effect_runs_away():
    load = walk()
    events = readings(np.where(STEPS >= CUTOFF, -1e9, load))
    found = forecast(past(demand(added=20 * load)), events)
    assert (found[LEVELS] >= 0).all(axis=None)
    events = readings(np.where(STEPS >= CUTOFF, 1e9, load))
    found = forecast(past(demand(added=20 * load)), events)
    assert found["0.5"].max() < 400


def test_what_is_handed_in_is_not_changed():
    load = walk()
    history, events = past(demand(added=20 * load)), events_known_at(readings(load), CUTOFF)
    before = history.copy(), events.copy()
    forecast(history, events)
    for frame, kept in zip((history, events), before, strict=True):
        pd.testing.assert_frame_equal(frame, kept, check_exact=True)


def test_steps_of_a_day_have_effects_too():
    daily = replace(UTC.rhythm, step=pd.Timedelta(days=1), horizon=7)
    days = pd.date_range(end=CUTOFF, periods=160, freq="D", unit="us")
    sale = np.random.default_rng(3).random(160) < 0.2
    y = 100 + 10 * np.sin(2 * np.pi * np.arange(160) / 7) + np.random.default_rng(4).normal(size=160) + 50 * sale
    history = pd.DataFrame({"unique_id": EDGE, "ds": days[:150], "y": y[:150]})
    events = event_rows(list(days[sale]), hours=24, kind="sale")
    names, values = grid(history, days[150], daily, steps=150)
    calendar = SeriesCalendar(rhythm=daily)
    effects = learn_effects(names, values, days[150], events, calendar)
    assert effects is not None
    told = effects.at(names, values, days[150], 7, events, calendar)
    assert told is not None
    assert told.effect[0, sale[:157]] == pytest.approx(50, abs=6)
    assert np.abs(told.effect[0, ~sale[:157]]).max() < 5
