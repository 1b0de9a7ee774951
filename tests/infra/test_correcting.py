"""Between two plans, on an installation's own folders: measured, forecast, decided and moved, by the command; and what must not come in between."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cloud_world import World, world
from plan_rows import ISSUE, REGION, plan_of, settings_text
from sqlalchemy import create_engine
from typer.testing import CliRunner

from headroom.allocation import reconcile_region
from headroom.cli import app
from headroom.correction import correct_region, decide, ingest_last_minutes
from headroom.errors import BadInputError, OvertakenError, UnavailableError
from headroom.lake import Lake
from headroom.runtime import Runtime
from infra.corrections import Correction, corrections_in_force
from infra.ledger import Ledger
from infra.region_lock import region_lock

FIVE, HOUR = pd.Timedelta("5min"), pd.Timedelta("1h")
NOW = ISSUE + pd.Timedelta("35min")
START = ISSUE - pd.Timedelta("5D")
CPU = f"{REGION}/edge/cpu"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A plan of 3 hot and 2 warm machines of edge, acted upon; five days measured in the lake; the source has the newest minutes."""
    text = settings_text(hold=1).replace("policy: {hold_hours: 1}", "policy: {hold_hours: 1, correction: {minutes: 15}}")
    (tmp_path / "capacity.yaml").write_text(text)
    monkeypatch.setattr("models.next_minutes._WARM_UP", 4)
    with world(tmp_path) as opened:
        for name, value in {
            "HOME": str(tmp_path / "var"),
            "CAPACITY": str(tmp_path / "capacity.yaml"),
            "CLOUD_ENDPOINT": opened.address,
            "DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db",
        }.items():
            monkeypatch.setenv(f"HEADROOM_{name}", value)
        monkeypatch.delenv("HEADROOM_LAKE", raising=False)
        lake = Lake(str(tmp_path / "var" / "lake"))
        rows = measured()
        lake.replace("metrics", rows[rows["ds"] < NOW - 3 * FIVE], start=START, end=NOW)
        source(tmp_path, rows)
        act_upon(plan_of({"edge": {"instances": (3, 2)}}), ISSUE)
        opened.admin("clock", advance_seconds=60)
        yield opened


def measured() -> pd.DataFrame:
    """vCPU of edge: three machines' worth with a little noise, one and a half machines more since ten past."""
    ds = pd.date_range(START, NOW + 6 * FIVE, freq=FIVE, inclusive="left")
    y = 13.0 + np.random.default_rng(0).normal(0, 0.05, len(ds)) + 7.0 * (ds >= ISSUE + pd.Timedelta("10min"))
    line = {"unique_id": CPU, "region": REGION, "service": "edge", "resource": "cpu", "source": "traces", "warnings": ""}
    return pd.DataFrame({"ds": ds, "y": y, "available_at": ds + FIVE}).assign(**line)


def source(folder: Path, rows: pd.DataFrame) -> None:
    told = rows[["ds", "y", "region", "service"]].rename(columns={"ds": "timestamp", "y": "value"})
    told.assign(metric="cpu_vcpu").to_parquet(folder / "metrics.parquet", index=False)


