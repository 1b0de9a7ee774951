"""The fixture that starts a whole stack and stops it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from running_stack import REPOSITORY, Stack, free_ports, small_capacity

from headroom.home import Home
from headroom.runtime import Runtime
from headroom.stack.addresses import Addresses
from headroom.stack.airflow_api import AirflowApi, Run
from headroom.stack.environment import stack_environment
from headroom.stack.processes import ProcessGroup
from headroom.stack.servers import servers
from headroom.stack.state import prepare_state


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    root = tmp_path_factory.mktemp("stack")
    ports = free_ports(3)
    addresses = Addresses(*ports)
    capacity = small_capacity(root)
    home = Home.from_environment(
        {"HEADROOM_HOME": str(root / "var"), "HEADROOM_CAPACITY": str(capacity), "MLFLOW_TRACKING_URI": addresses.url("mlflow")}
    )
    opened = Runtime.open(home)
    environment = stack_environment(home, addresses, "2026-07-27T00:00:00+00:00")
    group = ProcessGroup(home.root)
    try:
        prepare_state(home, environment)
        group.start(servers(home, addresses, opened.settings.cloud.project), environment)
        api = AirflowApi(addresses.url("airflow"), home.root / "airflow")
        files = {file.stem for file in (REPOSITORY / "dags").glob("*.py")}
        api.wait(lambda: Run("dags", "parsed", "success") if files <= api.dag_ids() else None, 60, "parsing")
        assert api.import_errors() == []
        api.ensure_pool("cloud_writes", 2, "Cloud writes")
        for dag_id in api.dag_ids():
            api.set_paused(dag_id, paused=False)
        yield Stack(opened, addresses, api, group, environment)
    finally:
        group.stop()
