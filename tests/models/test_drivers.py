"""Events and regressors from files: defaults are filled in, mistakes are named by their row."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from headroom.errors import BadInputError
from models.drivers import EVENT_COLUMNS, read_events, read_future

DEMO = Path(__file__).resolve().parents[2] / "demo"


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_bundled_matches_are_events() -> None:
    events = read_events(DEMO / "events.csv")
    assert tuple(events.columns) == EVENT_COLUMNS
    assert len(events) == 64
    assert events["start"].is_monotonic_increasing
    first = events.iloc[0]
    assert (first["title"], first["region"], first["service"], first["unique_id"]) == (
        "Brazil v Scotland",
        "europe-west9",
        "live-scores",
        "",
    )
    assert first["start"] == pd.Timestamp("2026-06-10 15:30")
    assert (events["strength"] == 1).all()
    assert events["known_at"].isna().all()


def test_what_an_event_does_not_say_has_a_default(tmp_path: Path) -> None:
    lines = (
        "start,end,kind,title,strength,known_at",
        "2026-07-02,2026-07-03,sale,,0.5,2026-06-30T12:00+02:00",
        "2026-07-01,2026-07-01,sale,Big,,",
    )
    events = read_events(written(tmp_path, *lines))
    assert list(events["title"]) == ["Big", "sale"]
    assert list(events["strength"]) == [1.0, 0.5]
    assert pd.isna(events["known_at"].iloc[0])
    assert events["known_at"].iloc[1] == pd.Timestamp("2026-06-30 10:00")
    assert list(events["region"]) == ["", ""]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("2026-07-02,2026-07-01,sale,1", "row 1: end 2026-07-01 is before the start"),
        ("2026-07-02,soon,sale,1", "row 1: end soon is not a time"),
        ("2026-07-02,2026-07-03,,1", "row 1: kind is empty"),
        ("2026-07-02,2026-07-03,sale,-1", "row 1: strength -1 is below zero"),
    ],
)
def test_a_bad_event_is_named(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        read_events(written(tmp_path, "start,end,kind,strength", row))


def test_a_calendar_is_not_a_table() -> None:
    with pytest.raises(BadInputError, match="write the calendar as CSV with the columns start, end, kind"):
        read_events(DEMO / "events.ics")


def test_regressors_may_concern_one_series_or_all(tmp_path: Path) -> None:
    shared = read_future(written(tmp_path, "ds,temp,price", "2026-07-01 01:00,20.5,", "2026-07-01 00:00,20,3"))
    assert list(shared.columns) == ["unique_id", "ds", "temp", "price"]
    assert list(shared["unique_id"]) == ["", ""]
    assert list(shared["temp"]) == [20.0, 20.5]
    assert pd.isna(shared["price"].iloc[1])
    own = read_future(written(tmp_path, "unique_id,ds,temp", "b,2026-07-01,1", "a,2026-07-01,2"))
    assert list(own["unique_id"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("ds", "2026-07-01"), "there is no regressor"),
        (("temp", "20"), "column 'ds' is missing"),
        (("ds,temp", "2026-07-01,warm"), "row 1: temp warm is not a number"),
        (("ds,temp", "2026-07-01,1", "2026-07-01,2"), "row 2: ds 2026-07-01 is there twice"),
    ],
)
def test_bad_regressors_are_named(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        read_future(written(tmp_path, *lines))
