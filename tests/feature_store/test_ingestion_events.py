"""Ingestion of events: what is new, changed or gone becomes a version, and the past stays as it was seen."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from ingestion_case import SETTINGS, at

from feature_store.ingestion import EventReport, ingest_events
from headroom.demand import known_events
from headroom.errors import BadInputError, UnavailableError
from headroom.lake import Lake
from headroom.settings import Settings, parse_settings

BEFORE, ISSUE, LATER, LATEST = at("2026-06-20"), at("2026-07-01"), at("2026-07-02"), at("2026-07-03")
HEADER = "start,end,kind,title,region,strength,known_at\n"
FINAL = "2026-07-10T18:00Z,2026-07-10T20:00Z,match,Final,europe-west9,2,\n"
PAST = "2026-06-25T18:00Z,2026-06-25T20:00Z,match,Opening,,1,\n"
ANNOUNCED = "2026-07-12T18:00Z,2026-07-12T20:00Z,launch,Launch,,1,2026-06-15T00:00Z\n"


def with_calendars(*calendars: str) -> Settings:
    text = SETTINGS.replace("REQUIRED", "true").replace("DELAY", "0").replace("EGRESS_UNIT", "Mbit/s").replace("FILE", "rows.csv")
    return parse_settings(text + "calendars:\n" + "\n".join(f"  - {calendar}" for calendar in calendars))


TABLE = "{kind: table, name: launches, path: launches.csv}"
ICAL = "{kind: ical, name: matches, location: matches.ics, announced_days: 30}"
HOLIDAYS = "{kind: holidays, name: holidays, announced_days: 365}"


class Calendars:
    def __init__(self, root: Path, *calendars: str) -> None:
        self.root, self.settings = root, with_calendars(*(calendars or (TABLE,)))
        self.lake = Lake(str(root / "lake"))
        self.lake.create()

    def put(self, *lines: str) -> None:
        (self.root / "launches.csv").write_text(HEADER + "".join(lines))

    def ingest(self, issue: pd.Timestamp) -> EventReport:
        return ingest_events(self.settings, self.lake, self.root, issue_time=issue)

    def known(self, as_of: pd.Timestamp) -> dict[str, float]:
        events = known_events(self.lake, start=at("2026-05-01"), end=at("2026-09-01"), as_of=as_of)
        return dict(zip(events["title"], events["strength"], strict=True))

    def table(self) -> pd.DataFrame:
        return self.lake.versions("events", start=at("2000-01-01"), end=at("2100-01-01"))


@pytest.fixture
def calendars(tmp_path: Path) -> Calendars:
    calendars = Calendars(tmp_path)
    calendars.put(FINAL, PAST, ANNOUNCED)
    return calendars


def test_an_event_is_known_since_its_calendar_says_or_since_it_was_read(calendars: Calendars) -> None:
    report = calendars.ingest(ISSUE)
    assert report.sources["launches"].rows == report.added == 3
    assert (report.window_start, report.window_end) == ("2026-05-02T00:00:00+00:00", "2026-07-31T00:00:00+00:00")
    assert calendars.known(BEFORE) == {"Launch": 1}
    assert calendars.known(ISSUE) == {"Launch": 1, "Final": 2, "Opening": 1}


def test_reading_again_adds_nothing(calendars: Calendars) -> None:
    calendars.ingest(ISSUE)
    before = calendars.table()
    assert [calendars.ingest(t).added for t in (ISSUE, LATER, LATEST)] == [0, 0, 0]
    pd.testing.assert_frame_equal(calendars.table(), before)


def test_a_changed_event_is_a_version_known_from_the_next_reading_on(calendars: Calendars) -> None:
    calendars.ingest(ISSUE)
    calendars.put(FINAL.replace(",2,", ",5,"), PAST, ANNOUNCED)
    assert calendars.ingest(LATER).added == 1
    assert calendars.known(ISSUE)["Final"] == calendars.known(LATER - pd.Timedelta("1h"))["Final"] == 2
    assert calendars.known(LATER)["Final"] == 5


def test_a_change_cannot_be_backdated_by_the_calendar(calendars: Calendars) -> None:
    """It says that it knew since June, but we had read something else until now."""
    calendars.ingest(ISSUE)
    calendars.put(FINAL, PAST, ANNOUNCED.replace(",1,", ",7,"))
    calendars.ingest(LATER)
    assert calendars.known(ISSUE)["Launch"] == 1
    assert calendars.known(LATER)["Launch"] == 7


def test_an_event_to_come_that_vanished_is_cancelled_and_a_past_one_is_not(calendars: Calendars) -> None:
    calendars.ingest(ISSUE)
    calendars.put(ANNOUNCED)
    assert calendars.ingest(LATER).sources["launches"].cancelled == 1
    assert calendars.known(ISSUE).keys() == {"Launch", "Final", "Opening"}
    assert calendars.known(LATER).keys() == {"Launch", "Opening"}
    assert calendars.ingest(LATEST).added == 0


def test_an_event_that_comes_back_counts_again(calendars: Calendars) -> None:
    calendars.ingest(ISSUE)
    calendars.put(ANNOUNCED)
    calendars.ingest(LATER)
    calendars.put(ANNOUNCED, FINAL)
    calendars.ingest(LATEST)
    assert [calendars.known(t).get("Final") for t in (ISSUE, LATER, LATEST)] == [2, None, 2]


def test_an_event_that_was_moved_leaves_its_old_day(calendars: Calendars) -> None:
    calendars.ingest(ISSUE)
    calendars.put(FINAL.replace("07-10", "07-14"), PAST, ANNOUNCED)
    calendars.ingest(LATER)
    events = known_events(calendars.lake, start=at("2026-07-01"), end=at("2026-08-01"), as_of=LATER)
    assert events.loc[events["title"] == "Final", "start"].tolist() == [at("2026-07-14T18:00")]


def test_the_rerun_of_an_old_run_does_not_make_known_what_was_not(calendars: Calendars) -> None:
    """Launch and Opening were read on the 1st, Final on the 2nd. Then the run of the 1st is repeated with today's calendar."""
    calendars.put(PAST, ANNOUNCED)
    calendars.ingest(ISSUE)
    calendars.put(PAST, ANNOUNCED, FINAL)
    calendars.ingest(LATER)
    before = calendars.table()
    assert calendars.ingest(ISSUE).added == 0
    pd.testing.assert_frame_equal(calendars.table(), before)
    assert calendars.known(ISSUE).keys() == {"Launch", "Opening"}


