"""A local cloud over HTTP and a real ledger, with shortcuts that tests of the reconciler need."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from plan_rows import ISSUE, PROJECT, REGION, settings

from headroom.settings import Settings
from infra.cloud import Cloud
from infra.ledger import Ledger
from infra.local_cloud import Access, Seed, Timing, read_access_log, running_cloud
from infra.reconciler import ReconcileReport, reconcile

TIMING = Timing(operation=0.01, boot=0.05, resume=0.05)
LINK = {"name": "link", "type": "DEDICATED", "bandwidth": "BPS_1G"}


@dataclass
class World:
    """One project in one region."""

    address: str
    state: Path
    ledger: Ledger
    cloud: Cloud
    settings: Settings

    def reconcile(self, plan: Any, **options: Any) -> ReconcileReport:
        return reconcile(
            self.settings, self.ledger, self.cloud, plan, **{"issue_time": ISSUE, "region": REGION, "settle_seconds": 5, **options}
        )

    def writes(self) -> list[Access]:
        """Writing calls of the API so far, the test's own set-up excluded."""
        return [access for access in read_access_log(self.state) if access.writes and access.request_id is not None]

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.address}/compute/v1/projects/{PROJECT}/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def admin(self, topic: str, **body: Any) -> None:
        requests.put(f"{self.address}/admin/{topic}", json=body, timeout=10).raise_for_status()


@contextmanager
def world(
    folder: Path,
    *,
    quotas: Mapping[str, float] | None = None,
    stock: Mapping[str, Mapping[str, float]] | None = None,
    link: Mapping[str, Any] | None = LINK,
    chosen: Settings | None = None,
    timing: Timing = TIMING,
    pause: float = 0.5,
) -> Iterator[World]:
    """Start it; `link` is the attachment that the region has, None for none; `pause` is the client's before its first retry."""
    seed = Seed(quotas={REGION: dict(quotas or {})}, stock=dict(stock or {}))
    with running_cloud(folder / "cloud", PROJECT, seed=seed, timing=timing) as address:
        opened = World(
            address=address,
            state=folder / "cloud",
            ledger=Ledger.open(f"sqlite:///{folder}/ledger.db"),
            cloud=Cloud(PROJECT, address, timeout=30, pause=pause),
            settings=chosen or settings(),
        )
        if link is not None:
            base = f"projects/{PROJECT}"
            made_of = {"interconnect": f"{base}/global/interconnects/cable", "router": f"{base}/regions/{REGION}/routers/router"}
            operation = opened.call("POST", f"regions/{REGION}/interconnectAttachments", {**made_of, **link})
            opened.call("POST", f"regions/{REGION}/operations/{operation['name']}/wait")
        yield opened
        opened.ledger.engine.dispose()
