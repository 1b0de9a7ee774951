"""`headroom backtest` and `headroom forecast` on the bundled file, and what they say when something is wrong with it."""

import io
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

import models
from headroom.atomic_write import write_whole
from headroom.backtest_report import BACKTEST_FILES
from headroom.cli import app
from headroom.errors import BadInputError, UnavailableError
from headroom.progress_bar import ProgressBar
from headroom.vocabulary import QUANTILE_COLUMNS
from models.engine import BacktestResult
from models.long_frame import LongFrame
from tests.backtest import stand_in_engine

ROOT = Path(__file__).resolve().parents[2]
DEMO = str(ROOT / "demo" / "hourly.csv")


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "engine", stand_in_engine, raising=False)
    monkeypatch.setitem(sys.modules, "models.engine", stand_in_engine)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_backtest_says_how_good_it_was_and_writes_its_files(tmp_path: Path) -> None:
    said = run("backtest", "--input", DEMO, "--windows", "2", "--horizon", "24", "--output", str(tmp_path / "out"))
    assert "2 series, 3,168 rows, step hour" in said
    assert "seasonal-naive-168" in said
    assert "The 80 % interval held" in said
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(BACKTEST_FILES)
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (told["horizon"], told["windows"], told["series_count"]) == (24, 2, 2)


def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    rows = pd.read_csv(DEMO)
    source = tmp_path / "[draft] demand.csv"
    rows.assign(unique_id="[red]" + rows["unique_id"]).to_csv(source, index=False)
    said = run("backtest", "--input", str(source), "--windows", "1", "--horizon", "24", "--output", str(tmp_path / "[out]"))
    assert "[draft] demand.csv: 2 series" in said
    assert "[out]/index.html" in said
    assert "The hardest series is [red]" in said


@pytest.mark.parametrize("name", ["next.csv", "next.parquet"])
def test_a_forecast_is_a_table_of_quantiles(tmp_path: Path, name: str) -> None:
    run("forecast", "--input", DEMO, "--horizon", "48", "--output", str(tmp_path / "deep" / name))
    path = tmp_path / "deep" / name
    rows = pd.read_csv(path) if name.endswith("csv") else pd.read_parquet(path)
    assert list(rows.columns) == ["unique_id", "ds", *QUANTILE_COLUMNS]
    assert len(rows) == 2 * 48
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_totals_are_forecast_too_when_asked_for(tmp_path: Path) -> None:
    said = run("forecast", "--input", DEMO, "--horizon", "24", "--totals", "bottom-up", "--output", str(tmp_path / "next.csv"))
    assert "6 totals added" in said
    assert "*/*/cpu" in set(pd.read_csv(tmp_path / "next.csv")["unique_id"])
    run("backtest", "--input", DEMO, "--horizon", "24", "--windows", "1", "--totals", "wls-var", "--output", str(tmp_path / "out"))
    assert "*/*/cpu" in set(pd.read_parquet(tmp_path / "out" / "forecasts.parquet")["unique_id"])
    with pytest.raises(BadInputError, match="--totals top-down: unknown method"):
        run("forecast", "--input", DEMO, "--totals", "top-down", "--output", str(tmp_path / "next.csv"))


def test_faults_are_counted_in_the_series_of_the_file_not_in_their_totals_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = stand_in_engine.backtest_frame

    def with_faults(series: LongFrame, **options: Any) -> BacktestResult:
        return replace(plain(series, **options), doubted=dict.fromkeys(map(str, series.rows["unique_id"].unique()), 3))

    monkeypatch.setattr(stand_in_engine, "backtest_frame", with_faults)
    said = run("backtest", "--input", DEMO, "--horizon", "24", "--windows", "1", "--totals", "bottom-up", "--output", str(tmp_path))
    assert "Learning left out 6 measurements of 2 series" in said


@pytest.mark.parametrize("command", ["backtest", "forecast"])
def test_the_example_of_the_help_runs(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = " ".join(run(command, "--help").split())
    example = shlex.split(words.partition("Example: headroom ")[2].partition(" Options:")[0])
    assert example[0] == command
    output = tmp_path / Path(example[example.index("--output") + 1]).name
    example[example.index("--output") + 1] = str(output)
    monkeypatch.chdir(ROOT)
    run(*example)
    assert output.exists()


def test_events_and_regressors_reach_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}

    def spy(series: object, **arguments: object) -> object:
        given.update(arguments)
        return stand_in_engine.forecast_frame(series, horizon=24)  # type: ignore[arg-type]

    monkeypatch.setattr(models, "engine", type("Spy", (), {"forecast_frame": staticmethod(spy)}))
    future = tmp_path / "future.csv"
    future.write_text("unique_id,ds,temp\nus-central1/edge/cpu,2026-06-01,20\nelsewhere,2026-06-01,3\n")
    inputs = ["--input", DEMO, "--events", str(ROOT / "demo" / "events.csv"), "--future", str(future)]
    run("forecast", *inputs, "--candidates", "mstl, lightgbm", "--seed", "7", "--output", str(tmp_path / "x.csv"))
    assert (given["candidates"], given["seed"], given["horizon"]) == (("mstl", "lightgbm"), 7, 72)
    assert len(given["events"]) == 64  # type: ignore[arg-type]
    assert list(given["future"]["unique_id"]) == ["us-central1/edge/cpu"]  # type: ignore[index]


