"""Series that end at different times: nothing after a window's cutoff reaches its forecast, and fits stay few."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from models.engine import FINAL, backtest_frame, forecast_frame
from models.engine_rounds import Round, engine_rounds, usual_end
from models.long_frame import LongFrame
from models.rhythm import Rhythm

HOUR = pd.Timedelta(hours=1)
HORIZON = 48
END = pd.Timestamp("2026-03-10T00:00")
# Two that end when most do, one that ended within the last horizon on half hours, and one days before.
ENDS = {"a/web/cpu": END, "b/web/cpu": END, "c/web/cpu": END - 4.5 * HOUR, "d/web/cpu": END - 131 * HOUR}
RHYTHM = Rhythm(horizon=HORIZON)
LEARNING = ("seasonal-ridge",)


def demand(name: str, end: pd.Timestamp, days: int = 12) -> pd.DataFrame:
    ds = pd.date_range(end - days * 24 * HOUR, periods=days * 24, freq="h", unit="us")
    noise = np.random.default_rng(ord(name[0])).normal(1, 0.05, len(ds))
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": 100 * (1 + 0.4 * np.sin(2 * np.pi * ds.hour / 24)) * noise})


@cache
def ragged() -> pd.DataFrame:
    return pd.concat([demand(name, end) for name, end in ENDS.items()], ignore_index=True)


def backtested(rows: pd.DataFrame, **told: object) -> pd.DataFrame:
    found = backtest_frame(LongFrame(rows, HOUR), **{"horizon": HORIZON, "windows": 1, "candidates": LEARNING, **told})
    return found.forecasts.sort_values(["candidate", "unique_id", "ds"], ignore_index=True)


@cache
def honest() -> pd.DataFrame:
    return backtested(ragged())


def utc(ends: dict[str, pd.Timestamp]) -> pd.Series:
    return pd.Series({name: end.tz_localize("UTC") for name, end in ends.items()})


def test_every_series_has_its_own_last_windows():
    cutoffs = honest().groupby("unique_id")["cutoff"].unique()
    assert {name: sorted(cutoffs[name]) for name in ENDS} == {name: [end - HORIZON * HOUR] for name, end in ENDS.items()}


@pytest.mark.parametrize("name", ["c/web/cpu", "d/web/cpu"])
def test_what_others_show_after_a_cutoff_changes_no_forecast_made_there(name):
    """All measurements of all series from the last cutoff of `name` on become garbage; forecasts issued up to then stay to the digit."""
    cutoff = ENDS[name] - HORIZON * HOUR
    rows = ragged()
    found = backtested(rows.assign(y=rows["y"].mask(rows["ds"] >= cutoff, 1e4 * np.arange(len(rows)))))
    kept = (honest()["cutoff"] <= cutoff).to_numpy()
    assert set(honest().loc[kept, "unique_id"]) >= {name, "d/web/cpu"}
    pd.testing.assert_frame_equal(found[kept].drop(columns="y"), honest()[kept].drop(columns="y"), check_exact=True)


def test_an_effect_that_others_show_after_a_series_ended_gains_nothing_for_it():
    """Launches triple demand. The first one falls into the last window of `d`, whose end the others outlive: they show it, and it is not for `d`."""
    first = ENDS["d/web/cpu"] - 12 * HOUR
    starts = pd.date_range(first, END - 6 * HOUR, freq="20h", unit="us")
    launches = pd.DataFrame({"start": starts, "end": starts + 4 * HOUR, "kind": "launch", "title": "", "region": "", "service": ""})
    launches = launches.assign(unique_id="", strength=1.0, known_at=pd.NaT).astype({"known_at": "datetime64[us]"})
    rows = ragged()
    during = np.any([(rows["ds"] >= start) & (rows["ds"] < start + 4 * HOUR) for start in starts], axis=0)
    shown = backtested(rows.assign(y=rows["y"] * np.where(during, 3.0, 1.0)), events=launches)
    hidden = backtested(rows, events=launches)
    own = (hidden["unique_id"] == "d/web/cpu").to_numpy()
    pd.testing.assert_frame_equal(shown[own].drop(columns="y"), hidden[own].drop(columns="y"), check_exact=True)
    # The others learn it from each other, once they have seen it.
    later = shown[(shown["unique_id"] == "a/web/cpu") & (shown["candidate"] == FINAL) & (shown["cutoff"] == END - HORIZON * HOUR)]
    launched = later["ds"].isin(rows.loc[during, "ds"])
    assert later.loc[launched, "0.5"].mean() > 1.5 * later.loc[launched, "y"].mean() / 3


def test_an_event_announced_after_a_series_ended_is_not_known_for_it():
    start = ENDS["d/web/cpu"] - 12 * HOUR
    seen = [start - 96 * HOUR, start - 48 * HOUR, start]
    launches = pd.DataFrame({"start": seen, "kind": "launch", "title": "", "region": "", "service": "", "unique_id": "", "strength": 1.0})
    known = [seen[0], seen[1], ENDS["d/web/cpu"] + HOUR]
    late = launches.assign(end=launches["start"] + 4 * HOUR, known_at=pd.Series(known, dtype="datetime64[us]"))
    rows = ragged()
    during = np.any([(rows["ds"] >= one) & (rows["ds"] < one + 4 * HOUR) for one in seen], axis=0)
    jumpy = rows.assign(y=rows["y"] * np.where(during, 3.0, 1.0))
    unknown = backtested(jumpy, events=late)
    never = backtested(jumpy, events=late.iloc[:2])
    own = ((never["unique_id"] == "d/web/cpu") & (never["cutoff"] == ENDS["d/web/cpu"] - HORIZON * HOUR)).to_numpy()
    pd.testing.assert_frame_equal(unknown[own], never[own], check_exact=True)


def test_those_that_end_when_most_do_are_served_by_fits_of_their_own_cutoff():
    """A stray end changes nothing for the others but what it adds to learn from: each of their cutoffs has its fit."""
    rounds = engine_rounds(utc(ENDS), RHYTHM, range(1, 6))
    usual = END.tz_localize("UTC")
    fitted = {window.cutoff: at.moment for at in rounds for window in at.windows if window.end == usual}
    assert fitted == {usual - back * HORIZON * HOUR: usual - back * HORIZON * HOUR for back in range(1, 6)}


def test_no_fit_is_later_than_a_cutoff_that_it_serves_or_a_horizon_older():
    windows = [(at, window) for at in engine_rounds(utc(ENDS), RHYTHM, range(4)) for window in at.windows]
    assert len(windows) == 4 * len(set(ENDS.values()))
    assert all(pd.Timedelta(0) <= window.cutoff - at.moment < HORIZON * HOUR for at, window in windows)
    assert all(window.cutoff == window.end - window.back * HORIZON * HOUR for _, window in windows)


def test_few_ends_have_fits_of_their_own():
    """A fit that is a day old cost M4's shorter series 4 % of their loss."""
    two = {"a": END, "b": END - 20 * HOUR}
    rounds = engine_rounds(utc(two), RHYTHM, range(7))
    assert len(rounds) == 14
    assert all(at.moment == window.cutoff for at in rounds for window in at.windows)


