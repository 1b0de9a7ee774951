from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local_cloud import Seed, Timing, running_cloud
from tests.contract.rest import N2, Rest


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    """A local cloud whose operations take no time and whose VMs boot in 10 s of its clock, with the template `web`."""
    with _cloud(tmp_path / "cloud") as client:
        yield client


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    """Like `rest`, shared by the tests of a module that change nothing."""
    with _cloud(tmp_path_factory.mktemp("idle")) as client:
        yield client


@contextmanager
def _cloud(state: Path) -> Iterator[Rest]:
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    seed = Seed(quotas={"us-central1": {"N2_CPUS": 400, "INSTANCES": 100, "DISKS_TOTAL_GB": 1000, "RESERVATIONS": 5}})
    with running_cloud(state, seed=seed, timing=Timing(operation=0, boot=10, resume=2)) as address:
        client = Rest(address, "headroom-test", state)
        client.post("global/instanceTemplates", {"name": "web", "properties": N2})
        yield client