@pytest.mark.parametrize(("left_out", "told"), [([], 0), ([24], 1), ([7, 8, 24], 3)])
def test_steps_ahead_without_regressors_are_told(left_out: list[int], told: int, tmp_path: Path) -> None:
    future = tmp_path / "future.csv"
    end = pd.to_datetime(pd.read_csv(DEMO)["ds"]).max()
    ds = [end + pd.Timedelta(hours=hour) for hour in range(-2, 25) if hour not in left_out]
    pd.DataFrame({"ds": ds, "temp": 20.0}).to_csv(future, index=False)
    said = run("forecast", "--input", DEMO, "--future", str(future), "--horizon", "24", "--output", str(tmp_path / "x.csv"))
    first = end + pd.Timedelta(hours=min(left_out, default=0))
    assert (f"--future lacks {told} of the 24 steps ahead, from {first} on" in said) is bool(told)


def test_steps_ahead_whose_regressor_is_empty_are_told_too(tmp_path: Path) -> None:
    end = pd.to_datetime(pd.read_csv(DEMO)["ds"]).max()
    future = pd.DataFrame({"ds": pd.date_range(end, periods=25, freq="h"), "temp": [20.0] * 20 + [None] * 5})
    future.to_csv(tmp_path / "future.csv", index=False)
    said = run(
        "forecast", "--input", DEMO, "--future", str(tmp_path / "future.csv"), "--horizon", "24", "--output", str(tmp_path / "x.csv")
    )
    assert f"--future lacks 5 of the 24 steps ahead, from {end + pd.Timedelta(hours=20)} on" in said


def test_a_series_that_ended_early_is_told(tmp_path: Path) -> None:
    rows = pd.read_csv(DEMO, parse_dates=["ds"])
    edge = rows["unique_id"] == "us-central1/edge/cpu"
    end = rows.loc[edge, "ds"].max() - pd.Timedelta("14D")
    rows[~edge | (rows["ds"] <= end)].to_csv(tmp_path / "in.csv", index=False)
    said = run("forecast", "--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / "x.csv"))
    assert f"us-central1/edge/cpu is forecast from its own end: it was last measured at {end}" in said


def test_of_many_series_without_a_forecast_some_are_named(tmp_path: Path) -> None:
    rows = pd.read_csv(DEMO)
    short = [rows[rows["unique_id"] == "us-central1/edge/cpu"].tail(100).assign(unique_id=f"s{i:02}") for i in range(23)]
    pd.concat([rows, *short]).to_csv(tmp_path / "in.csv", index=False)
    said = run("forecast", "--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / "x.csv"))
    assert said.count("no forecast for s") == 20
    assert "no forecast for 3 more" in said


def test_mistakes_are_said_before_the_long_calculation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "engine", None)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    future = tmp_path / "future.csv"
    future.write_text("ds,temp\n2031-06-01,20\n")
    (tmp_path / "events.csv").write_text("start,end,kind,service\n2026-06-01,2026-06-02,match,edgy\n")
    (tmp_path / "semicolon.csv").write_text("unique_id;ds;y\na;2026-06-01;2\n")
    bad = {
        "expected a folder": ["backtest", "--input", DEMO, "--output", str(tmp_path / "file")],
        "there is no such file": ["backtest", "--input", "none.csv", "--output", str(tmp_path / "out")],
        "ends in .csv or .parquet": ["forecast", "--input", DEMO, "--output", str(tmp_path / "out.txt")],
        "row 1 is for service 'edgy'": [
            *("backtest", "--input", DEMO, "--events", str(tmp_path / "events.csv"), "--output", str(tmp_path / "out"))
        ],
        "is a file; choose another name": ["backtest", "--input", DEMO, "--output", str(tmp_path / "file" / "deep" / "out")],
        "there is a folder of this name": ["forecast", "--input", DEMO, "--output", str(tmp_path / "folder.csv")],
        "part the fields by commas": ["forecast", "--input", str(tmp_path / "semicolon.csv"), "--output", str(tmp_path / "out.csv")],
        "no row has a series and a time of the input": [
            *("forecast", "--input", DEMO, "--future", str(future), "--output", str(tmp_path / "out.csv"))
        ],
    }
    for words, arguments in bad.items():
        done = CliRunner().invoke(app, arguments)
        assert isinstance(done.exception, BadInputError)
        assert words in str(done.exception)


def test_what_cannot_be_written_is_said_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UnavailableError, match=r"file/x\.csv cannot be written: File exists; make room"):
        write_whole(tmp_path / "file" / "x.csv", lambda path: path.write_text("new"))
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(UnavailableError, match=r"x\.csv cannot be written: Is a directory"):
        write_whole(tmp_path / "x.csv", lambda path: path.write_text("new"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "x.csv"]


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = ["pandas", "numpy", "lightgbm", "mlflow", "airflow", "jinja2", "models"]
    code = f"import sys, headroom.cli; print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip() == "[]"


def test_progress_in_a_log_is_a_line_now_and_then_with_the_time_left() -> None:
    out, now = io.StringIO(), [0.0]
    with ProgressBar(Console(file=out, width=100), clock=lambda: now[0]) as progress:
        progress.start(4, "backtest")
        for second in (6.0, 12.0, 18.0, 24.0):
            now[0] = second
            progress.advance(1, "some series")
    assert out.getvalue().splitlines() == ["backtest: 50%, about 12 s left", "backtest: 24.0 s"]


def test_progress_on_a_terminal_is_a_bar_with_the_time_left() -> None:
    out = io.StringIO()
    with ProgressBar(Console(file=out, width=100, force_terminal=True)) as progress:
        progress.start(2, "backtest")
        progress.advance(1, "mstl")
        progress._bar.refresh()
    assert "backtest: mstl" in out.getvalue()
    assert "50 %" in out.getvalue()
    assert "left" in out.getvalue()
