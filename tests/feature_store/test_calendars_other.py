"""Tables, public holidays, feeds and weather as events."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pandas as pd
import pytest

from feature_store.calendars import read_events
from headroom.errors import BadInputError
from headroom.schemas import TABLES, conform
from headroom.settings import Settings
from headroom.settings_cloud import Region
from headroom.settings_sources import FeedSource, HolidaySource, TableSource, WeatherSource

ISSUED = pd.Timestamp("2026-07-07T10:00Z")
START, END = pd.Timestamp("2026-07-01T00:00Z"), pd.Timestamp("2026-08-01T00:00Z")
RULES = [
    {"keywords": ["outage", "incident"], "event_kind": "outage", "region": "europe-west9", "strength": 3, "hours": 6},
    {"keywords": ["final"], "event_kind": "match", "service": "live-scores"},
]
Calendar = FeedSource | HolidaySource | TableSource | WeatherSource


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def read(calendar: Calendar, settings: Settings, folder: Path, start: pd.Timestamp = START, end: pd.Timestamp = END) -> pd.DataFrame:
    events = read_events(calendar, settings, folder, issue_time=ISSUED, start=start, end=end)
    conform(TABLES["events"], events)
    return events


def refusal(calendar: Calendar, settings: Settings, folder: Path) -> str:
    with pytest.raises(BadInputError) as refused:
        read(calendar, settings, folder)
    return str(refused.value)


class TestTable:
    @pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
    def test_rows_become_events(self, demo_settings: Settings, tmp_path: Path, name: str) -> None:
        table = pd.DataFrame(
            {
                "start": ["2026-07-08T18:00+02:00", "2026-07-09"],
                "end": ["2026-07-08T20:00+02:00", "2026-07-10"],
                "kind": ["sale", "freeze"],
                "title": ["Summer", "No changes"],
                "region": ["europe-west9", None],
                "strength": [2.0, None],
                "known_at": ["2026-07-01T00:00Z", None],
                "venue": ["Paris", "-"],
            }
        )
        table.to_csv(tmp_path / name, index=False) if name == "t.csv" else table.to_parquet(tmp_path / name)
        events = read(TableSource(name="t", path=name), demo_settings, tmp_path)
        assert events["start"].tolist() == [utc("2026-07-08 16:00"), utc("2026-07-09")]
        assert events["available_at"].tolist() == [utc("2026-07-01"), ISSUED]
        assert events[["region", "service", "strength"]].to_numpy().tolist() == [["europe-west9", "", 2.0], ["", "", 1.0]]
        announced = read(TableSource(name="t", path=name, announced_days=3), demo_settings, tmp_path)
        assert announced["available_at"].tolist() == [utc("2026-07-01"), utc("2026-07-06")]
        assert announced["event_id"].tolist() == events["event_id"].tolist()

    def test_the_demo_table(self, demo_settings: Settings, repository: Path) -> None:
        table = TableSource(name="matches", path="demo/events.csv")
        assert len(read(table, demo_settings, repository, utc("2026-06-01"))) == 64

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "start,end,type,title\n",
                "column 'kind' is missing; expected start, end, kind, title and optionally region, service, strength, known_at, "
                "found start, end, type, title",
            ),
            (
                "start,end,kind,title\n2026-07-08,2026-07-09,a,b\nsoon,2026-07-09,a,b\n",
                "row 2: start 'soon'; expected ISO 8601, for example 2026-07-08T18:00:00Z",
            ),
            ("start,end,kind,title\n2026-07-08,,a,b\n", "row 1: end is empty; expected ISO 8601, for example 2026-07-08T18:00:00Z"),
            ("start,end,kind,title,strength\n2026-07-08,2026-07-09,a,b,-1\n", "row 1: strength '-1'; expected a number, 0 or more"),
            (
                "start,end,kind,title,known_at\n2026-07-08,2026-07-09,a,b,?\n",
                "row 1: known_at '?'; expected ISO 8601, for example 2026-07-08T18:00:00Z",
            ),
            ("", "not a readable table: No columns to parse from file; expected CSV or Parquet with columns start, end, kind, title"),
        ],
    )
    def test_what_is_wrong_is_named(self, demo_settings: Settings, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "t.csv").write_text(text)
        assert refusal(TableSource(name="t", path="t.csv"), demo_settings, tmp_path) == f"calendar t: t.csv: {message}"

    def test_an_event_ends_after_its_start(self, demo_settings: Settings, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("start,end,kind,title\n2026-07-08,2026-07-07,a,b\n")
        assert refusal(TableSource(name="t", path="t.csv"), demo_settings, tmp_path) == (
            "calendar t: event 'b' starts 2026-07-08T00:00:00+00:00 and ends 2026-07-07T00:00:00+00:00; an event ends after its start"
        )

    def test_a_region_that_is_not_ours_is_kept_and_named(
        self, demo_settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "t.csv").write_text("start,end,kind,title,region\n2026-07-08,2026-07-09,a,b,mars-north1\n")
        assert len(read(TableSource(name="t", path="t.csv"), demo_settings, tmp_path)) == 1
        assert "calendar t: region 'mars-north1' is not in capacity.yaml; its events match no series" in caplog.messages

    def test_a_row_that_comes_twice_counts_once(self, demo_settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "t.csv").write_text("start,end,kind,title\n" + "2026-07-08,2026-07-09,a,b\n" * 2)
        assert len(read(TableSource(name="t", path="t.csv"), demo_settings, tmp_path)) == 1
        assert "calendar t: 1 events come twice, the later entry counts" in caplog.messages


class TestHolidays:
    def test_a_holiday_is_the_day_of_its_region(self, demo_settings: Settings, tmp_path: Path) -> None:
        events = read(HolidaySource(name="h"), demo_settings, tmp_path).set_index("region")
        french = events.loc["europe-west9"]
        assert (french["title"], french["start"], french["end"]) == ("National Day", utc("2026-07-13 22:00"), utc("2026-07-14 22:00"))
        assert french["available_at"] == french["start"] - pd.Timedelta(days=365)
        assert events.loc["us-central1", "start"].tolist() == [utc("2026-07-03 05:00"), utc("2026-07-04 05:00")]
        assert events["event_id"].is_unique

    def test_announced_days_are_respected(self, demo_settings: Settings, tmp_path: Path) -> None:
        events = read(HolidaySource(name="h", announced_days=10), demo_settings, tmp_path)
        assert (events["available_at"] == events["start"] - pd.Timedelta(days=10)).all()

    def test_a_day_that_begins_in_the_window_by_local_time_only(self, demo_settings: Settings, tmp_path: Path) -> None:
        new_year = read(HolidaySource(name="h"), demo_settings, tmp_path, utc("2026-12-31 16:00"), utc("2026-12-31 17:00"))
        assert new_year["region"].tolist() == ["asia-east1"]  # 1 January there

    def test_an_unknown_country_is_named(self, demo_settings: Settings, tmp_path: Path) -> None:
        atlantis = Region(zones=["a"], quotas={"N2_CPUS": 1}, holidays="ZZ")
        settings = demo_settings.model_copy(update={"regions": {"atlantis": atlantis}})
        assert refusal(HolidaySource(name="h"), settings, tmp_path) == (
            "regions.atlantis.holidays: 'ZZ' has no known public holidays; use an ISO country code, for example FR or DE-BY"
        )

    def test_a_part_of_a_country_has_its_own(self, demo_settings: Settings, tmp_path: Path) -> None:
        def days(code: str) -> int:
            region = Region(zones=["a"], quotas={"N2_CPUS": 1}, holidays=code, timezone="Europe/Berlin")
            return len(
                read(
                    HolidaySource(name="h"),
                    demo_settings.model_copy(update={"regions": {"r": region}}),
                    tmp_path,
                    utc("2026-01-02"),
                    utc("2027-01-01"),
                )
            )

        assert days("DE-BY") > days("DE")


class TestFeed:
    def test_entries_that_match_a_rule_become_events(self, demo_settings: Settings, data: Path, caplog: pytest.LogCaptureFixture) -> None:
        events = read(FeedSource.model_validate({"name": "status", "location": "status.rss", "rules": RULES}), demo_settings, data)
        assert len(events) == 1
        outage = events.iloc[0]
        assert (outage["kind"], outage["title"]) == ("outage", "Elevated error rates in europe-west9")
        assert (outage["region"], outage["service"], outage["strength"]) == ("europe-west9", "", 3.0)
        assert (outage["start"], outage["end"], outage["available_at"]) == (
            utc("2026-07-08 10:30"),
            utc("2026-07-08 16:30"),
            utc("2026-07-08 10:30"),
        )
        assert "calendar status: entry 'Outage without a date' has no date and is left out" in caplog.messages

    def test_an_entry_that_was_edited_is_known_since_the_edit(self, demo_settings: Settings, data: Path) -> None:
        events = read(FeedSource.model_validate({"name": "news", "location": "news.atom", "rules": RULES}), demo_settings, data)
        assert sorted(events["kind"]) == ["match", "outage"]  # both rules match
        assert events["start"].unique().tolist() == [utc("2026-07-08 14:00")]
        assert events["available_at"].unique().tolist() == [utc("2026-07-08 16:00")]

    @pytest.mark.parametrize("text", ["", "<html><body>Sign in</body></html>", "{}"])
    def test_what_is_no_feed_is_refused(self, demo_settings: Settings, tmp_path: Path, text: str) -> None:
        (tmp_path / "f.xml").write_text(text)
        message = refusal(FeedSource.model_validate({"name": "f", "location": "f.xml", "rules": RULES}), demo_settings, tmp_path)
        assert message.startswith("calendar f: not an RSS or Atom feed")

    def test_a_feed_that_is_cut_off_gives_what_it_has_and_says_so(
        self, demo_settings: Settings, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        (tmp_path / "f.xml").write_text((data / "status.rss").read_text().partition("<item>\n      <title>Planned")[0])
        events = read(FeedSource.model_validate({"name": "f", "location": "f.xml", "rules": RULES}), demo_settings, tmp_path)
        assert len(events) == 1
        assert "calendar f: the feed is malformed: line 13: no element found; 1 entries were read" in caplog.messages


class TestWeather:
    SOURCE = WeatherSource(name="w", locations={"europe-west9": "weather.json"}, variables=["temperature_2m", "precipitation"])

    def test_readings_become_events(self, demo_settings: Settings, data: Path) -> None:
        events = read(self.SOURCE, demo_settings, data)
        assert events[["kind", "value"]].to_numpy().tolist() == [
            ["weather:precipitation", 0.0],
            ["weather:temperature_2m", 21.5],
            ["weather:precipitation", 0.2],
            ["weather:temperature_2m", 22.9],
            ["weather:precipitation", 1.4],  # the temperature of 10:00 is null
        ]
        assert events["start"].iloc[0] == utc("2026-07-08 06:00")  # 8:00 at 2 hours east
        assert events["title"].iloc[1] == "temperature_2m 21.5 °C"
        assert (events["available_at"] == utc("2026-07-08 06:00")).all()
        assert (events["strength"] == 1).all()

    def test_a_later_forecast_is_another_version_of_the_same_events(self, demo_settings: Settings, data: Path, tmp_path: Path) -> None:
        payload = json.loads((data / "weather.json").read_text())
        payload["hourly"]["temperature_2m"] = [30, 31, 32]
        payload["generated_at"] = "2026-07-08T07:00:00Z"
        (tmp_path / "weather.json").write_text(json.dumps(payload))
        earlier, later = read(self.SOURCE, demo_settings, data), read(self.SOURCE, demo_settings, tmp_path)
        assert set(earlier["event_id"]) < set(later["event_id"])
        assert later["available_at"].min() > earlier["available_at"].max()

    def test_without_its_own_issue_time_a_forecast_is_known_when_ingested(self, demo_settings: Settings, tmp_path: Path) -> None:
        (tmp_path / "weather.json").write_text(json.dumps({"hourly": {"time": [1783468800, 1783472400], "temperature_2m": [1, 2]}}))
        source = WeatherSource(name="w", locations={"europe-west9": "weather.json", "us-central1": "weather.json"})
        events = read(source, demo_settings, tmp_path)
        assert events["start"].unique().tolist() == [utc("2026-07-08 00:00"), utc("2026-07-08 01:00")]
        assert (events["available_at"] == ISSUED).all()
        assert len(events) == 4

    @pytest.mark.parametrize(
        ("payload", "message"),
        [
            ("<html>", "not JSON: Expecting value: line 1 column 1 (char 0); expected "),
            ("[]", "no list hourly.time; expected "),
            ('{"hourly": {"time": ["2026-07-08T00:00"], "rain": [1]}}', "no variable 'temperature_2m' under hourly; it has rain"),
            (
                '{"hourly": {"time": ["2026-07-08T00:00"], "temperature_2m": [1, 2]}}',
                "hourly.temperature_2m has 2 readings for 1 times; expected one for each",
            ),
            ('{"hourly": {"time": ["2026-07-08T00:00"], "temperature_2m": ["warm"]}}', "hourly.temperature_2m: "),
            ('{"hourly": {"time": ["noon"], "temperature_2m": [1]}}', "hourly.time: "),
            ('{"generated_at": "then", "hourly": {"time": [], "temperature_2m": []}}', "generated_at 'then' is not a time: use ISO 8601"),
        ],
    )
    def test_what_is_wrong_is_named(self, demo_settings: Settings, tmp_path: Path, payload: str, message: str) -> None:
        (tmp_path / "w.json").write_text(payload)
        source = WeatherSource(name="w", locations={"asia-east1": "w.json"})
        assert refusal(source, demo_settings, tmp_path).startswith(f"calendar w: region asia-east1: {message}")


def test_times_without_a_zone_are_refused(demo_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="calendar h: issue_time, start and end need a time zone"):
        read_events(HolidaySource(name="h"), demo_settings, tmp_path, issue_time=pd.Timestamp("2026-07-07"), start=START, end=END)
