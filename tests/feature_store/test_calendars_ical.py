"""iCalendar: zones, recurrences, cancellations, when an event became known, and broken files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from feature_store.calendars import read_events
from headroom.errors import BadInputError, UnavailableError
from headroom.schemas import TABLES, conform
from headroom.settings import Settings
from headroom.settings_sources import ICalSource
from tests.feature_store.conftest import Web

ISSUED = pd.Timestamp("2026-07-07T10:00Z")
START, END = pd.Timestamp("2026-07-06T00:00Z"), pd.Timestamp("2026-07-28T00:00Z")
HEAD = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n"


def read(settings: Settings, folder: Path, location: str, **more: object) -> pd.DataFrame:
    source = ICalSource.model_validate({"name": "busy", "location": location, **more})
    events = read_events(source, settings, folder, issue_time=ISSUED, start=START, end=END)
    conform(TABLES["events"], events)
    return events


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def one_event(*lines: str) -> str:
    return "\r\n".join([*HEAD.splitlines(), "BEGIN:VEVENT", "UID:u", "SUMMARY:Thing", *lines, "END:VEVENT", "END:VCALENDAR", ""])


def test_the_demo_gives_the_matches_of_its_table(demo_settings: Settings, repository: Path) -> None:
    events = read_events(
        demo_settings.calendars[0], demo_settings, repository, issue_time=ISSUED, start=utc("2026-06-01"), end=utc("2026-08-01")
    )
    table = pd.read_csv(repository / "demo" / "events.csv", parse_dates=["start", "end"]).sort_values(["start", "title"], ignore_index=True)
    events = events.sort_values(["start", "title"], ignore_index=True)
    for column in ("start", "end", "region", "service", "kind", "title"):
        assert events[column].tolist() == table[column].tolist()
    assert (events["available_at"] == events["start"] - pd.Timedelta(days=30)).all()
    assert events["event_id"].is_unique


def test_an_event_with_everything(demo_settings: Settings, data: Path) -> None:
    launch = read(demo_settings, data, "busy.ics").set_index("event_id").loc["busy:launch:20260708T1600Z"]
    assert launch.to_dict() == {
        "source": "busy",
        "kind": "launch",
        "title": "Launch of the new player, with a title so long that the line is folded",
        "region": "europe-west9",
        "service": "media",
        "start": utc("2026-07-08 16:00"),  # 18:00 in Paris
        "end": utc("2026-07-08 19:00"),
        "strength": 2.5,
        "value": pytest.approx(float("nan"), nan_ok=True),
        "available_at": utc("2026-06-20 10:00"),
    }


def test_an_all_day_event_is_the_day_of_its_region(demo_settings: Settings, data: Path) -> None:
    sale = read(demo_settings, data, "busy.ics").set_index("title").loc["Sale day"]
    assert (sale["start"], sale["end"]) == (utc("2026-07-08 16:00"), utc("2026-07-09 16:00"))  # Taipei is 8 hours ahead
    assert sale["kind"] == "event"


def test_recurrences_are_unfolded_with_exceptions_and_moves(demo_settings: Settings, data: Path) -> None:
    events = read(demo_settings, data, "busy.ics")
    backups = events[events["kind"] == "batch-run"]
    assert backups["start"].dt.strftime("%m-%d %H:%M").tolist() == ["07-06 00:00", "07-20 03:00", "07-27 00:00"]  # not the 13th
    assert backups["available_at"].dt.strftime("%Y-%m-%d").tolist() == ["2026-01-01", "2026-07-03", "2026-01-01"]  # the move came later
    assert backups["event_id"].is_unique


def test_a_recurrence_keeps_its_local_time_when_the_clock_changes(demo_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "c.ics").write_text(
        one_event("DTSTART;TZID=America/Chicago:20260101T090000", "DTEND;TZID=America/Chicago:20260101T100000", "RRULE:FREQ=DAILY")
    )
    source = ICalSource(name="c", location="c.ics")
    events = read_events(source, demo_settings, tmp_path, issue_time=ISSUED, start=utc("2026-03-07"), end=utc("2026-03-10"))
    assert events["start"].dt.hour.tolist() == [15, 14, 14]


def test_a_cancelled_event_has_no_strength_since_it_was_cancelled(demo_settings: Settings, data: Path) -> None:
    concert = read(demo_settings, data, "busy.ics").set_index("title").loc["Concert"]
    assert (concert["strength"], concert["available_at"]) == (0.0, utc("2026-07-05 12:00"))


def test_an_event_without_length_counts_for_an_hour(demo_settings: Settings, data: Path) -> None:
    rumour = read(demo_settings, data, "busy.ics").set_index("title").loc["Rumoured stream"]
    assert rumour["end"] - rumour["start"] == pd.Timedelta(hours=1)


@pytest.mark.parametrize(
    ("lines", "announced_days", "known"),
    [
        (["X-HEADROOM-KNOWN-AT:20260703T000000Z", "CREATED:20260701T000000Z", "DTSTAMP:20260702T000000Z"], 2, "2026-07-03"),
        (["CREATED:20260701T000000Z", "LAST-MODIFIED:20260704T000000Z", "DTSTAMP:20260702T000000Z"], 2, "2026-07-01"),
        (["CREATED:20260701T000000Z", "LAST-MODIFIED:20260704T000000Z", "SEQUENCE:1"], 2, "2026-07-04"),
        (["DTSTAMP:20260702T000000Z"], 2, "2026-07-08"),
        (["DTSTAMP:20260702T000000Z"], 0, "2026-07-10"),
        (["DTSTAMP:20260702T000000Z"], None, "2026-07-02"),
        (["DTSTAMP:20260702T000000Z", "LAST-MODIFIED:20260703T000000Z"], None, "2026-07-03"),
        ([], None, "2026-07-07 10:00"),
        (["CREATED:20260709T000000Z"], None, "2026-07-09"),  # read today, for an issue time before it was written: not yet known then
    ],
)
def test_when_an_event_became_known(
    demo_settings: Settings, tmp_path: Path, lines: list[str], announced_days: float | None, known: str
) -> None:
    (tmp_path / "c.ics").write_text(one_event("DTSTART:20260710T000000Z", *lines))
    assert read(demo_settings, tmp_path, "c.ics", announced_days=announced_days)["available_at"].tolist() == [utc(known)]


def test_the_window_is_half_open(demo_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "c.ics").write_text(one_event(f"DTSTART:{START:%Y%m%dT%H%M%SZ}", "RRULE:FREQ=DAILY;INTERVAL=22"))
    assert read(demo_settings, tmp_path, "c.ics")["start"].tolist() == [START]  # 22 days later is END


def test_the_calendars_region_and_service_are_defaults(demo_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "c.ics").write_text(one_event("DTSTART:20260710T090000"))  # no zone: local to the region
    event = read(demo_settings, tmp_path, "c.ics", region="us-central1", service="api", event_kind="drill").iloc[0]
    assert (event["region"], event["service"], event["kind"], event["start"]) == ("us-central1", "api", "drill", utc("2026-07-10 14:00"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", "calendar busy line 1: 'hello' is not NAME:value; expected an iCalendar file"),
        ("", "calendar busy: no BEGIN:VCALENDAR; expected an iCalendar file"),
        (HEAD + "BEGIN:VEVENT\nEND:VCALENDAR\n", "calendar busy line 5: END:VCALENDAR, but VEVENT of line 4 is open"),
        (
            one_event("DTSTART:yesterday"),
            "calendar busy line 4: event 'Thing': DTSTART: Expected datetime, date, or time. Got: 'yesterday'",
        ),
        (one_event("X-NOTE:1"), "calendar busy line 4: event 'Thing' has no DTSTART"),
        (
            one_event("DTSTART;TZID=Mars/Olympus:20260708T120000"),
            "calendar busy line 4: event 'Thing': DTSTART: time zone 'Mars/Olympus' is unknown; use an IANA name, for example Europe/Paris",
        ),
        (one_event("DTSTART:20260708T120000Z", "DTEND:20260708T110000Z"), "calendar busy line 4: event 'Thing' ends before it starts"),
        (
            one_event("DTSTART:20260708T120000Z", "RRULE:FREQ=OFTEN"),
            "calendar busy line 4: event 'Thing': RRULE: Expected frequency, got: OFTEN",
        ),
        (
            one_event("DTSTART:20260708T120000Z", "LOCATION nowhere"),
            "calendar busy line 8: 'LOCATION nowhere' is not NAME:value; expected an iCalendar file",
        ),
        (
            one_event("DTSTART:20260708T120000Z", "X-HEADROOM-STRENGTH:much"),
            "calendar busy line 4: event 'Thing': X-HEADROOM-STRENGTH: could not convert string to float: 'much'",
        ),
        (
            one_event("DTSTART:20260708T120000Z", "X-HEADROOM-STRENGTH:-1"),
            "calendar busy line 4: event 'Thing': X-HEADROOM-STRENGTH: '-1' is not a number, 0 or more",
        ),
    ],
)
def test_a_broken_calendar_names_its_line(demo_settings: Settings, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.ics").write_text(text)
    with pytest.raises(BadInputError) as refused:
        read(demo_settings, tmp_path, "c.ics")
    assert str(refused.value) == message


def test_a_calendar_that_is_cut_off_does_not_pass_for_an_empty_one(demo_settings: Settings, data: Path) -> None:
    with pytest.raises(BadInputError) as refused:
        read(demo_settings, data, "cut_off.ics")
    assert str(refused.value) == "calendar busy line 4: VEVENT is never closed; the file is cut off"


def test_a_calendar_at_an_address(demo_settings: Settings, data: Path, web: Web) -> None:
    web.answer("", 302, Location="/moved.ics").answer((data / "busy.ics").read_bytes())
    assert len(read(demo_settings, data, f"{web.url}/secret-token.ics")) == 7
    assert [path for path, _, _ in web.requests] == ["/secret-token.ics", "/moved.ics"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("no.ics", "calendar busy: no such file 'no.ics' in {folder}; correct the location in capacity.yaml"),
        (
            "http://calendar.example/t0k3n.ics",
            "calendar busy: http://calendar.example would travel unencrypted; use https (plain http is for this machine only)",
        ),
        (
            "https://ada:pa55@calendar.example/c.ics",
            "calendar busy: the address holds a user name or password; put them into an Airflow connection",
        ),
        ("ftp://calendar.example/c.ics", "calendar busy: 'ftp://calendar.example' is not an address; expected https://host/path"),
    ],
)
def test_a_location_that_is_refused(demo_settings: Settings, data: Path, location: str, message: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read(demo_settings, data, location)
    assert str(refused.value) == message.format(folder=data)


def test_an_address_that_fails_never_shows_its_path(demo_settings: Settings, data: Path, web: Web) -> None:
    web.answer("", 404)
    with pytest.raises(BadInputError) as refused:
        read(demo_settings, data, f"{web.url}/t0k3n.ics")
    assert str(refused.value) == f"calendar busy: {web.url} answers 404; check the address and whether it is public"
    web.answers[:] = [(302, {"Location": "http://elsewhere.example/t0k3n"}, b"")]
    with pytest.raises(BadInputError, match=r"^calendar busy: http://elsewhere.example would travel unencrypted; use https"):
        read(demo_settings, data, f"{web.url}/t0k3n.ics")
    web.answers[:] = [(302, {"Location": "/t0k3n"}, b"")]
    with pytest.raises(BadInputError, match=rf"^calendar busy: more than 5 redirects, the last to {web.url}; use the final address$"):
        read(demo_settings, data, f"{web.url}/t0k3n.ics")


def test_an_address_that_does_not_answer_is_unavailable(demo_settings: Settings, data: Path) -> None:
    with pytest.raises(UnavailableError) as failed:
        read(demo_settings, data, "http://127.0.0.1:9/t0k3n.ics")
    assert str(failed.value) == "calendar busy: http://127.0.0.1:9 does not answer (ConnectionError); check that it is up and reachable"
