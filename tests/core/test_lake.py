"""The lake: a write replaces exactly its condition, a read sees exactly what was known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from headroom.errors import BadInputError
from headroom.lake import Lake
from headroom.schemas import TABLES, empty_frame


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    lake.create()
    return lake


def metrics(ds: list[str], y: list[float], *, service: str = "edge", source: str = "traces", available: str | None = None) -> pd.DataFrame:
    stamps = pd.to_datetime(pd.Series(ds), utc=True)
    return pd.DataFrame(
        {
            "unique_id": f"paris/{service}/cpu",
            "region": "paris",
            "service": service,
            "resource": "cpu",
            "ds": stamps,
            "y": y,
            "available_at": pd.Timestamp(available, tz="UTC") if available else stamps + pd.Timedelta("5min"),
            "source": source,
            "warnings": "",
        }
    )


def event(start: str, *, available: str, strength: float = 1.0, name: str = "match", region: str = "paris") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "event_id": [name],
            "source": "matches",
            "kind": "match",
            "title": name,
            "region": region,
            "service": "",
            "start": at(start),
            "end": at(start) + pd.Timedelta("2h"),
            "strength": strength,
            "value": float("nan"),
            "available_at": at(available),
        }
    )


def test_creating_twice_changes_nothing_and_reading_an_empty_table_gives_its_columns(lake: Lake) -> None:
    lake.create()
    for name, table in TABLES.items():
        frame = lake.read(name)
        assert list(frame.columns) == list(table.columns)
        assert frame.empty


def test_a_table_that_was_never_written_reads_as_empty(tmp_path: Path) -> None:
    frame = Lake(str(tmp_path / "nowhere")).read("metrics", columns=["ds", "y"])
    assert list(frame.columns) == ["ds", "y"]
    assert str(frame["ds"].dtype) == "datetime64[us, UTC]"


def test_a_table_of_before_a_column_was_declared_is_read_and_gets_it_with_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, day = Lake(str(tmp_path)), {"start": at("2026-07-01"), "end": at("2026-07-02")}
    lake.replace("metrics", metrics(["2026-07-01T00:00"], [1.0]), **day)
    metrics_now = TABLES["metrics"]
    grown = replace(metrics_now, columns=metrics_now.columns | {"spread": pa.float64()}, nullable=frozenset({"spread"}))
    monkeypatch.setitem(TABLES, "metrics", grown)
    before = lake.read("metrics", where={"unique_id": metrics(["2026-07-01T00:00"], [1.0])["unique_id"].iloc[0]})
    assert before["y"].tolist() == [1.0]
    assert before["spread"].isna().tolist() == [True]
    lake.add("metrics", lambda held: metrics(["2026-07-01T01:00"], [2.0]).assign(spread=0.5), **day)
    after = lake.read("metrics")
    assert after["y"].tolist() == [1.0, 2.0]
    assert after["spread"].fillna(-1).tolist() == [-1, 0.5]


def test_writing_again_replaces_only_the_rows_of_its_condition(lake: Lake) -> None:
    day = {"start": at("2026-07-01"), "end": at("2026-07-02")}
    lake.replace("metrics", metrics(["2026-07-01T00:00", "2026-07-01T01:00"], [1.0, 2.0]), **day, where={"source": "traces"})
    lake.replace("metrics", metrics(["2026-07-01T00:00"], [7.0], service="api", source="other"), **day, where={"source": "other"})
    lake.replace(
        "metrics",
        metrics(["2026-07-01T01:00"], [5.0]),
        start=at("2026-07-01T01:00"),
        end=at("2026-07-01T02:00"),
        where={"source": "traces"},
    )
    assert lake.read("metrics")[["unique_id", "y"]].to_numpy().tolist() == [
        ["paris/api/cpu", 7.0],
        ["paris/edge/cpu", 1.0],
        ["paris/edge/cpu", 5.0],
    ]


def test_an_empty_frame_deletes_the_rows_of_its_condition(lake: Lake) -> None:
    lake.replace("metrics", metrics(["2026-07-01T00:00", "2026-07-02T00:00"], [1.0, 2.0]), start=at("2026-07-01"), end=at("2026-07-03"))
    lake.replace("metrics", empty_frame("metrics"), start=at("2026-07-01"), end=at("2026-07-02"))
    assert lake.read("metrics")["y"].tolist() == [2.0]


def test_a_bound_in_another_time_zone_means_the_same_moment(lake: Lake) -> None:
    """Midnight in Paris is the evening before in UTC, so another partition."""
    lake.replace("metrics", metrics(["2026-06-30T22:30"], [1.0]), start=at("2026-06-30"), end=at("2026-07-01"))
    paris = {"start": pd.Timestamp("2026-07-01", tz="Europe/Paris"), "end": pd.Timestamp("2026-07-02", tz="Europe/Paris")}
    assert lake.read("metrics", **paris)["y"].tolist() == [1.0]
    lake.replace("metrics", metrics(["2026-06-30T22:30"], [2.0]), **paris)
    assert lake.versions("metrics", **paris)["y"].tolist() == [2.0]


def test_a_read_as_of_a_moment_sees_the_newest_version_known_then(lake: Lake) -> None:
    day = {"start": at("2026-07-01"), "end": at("2026-07-02")}
    first = metrics(["2026-07-01T00:00"], [1.0])
    later = metrics(["2026-07-01T00:00"], [9.0], available="2026-07-01T06:00")
    lake.replace("metrics", pd.concat([first, later]), **day)
    seen = {
        t: lake.read("metrics", as_of=at(t))["y"].tolist()
        for t in ["2026-07-01T00:04", "2026-07-01T00:05", "2026-07-01T05:59", "2026-07-01T06:00"]
    }
    assert seen == {"2026-07-01T00:04": [], "2026-07-01T00:05": [1.0], "2026-07-01T05:59": [1.0], "2026-07-01T06:00": [9.0]}
    assert lake.read("metrics")["y"].tolist() == [9.0]
    assert lake.versions("metrics", **day)["y"].tolist() == [1.0, 9.0]


def test_an_event_that_was_moved_is_no_longer_on_its_old_day(lake: Lake) -> None:
    moved = pd.concat([event("2026-07-03", available="2026-06-01"), event("2026-07-20", available="2026-07-01")])
    lake.replace("events", moved, start=at("2026-07-01"), end=at("2026-08-01"))
    week = {"start": at("2026-07-01"), "end": at("2026-07-08")}
    assert lake.read("events", **week, as_of=at("2026-06-15"))["event_id"].tolist() == ["match"]
    assert lake.read("events", **week, as_of=at("2026-07-02")).empty
    assert lake.read("events", start=at("2026-07-20"), end=at("2026-07-21"))["event_id"].tolist() == ["match"]


def test_an_event_that_changed_region_is_not_found_under_the_old_one(lake: Lake) -> None:
    both = pd.concat([event("2026-07-03", available="2026-06-01"), event("2026-07-03", available="2026-07-01", region="tokyo")])
    lake.replace("events", both, start=at("2026-07-01"), end=at("2026-08-01"))
    assert lake.read("events", where={"region": "paris"}).empty
    assert len(lake.read("events", where={"region": "paris"}, as_of=at("2026-06-15"))) == 1


def test_two_sources_of_one_series_read_the_same_every_time(lake: Lake) -> None:
    day = {"start": at("2026-07-01"), "end": at("2026-07-02")}
    for source, y in [("b", 2.0), ("a", 1.0)]:
        lake.replace("metrics", metrics(["2026-07-01T00:00"], [y], source=source), **day, where={"source": source})
    assert [lake.read("metrics")["source"].tolist() for _ in range(5)] == [["a"]] * 5


def test_an_empty_list_of_values_matches_nothing(lake: Lake) -> None:
    day = {"start": at("2026-07-01"), "end": at("2026-07-02")}
    lake.replace("metrics", metrics(["2026-07-01T00:00"], [1.0]), **day)
    assert lake.read("metrics", where={"unique_id": []}).empty
    lake.replace("metrics", empty_frame("metrics"), **day, where={"unique_id": []})
    assert len(lake.read("metrics")) == 1


def test_names_with_quotes_are_values_not_code(lake: Lake) -> None:
    day = {"start": at("2026-07-01"), "end": at("2026-07-02")}
    odd = "o'neil; -- "
    lake.replace("metrics", metrics(["2026-07-01T00:00"], [1.0], source=odd), **day, where={"source": odd})
    lake.replace("metrics", metrics(["2026-07-01T00:00"], [2.0], source=odd), **day, where={"source": odd})
    assert lake.read("metrics", where={"source": odd})["y"].tolist() == [2.0]


def test_a_row_outside_the_replaced_range_is_refused(lake: Lake) -> None:
    frame = metrics(["2026-07-02T00:00"], [1.0])
    with pytest.raises(
        BadInputError, match=r"table metrics: row .*paris/edge/cpu.* is outside the replaced range 2026-07-01.*doubled by a retry"
    ):
        lake.replace("metrics", frame, start=at("2026-07-01"), end=at("2026-07-02"))
    with pytest.raises(BadInputError, match="outside the replaced range"):
        lake.replace("metrics", frame, start=at("2026-07-02"), end=at("2026-07-03"), where={"source": "other"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="y"), "column 'y' is missing"),
        (lambda f: f.assign(extra=1), "column 'extra' is not declared"),
        (lambda f: f.assign(y=[1.0, float("nan")]), "column 'y' is empty in row 1"),
        (lambda f: f.assign(y=["1", "text"]), "table metrics: .*schemas.py for the types"),
        (lambda f: pd.concat([f, f.iloc[:1].assign(y=3.0)]), "two rows with the same unique_id, ds, available_at, source"),
    ],
)
def test_a_frame_that_breaks_the_schema_is_refused(lake: Lake, change, message: str) -> None:
    frame = change(metrics(["2026-07-01T00:00", "2026-07-01T01:00"], [1.0, 2.0]))
    with pytest.raises(BadInputError, match=message):
        lake.replace("metrics", frame, start=at("2026-07-01"), end=at("2026-07-02"))
    assert lake.read("metrics").empty


def test_an_unknown_table_is_named_with_the_known_ones(lake: Lake) -> None:
    with pytest.raises(BadInputError, match=r"no table 'metric'; the lake has metrics, events"):
        lake.read("metric")


def test_added_versions_stand_beside_the_held_ones(lake: Lake) -> None:
    day = {"start": at("2026-07-01"), "end": at("2026-07-02")}
    first, second = metrics(["2026-07-01T00:00"], [1.0]), metrics(["2026-07-01T00:00"], [2.0], available="2026-07-01T06:00")
    assert lake.add("metrics", lambda held: first, **day) == 1
    assert lake.add("metrics", lambda held: second, **day) == 1
    assert lake.versions("metrics", **day)["y"].tolist() == [1.0, 2.0]
    with pytest.raises(BadInputError, match="two rows with the same"):
        lake.add("metrics", lambda held: second, **day)


def test_nothing_to_add_writes_nothing(lake: Lake) -> None:
    before = DeltaTable(f"{lake.uri}/metrics").version()
    assert lake.add("metrics", lambda held: held, start=at("2026-07-01"), end=at("2026-07-02")) == 0
    assert DeltaTable(f"{lake.uri}/metrics").version() == before


def test_what_another_writer_adds_in_between_is_seen_and_kept(lake: Lake) -> None:
    day = {"start": at("2026-07-01"), "end": at("2026-07-02")}
    seen = []

    def choose(held: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(held))
        if len(seen) == 1:  # the other writer is quicker
            lake.replace("metrics", metrics(["2026-07-01T01:00"], [5.0]), **day)
        return metrics(["2026-07-01T00:00"], [1.0])

    assert lake.add("metrics", choose, **day) == 1
    assert seen == [0, 1]
    assert lake.versions("metrics", **day)["y"].tolist() == [1.0, 5.0]


def test_every_table_is_partitioned_by_day(lake: Lake) -> None:
    for name in TABLES:
        assert DeltaTable(f"{lake.uri}/{name}").metadata().partition_columns == ["day"]
