"""What a reconciliation asks of the cloud and how long it takes: calls per changed object, time per 1,000 objects.

    python -m tests.benchmarks.reconciler --output DIR [--services 25 250]

A region with many services, each with four objects: template, group, reservation, disk. The local cloud answers over HTTP from a process
of its own, with operations that end at once, so that what is measured is the reconciler and not the cloud's slowness. Calls are counted
from the cloud's access log. Time is wall time; CPU is that of the reconciler's process alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import yaml

from headroom.schemas import TABLES, conform
from headroom.settings import Settings, parse_settings
from infra.cloud import Cloud
from infra.ledger import Ledger
from infra.local_cloud import read_access_log
from infra.reconciler import reconcile
from tests.infra.plan_rows import UNREAD

REGION, ZONES, PROJECT = "europe-west9", ("europe-west9-a", "europe-west9-b"), "headroom-bench"
ISSUE = pd.Timestamp("2026-07-08", tz="UTC")
HOURS = 16
OBJECTS_EACH = 4  # template, group, reservation, disk
QUOTAS = {
    "N2_CPUS": 10**6,
    "INSTANCES": 10**5,
    "RESERVATIONS": 10**4,
    "REGIONAL_INSTANCE_GROUP_MANAGERS": 10**4,
    "DISKS_TOTAL_GB": 10**7,
}


@dataclass(frozen=True)
class Run:
    """One reconciliation. `changed` objects were written to, extensions included; calls are writes, waits for operations, and reads."""

    what: str
    objects: int
    changed: int
    writes: int
    waits: int
    reads: int
    wall_seconds: float
    cpu_seconds: float

    def row(self) -> str:
        per = max(self.changed, 1)
        thousand = 1000 / self.objects
        cells = [
            f"{self.objects:,}",
            self.what,
            f"{self.changed:,}",
            f"{self.writes / per:.2f}" if self.changed else "0 writes",
            f"{self.waits / per:.2f}" if self.changed else "",
            f"{self.reads / self.objects:.2f}",
            f"{self.wall_seconds * thousand:.1f}",
            f"{self.cpu_seconds * thousand:.1f}",
        ]
        return "| " + " | ".join(cells) + " |"


HEADER = (
    "| objects | run | changed | writes per changed object | waits per changed object | reads per object | s per 1,000 objects "
    "| of it CPU of the reconciler |\n|---|---|---|---|---|---|---|---|"
)


def settings_of(count: int) -> tuple[Settings, str]:
    """A region with `count` services, and the same as text."""
    service = {
        "regions": [REGION],
        "demand": {"cpu": "cpu_vcpu", "storage": "disk_gib"},
        "capacity": {"machine_type": "n2-standard-4", "minimum_instances": 0, "storage": {"kind": "disk", "type": "pd-balanced"}},
    }
    raw = {
        "regions": {REGION: {"zones": list(ZONES), "quotas": QUOTAS}},
        "services": {f"service-{number:04}": service for number in range(count)},
        "metrics": [
            {"kind": "file", "name": "t", "path": "t.parquet", "metrics": {"cpu_vcpu": {"unit": "vCPU"}, "disk_gib": {"unit": "GiB"}}}
        ],
        "cloud": {"project": PROJECT},
    }
    text = yaml.safe_dump(json.loads(json.dumps(raw)))
    return parse_settings(text), text


def plan_of(machines: Sequence[int], gib: Sequence[int], issue: pd.Timestamp) -> pd.DataFrame:
    """Machines and storage per service, the same in every hour."""
    names = [f"service-{number:04}" for number in range(len(machines))]
    parts = [
        pd.DataFrame({"service": names, "resource": resource, "unit": unit, "machine_type": kind, "hot": amounts, "needed": amounts})
        for resource, unit, kind, amounts in (("instances", "instances", "n2-standard-4", machines), ("storage", "GiB", "", gib))
    ]
    same = {**UNREAD, "issue_time": issue, "region": REGION, "warm": 0.0, "available_at": issue}
    hours = pd.DataFrame({"ds": pd.date_range(issue, periods=HOURS, freq="h")})
    frame = pd.concat(parts).merge(hours, how="cross").assign(**same).astype({"hot": float, "needed": float})
    return conform(TABLES["plans"], frame).to_pandas().drop(columns="day")


@contextmanager
def local_cloud(folder: Path, capacity: str) -> Iterator[str]:
    """Its address; it ends with the block."""
    (folder / "capacity.yaml").write_text(capacity)
    options = ["--state", str(folder / "cloud"), "--project", PROJECT, "--capacity", str(folder / "capacity.yaml")]
    command = [sys.executable, "-m", "infra.local_cloud", "--port", "0", *options, "--operation-seconds", "0", "--boot-seconds", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def measure(count: int, folder: Path) -> list[Run]:
    """A first allocation, one without a change, one that changes a tenth of the services, and one that changes all."""
    settings, text = settings_of(count)
    steps = {
        "first allocation": ([2] * count, [20] * count),
        "nothing changed": ([2] * count, [20] * count),
        "a tenth grows, all are extended": ([3 if n % 10 == 0 else 2 for n in range(count)], [20] * count),
        "all shrink": ([1] * count, [20] * count),
        "all grow, disks too": ([4] * count, [40] * count),
    }
    runs = []
    with local_cloud(folder, text) as address:
        ledger, cloud = Ledger.open(f"sqlite:///{folder}/ledger.db"), Cloud(PROJECT, address)
        cloud.quotas(REGION)  # the client's import is not the reconciler's time
        for hours, (what, (machines, gib)) in enumerate(steps.items()):
            issue = ISSUE + pd.Timedelta(hours=hours)
            plan, before = plan_of(machines, gib, issue), len(read_access_log(folder / "cloud"))
            wall, cpu = time.perf_counter(), time.process_time()
            report = reconcile(settings, ledger, cloud, plan, issue_time=issue, region=REGION)
            spent = time.perf_counter() - wall, time.process_time() - cpu
            assert report.unmet == [] == report.facts, what
            calls = read_access_log(folder / "cloud")[before:]
            writes = sum(call.writes for call in calls)
            waits = sum(call.path.endswith("/wait") for call in calls)
            assert writes == report.writes == len({call.request_id for call in calls if call.writes})
            changed = len({(action["kind"], action["zone"], action["name"]) for action in report.actions})
            runs.append(Run(what, OBJECTS_EACH * count, changed, writes, waits, len(calls) - writes - waits, *spent))
        ledger.engine.dispose()
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--services", type=int, nargs="+", default=[25, 250])
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    runs = []
    for count in arguments.services:
        with tempfile.TemporaryDirectory() as folder:
            runs += measure(count, Path(folder))
    (arguments.output / "reconciler.json").write_text(json.dumps([asdict(run) for run in runs], indent=1))
    table = "\n".join([HEADER, *(run.row() for run in runs)])
    (arguments.output / "reconciler.md").write_text(table + "\n")
    sys.stdout.write(table + "\n")


if __name__ == "__main__":
    main()
