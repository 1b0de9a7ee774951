"""Ingestion by several processes at once, and by one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from ingestion_case import SETTINGS, Case, at, rows

from headroom.settings import Settings, parse_settings

pytestmark = pytest.mark.slow
DAY, HOURS = "2026-07-01T00:00", 4

# A process that reads the hours of one source one by one, as hourly runs do.
CHILD = """
import sys
from pathlib import Path
import pandas as pd
from ingestion_case import Case
from test_ingestion_processes import DAY, HOURS, two_sources
case = Case(Path(sys.argv[1]), two_sources(), source=sys.argv[2])
for hour in pd.date_range(DAY, periods=HOURS, freq="h"):
    case.ingest(hour, hour + pd.Timedelta("1h"))
"""


def two_sources() -> Settings:
    """`traces` measures the CPU and `flows` the bandwidth of the same services, in the same hours."""
    text = SETTINGS.replace("REQUIRED", "true").replace("DELAY", "0")
    head, tail = text.split("metrics:\n", 1)
    sources = (
        "  - {kind: file, name: traces, path: rows.csv, metrics: {cpu_vcpu: {unit: vCPU}}}\n"
        "  - {kind: file, name: flows, path: flows.csv, metrics: {egress_mbps: {unit: Mbit/s}}}\n"
    )
    return parse_settings(head + "metrics:\n" + sources + "cloud:" + tail.split("cloud:")[1])


def put(root: Path) -> Case:
    case = Case(root, two_sources())
    frame = rows(DAY, "2026-07-01T04:00")
    broken = frame.iloc[[0]].assign(value=-1.0)
    for name, metric in (("rows.csv", "cpu_vcpu"), ("flows.csv", "egress_mbps")):
        own = pd.concat([frame, broken])[lambda f, metric=metric: f["metric"] == metric]
        own.to_csv(root / name, index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    return case


def start(root: Path, source: str) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1])])
    return subprocess.Popen([sys.executable, "-c", CHILD, str(root), source], env=os.environ | {"PYTHONPATH": path})


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """What a single process leaves that reads every hour of every source in order."""
    case = put(tmp_path_factory.mktemp("expected"))
    for source in ("traces", "flows"):
        case.source = source
        for hour in pd.date_range(DAY, periods=HOURS, freq="h"):
            case.ingest(hour, hour + pd.Timedelta("1h"))
    return case


def assert_same(case: Case, expected: Case) -> None:
    pd.testing.assert_frame_equal(case.table(), expected.table())
    pd.testing.assert_frame_equal(case.quarantine(), expected.quarantine())


def test_two_sources_read_at_once_on_the_same_day_lose_and_double_nothing(tmp_path: Path, expected: Case) -> None:
    case = put(tmp_path)
    children = [start(tmp_path, source) for source in ("traces", "flows")]
    assert [child.wait(timeout=120) for child in children] == [0, 0]
    assert_same(case, expected)


def test_a_killed_ingestion_that_is_run_again_leaves_what_a_clean_one_leaves(tmp_path: Path, expected: Case) -> None:
    case = put(tmp_path)
    child = start(tmp_path, "traces")
    deadline = time.monotonic() + 120
    while case.commits() < 3 and time.monotonic() < deadline:  # created, first hour, second hour
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    partial = case.table()
    assert 0 < len(partial) < 3 * 12 * HOURS
    assert partial.groupby(partial["ds"].dt.floor("h")).size().eq(3 * 12).all()  # whole hours only
    for source in ("traces", "flows"):
        case.source = source
        for hour in pd.date_range(DAY, periods=HOURS, freq="h"):
            case.ingest(hour, hour + pd.Timedelta("1h"))
    assert_same(case, expected)
    assert case.lake.read("metrics", as_of=at("2026-07-01T02:00"))["ds"].max() == at("2026-07-01T01:55")
