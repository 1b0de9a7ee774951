"""Upkeep makes few files of many and changes no row, whoever writes, reads or is killed meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable

from headroom import lake_upkeep
from headroom.lake import Lake
from headroom.lake_upkeep import tend_lake

START = pd.Timestamp("2026-07-01", tz="UTC")
HOUR = pd.Timedelta("1h")


def measured(hour: int, y: float, *, known: int | None = None) -> pd.DataFrame:
    ds = START + hour * HOUR
    return pd.DataFrame(
        {
            "unique_id": ["paris/edge/cpu"],
            "region": "paris",
            "service": "edge",
            "resource": "cpu",
            "ds": [ds],
            "y": [y],
            "available_at": [START + (hour if known is None else known) * HOUR],
            "source": "traces",
            "warnings": "",
        }
    )


def write(lake: Lake, hour: int, y: float, **options: int) -> None:
    ds = START + hour * HOUR
    lake.add("metrics", lambda held: measured(hour, y, **options), start=ds, end=ds + HOUR)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two days in a commit per hour, and a correction that came late."""
    lake = Lake(str(tmp_path / "lake"))
    for hour in range(18, 30):
        write(lake, hour, float(hour))
    write(lake, 20, 99.0, known=40)
    return lake


def table(lake: Lake) -> DeltaTable:
    return DeltaTable(f"{lake.uri}/metrics")


def everything(lake: Lake) -> pd.DataFrame:
    return lake.versions("metrics", start=START, end=START + 100 * HOUR)


def test_every_day_becomes_one_file_and_no_row_or_version_changes(lake: Lake) -> None:
    before, as_of = everything(lake), lake.read("metrics", as_of=START + 30 * HOUR)
    (done,) = tend_lake(lake)
    assert (done.table, done.days, done.left, done.files_before, done.files_after) == ("metrics", 2, (), 12, 2)
    assert done.bytes_after < done.bytes_before
    assert str(done).startswith("metrics: 2 days compacted, 12 to 2 files, ")
    pd.testing.assert_frame_equal(everything(lake), before)
    pd.testing.assert_frame_equal(lake.read("metrics", as_of=START + 30 * HOUR), as_of)
    assert as_of["y"].tolist() == [float(hour) for hour in range(18, 30)]


def test_a_second_upkeep_changes_nothing(lake: Lake) -> None:
    list(tend_lake(lake))
    version = table(lake).version()
    (again,) = tend_lake(lake)
    assert (again.days, again.files_before, again.files_after, again.deleted) == (0, 2, 2, 0)
    assert table(lake).version() == version


def test_the_log_is_read_from_the_newest_version(lake: Lake) -> None:
    list(tend_lake(lake))
    assert (Path(lake.uri) / "metrics" / "_delta_log" / f"{table(lake).version():020}.checkpoint.parquet").is_file()


def test_a_lake_without_tables_needs_no_upkeep(tmp_path: Path) -> None:
    assert list(tend_lake(Lake(str(tmp_path / "nowhere")))) == []


def test_who_reads_an_older_state_goes_on_reading_it(lake: Lake) -> None:
    older = table(lake)
    list(tend_lake(lake))
    assert len(older.to_pyarrow_dataset().to_table()) == 13


def test_a_file_that_nobody_committed_is_deleted_after_a_week_and_not_before(lake: Lake) -> None:
    """Writers that lost a commit or were killed leave them; those of writers at work are young."""
    day = Path(lake.uri) / "metrics" / "day=2026-07-01"
    young, old = day / "part-young.parquet", day / "part-old.parquet"
    for stray, days in ((young, 6), (old, 8)):
        stray.write_bytes(b"half a file")
        os.utime(stray, (time.time() - days * 86_400,) * 2)
    before = everything(lake)
    (done,) = tend_lake(lake)
    assert done.deleted == 1
    assert (young.exists(), old.exists()) == (True, False)
    pd.testing.assert_frame_equal(everything(lake), before)


