"""What candidates share is that of one history at one time, ends with the forecast, and cannot be written to."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from models.backtest import backtest
from models.candidates import bare, create
from models.driver_effects import DriverEffects
from models.hourly_grid import grid
from models.shared_work import SharedWork, once
from tests.models.long_frames import UTC, event_rows, no_events

START = pd.Timestamp("2026-05-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)


def history(days=28, size=1.0, series=("a/s/cpu", "b/s/cpu")):
    hours = np.arange(24 * days)
    y = size * (10 + np.sin(2 * np.pi * hours / 24) + np.random.default_rng(0).normal(0, 0.1, hours.size))
    return pd.concat([pd.DataFrame({"unique_id": name, "ds": START + hours * HOUR, "y": y}) for name in series], ignore_index=True)


def test_an_answer_is_remembered_within_and_forgotten_after():
    asked = []
    about, find = object(), partial(asked.append, "asked")
    for _ in range(2):
        once(about, "?", find)
    assert len(asked) == 2
    with SharedWork():
        for question in ("?", "?", "!"):
            once(about, question, find)
        assert len(asked) == 4
        once(object(), "?", find)
        assert len(asked) == 5
    with SharedWork():
        once(about, "?", find)
    assert len(asked) == 6


def test_work_may_be_taken_up_again_and_one_within_another_has_its_own():
    work, about = SharedWork(), object()
    with work:
        assert once(about, "?", lambda: 1) == 1
        with SharedWork():
            assert once(about, "?", lambda: 2) == 2
        assert once(about, "?", lambda: 3) == 1
    assert once(about, "?", lambda: 4) == 4
    with work:
        assert once(about, "?", lambda: 5) == 1


def test_grids_are_those_of_their_own_frame_and_time():
    one, other = history(), history(size=7.0)
    ends = [START + 28 * 24 * HOUR, START + 27 * 24 * HOUR]
    asked = [(frame, end) for frame in (one, other) for end in ends]
    apart = [grid(frame, end) for frame, end in asked]
    with SharedWork():
        shared = [grid(frame, end) for frame, end in asked for _ in range(2)]
        assert shared[0][1] is shared[1][1]
    for (names, values), (own_names, own_values) in zip(apart, shared[1::2], strict=True):
        assert names == own_names
        np.testing.assert_array_equal(values, own_values)
    assert not np.array_equal(shared[0][1], shared[2][1], equal_nan=True)


def test_what_is_shared_cannot_be_written_to():
    with SharedWork():
        _, values = grid(history(), START + 28 * 24 * HOUR)
        with pytest.raises(ValueError, match="read-only"):
            values[0, 0] = 1.0


def test_smoothings_of_different_fits_are_not_taken_for_one_another():
    rows, end = history(), START + 28 * 24 * HOUR
    early = bare("exponential-smoothing").fit(rows[rows["ds"] < end - 100 * HOUR], no_events(), UTC)
    late = bare("exponential-smoothing").fit(rows, no_events(), UTC)
    apart = [forecaster.predict_quantiles(rows, no_events(), end) for forecaster in (early, late)]
    with SharedWork():
        shared = [forecaster.predict_quantiles(rows, no_events(), end) for forecaster in (early, late)]
    assert not apart[0].equals(apart[1])
    for own, found in zip(apart, shared, strict=True):
        pd.testing.assert_frame_equal(own, found)


def test_a_backtest_of_several_candidates_and_windows_has_the_rows_of_each_by_itself():
    rows = history(days=32)
    rows.loc[rows["ds"] >= START + 24 * 24 * HOUR, "y"] *= 3.0  # a new level: what candidates see is not what was measured
    names = ("seasonal-naive-24", "seasonal-ridge", "exponential-smoothing", "lightgbm")
    cutoffs = [START + days * 24 * HOUR for days in (26, 29)]
    together = backtest(names, rows, no_events(), UTC, cutoffs)
    for name in names:
        for cutoff in cutoffs:
            alone = backtest([name], rows, no_events(), UTC, [cutoff])
            found = together[(together["candidate"] == name) & (together["cutoff"] == cutoff)]
            pd.testing.assert_frame_equal(alone.drop(columns="seconds"), found.drop(columns="seconds").reset_index(drop=True))


def matches(strength=1.0):
    events = event_rows([START + (24 * days + 19) * HOUR for days in range(1, 34, 3)], service="s")
    return events.assign(strength=strength, available_at=START)


def with_matches(rows, events):
    played = rows["ds"].isin(events["start"]) | rows["ds"].isin(events["start"] + HOUR)
    return rows.assign(y=rows["y"] * (1 + 0.5 * played))


def test_candidates_share_a_history_without_events_and_have_the_rows_of_each_by_itself(monkeypatch):
    events = matches()
    rows, cutoffs = with_matches(history(days=32), events), [START + days * 24 * HOUR for days in (26, 29)]
    names = ("seasonal-ridge", "exponential-smoothing", "lightgbm")
    alone = {name: backtest([name], rows, events, UTC, cutoffs) for name in names}
    asked, at = [], DriverEffects.at
    monkeypatch.setattr(DriverEffects, "at", lambda effects, *given: asked.append(given) or at(effects, *given))
    together = backtest(names, rows, events, UTC, cutoffs)
    assert len(asked) == 2 * len(cutoffs)  # of every window once for the fit and once for the forecast
    for name in names:
        found = together[together["candidate"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone[name].drop(columns="seconds"), found.drop(columns="seconds"))


def test_effects_and_events_that_differ_are_not_taken_for_one_another():
    events, end = matches(), START + 28 * 24 * HOUR
    rows = with_matches(history(), events)
    fits = [create("seasonal-ridge").fit(rows[rows["ds"] < end - back * HOUR], events, UTC) for back in (0, 100)]
    asked = [(forecaster, told) for forecaster in fits for told in (events, matches(strength=0.5))]
    apart = [forecaster.predict_quantiles(rows, told, end) for forecaster, told in asked]
    with SharedWork():
        shared = [forecaster.predict_quantiles(rows, told, end) for forecaster, told in asked]
    assert not any(one.equals(other) for at, one in enumerate(apart) for other in apart[:at])
    for own, found in zip(apart, shared, strict=True):
        pd.testing.assert_frame_equal(own, found)