def test_fits_are_at_most_as_many_as_horizons_however_many_ends_there_are():
    random = np.random.default_rng(0)
    ends = pd.Series(END.tz_localize("UTC") - pd.to_timedelta(random.integers(0, 480, 3000), unit="h"))
    rounds = engine_rounds(ends, RHYTHM, range(1, 10))
    assert len(rounds) <= 480 // HORIZON + 9 + 1
    assert sum(len(at.windows) for at in rounds) == 9 * ends.nunique()


def test_series_that_lie_apart_have_fits_of_their_own():
    far = {"a": END, "b": END - pd.Timedelta(days=400, hours=7)}
    rounds = engine_rounds(utc(far), RHYTHM, [1, 2])
    assert [len(at.windows) for at in rounds] == [1, 1, 1, 1]
    assert all(isinstance(at, Round) and at.moment == at.windows[0].cutoff for at in rounds)


def test_the_usual_end_is_the_most_frequent_one_and_the_latest_of_several():
    early, late = END - HOUR, END
    assert usual_end(pd.Series([early, early, late])) == early
    assert usual_end(pd.Series([early, late])) == late


def test_what_lies_ahead_begins_where_each_series_ends():
    found = forecast_frame(LongFrame(ragged(), HOUR), horizon=HORIZON, candidates=("seasonal-ridge",)).forecasts
    assert found.groupby("unique_id")["ds"].min().to_dict() == ENDS
    assert found.groupby("unique_id").size().eq(HORIZON).all()
