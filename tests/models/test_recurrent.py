"""The recurrent candidate: what it learns, what it costs, and what happens without its libraries. What all candidates promise is in
`test_candidate_contract`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, event_rows, no_events, rhythm, with_events

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.candidates import declaration
from models.candidates.recurrent import GRU, Recurrent
from models.forecaster import SeriesCalendar
from models.recurrent_network import Shape, new_parameters, quantiles_of
from models.recurrent_windows import Outlook, outlook, windows
from models.rhythm import Rhythm

LEVELS = list(QUANTILE_COLUMNS)
FEW = 60
deep = pytest.mark.skipif(not GRU.installed(), reason="the extra `deep` is not installed")


def series(count: int = 2, days: int = 30) -> pd.DataFrame:
    return pd.concat([rhythm(f"r/s{i}/cpu", days=days, seed=i, after=0, level=10.0**i) for i in range(count)], ignore_index=True)


def seen_by_network(history: pd.DataFrame, events: pd.DataFrame, origins: list[int], calendar: SeriesCalendar = UTC):
    values = history["y"].to_numpy()[None]
    end = history["ds"].max() + calendar.rhythm.step
    rows = np.zeros(len(origins), dtype=np.int64)
    name = str(history["unique_id"].iloc[0])
    return windows([name], values, end, rows, np.array(origins), events, calendar, outlook(events, 4))


def test_without_its_libraries_it_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(declaration, "find_spec", lambda name: None if name == "jax" else importlib.util.find_spec(name))
    assert not GRU.installed()
    with pytest.raises(BadInputError, match="uv sync --extra deep"):
        Recurrent()


def test_its_modules_are_imported_without_its_libraries():
    """The optional libraries are imported by a fit or a forecast, not by who only looks at the candidate."""
    code = "import sys, models.candidates.recurrent; assert not {'jax', 'optax', 'equinox'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_window_reads_nothing_at_or_after_its_origin():
    history, origin = rhythm(days=30, after=0), 500
    changed = history.assign(y=np.where(np.arange(len(history)) >= origin, -1e9, history["y"]))
    for ours, theirs in zip(
        seen_by_network(history, no_events(), [origin])[0], seen_by_network(changed, no_events(), [origin])[0], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_window_does_not_depend_on_the_unit_of_its_series():
    history = rhythm(days=30, after=0)
    small, large = (seen_by_network(history.assign(y=history["y"] * unit), no_events(), [600])[0] for unit in (1e-9, 1e9))
    np.testing.assert_allclose(small.recent, large.recent, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(small.ratio, large.ratio, rtol=1e-4)


def test_what_was_before_a_young_series_repeats_its_last_day():
    """Sunday to Tuesday are measured; weeks before them must not look like Sundays."""
    history = rhythm(days=3, after=0)
    inputs, anchor, _ = seen_by_network(history, no_events(), [72])
    np.testing.assert_array_equal(inputs.recent[0, :600], np.tile(inputs.recent[0, -24:], 25))
    np.testing.assert_array_equal(anchor[0], np.tile(history["y"].to_numpy()[-24:], 3))


def test_a_constant_window_has_no_scale():
    inputs, anchor, scale = seen_by_network(rhythm(days=30, after=0).assign(y=-7.5), no_events(), [700])
    assert scale.tolist() == [0.0]
    assert inputs.ratio.tolist() == [0.0]
    assert set(anchor.ravel()) == {-7.5}


def test_an_event_not_yet_announced_at_the_origin_is_not_seen_there():
    """Announced at step 500 for step 530: a window that ends before does not know, one that ends after does."""
    history = rhythm(days=30, after=0)
    at = history["ds"].iloc[0]
    events = event_rows([at + 530 * HOUR], known=at + 500 * HOUR)
    inputs, _, _ = seen_by_network(history, events, [490, 510])
    during = inputs.ahead[:, :, 4]
    assert during[0].max() == 0
    assert np.flatnonzero(during[1]).tolist() == [20, 21]


def test_readings_are_told_in_their_own_deviations():
    history = rhythm(days=30, after=3)
    readings = event_rows(list(history["ds"]), hours=1, kind="heat").assign(value=20 + 5 * np.sin(np.arange(len(history))))
    known = outlook(readings, 4)
    assert known.centre[0] == pytest.approx(20, abs=0.1)
    assert known.spread[0] == pytest.approx(5 / np.sqrt(2), rel=0.01)
    inputs, _, _ = seen_by_network(history, readings, [600])
    wanted = 5 * np.sin(np.arange(600, 672)) / known.spread[0]
    assert inputs.ahead[0, :, 4] == pytest.approx(wanted, abs=0.05)


def test_the_weekday_is_told_after_five_weeks_in_the_time_of_the_series():
    assert not outlook(no_events(), 4.9).weekdays
    history, east = rhythm(days=30, after=0), SeriesCalendar({"r/edge/cpu": "Asia/Tokyo"})
    rows, known = np.zeros(1, dtype=np.int64), outlook(no_events(), 5)
    inputs, _, _ = windows(["r/edge/cpu"], history["y"].to_numpy()[None], CUTOFF, rows, np.array([720]), no_events(), east, known)
    assert inputs.ahead.shape == (1, 72, known.columns)
    wednesday_from_nine = [2] * 15 + [3] * 24 + [4] * 24 + [5] * 9
    assert inputs.ahead[0, :, 4:].argmax(axis=1).tolist() == wednesday_from_nine


@pytest.mark.parametrize(("step", "day"), [("1h", 24), ("5min", 288), ("30min", 48), ("1D", 1), ("7h", 3)])
def test_the_shape_follows_the_rhythm(step, day):
    """Frames fit into the window, and what a step ahead is compared with lies in it, at the same time of day."""
    made = Rhythm(pd.Timedelta(step), 36)
    shape = Shape.of(made, 11)
    assert shape.day == day
    assert 1 <= shape.frame * shape.frames <= shape.context
    lags = shape.lags()
    assert lags.min() >= 0
    assert lags.max() < shape.context
    assert ((shape.context + np.arange(36) - lags[:, 0]) % day == 0).all()


@deep
def test_quantiles_cannot_cross_whatever_the_parameters():
    shape, random = Shape(672, 72, 24, Outlook().columns), np.random.default_rng(0)
    wild = {name: random.normal(0, 1, part.shape).astype(np.float32) for name, part in new_parameters(shape, 0).items()}
    inputs, _, _ = seen_by_network(rhythm(days=30, after=0), no_events(), [300, 500, 700])
    found = quantiles_of(shape, wild, inputs)
    assert found.shape == (3, 72, len(QUANTILES))
    assert (np.diff(found, axis=-1) >= 0).all()


@deep
@pytest.mark.slow
def test_a_longer_training_fits_better_and_another_seed_differs():
    history = series(4)
    truth = pd.concat([rhythm(f"r/s{i}/cpu", days=0, seed=i, level=10.0**i) for i in range(4)])

    def loss(steps: int, seed: int = 0) -> tuple[float, np.ndarray]:
        found = Recurrent(seed, steps).fit(history, no_events(), UTC).predict_quantiles(history, no_events(), CUTOFF)
        median = found.merge(truth, on=["unique_id", "ds"])
        error = (median["0.5"] - median["y"]).abs().groupby(median["unique_id"]).mean() / median.groupby("unique_id")["y"].mean()
        return float(error.mean()), found["0.5"].to_numpy()

    (short, first), (long, _) = loss(2), loss(300)
    assert long < 0.9 * short
    assert (loss(2, seed=1)[1] != first).any()


@deep
@pytest.mark.slow
def test_the_effect_of_a_known_event_is_learnt():
    """Matches at 20:00 on some days, worth as much as the base load; of the three days ahead only the second has one."""
    days = [-39, -36, -35, -31, -27, -26, -22, -20, -16, -13, -11, -10, -6, -3]
    coming = CUTOFF + pd.Timedelta(days=1, hours=20)
    events = event_rows([*(CUTOFF + pd.Timedelta(days=day, hours=20) for day in days), coming], service="")
    base = [rhythm(f"r/edge{i}/cpu", days=42, seed=i, after=0) for i in range(4)]
    history = pd.concat([with_events(frame, events, 100.0) for frame in base], ignore_index=True)
    fitted = Recurrent(steps=200).fit(history, events, UTC)

    def at_eight(known: pd.DataFrame) -> pd.Series[float]:
        found = fitted.predict_quantiles(history, known, CUTOFF)
        return found[found["ds"].dt.hour.isin([20, 21])].groupby("ds")["0.5"].mean().groupby(lambda ds: ds.day).mean()

    told, blind = at_eight(events), at_eight(events[events["start"] < CUTOFF])
    assert told[2] - told[1] == pytest.approx(100, rel=0.4)
    assert told[2] - told[3] == pytest.approx(100, rel=0.4)
    assert blind[2] - told[1] < 40


@deep
def test_a_network_for_another_rhythm_is_refused(tmp_path):
    Recurrent(steps=2).fit(series(), no_events(), UTC).save(tmp_path)
    assert json.loads((tmp_path / "network.json").read_text("utf-8"))["shape"]["horizon"] == 72
    with pytest.raises(BadInputError, match="train again"):
        Recurrent().load(tmp_path, SeriesCalendar(rhythm=Rhythm(horizon=24)))


@deep
@pytest.mark.slow
def test_steps_of_five_minutes_are_served_and_beyond_the_horizon_the_forecast_goes_on():
    calendar = SeriesCalendar(rhythm=Rhythm(pd.Timedelta("5min"), 36))
    ds = pd.date_range(end=CUTOFF, periods=1200, freq="5min", inclusive="left", unit="us")
    history = pd.DataFrame({"unique_id": "r/fine/cpu", "ds": ds, "y": 100 + 40 * np.sin(2 * np.pi * np.arange(len(ds)) / 288)})
    found = Recurrent(steps=5).fit(history, no_events(), calendar).predict_quantiles(history, no_events(), CUTOFF, 40)
    assert (found["ds"] == pd.date_range(CUTOFF, periods=40, freq="5min", unit="us")).all()
    assert found.iloc[36:][LEVELS].to_numpy() == pytest.approx(np.tile(found.iloc[35][LEVELS].to_numpy(float), (4, 1)))


@deep
@pytest.mark.slow
def test_training_costs_the_same_for_ten_times_the_series_and_forecasts_take_milliseconds_each():
    spent = []
    for count in (20, 200):
        history = pd.concat([rhythm(f"r/s{i}/cpu", days=20, seed=i % 20, after=0) for i in range(count)], ignore_index=True)
        Recurrent(steps=1).fit(history.head(20 * 24), no_events(), UTC)  # compiles
        started = time.process_time()
        fitted = Recurrent(steps=FEW).fit(history, no_events(), UTC)
        spent.append(time.process_time() - started)
    assert spent[1] < 3 * spent[0]
    started = time.process_time()
    found = fitted.predict_quantiles(history, no_events(), CUTOFF)
    assert len(found) == 200 * 72
    assert time.process_time() - started < 0.01 * 200
