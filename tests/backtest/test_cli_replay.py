"""`headroom replay` on the bundled file: what it writes, says and refuses, and its page."""

import json
import re
import shlex
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from typer.testing import CliRunner

import models.issued_forecasts as issued
from headroom.cli import app
from headroom.errors import BadInputError
from headroom.replay_report import REPLAY_FILES
from headroom.vocabulary import QUANTILE_COLUMNS

ROOT = Path(__file__).resolve().parents[2]
DEMO = str(ROOT / "demo" / "hourly.csv")
DAY = ["--from", "2026-06-20T00:00", "--to", "2026-06-20T12:00"]


@pytest.fixture(autouse=True)
def only_naives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's real way, with the candidates that cost nothing and little warm-up."""
    monkeypatch.setattr(issued, "issue_forecasts", partial(issued.issue_forecasts, candidates=()))
    monkeypatch.setattr(issued, "_WARM_UP", 2)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["replay", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay of half a day with all policies."""
    folder = tmp_path_factory.mktemp("replay")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(issued, "issue_forecasts", partial(issued.issue_forecasts, candidates=()))
        patch.setattr(issued, "_WARM_UP", 2)
        said = run("--input", DEMO, "--events", str(ROOT / "demo" / "events.csv"), *DAY, "--output", str(folder))
    (folder / "said.txt").write_text(said)
    return folder


def test_a_replay_writes_its_files_and_says_what_each_policy_cost(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == sorted([*REPLAY_FILES, "said.txt"])
    said = (written / "said.txt").read_text()
    for words in ("2 series, 3,168 rows, step hour", "forecasts: ", "replay: ", "clairvoyant", "page: "):
        assert words in said
    told = json.loads((written / "replay.json").read_text())
    assert list(told) == ["optimal", "newsvendor", "tiered", "reactive", "static", "google", "aws", "clairvoyant"]
    assert told["optimal"]["worst"]["unique_id"] in set(pd.read_csv(DEMO)["unique_id"])
    assert len(pd.read_parquet(written / "steps.parquet")) == 8 * 2 * 12


def test_the_page_stands_alone_and_can_be_read_without_being_seen(written: Path) -> None:
    page = (written / "replay.html").read_text()
    assert "http" not in re.sub(r"http-equiv", "", page), "nothing is fetched"
    assert '<html lang="en">' in page
    svg = ElementTree.fromstring(re.findall(r"<svg class=\"fan frontier\".*?</svg>", page, re.DOTALL)[0])
    title, description = svg[0], svg[1]
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby", "").split() == [title.get("id"), description.get("id")]
    assert "optimal" in (description.text or "")
    named = {path.get("data-policy") for path in svg.iter("path") if path.get("data-policy")}
    assert named == {"optimal", "newsvendor", "tiered", "reactive", "static", "google", "aws", "clairvoyant"}
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        assert re.search(r'aria-labelledby="(\w+)"', table)
        assert 'scope="col"' in table
        assert 'scope="row"' in table
    assert all(name in page for name in ("Regret", "Violated service-hours", "Time short", "Worst hour"))


def test_a_second_run_gives_the_same_files(written: Path, tmp_path: Path) -> None:
    run("--input", DEMO, "--events", str(ROOT / "demo" / "events.csv"), *DAY, "--output", str(tmp_path))
    for name in ("replay.json", "frontier.json", "replay.html"):
        assert (tmp_path / name).read_text() == (written / name).read_text(), name
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "steps.parquet"), pd.read_parquet(written / "steps.parquet"))


@pytest.mark.parametrize(("days", "first"), [(12, "06-06"), (8, "06-04"), (4, "06-04"), (2, "06-01")])
def test_a_replay_leaves_a_short_file_the_history_that_forecasts_need(days: int, first: str, tmp_path: Path) -> None:
    ds = pd.date_range("2026-06-01", periods=24 * days, freq="h")
    pd.DataFrame({"unique_id": "a", "ds": ds, "y": 5.0}).to_csv(tmp_path / "in.csv", index=False)
    run("--input", str(tmp_path / "in.csv"), "--policies", "static", "--no-frontier", "--output", str(tmp_path / "out"))
    assert pd.read_parquet(tmp_path / "out" / "steps.parquet")["ds"].min().strftime("%m-%d") == first


def test_policies_without_forecasts_need_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued, "issue_forecasts", None)
    said = run("--input", DEMO, "--policies", "reactive, static", "--no-frontier", "--output", str(tmp_path))
    assert "forecasts" not in said
    assert list(json.loads((tmp_path / "replay.json").read_text())) == ["reactive", "static", "clairvoyant"]
    assert "<svg" not in (tmp_path / "replay.html").read_text()


def test_given_forecasts_and_a_world_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued, "issue_forecasts", None)
    names = sorted(pd.read_csv(DEMO)["unique_id"].unique())
    times = pd.date_range(DAY[1], periods=3, freq="4h")
    rows = [
        {"unique_id": name, "cutoff": moment, "ds": moment + pd.Timedelta(hours=ahead), **dict.fromkeys(QUANTILE_COLUMNS, 600.0)}
        for moment in times
        for name in names
        for ahead in range(6)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "issued.parquet")
    (tmp_path / "world.yaml").write_text("units_per_machine: 100\nhot_usd_per_hour: 2\nstart_usd: 0\n")
    given = ["--forecasts", str(tmp_path / "issued.parquet"), "--world", str(tmp_path / "world.yaml")]
    said = run("--input", DEMO, *DAY, *given, "--policies", "newsvendor", "--no-frontier", "--output", str(tmp_path / "out"))
    assert "have no forecast" not in said
    steps = pd.read_parquet(tmp_path / "out" / "steps.parquet")
    mine = steps[(steps["policy"] == "newsvendor") & (steps["ds"] > times[0])]
    assert (mine["hot"] == 6).all(), "600 units at 100 a machine, with no doubt"
    assert (mine["cost_usd"] >= 6 * 2).all()


def test_series_that_a_file_of_forecasts_lacks_are_told(tmp_path: Path) -> None:
    here, other = sorted(pd.read_csv(DEMO)["unique_id"].unique())
    rows = {"unique_id": here, "cutoff": pd.Timestamp(DAY[1]), "ds": pd.date_range(DAY[1], periods=12, freq="h")}
    pd.DataFrame(rows | dict.fromkeys(QUANTILE_COLUMNS, 600.0)).to_parquet(tmp_path / "issued.parquet")
    given = ["--forecasts", str(tmp_path / "issued.parquet"), "--policies", "newsvendor", "--no-frontier"]
    said = run("--input", DEMO, *DAY, *given, "--output", str(tmp_path / "out"))
    assert f"1 of 2 series have no forecast ({other}): they are expected to stay as they were last measured" in said


def test_stock_outs_are_played_when_asked_for(tmp_path: Path) -> None:
    options = ["--input", DEMO, "--from", "2026-06-18", "--to", "2026-06-21", "--policies", "reactive", "--no-frontier"]
    run(*options, "--output", str(tmp_path / "calm"))
    run(*options, "--stock-outs", "0.3", "--output", str(tmp_path / "scarce"))
    calm, scarce = (json.loads((tmp_path / name / "replay.json").read_text())["reactive"]["unmet_volume"] for name in ("calm", "scarce"))
    assert scarce > calm


def test_where_everybody_misses_much_the_page_says_so_instead_of_a_picture(tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text("stock_machines: 3\n")
    run("--input", DEMO, *DAY, "--world", str(tmp_path / "world.yaml"), "--policies", "reactive", "--output", str(tmp_path / "out"))
    page = (tmp_path / "out" / "replay.html").read_text()
    assert "<svg" not in page
    assert "No picture: every policy misses more than 3 % of the demand" in page


def test_the_page_tells_the_limits_of_its_world_and_no_day_is_above_its_budget(written: Path, tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text("budget_usd_per_day: 60\nstock_machines: 40\n")
    given = ["--world", str(tmp_path / "world.yaml"), "--policies", "reactive,google", "--no-frontier"]
    run("--input", DEMO, *DAY, *given, "--output", str(tmp_path / "out"))
    page = (tmp_path / "out" / "replay.html").read_text()
    assert "60.00 USD per UTC day" in page
    assert "40 machines" in page
    assert "USD per UTC day" not in (written / "replay.html").read_text()
    told = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert max(figures["cost_usd"] for figures in told.values()) <= 60 * 12 / 24 + 1e-6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--policies", "best"], "no policy 'best'; there is: optimal, newsvendor"),
        (["--world", "none.yaml"], "--world none.yaml: there is no such file"),
        (["--from", "soon"], "--from 'soon' is not a time: use ISO 8601"),
        (["--from", "2026-06-20", "--to", "2026-06-19"], "is not before --to"),
        (["--to", "2031-01-01"], "the input ends at"),
        (["--forecasts", "none.parquet"], "--forecasts none.parquet: there is no such file"),
        (["--step", "soon"], "expected a fixed length of time"),
        (["--freq", "soon"], "--freq 'soon': expected a fixed length of time"),
        (["--issue-every", "soon"], "--issue-every 'soon': expected a fixed length of time"),
        (["--issue-every", "0h", "--policies", "reactive"], "--issue-every '0h': expected a length of time above zero"),
        (["--policies", ","], "--policies ',' names nothing; give names parted by commas, or leave it out for all"),
        (["--output", DEMO], "expected a folder"),
    ],
)
def test_mistakes_are_named(options: list[str], words: str, tmp_path: Path) -> None:
    output = [] if "--output" in options else ["--output", str(tmp_path)]
    done = CliRunner().invoke(app, ["replay", "--input", DEMO, *output, *options])
    assert isinstance(done.exception, BadInputError)
    assert words in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_the_example_of_the_help_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = " ".join(run("--help").split())
    example = shlex.split(words.partition("Example: headroom replay ")[2].partition(" Options:")[0])
    example[example.index("--output") + 1] = str(tmp_path / "out")
    monkeypatch.chdir(ROOT)
    run(*example, *DAY)
    assert (tmp_path / "out" / "replay.html").exists()
