"""Hours that nothing explains are marked in the charts and listed; without any, the page says nothing of them."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headroom.home import Home
from headroom.lake import Lake
from headroom.report import write_report
from headroom.report_page.anomaly_list import anomaly_spans
from headroom.report_page.anomaly_rows import read_anomalies
from headroom.report_page.chart_data import read_charts
from headroom.report_page.fan_chart import draw_fan_chart
from headroom.settings import Settings
from headroom.vocabulary import SeriesId
from models.anomalies import METHOD, ONLINE_METHOD, flag_anomalies
from tests.report.chromium import look_at, needs_chromium
from tests.report.demo_state import ISSUE, MEASURED_UNTIL

State = tuple[Settings, Home, Lake]

HOUR = pd.Timedelta("1h")
FAULTY = SeriesId("us-central1", "edge", "cpu")
FAULT = ISSUE - 30 * HOUR
RISEN = SeriesId("europe-west9", "edge", "cpu")
RISE = ISSUE - 14 * HOUR


@pytest.fixture(scope="module")
def odd(state: State, tmp_path_factory: pytest.TempPathFactory) -> State:
    """Two hours of one series were four times too high; another doubled and stays there. Found as the loop would find them."""
    settings, home, _ = state
    root = tmp_path_factory.mktemp("odd") / "var"
    shutil.copytree(home.root, root)
    mine = Home.from_environment({"HEADROOM_HOME": str(root)})
    lake = Lake(mine.lake_uri)
    multiply(lake, FAULTY, 4.0, FAULT, FAULT + 2 * HOUR)
    multiply(lake, RISEN, 2.0, RISE, MEASURED_UNTIL)
    flag_anomalies(settings, lake, issue_time=ISSUE)
    return settings, mine, lake


def multiply(lake: Lake, series: SeriesId, factor: float, start: pd.Timestamp, end: pd.Timestamp) -> None:
    only = {"unique_id": str(series)}
    rows = lake.read("metrics", start=start, end=end, where=only)
    lake.replace("metrics", rows.assign(y=rows["y"] * factor), start=start, end=end, where=only)


@pytest.fixture(scope="module")
def odd_page(odd: State) -> Path:
    return write_report(*odd)


def test_a_fault_that_came_back_is_left_out_and_a_new_level_counts(odd: State) -> None:
    rows = read_anomalies(odd[0], odd[2], start=ISSUE - pd.Timedelta(days=7), end=ISSUE)
    left_out = rows.groupby("unique_id")["left_out"].agg(["any", "all"])
    assert set(rows["unique_id"]) == {str(FAULTY), str(RISEN)}
    assert left_out.loc[str(FAULTY), "all"]
    assert not left_out.loc[str(RISEN), "any"]
    assert FAULT in set(rows.loc[rows["unique_id"] == str(FAULTY), "ds"])


def test_an_earlier_moment_knows_less(odd: State) -> None:
    week = ISSUE - pd.Timedelta(days=7)
    assert read_anomalies(odd[0], odd[2], start=week, end=ISSUE, as_of=ISSUE - HOUR).empty, "flagged at the issue time, not before"
    assert len(read_anomalies(odd[0], odd[2], start=week, end=ISSUE, as_of=ISSUE))


def test_an_hour_that_was_mended_at_the_source_counts(odd: State, tmp_path: Path) -> None:
    settings, home, _ = odd
    shutil.copytree(home.root / "lake", tmp_path / "lake")
    lake = Lake(str(tmp_path / "lake"))
    week = ISSUE - pd.Timedelta(days=7)
    before = read_anomalies(settings, lake, start=week, end=ISSUE).set_index("unique_id").loc[[str(FAULTY)]]
    multiply(lake, FAULTY, 0.25, FAULT, FAULT + 2 * HOUR)
    after = read_anomalies(settings, lake, start=week, end=ISSUE).set_index("unique_id").loc[[str(FAULTY)]]
    assert before["left_out"].all()
    assert not after["left_out"].any()
    pd.testing.assert_series_equal(after["y"], before["y"])


def test_every_anomalous_hour_has_a_mark_with_its_words(odd: State) -> None:
    chart = read_charts(odd[0], odd[2], issue_time=None)[FAULTY]
    svg = draw_fan_chart(chart)
    titles = re.findall(r'<circle class="anomaly"[^>]*><title>([^<]*)</title>', svg)
    assert len(titles) == len(chart.anomalies) > 0
    first = chart.anomalies.iloc[0]
    assert f"{first['ds']:%a %d %b %H:%M} UTC" in titles[0]
    assert "left out of trainings" in titles[0]
    assert first["y"] > 2 * first["expected"]
    assert re.search(rf"<desc[^>]*>[^<]*Anomalous hours: {len(titles)}, the last on", svg), "who hears the page is told too"
    columns = svg[svg.index('<g class="hover">') : svg.index('<circle class="anomaly"')]
    assert columns.count("anomaly: ") == len(titles), "the hour's own tooltip tells it as well"


def test_the_mark_is_on_the_measured_line(odd: State) -> None:
    svg = draw_fan_chart(read_charts(odd[0], odd[2], issue_time=None)[FAULTY])
    line = re.search(r'class="history" d="M([^"]*)"', svg)
    assert line is not None
    for x, y in re.findall(r'<circle class="anomaly" cx="([^"]*)" cy="([^"]*)"', svg):
        assert f"{x} {y}" in line.group(1)


@needs_chromium
def test_a_browser_shows_marks_legend_and_list(odd: State, odd_page: Path, tmp_path: Path) -> None:
    seen = look_at(odd_page, tmp_path)
    assert (seen.console, seen.requests) == ([], set())
    figures = dict(re.findall(r'<figure[^>]* data-series="([^"]+)"[^>]*>(.*?)</figure>', seen.dom, re.DOTALL))
    assert {name for name, inside in figures.items() if 'class="anomaly"' in inside} == {str(FAULTY), str(RISEN)}
    assert "anomaly: no rhythm or event explains it" in seen.dom
    listed = re.search(r'<table aria-labelledby="anomalies">(.*?)</table>', seen.dom, re.DOTALL)
    assert listed is not None
    rows = [re.sub(r"<[^>]+>|\s+", " ", row) for row in re.findall(r"<tr>(.*?)</tr>", listed.group(1), re.DOTALL)][1:]
    assert {(str(FAULTY) in row, "left out" in row) for row in rows} == {(True, True), (False, False)}
    assert {(str(RISEN) in row, "counted" in row) for row in rows} == {(True, True), (False, False)}
    assert all(METHOD in row or ONLINE_METHOD in row for row in rows)


def test_the_list_goes_to_charts_that_are_there(odd_page: Path) -> None:
    text = odd_page.read_text()
    listed = text[text.index('<table aria-labelledby="anomalies">') :]
    goals = set(re.findall(r'<a href="#([^"]+)">', listed))
    assert goals
    assert all(f'id="{goal}"' in text for goal in [*goals, "anomalies"])


def test_hours_in_a_row_are_one_entry_and_the_newest_is_first(state: State) -> None:
    charts = read_charts(state[0], state[2], issue_time=None)
    hours = [ISSUE - h * HOUR for h in (50, 49, 48, 20)]
    rows = pd.DataFrame(
        {"ds": hours, "y": [2.0, 9.0, 3.0, 0.0], "expected": 1.0, "method": "m", "compared": "c", "left_out": [True, True, False, False]}
    )
    spans = anomaly_spans({FAULTY: dataclasses.replace(charts[FAULTY], anomalies=rows), RISEN: charts[RISEN]})
    assert [(span.start, span.hours, span.measured) for span in spans] == [(hours[3], 1, 0.0), (hours[0], 3, 9.0)]
    assert [span.use for span in spans] == ["counted", "2 of 3 hours left out"]


def test_a_long_list_shows_the_newest_and_says_so(state: State, tmp_path: Path) -> None:
    settings, home, _ = state
    shutil.copytree(home.root, tmp_path / "var")
    mine = Home.from_environment({"HEADROOM_HOME": str(tmp_path / "var")})
    lake = Lake(mine.lake_uri)
    ds = ISSUE - np.arange(1, 21) * 3 * HOUR
    rows = pd.DataFrame({"unique_id": str(FAULTY), **FAULTY._asdict(), "ds": ds, "y": 5.0, "expected": 1.0, "score": 9.0})
    rows = rows.assign(method="<i>another</i>", reason="", available_at=ISSUE)
    lake.replace("anomalies", rows, start=ds.min(), end=ISSUE)
    text = write_report(settings, mine, lake).read_text()
    assert "The newest 12 of 20" in text
    assert text.count("&lt;i&gt;another") >= 12
    assert "<i>another" not in text


def test_without_anomalies_nothing_is_shown(page: Path) -> None:
    body = re.sub(r"<style>.*?</style>", "", page.read_text(), flags=re.DOTALL)
    assert not re.search("anomal", body, re.IGNORECASE)
