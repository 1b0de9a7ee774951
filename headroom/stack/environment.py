"""The environment in which every process of the embedded stack runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

from headroom.home import Home
from headroom.stack.addresses import Addresses

__all__ = ["REPOSITORY", "stack_environment"]

REPOSITORY: Final = Path(__file__).resolve().parents[2]


def stack_environment(home: Home, addresses: Addresses, recording_end: str | None) -> dict[str, str]:
    """Environment variables of all processes of the stack.

    Args:
        home: locations of the installation.
        addresses: ports of the servers.
        recording_end: ISO date after which the clock makes no runs (a recording has an end), or None.
    """
    airflow, mlflow, cloud = (addresses.url(name) for name in ("airflow", "mlflow", "cloud"))
    bin_folder = str(Path(sys.executable).parent)
    settings = {
        "HEADROOM_HOME": str(home.root),
        "HEADROOM_CAPACITY": str(home.capacity_file),
        "HEADROOM_LAKE": home.lake_uri,
        "HEADROOM_DATABASE_URL": home.database_url,
        "HEADROOM_CLOUD_ENDPOINT": cloud,
        "MLFLOW_TRACKING_URI": mlflow,
        "AIRFLOW_HOME": str(home.root / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # A task is a process; two cores run two of them well, and idle workers cost memory.
        "AIRFLOW__CORE__PARALLELISM": str(max(2, min(8, os.cpu_count() or 2))),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(addresses.airflow),
        "AIRFLOW__API__BASE_URL": airflow,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        "AIRFLOW_CONN_HEADROOM_CLOUD": json.dumps({"conn_type": "headroom_cloud", "host": cloud}),
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Tasks are the unit of parallelism: a task whose libraries each start a thread per core slows its neighbours.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "plugins")]),
        "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", "")]),
    }
    if recording_end:
        settings["HEADROOM_RECORDING_END"] = recording_end
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **settings}