def test_a_broken_calendar_is_reported_keeps_its_events_and_the_others_go_on(tmp_path: Path) -> None:
    calendars = Calendars(tmp_path, TABLE, ICAL, HOLIDAYS)
    ics = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//t//EN\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260501T000000Z\r\nDTSTART:20260710T180000Z\r\n"
    ics += "DTEND:20260710T200000Z\r\nSUMMARY:Semi-final\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    (tmp_path / "matches.ics").write_text(ics)
    calendars.put(FINAL)
    calendars.ingest(ISSUE)
    (tmp_path / "matches.ics").write_text("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:someday\r\n")
    calendars.put(FINAL, ANNOUNCED)
    report = calendars.ingest(LATER)
    assert set(report.errors) == {"matches"}
    assert report.errors["matches"].startswith("calendar matches line 2: VEVENT is never closed")
    assert report.sources["launches"].added == 1
    assert {"Semi-final", "Final", "Launch"} < calendars.known(LATER).keys()


def test_when_every_calendar_is_broken_the_run_fails_with_all_reasons(tmp_path: Path) -> None:
    calendars = Calendars(tmp_path, TABLE, ICAL)
    with pytest.raises(BadInputError, match=r"no calendar could be read:\n.*launches.*\n.*matches") as failed:
        calendars.ingest(ISSUE)
    assert not isinstance(failed.value, UnavailableError)
    silent = Calendars(tmp_path / "silent", "{kind: ical, name: far, location: 'http://127.0.0.1:9/none.ics'}")
    with pytest.raises(UnavailableError, match="no calendar could be read"):
        silent.ingest(ISSUE)


def test_without_calendars_there_is_nothing_to_do(tmp_path: Path) -> None:
    calendars = Calendars(tmp_path)
    calendars.settings = calendars.settings.model_copy(update={"calendars": []})
    assert calendars.ingest(ISSUE).sources == {}
