"""Hourly demand: what an hour counts as, what is a gap, and what was known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from headroom.demand import hourly_demand, known_events
from headroom.lake import Lake
from headroom.settings import Settings, load_settings

DEMO = load_settings(Path(__file__).parents[2] / "capacity.yaml")
SERIES = "us-central1/edge/cpu"


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


DAY = {"start": at("2026-07-01"), "end": at("2026-07-02")}
END = at("2026-07-02")


def rows(start: str, values: list[float], *, available: str | None = None, series: str = SERIES) -> pd.DataFrame:
    stamps = pd.date_range(at(start), periods=len(values), freq="5min")
    region, service, resource = series.split("/")
    known = at(available) if available else stamps + pd.Timedelta("5min")
    columns = {"unique_id": series, "region": region, "service": service, "resource": resource, "ds": stamps, "y": values}
    return pd.DataFrame(columns | {"available_at": known, "source": "traces", "warnings": ""})


def lake_of(root: Path, *frames: pd.DataFrame) -> Lake:
    lake = Lake(str(root / "lake"))
    lake.replace("metrics", pd.concat(frames), **DAY)
    return lake


def with_statistic(name: str) -> Settings:
    return DEMO.model_copy(update={"policy": DEMO.policy.model_copy(update={"demand_statistic": name})})


@pytest.mark.parametrize(("statistic", "expected"), [("max", [12.0, 24.0]), ("mean", [6.5, 18.5])])
def test_an_hour_counts_as_its_maximum_or_its_mean(tmp_path: Path, statistic: str, expected: list[float]) -> None:
    lake = lake_of(tmp_path, rows("2026-07-01T00:00", [float(n) for n in range(1, 25)]))
    hours = hourly_demand(lake, with_statistic(statistic), **DAY, as_of=END)
    assert hours.columns.tolist() == ["unique_id", "ds", "y"]
    assert hours["ds"].tolist() == [at("2026-07-01T00:00"), at("2026-07-01T01:00")]
    assert hours["y"].tolist() == expected


def test_an_hour_with_less_than_half_of_its_rows_is_a_gap(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, rows("2026-07-01T00:00", [1.0] * 5), rows("2026-07-01T01:00", [1.0] * 6))
    assert hourly_demand(lake, DEMO, **DAY, as_of=END)["ds"].tolist() == [at("2026-07-01T01:00")]


def test_only_what_was_known_counts(tmp_path: Path) -> None:
    first, corrected = rows("2026-07-01T00:00", [1.0] * 12), rows("2026-07-01T00:15", [9.0], available="2026-07-01T08:00")
    lake = lake_of(tmp_path, first, corrected)
    seen = {
        t: hourly_demand(lake, DEMO, **DAY, as_of=at(t))["y"].tolist() for t in ("2026-07-01T00:20", "2026-07-01T01:00", "2026-07-01T08:00")
    }
    assert seen == {"2026-07-01T00:20": [], "2026-07-01T01:00": [1.0], "2026-07-01T08:00": [9.0]}


def test_only_the_wanted_series_are_given(tmp_path: Path) -> None:
    other, foreign = "us-central1/api/cpu", "us-central1/former/cpu"
    lake = lake_of(tmp_path, *(rows("2026-07-01T00:00", [1.0] * 12, series=s) for s in (SERIES, other, foreign)))
    assert hourly_demand(lake, DEMO, **DAY, as_of=END)["unique_id"].tolist() == [other, SERIES]
    assert hourly_demand(lake, DEMO, **DAY, as_of=END, series=[foreign])["unique_id"].tolist() == [foreign]


def test_without_rows_there_is_an_empty_frame_with_its_columns(tmp_path: Path) -> None:
    empty = hourly_demand(Lake(str(tmp_path / "none")), DEMO, **DAY, as_of=END)
    assert empty.columns.tolist() == ["unique_id", "ds", "y"]
    assert empty.empty


def test_events_are_those_known_and_not_cancelled(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    shared = {"source": "c", "kind": "match", "title": "t", "region": "", "service": "", "value": None}
    times = {"start": at("2026-07-01T18:00"), "end": at("2026-07-01T20:00")}
    versions = [("a", 1.0, "2026-06-01"), ("b", 1.0, "2026-06-20"), ("a", 0.0, "2026-06-25")]
    frame = pd.DataFrame([{"event_id": i, "strength": s, "available_at": at(t), **shared, **times} for i, s, t in versions])
    lake.replace("events", frame.astype({"value": "float64"}), **DAY)
    seen = {
        t: known_events(lake, **DAY, as_of=at(t))["event_id"].tolist() for t in ("2026-05-01", "2026-06-10", "2026-06-21", "2026-06-26")
    }
    assert seen == {"2026-05-01": [], "2026-06-10": ["a"], "2026-06-21": ["a", "b"], "2026-06-26": ["b"]}
