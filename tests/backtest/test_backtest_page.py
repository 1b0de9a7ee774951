"""The page of a backtest: self-contained, small, true to the figures, whatever the series look like."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headroom.backtest_judgement import Judgement, judge, metrics
from headroom.backtest_page.axes import value_ticks
from headroom.backtest_page.chosen_series import MOST_CHARTS, chosen_series
from headroom.backtest_page.fan_chart import tick_words
from headroom.backtest_page.feature_words import feature_words
from headroom.backtest_page.summary_words import summary_words
from headroom.backtest_report import BACKTEST_FILES, write_backtest
from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS
from models.accuracy import DECILES, INTERVALS
from models.direct_features import Layout
from models.engine import backtest_frame
from models.long_frame import LongFrame
from models.pinball import pinball_loss
from tests.backtest import stand_in_engine
from tests.report.chromium import look_at, needs_chromium


def judged(values: dict[str, np.ndarray], step: str = "1h", horizon: int = 24, windows: int = 2) -> Judgement:
    delta = pd.Timedelta(step)
    parts = [
        pd.DataFrame({"unique_id": name, "ds": pd.Timestamp("2026-05-04") + delta * np.arange(len(ys)), "y": ys}).dropna()
        for name, ys in values.items()
    ]
    series = LongFrame(pd.concat(parts, ignore_index=True).astype({"ds": "datetime64[us]"}), delta)
    result = stand_in_engine.backtest_frame(series, horizon=horizon, windows=windows)
    return judge(result, series, horizon=horizon, windows=windows)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def folder(judgement: Judgement, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backtest(judgement, tmp_path_factory.mktemp("backtest") / "out").parent


def test_forecasts_are_the_final_ones_with_what_was_measured(folder: Path, series: LongFrame) -> None:
    rows = pd.read_parquet(folder / "forecasts.parquet")
    assert list(rows.columns) == ["unique_id", "cutoff", "ds", *QUANTILE_COLUMNS, "y"]
    assert len(rows) == 2 * 3 * 72
    assert not rows.duplicated(["unique_id", "cutoff", "ds"]).any()
    both = rows.merge(series.rows, on=["unique_id", "ds"], suffixes=("", "_measured"))
    assert len(both) == len(rows)
    assert (both["y"] == both["y_measured"]).all()


def test_metrics_follow_from_the_forecasts(folder: Path) -> None:
    told = json.loads((folder / "metrics.json").read_text())
    rows = pd.read_parquet(folder / "forecasts.parquet")
    for name, part in [("overall", rows), *rows.groupby("unique_id")]:
        said = told["overall"] if name == "overall" else told["series"][name]
        losses = pinball_loss(part["y"].to_numpy(), part[list(QUANTILE_COLUMNS)].to_numpy())
        deciles = losses[:, [QUANTILE_COLUMNS.index(str(q)) for q in DECILES]]
        assert said["wql"] == pytest.approx(2 * deciles.mean(axis=1).sum() / part["y"].abs().sum())
        for level, (low, high) in INTERVALS.items():
            assert said["coverage"][level] == pytest.approx(part["y"].between(part[low], part[high]).mean())
            first = part[(part["ds"] - part["cutoff"]) < pd.Timedelta("6h")]
            assert said["by_horizon_hours"]["1-6"]["coverage"][level] == pytest.approx(first["y"].between(first[low], first[high]).mean())
    assert list(told["overall"]["by_horizon_hours"]) == ["1-6", "7-24", "25-72"]
    assert told["overall"]["relative_wql"] == pytest.approx(told["overall"]["wql"] / told["candidates"][told["better_naive"]]["wql"])
    assert told["overall"]["seconds"] == 2.0
    assert told["candidates"]["seasonal-naive-168"]["seconds"] is None


def test_the_leaderboard_is_ordered(folder: Path) -> None:
    board = pd.read_csv(folder / "leaderboard.csv")
    assert set(board["candidate"]) == {"headroom", "seasonal-naive-24", "seasonal-naive-168"}
    assert board["relative_wql"].is_monotonic_increasing


@needs_chromium
def test_a_browser_renders_it_without_a_complaint_or_a_request(folder: Path, tmp_path: Path) -> None:
    seen = look_at(folder / "index.html", tmp_path)
    assert (seen.console, seen.requests) == ([], set())
    shown = re.findall(r'<figure data-series="([^"]+)".*?<svg class="fan".*?class="median" d="M[\d. ]+', seen.dom, re.DOTALL)
    assert sorted(shown) == ["europe-west9/live-scores/requests", "us-central1/edge/cpu"]


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_but_tables_is_wider_than_the_screen(folder: Path, tmp_path: Path, width: int) -> None:
    frame = tmp_path / "frame.html"
    page = (folder / "index.html").read_text()
    probe = "<script>document.title = document.documentElement.scrollWidth</script>"
    (tmp_path / "page.html").write_text(re.sub("<meta http-equiv.*?>", "", page).replace("</body>", probe + "</body>"))
    ask = "onload=\"document.body.append('wide ' + this.contentDocument.title)\""
    frame.write_text(f'<body><iframe src="page.html" style="width:{width}px;height:900px;border:0" {ask}></iframe>')
    seen = look_at(frame, tmp_path, "--allow-file-access-from-files")
    assert f"wide {width}" in seen.dom or f"wide {width - 15}" in seen.dom  # less where a scroll bar takes room


def test_the_page_needs_nothing_outside_itself_and_is_small(folder: Path) -> None:
    text = (folder / "index.html").read_text()
    assert re.findall(r"<(?:script|img|iframe|link)\b[^>]*", text) == ['<link rel="icon" href="data:,"']
    assert "url(" not in text
    assert len(text) < 200_000


def test_text_from_outside_cannot_become_markup(judgement: Judgement, tmp_path: Path) -> None:
    assert "hour &lt;of&gt; day" in write_backtest(judgement, tmp_path).read_text()
    wave = 50 + 10 * np.sin(np.arange(24 * 20) / 4)
    page = write_backtest(judged({"<script>alert(1)</script>": wave}), tmp_path).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 2


def test_the_summary_says_what_the_figures_say(judgement: Judgement) -> None:
    text = " ".join(summary_words(judgement))
    told = metrics(judgement)["overall"]
    assert f"{100 * (told['relative_wql'] - 1):.0f} % more than that of {judgement.naive}" in text
    assert f"The 80 % interval held {100 * told['coverage']['0.8']:.0f} % of the measurements" in text
    assert "The hardest series is europe-west9/live-scores/requests" in text


def test_writing_again_replaces_file_by_file_and_a_failure_leaves_the_old(judgement: Judgement, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_backtest(judgement, tmp_path)
    write_backtest(judgement, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*BACKTEST_FILES, "notes.txt"])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    broken = dataclasses.replace(judgement, reliability=judgement.reliability.drop(columns="at_most"))
    with pytest.raises(KeyError):
        write_backtest(broken, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("step", ["5min", "1h", "1D"])
def test_awkward_series_have_a_page(tmp_path: Path, step: str) -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=600)
    holed = noise.copy()
    holed[[400, 401, 560, 599]] = np.nan
    values = {"zero": noise * 0, "constant": noise * 0 + 7e6, "negative": noise - 40, "holed": holed, "counts": np.round(np.abs(noise))}
    result = judged(values, step=step)
    page = write_backtest(result, tmp_path).read_text()
    assert page.count('class="median" d="M') == len(values) + 1  # and the legend
    assert "nan" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert told["series"]["zero"]["wql"] is None
    assert told["series"]["constant"]["relative_wql"] is None
    assert told["series"]["constant"]["wql"] == 0


def test_a_constant_is_drawn_as_one_and_nobody_is_blamed_for_its_width(tmp_path: Path) -> None:
    constant = np.full(600, 7.0)
    result = judged({"constant": np.nextafter(constant, 8, where=np.arange(600) % 2 == 0, out=constant)})
    page = write_backtest(result, tmp_path).read_text()
    ticks = re.findall(r'text-anchor="end">([\d.]+)</text>', page.partition("<figure")[2].partition("</figure>")[0])
    assert len(set(ticks)) == len(ticks) > 2
    assert "nan" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    zeros = " ".join(summary_words(judged({"zero": np.zeros(600)})))
    assert "(as it may: 100 % lie exactly on its edge)" in zeros


def test_a_file_of_zeros_has_no_share_of_its_demand_and_says_so_with_a_hyphen(tmp_path: Path) -> None:
    result = judged({"zero": np.zeros(600), "none": np.zeros(600)})
    page = re.sub(r"<style>.*?</style>", "", write_backtest(result, tmp_path).read_text(), flags=re.DOTALL)
    assert "weighted quantile loss -" in page
    said = [page, (tmp_path / "metrics.json").read_text(), (tmp_path / "leaderboard.csv").read_text(), *summary_words(result)]
    assert not [text for text in said if re.search(r"\bnan\b", text, re.IGNORECASE)]


def test_series_without_a_forecast_are_told_with_the_reason(tmp_path: Path) -> None:
    wave = 50 + 10 * np.sin(np.arange(24 * 20) / 4)
    result = judged({"long": wave, "short": wave[:30]})
    assert "1 series have no forecast: short (30 steps)" in write_backtest(result, tmp_path).read_text()
    assert metrics(result)["left_out"] == {"short": "30 steps"}
    with pytest.raises(BadInputError, match=r"no series could be forecast \(short: 30 steps\)"):
        judged({"short": wave[:30]})


def test_windows_that_a_series_has_not_are_told(judgement: Judgement, series: LongFrame) -> None:
    rows = judgement.result.forecasts
    early = (rows["unique_id"] == "us-central1/edge/cpu") & (rows["cutoff"] == rows["cutoff"].min())
    found = judge(dataclasses.replace(judgement.result, forecasts=rows[~early]), series, horizon=72, windows=3)
    assert "Of the 3 windows asked for, us-central1/edge/cpu has 2:" in " ".join(summary_words(found))
    assert {name: told["windows"] for name, told in metrics(found)["series"].items()} == {
        "us-central1/edge/cpu": 2,
        "europe-west9/live-scores/requests": 3,
    }
    assert "windows asked for" not in " ".join(summary_words(judgement))


def test_series_that_end_at_different_times_are_told() -> None:
    wave = 50 + 10 * np.sin(np.arange(24 * 20) / 4)
    assert "apart" not in " ".join(summary_words(judged({"a": wave, "b": wave})))
    assert "Series end up to 3 days apart: each has its own last windows" in " ".join(summary_words(judged({"a": wave, "b": wave[:-72]})))
    assert "Series end up to 5 hours apart" in " ".join(summary_words(judged({"a": wave, "b": wave[:-5]})))


def test_measurements_that_were_taken_for_faults_are_told(tmp_path: Path) -> None:
    """By the real engine: a peak of three hours that nothing explains is learnt by no candidate, and the page says so."""
    hours, noise = np.arange(24 * 24), np.random.default_rng(0).normal(1, 0.03, 24 * 24)
    rows = pd.DataFrame(
        {"ds": pd.Timestamp("2026-05-04") + pd.Timedelta("1h") * hours, "y": (50 + 10 * np.sin(hours / 24 * 2 * np.pi)) * noise}
    )
    peak = rows.assign(y=np.where((hours >= 400) & (hours < 403), 4 * rows["y"], rows["y"]))
    both = pd.concat([peak.assign(unique_id="peaked"), rows.assign(unique_id="plain")], ignore_index=True)
    series = LongFrame(both[["unique_id", "ds", "y"]].astype({"ds": "datetime64[us]"}), pd.Timedelta("1h"))
    result = backtest_frame(series, horizon=24, windows=2, candidates=("seasonal-naive-24",))
    found = judge(result, series, horizon=24, windows=2)
    assert metrics(found)["left_out_as_faults"] == {"peaked": 3}
    assert "Learning left out 3 measurements of peaked as faults" in write_backtest(found, tmp_path).read_text()


@pytest.mark.parametrize(
    ("doubted", "words"),
    [({"a": 1}, "1 measurement of a as a fault:"), ({"a": 1200, "b": 34}, "1,234 measurements of 2 series as faults:"), ({}, "")],
)
def test_faults_are_counted_in_words(judgement: Judgement, doubted: dict[str, int], words: str) -> None:
    told = summary_words(dataclasses.replace(judgement, result=dataclasses.replace(judgement.result, doubted=doubted)))
    assert [words in sentence for sentence in told if "fault" in sentence] == [True] * bool(doubted)


def test_of_many_series_the_telling_ones_are_shown() -> None:
    names = [f"s{i:02}" for i in range(50)]
    measures = pd.DataFrame({"relative_wql": np.linspace(0.3, 1.4, 50), "wql": 0.1}, index=pd.Index(names, name="unique_id"))
    weights = pd.DataFrame(
        [(name, "cut", c, w) for name in names for c, w in (("a", 1.0), ("b", 1.0 if name in ("s07", "s08") else 0.0))],
        columns=["unique_id", "cutoff", "candidate", "weight"],
    )
    chosen = chosen_series(measures, weights)
    assert list(chosen)[:9] == ["s49", "s48", "s47", "s24", "s25", "s26", "s02", "s01", "s00"]
    assert {name for name, why in chosen.items() if why == "most blended"} > {"s07", "s08"}
    assert len(chosen) == MOST_CHARTS
    assert len(chosen_series(measures.head(3), weights)) == 3
    assert list(chosen_series(measures.head(1), weights).values()) == [""]


@pytest.mark.parametrize(
    ("low", "high", "first", "last"),
    [(0, 43, 0, 60), (-3, 5, -4, 6), (980, 1020, 980, 1020), (7, 7, 7, 14), (0, 0, 0, 1), (0, 4e-14, 0, 4e-14), (0, 4e15, 0, 4e15)],
)
def test_axes_end_at_round_numbers_around_the_data(low: float, high: float, first: float, last: float) -> None:
    ticks = value_ticks(low, high)
    assert (ticks[0], ticks[-1]) == (first, last)
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0])


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (0.25, "0.25"), (-12.5, "-12.5"), (9000, "9000"), (25_000, "25k"), (7.5e6, "7.5M"), (2e10, "20G")]
)
def test_ticks_are_short(value: float, words: str) -> None:
    assert tick_words(value) == words


def test_what_the_model_leaned_on_is_told_in_words() -> None:
    assert feature_words("day_vs_week") == "last day against the same day a week before"
    assert feature_words("match:lead@week") == "match: time until the next, a week before"
    assert feature_words("cup:final:during") == "cup:final: under way"
    assert feature_words("load-anchor") == "load against the last known day"
    assert feature_words("load") == "load"
    assert feature_words("day_vs_day@region") == "the others of the region: last day against the day before"
    assert feature_words("name:service") == "service in its name"
    columns = Layout(("a",), ("match",), ("load",), ("others", "region"), ("region", "service", "resource")).columns
    assert [name for name in columns if feature_words(name) == name] == ["load"]
    assert len({feature_words(name) for name in columns}) == len(columns)