def test_what_is_written_while_a_day_is_rewritten_is_kept(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    quicker = _forestalled(lake, monkeypatch, times=1)
    (done,) = tend_lake(lake)
    assert done.left == ()
    assert quicker == [100.0]
    kept = lake.read("metrics")
    assert kept["y"].tolist() == [18.0, 19.0, 99.0, *(float(hour) for hour in range(21, 29)), 100.0]
    assert done.files_after == 2


def test_a_day_that_others_keep_writing_to_is_left_for_the_next_time_and_said(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_upkeep.time, "sleep", lambda seconds: None)
    _forestalled(lake, monkeypatch, times=5)
    (done,) = tend_lake(lake)
    assert (done.days, done.left) == (1, ("2026-07-01",))
    assert "left for the next time: 2026-07-01" in str(done)
    assert lake.read("metrics")["y"].iloc[-1] == 104.0
    (again,) = tend_lake(lake)
    assert (again.left, again.files_after) == ((), 2)


def _forestalled(lake: Lake, monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[float]:
    """The first `times` commits of the upkeep come just after a commit of another writer; the values that it wrote."""
    real, written = lake_upkeep.write_deltalake, []

    def forestalled(*args: Any, **options: Any) -> None:
        if len(written) < times:
            written.append(100.0 + len(written))
            lake.replace("metrics", measured(29, written[-1]), start=START + 29 * HOUR, end=START + 30 * HOUR)
        real(*args, **options)

    monkeypatch.setattr(lake_upkeep, "write_deltalake", forestalled)
    return written


_TEND = """
import sys
from headroom.lake import Lake
from headroom.lake_upkeep import tend_lake
for _ in range(int(sys.argv[2])):
    list(tend_lake(Lake(sys.argv[1])))
"""
_WRITE = """
import sys
import pandas as pd
from headroom.lake import Lake
lake, writer = Lake(sys.argv[1]), sys.argv[2]
for hour in range(int(sys.argv[3])):
    ds = pd.Timestamp("2026-07-01", tz="UTC") + hour * pd.Timedelta("1h")
    frame = pd.DataFrame({
        "unique_id": [f"paris/{writer}/cpu"], "region": "paris", "service": writer, "resource": "cpu",
        "ds": [ds], "y": float(hour), "available_at": ds, "source": writer, "warnings": "",
    })
    lake.add("metrics", lambda held: frame, start=ds, end=ds + pd.Timedelta("1h"), where={"source": writer})
"""


@pytest.mark.slow
def test_two_upkeeps_beside_two_writers_lose_nothing_and_double_nothing(lake: Lake) -> None:
    children = [_child(_TEND, lake.uri, "4") for _ in range(2)] + [_child(_WRITE, lake.uri, writer, "8") for writer in ("a", "b")]
    assert [child.wait(timeout=120) for child in children] == [0] * 4
    rows = everything(lake)
    assert rows.groupby("source").size().to_dict() == {"traces": 13, "a": 8, "b": 8}
    (done,) = tend_lake(lake)
    assert done.files_after == 2
    pd.testing.assert_frame_equal(everything(lake), rows)


@pytest.mark.slow
def test_an_upkeep_that_is_killed_anywhere_loses_nothing_and_the_next_one_finishes(lake: Lake) -> None:
    before = everything(lake)
    for seconds in (0.0, 0.02, 0.05, 0.1):
        write(lake, 30, seconds)  # something to do again
        child = _child("print('ready', flush=True)\n" + _TEND, lake.uri, "1", stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(seconds)
        child.kill()
        child.wait()
        child.stdout.close()
        lake.replace("metrics", measured(30, 0.0).iloc[:0], start=START + 30 * HOUR, end=START + 31 * HOUR)
        pd.testing.assert_frame_equal(everything(lake), before)
    (done,) = tend_lake(lake)
    assert done.files_after == 2
    pd.testing.assert_frame_equal(everything(lake), before)


def _child(code: str, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
    path = str(Path(__file__).parents[2])
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=os.environ | {"PYTHONPATH": path}, **options)
