"""A whole stack of one's own: real Airflow, MLflow and local cloud, on free ports and a small part of the traces."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from headroom.issue_time import EVENT_KEY
from headroom.runtime import Runtime
from headroom.stack.addresses import Addresses
from headroom.stack.airflow_api import AirflowApi, Run
from headroom.stack.processes import ProcessGroup
from infra.local_cloud import Access, read_access_log

REPOSITORY = Path(__file__).parents[2]
FURTHER = "n2d-standard-4"
HISTORY_END = pd.Timestamp("2026-07-08T00:00:00Z")


@dataclass(frozen=True)
class Stack:
    """A running stack and the ways to reach it."""

    opened: Runtime
    addresses: Addresses
    api: AirflowApi
    group: ProcessGroup
    environment: dict[str, str]

    def trigger(self, dag_id: str, issue: pd.Timestamp, run_id: str = "", **conf: object) -> Run:
        run = self.api.trigger(dag_id, run_id or f"test-{issue:%Y-%m-%dT%H}", issue.isoformat(), conf)
        return self.api.wait(lambda: self.api.run(run.dag_id, run.run_id), 300, f"{dag_id} {run.run_id}")

    def follow(self, dag_id: str, issue: pd.Timestamp, since: str) -> Run:
        def current() -> Run | None:
            return next(iter(self.api.runs_of_event(dag_id, EVENT_KEY, issue.isoformat(), since)), None)

        return self.api.wait(current, 300, f"{dag_id} for {issue}")

    def access_log(self) -> list[Access]:
        """What the local cloud was asked, oldest first."""
        return read_access_log(self.opened.home.root / "cloud")


def small_capacity(root: Path) -> Path:
    """Two services in two regions, ten days of history, an approval limit that one of the tests changes.

    A quarter of every plan of `edge` stands by, whatever its confidence, for corrections; `live-scores` may have two of its machines of another, cheaper
    type.
    """
    settings = yaml.safe_load((REPOSITORY / "capacity.yaml").read_text())
    settings["services"] = {name: settings["services"][name] for name in ("edge", "live-scores")}
    settings["services"]["edge"]["regions"] = ["europe-west9", "asia-east1"]
    del settings["regions"]["us-central1"]
    for region in settings["regions"].values():
        region["peers"] = []
    settings["metrics"][0]["metrics"] = {
        name: settings["metrics"][0]["metrics"][name] for name in ("cpu_vcpu", "egress_gbps", "requests_per_s")
    }
    settings["policy"] |= {"hold_hours": 1, "correction": {"minutes": 15}, "high_confidence": 1.0, "medium_confidence": 0.0}
    settings["services"]["live-scores"]["policy"] = "optimal"
    settings["services"]["live-scores"]["capacity"]["also"] = [FURTHER]
    settings["regions"]["europe-west9"]["quotas"]["N2D_CPUS"] = 8
    (root / "demo").mkdir()
    shutil.copy(REPOSITORY / "demo" / "events.ics", root / "demo")
    shutil.copy(REPOSITORY / "demo" / "metrics.parquet", root / "demo")
    path = root / "capacity.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
