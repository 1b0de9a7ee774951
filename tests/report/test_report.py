"""The report: one self-contained page with a chart for everything that is forecast, rendered by a real browser."""

import dataclasses
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.home import Home
from headroom.lake import Lake
from headroom.report import write_report
from headroom.report_page.chart_data import read_charts
from headroom.report_page.fan_chart import draw_fan_chart
from headroom.report_page.scales import nice_ticks
from headroom.settings import Settings
from headroom.vocabulary import SeriesId
from infra.prices import list_prices
from tests.report.chromium import look_at, needs_chromium
from tests.report.demo_state import ISSUE, MEASURED_UNTIL

State = tuple[Settings, Home, Lake]


@needs_chromium
def test_a_browser_renders_it_without_a_complaint_or_a_request(state: State, page: Path, tmp_path: Path) -> None:
    seen = look_at(page, tmp_path)
    assert seen.console == []
    assert seen.requests == set()
    shown = set(
        re.findall(r'<figure[^>]* data-series="([^"]+)"[^>]*>.*?<svg class="fan".*?class="median" d="M[\d. ]+', seen.dom, re.DOTALL)
    )
    assert shown == {str(s) for s in state[0].series}
    assert {tuple(s.split("/")[:2]) for s in shown} == {(r, n) for n, s in state[0].services.items() for r in s.regions}


@needs_chromium
def test_the_browser_check_sees_requests_and_complaints(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="http://127.0.0.1:9/x.png"><script>console.error("oops")</script>')
    seen = look_at(bad, tmp_path)
    assert seen.requests == {"http://127.0.0.1:9/x.png"}
    assert "oops" in seen.console[0]


def test_the_page_is_small_and_quick(state: State, page: Path, tmp_path: Path) -> None:
    assert page.stat().st_size < 3_000_000
    settings, home, lake = state
    started = time.process_time()
    write_report(settings, dataclasses.replace(home, root=tmp_path), lake)
    assert time.process_time() - started < 5


def test_the_page_needs_nothing_outside_itself(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"<(?:script|img|iframe|link)\b[^>]*", text) == ['<link rel="icon" href="data:,"']
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r'href="(http[^"]+)"', text)) == {"http://127.0.0.1:8080"}


def test_the_page_says_how_the_forecasts_of_the_week_did(state: State, page: Path) -> None:
    rows = state[2].read("outcomes")
    text = page.read_text()
    assert f"{rows['covered_80'].mean():.0%} <small>in the 80 % interval" in text
    assert f"{len(rows):,} forecast hours measured; hot capacity carried 100% of the planned ones" in text


def test_a_link_that_is_not_an_address_is_refused(state: State) -> None:
    with pytest.raises(BadInputError, match="link Airflow 'javascript:alert"):
        write_report(*state, links={"Airflow": "javascript:alert(1)"})


def test_mlflow_and_data_docs_are_linked_when_there_are_some(state: State, tmp_path: Path) -> None:
    settings, home, lake = state
    elsewhere = dataclasses.replace(home, root=tmp_path, mlflow_uri="http://127.0.0.1:5000")
    elsewhere.data_docs.mkdir()
    (elsewhere.data_docs / "index.html").write_text("docs")
    text = write_report(settings, elsewhere, lake).read_text()
    assert 'href="http://127.0.0.1:5000"' in text
    assert 'href="../data_docs/index.html"' in text


def test_text_from_outside_cannot_become_markup(state: State) -> None:
    chart = next(iter(read_charts(state[0], state[2], issue_time=None).values()))
    event = pd.DataFrame({"start": [ISSUE], "end": [ISSUE + pd.Timedelta("2h")], "title": ["</svg><script>alert(1)</script>"]})
    hostile = dataclasses.replace(chart, events=event, title="<b>")
    svg = draw_fan_chart(hostile)
    assert "<script>" not in svg
    assert "<b>" not in svg
    assert "&lt;script&gt;" in svg


def test_a_failed_write_leaves_the_old_page(state: State, tmp_path: Path) -> None:
    settings, home, lake = state
    elsewhere = dataclasses.replace(home, root=tmp_path)
    before = write_report(settings, elsewhere, lake).read_text()
    with pytest.raises(BadInputError):
        write_report(settings, elsewhere, lake, issue_time=pd.Timestamp("2020-01-01", tz="UTC"))
    assert elsewhere.report.read_text() == before
    assert [p.name for p in elsewhere.report.parent.iterdir()] == ["index.html"]


def test_capacity_is_drawn_in_the_unit_of_the_demand(state: State) -> None:
    settings, _, lake = state
    plan = lake.read("plans", start=ISSUE, end=ISSUE + pd.Timedelta("1h"))
    charts = read_charts(settings, lake, issue_time=None)
    for series in charts:
        chart = charts[series]
        resource = series.resource if series.resource in {"bandwidth", "storage"} else "instances"
        rows = plan[(plan["region"] == series.region) & (plan["service"] == series.service) & (plan["resource"] == resource)]
        model = settings.services[series.service].capacity
        size = list_prices().machine_type(model.machine_type)
        each = {"cpu": size.vcpu, "memory": size.memory_gib, "requests": size.vcpu * (model.requests_per_vcpu or 0)}.get(series.resource)
        factor = 1.0 if each is None else each * model.target_utilisation
        drawn = chart.capacity[chart.capacity["ds"] >= ISSUE].set_index("ds")["hot"]
        np.testing.assert_allclose(drawn, rows.set_index("ds")["hot"].sort_index() * factor)