def act_upon(plan: pd.DataFrame, issue: pd.Timestamp) -> None:
    opened = Runtime.open()
    opened.lake.replace("plans", plan, start=issue, end=issue + HOUR, where={"region": [REGION]})
    reconcile_region(opened, issue_time=issue, region=REGION, dry_run=False)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["correct", "--as-of", NOW.isoformat(), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def running(here: World) -> int:
    group = here.cloud.group(REGION, "headroom-edge")
    return group.running if group else 0


def row(at: pd.Timestamp, *, plan: pd.Timestamp = ISSUE, hot: int = 5) -> Correction:
    return Correction(REGION, "edge", "n2-standard-8", at, plan, at + 3 * FIVE, hot, hot, 5 - hot, hot - 3, "test")


@pytest.mark.slow
def test_the_command_reads_the_last_minutes_and_lets_standby_run_what_they_need(here: World, tmp_path: Path) -> None:
    dry = run("--dry-run")
    assert f"not corrected: {CPU}: last measured until" in dry, "a dry run reads no source, and the lake's newest rows are too old"
    assert running(here) == 3
    said = run()
    assert "the next 15 minutes need 5" in said
    assert "holds 3 hot and 2 warm: 5 run" in said
    assert f"{REGION}: done: group headroom-edge: 2 from standby to running; 5 n2-standard-8 run (now 3)" in said
    assert f"not corrected: {REGION}/batch/cpu: not measured" in said
    assert running(here) == 5
    assert run().endswith(f"{REGION}: nothing moves")
    opened = Runtime.open()
    assert opened.lake.read("quarantine").empty
    assert not (opened.home.validation / "results").exists(), "the hourly ingestion keeps the results"
    (tmp_path / "metrics.parquet").unlink()
    assert "traces: " in run(), "a source that cannot be read is named, and what the lake has is used"


def test_without_the_setting_it_says_what_to_set(here: World, tmp_path: Path) -> None:
    file = tmp_path / "capacity.yaml"
    file.write_text(file.read_text().replace(", correction: {minutes: 15}", ""))
    with pytest.raises(BadInputError, match=r"set policy\.correction in capacity\.yaml, for example correction: \{minutes: 15"):
        run()
    assert running(here) == 3


def test_a_region_without_a_plan_in_force_is_left_out_by_name(here: World) -> None:
    before = decide(Runtime.open(), issue_time=ISSUE - HOUR)
    assert before.left_out == {REGION: "no plan was acted upon; run allocate_capacity, or headroom apply"}
    late = decide(Runtime.open(), issue_time=ISSUE + pd.Timedelta("72h"))
    assert late.left_out[REGION].startswith(f"the plan acted upon is of {ISSUE.isoformat()}, and its 72 hours are over")


def test_the_last_minutes_of_a_source_are_read_once_and_an_empty_window_is_told(here: World) -> None:
    opened = Runtime.open()
    assert ingest_last_minutes(opened, source="traces", issue_time=NOW).added == 3
    assert ingest_last_minutes(opened, source="traces", issue_time=NOW).added == 0
    known = opened.lake.read("metrics", start=ISSUE, end=NOW, as_of=NOW)
    assert known["ds"].max() == NOW - FIVE
    with pytest.raises(BadInputError, match="no rows; the window is empty"):
        ingest_last_minutes(opened, source="traces", issue_time=NOW + HOUR)


def test_a_plan_that_waited_for_an_approval_is_not_refused_because_a_correction_came_in_between(here: World) -> None:
    correct_region(Runtime.open(), [row(ISSUE + HOUR + 6 * FIVE)], dry_run=False)
    act_upon(plan_of({"edge": {"instances": (4, 2)}}, issue=ISSUE + HOUR), ISSUE + HOUR)
    assert running(here) == 5, "what the newest correction lets run keeps running"
    assert Runtime.open().home.database_url.endswith("ledger.db")


def test_a_correction_of_an_older_plan_or_moment_undoes_nothing(here: World) -> None:
    opened = Runtime.open()
    correct_region(opened, [row(NOW)], dry_run=False)
    with pytest.raises(OvertakenError, match=r"the correction of .* is older"):
        correct_region(opened, [row(NOW - FIVE, hot=3)], dry_run=False)
    act_upon(plan_of({"edge": {"instances": (4, 2)}}, issue=ISSUE + HOUR), ISSUE + HOUR)
    with pytest.raises(OvertakenError, match="was acted upon since; the next correction follows it"):
        correct_region(opened, [row(ISSUE + HOUR + FIVE, hot=3)], dry_run=False)
    ledger = Ledger.open(opened.home.database_url)
    assert [known.issue_time for known in corrections_in_force(ledger, REGION, at=ISSUE)] == [NOW]
    ledger.engine.dispose()


def test_one_writer_holds_a_region_and_a_killed_one_lets_go(database_url: str) -> None:
    context = multiprocessing.get_context("forkserver")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(database_url, ready))
    holder.start()
    assert ready.wait(60)
    engine = create_engine(database_url)
    with (
        pytest.raises(UnavailableError, match=f"region {REGION} is being reconciled by somebody else"),
        region_lock(engine, REGION, seconds=0.3),
    ):
        pass
    with region_lock(engine, "another", seconds=0.0):
        pass
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    with region_lock(engine, REGION, seconds=5.0):
        pass
    engine.dispose()


def _hold(url: str, ready: "multiprocessing.synchronize.Event") -> None:  # type: ignore[name-defined]
    with region_lock(create_engine(url), REGION, seconds=0.0):
        ready.set()
        signal.pause()
