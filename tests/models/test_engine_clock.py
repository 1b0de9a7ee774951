"""What the engine works on: series with their own ends, and events with the time at which they became known."""

from __future__ import annotations

import pandas as pd
import pytest

from headroom.errors import BadInputError
from models.engine_clock import engine_clock, without_zone
from models.long_frame import LongFrame
from models.visible_events import events_of_series

HOUR = pd.Timedelta(hours=1)
END = pd.Timestamp("2026-03-10T00:00")


def rows(name: str, hours: int, end: pd.Timestamp) -> pd.DataFrame:
    ds = pd.date_range(end - hours * HOUR, periods=hours, freq="h", unit="us")
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": range(hours)}).astype({"y": float})


def two() -> LongFrame:
    """`a/web/cpu` ends at END, `b/db/cpu` fifty hours and a half before."""
    return LongFrame(pd.concat([rows("a/web/cpu", 200, END), rows("b/db/cpu", 150, END - 50.5 * HOUR)], ignore_index=True), HOUR)


def event(start: pd.Timestamp, **told: object) -> pd.DataFrame:
    given = {"kind": "match", "title": "Final", "region": "", "service": "", "unique_id": "", "strength": 1.0, "known_at": pd.NaT, **told}
    frame = pd.DataFrame({"start": [start], "end": [start + 2 * HOUR], **{name: [value] for name, value in given.items()}})
    times = ["start", "end", "known_at"]
    return frame.astype(dict.fromkeys(times, "datetime64[us]"))


def test_every_series_keeps_its_own_time_and_end():
    clock = engine_clock(two(), 72)
    told = without_zone(clock.history)[["unique_id", "ds", "y"]].astype({"unique_id": object})
    pd.testing.assert_frame_equal(told, two().rows)
    assert clock.ends.to_dict() == {"a/web/cpu": END.tz_localize("UTC"), "b/db/cpu": (END - 50.5 * HOUR).tz_localize("UTC")}
    assert (clock.count, clock.steps) == (2, 200)


def test_series_are_together_with_those_that_end_when_they_do():
    parts = engine_clock(two(), 72).by_end
    assert {end: list(rows["unique_id"].unique()) for end, rows in parts.items()} == {
        END.tz_localize("UTC"): ["a/web/cpu"],
        (END - 50.5 * HOUR).tz_localize("UTC"): ["b/db/cpu"],
    }


@pytest.mark.parametrize(
    ("told", "concerned"),
    [
        ({}, ["a/web/cpu", "b/db/cpu"]),
        ({"unique_id": "b/db/cpu"}, ["b/db/cpu"]),
        ({"service": "web"}, ["a/web/cpu"]),
        ({"region": "b"}, ["b/db/cpu"]),
        ({"region": "b", "service": "web"}, []),
    ],
)
def test_an_event_concerns_whom_it_names(told, concerned):
    clock = engine_clock(two(), 72, event(END, **told))
    assert [name for name in ("a/web/cpu", "b/db/cpu") if len(events_of_series(clock.events, name))] == concerned


def test_an_event_is_known_from_when_it_was_announced_or_all_along():
    announced = END - 30 * HOUR
    clock = engine_clock(two(), 72, pd.concat([event(END), event(END, known_at=announced)], ignore_index=True))
    assert clock.events["available_at"].iloc[0] < clock.history["ds"].min() - pd.Timedelta(days=365)
    assert clock.events["available_at"].iloc[1] == announced.tz_localize("UTC")
    assert clock.events["event_id"].is_unique


def test_every_regressor_value_becomes_a_reading_of_its_hour():
    ds = pd.DatetimeIndex([END, END + HOUR], dtype="datetime64[us]")
    future = pd.DataFrame({"unique_id": "a/web/cpu", "ds": ds, "heat": [20.0, None], "wind": [3.0, 4.0]})
    told = engine_clock(two(), 72, event(END), future).events
    readings = told[told["value"].notna()]
    assert sorted(zip(readings["kind"], readings["start"], readings["value"], strict=True)) == [
        ("heat", END.tz_localize("UTC"), 20.0),
        ("wind", END.tz_localize("UTC"), 3.0),
        ("wind", (END + HOUR).tz_localize("UTC"), 4.0),
    ]
    assert len(events_of_series(told, "b/db/cpu")) == 1  # the match alone


def test_who_has_no_forecast_is_told_with_the_reason():
    short = LongFrame(pd.concat([rows("a/web/cpu", 200, END), rows("b/db/cpu", 40, END)], ignore_index=True), HOUR)
    reasons = engine_clock(short, 72).left_out({"a/web/cpu"}, 0)
    assert list(reasons) == ["b/db/cpu"]
    assert "40 measured hours" in reasons["b/db/cpu"]
    assert "0 measured hours" in engine_clock(short, 72).left_out({"a/web/cpu"}, 72)["b/db/cpu"]
    assert "before 2026-03-07T00:00:00" in engine_clock(short, 72).left_out({"a/web/cpu"}, 72)["b/db/cpu"]


def test_a_step_of_five_minutes_counts_its_own_steps():
    rows = two().rows
    minutes = rows.assign(
        ds=rows.groupby("unique_id")["ds"].transform("max")
        - (rows.groupby("unique_id").cumcount(ascending=False)) * pd.Timedelta(minutes=5)
    )
    clock = engine_clock(LongFrame(minutes, pd.Timedelta(minutes=5)), 36)
    assert clock.rhythm.day == 288
    assert clock.steps == 200
    assert clock.ends["b/db/cpu"] == (END - 51.5 * HOUR + pd.Timedelta(minutes=5)).tz_localize("UTC")


def test_a_step_longer_than_a_day_is_refused():
    with pytest.raises(BadInputError, match="steps of up to a day; aggregate or spread the rows first"):
        engine_clock(LongFrame(two().rows, pd.Timedelta(days=7)), 8)