def test_history_stops_at_the_issue_time_and_later_measurements_are_dots(state: State) -> None:
    chart = read_charts(state[0], state[2], issue_time=None)[SeriesId("us-central1", "edge", "cpu")]
    assert chart.history["ds"].max() == ISSUE - pd.Timedelta("1h")
    assert chart.history["ds"].min() == ISSUE - pd.Timedelta(days=7)
    assert list(chart.measured["ds"]) == list(pd.date_range(ISSUE, MEASURED_UNTIL, freq="h", inclusive="left"))
    assert draw_fan_chart(chart).count("<circle") == 7


def test_hours_behind_show_the_forecast_and_plan_of_their_time(state: State) -> None:
    settings, _, lake = state
    chart = read_charts(settings, lake, issue_time=None)[SeriesId("us-central1", "edge", "cpu")]
    noon = ISSUE - pd.Timedelta("12h")
    of_noon = lake.read("forecasts", start=noon, end=noon + pd.Timedelta("1h"), where={"unique_id": "us-central1/edge/cpu"})
    drawn = chart.earlier[chart.earlier["ds"] >= noon].set_index("ds")["0.9"]
    expected = of_noon[of_noon["ds"] < ISSUE].set_index("ds")["0.9"]
    pd.testing.assert_series_equal(drawn, expected)


def test_an_earlier_issue_time_shows_the_forecast_of_that_time(state: State) -> None:
    settings, _, lake = state
    earlier = ISSUE - pd.Timedelta("5h")
    chart = next(iter(read_charts(settings, lake, issue_time=earlier).values()))
    assert chart.issue_time == ISSUE - pd.Timedelta("12h")


def test_only_events_of_the_series_are_marked(state: State) -> None:
    charts = read_charts(state[0], state[2], issue_time=None)
    scores = charts[SeriesId("europe-west9", "live-scores", "requests")]
    assert len(scores.events) >= 5
    assert draw_fan_chart(scores).count('class="event"') == len(scores.events)
    assert all(charts[s].events.empty for s in charts if s.service != "live-scores")


def test_a_gap_in_the_history_stays_a_gap(state: State) -> None:
    chart = read_charts(state[0], state[2], issue_time=None)[SeriesId("us-central1", "edge", "cpu")]
    holed = dataclasses.replace(chart, history=chart.history.drop(chart.history.index[50:60]))
    whole, parts = (re.search(r'class="history" d="([^"]*)"', draw_fan_chart(c)) for c in (chart, holed))
    assert whole is not None
    assert parts is not None
    assert whole.group(1).count("M") == 1
    assert parts.group(1).count("M") == 2


@pytest.mark.parametrize(("highest", "last"), [(0, 1), (0.22, 0.3), (7, 8), (43, 60), (100, 100), (3687, 4000)])
def test_axes_end_at_round_numbers_above_the_data(highest: float, last: float) -> None:
    ticks = nice_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] == last
    np.testing.assert_allclose(np.diff(ticks), ticks[1])


def test_without_a_plan_the_forecast_is_shown_and_the_page_says_so(state: State, tmp_path: Path) -> None:
    settings, home, lake = state
    fresh, elsewhere = Lake(str(tmp_path / "lake")), dataclasses.replace(home, root=tmp_path, database_url=f"sqlite:///{tmp_path}/none.db")
    fresh.create()
    rows = lake.read("forecasts", start=ISSUE, end=ISSUE + pd.Timedelta("1h")).assign(fallback_reason="no champion: seasonal naive")
    fresh.replace("forecasts", rows, start=ISSUE, end=ISSUE + pd.Timedelta("1h"))
    text = write_report(settings, elsewhere, fresh).read_text()
    assert "There is no plan yet" in text
    assert "Fallback forecast: no champion: seasonal naive" in text
    assert text.count('class="median"') == len(settings.series) + 1  # and the legend
    assert not (tmp_path / "none.db").exists(), "a report does not create a database"


def test_unmet_is_a_column_where_something_is_unmet(state: State, page: Path, tmp_path: Path) -> None:
    settings, home, lake = state
    column = '<th scope="col" class="number-cell">Unmet</th>'
    assert column not in page.read_text()
    copied = Lake(str(tmp_path / "lake"))
    shutil.copytree(home.lake_uri, tmp_path / "lake")
    plan = lake.read("plans", start=ISSUE, end=ISSUE + pd.Timedelta("1h"))
    edge = (plan["region"] == "us-central1") & (plan["service"] == "edge") & (plan["resource"] == "instances")
    copied.replace("plans", plan.assign(unmet=plan["unmet"].fillna(0.0).mask(edge, 7.0)), start=ISSUE, end=ISSUE + pd.Timedelta("1h"))
    told = write_report(settings, dataclasses.replace(home, root=tmp_path), copied).read_text()
    assert column in told
    row = told[told.index('<a href="#us-central1-edge">edge</a>') :].partition("</tr>")[0]
    assert '<td class="number-cell"><div>7</div>' in row
