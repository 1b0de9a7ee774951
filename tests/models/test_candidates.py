"""What candidates find: the rhythm of the day, the effect of an event, their season. What all promise is in `test_candidate_contract`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, event_rows, no_events, rhythm, with_events

from headroom.errors import BadInputError
from models.candidates import CANDIDATES, NAIVES, create
from models.candidates.lightgbm_quantile import training_origins
from models.candidates.seasonal_naive import naive_quantiles
from models.forecaster import SeriesCalendar
from models.hourly_grid import recent
from models.rhythm import Rhythm


def forecast(name: str, history: pd.DataFrame, events: pd.DataFrame | None = None) -> pd.DataFrame:
    seen, events = history[history["ds"] < CUTOFF], no_events() if events is None else events
    return create(name).fit(seen, events, UTC).predict_quantiles(recent(seen, CUTOFF), events, CUTOFF)


@pytest.mark.parametrize("name", CANDIDATES)
def test_the_rhythm_of_the_day_is_found(name):
    history = rhythm(days=42, noise=0.01)
    found = forecast(name, history).merge(history, on=["unique_id", "ds"])
    error = (found["0.5"] - found["y"]).abs().mean() / found["y"].mean()
    assert error < (0.25 if name == "seasonal-naive-24" else 0.1)  # a repeated day misses the weekend


@pytest.mark.parametrize("name", ["auto-ets", "mstl"])
def test_at_daily_steps_the_rhythm_of_the_week_is_found(name):
    day = pd.Timedelta("1D")
    ds = pd.date_range(end=CUTOFF + 13 * day, periods=120, freq="D")
    history = pd.DataFrame({"unique_id": "r/edge/cpu", "ds": ds, "y": np.where(ds.dayofweek >= 5, 40.0, 100.0)})
    calendar = SeriesCalendar({}, rhythm=Rhythm(day, 14))
    seen = history[history["ds"] < CUTOFF]
    found = (
        create(name)
        .fit(seen, no_events(), calendar)
        .predict_quantiles(seen, no_events(), CUTOFF, 14)
        .merge(history, on=["unique_id", "ds"])
    )
    assert len(found) == 14
    assert (found["0.5"] - found["y"]).abs().max() < 10


@pytest.mark.parametrize("name", ["prophet", "lightgbm"])
def test_the_effect_of_a_known_event_is_learnt(name):
    """Matches at 20:00 on some days, worth as much as the base load; of the three days ahead only the second has one."""
    base = [rhythm(f"r/edge{i}/cpu", days=42, seed=i) for i in range(4)]
    days = [-39, -36, -35, -31, -27, -26, -22, -20, -16, -13, -11, -10, -6, -3]
    played = [CUTOFF + pd.Timedelta(days=day, hours=20) for day in days]
    coming = CUTOFF + pd.Timedelta(days=1, hours=20)
    events = event_rows([*played, coming], service="")
    history = pd.concat([with_events(frame, events, 100.0) for frame in base], ignore_index=True)
    median = forecast(name, history, events)[["unique_id", "ds", "0.5"]]
    with_match = median[median["ds"].isin([coming, coming + HOUR])]["0.5"].mean()
    without = median[median["ds"].isin([coming - 24 * HOUR, coming - 23 * HOUR])]["0.5"].mean()
    assert with_match - without == pytest.approx(100, rel=0.4)
    blind = forecast(name, history, events[events["start"] < CUTOFF])
    assert blind[blind["ds"].isin([coming, coming + HOUR])]["0.5"].mean() - without < 40


@pytest.mark.parametrize("name", NAIVES)
def test_the_naive_repeats_its_season(name):
    season = int(name.rpartition("-")[2])
    history = rhythm(days=30)
    past = history[history["ds"] < CUTOFF]["y"].to_numpy()
    errors = past[season:] - past[:-season]
    found = forecast(name, history)
    assert found["0.5"].to_numpy()[:24] == pytest.approx(past[-season:][:24] + np.median(errors[-(672 - season) :]))


def test_the_naive_serves_from_the_first_measured_hour():
    values = np.full(672, np.nan)
    values[-1] = 3.0
    np.testing.assert_array_equal(naive_quantiles(values, 72), np.full((72, 13), 3.0))


@pytest.mark.parametrize(("hours", "series"), [(984, 19), (2160, 500), (200, 1), (144, 1)])
def test_no_training_target_reaches_the_cutoff_and_origins_meet_every_hour_of_the_day(hours, series):
    origins = training_origins(hours, series)
    assert origins.max() + 72 <= hours
    assert origins.min() >= 72
    if hours > 500:
        assert len(set(origins % 24)) == 24


def test_too_short_a_history_gives_no_lightgbm_forecast():
    assert forecast("lightgbm", rhythm(days=5)).empty


def test_an_unknown_candidate_is_refused_with_the_known_ones():
    with pytest.raises(BadInputError, match="'lightgmb' is unknown; known: seasonal-naive-24"):
        create("lightgmb")
