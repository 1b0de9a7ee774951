"""The servers of the embedded stack: which commands, and how each says that it is ready."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable

from headroom.home import Home
from headroom.stack.addresses import Addresses
from headroom.stack.processes import Process, answers

__all__ = ["servers"]


def servers(home: Home, addresses: Addresses, project: str) -> list[Process]:
    """Airflow's four processes, the MLflow tracking server and the local cloud."""
    python = sys.executable
    airflow = [python, "-m", "airflow"]
    mlflow_folder = home.root / "mlflow"
    cloud = [
        python, "-m", "headroom.cli", "cloud",
        "--port", str(addresses.cloud),
        "--state", str(home.root / "cloud"),
        "--project", project,
        "--capacity", str(home.capacity_file),
    ]  # fmt: skip
    mlflow = [
        python, "-m", "mlflow", "server",
        "--host", "127.0.0.1",
        "--port", str(addresses.mlflow),
        "--workers", "1",
        "--backend-store-uri", f"sqlite:///{mlflow_folder}/mlflow.db",
        "--artifacts-destination", str(mlflow_folder / "artifacts"),
    ]  # fmt: skip
    health = f"{addresses.url('airflow')}/api/v2/monitor/health"
    return [
        Process("airflow-api-server", [*airflow, "api-server"], lambda: answers(health)),
        Process("airflow-scheduler", [python, "-m", "headroom.stack.scheduler"], _healthy(health, "scheduler")),
        Process("airflow-dag-processor", [*airflow, "dag-processor"], _healthy(health, "dag_processor")),
        Process("airflow-triggerer", [*airflow, "triggerer"], _healthy(health, "triggerer")),
        Process("mlflow", mlflow, lambda: answers(f"{addresses.url('mlflow')}/health")),
        Process("cloud", cloud, lambda: answers(f"{addresses.url('cloud')}/compute/v1/projects/{project}/regions")),
    ]


def _healthy(health: str, component: str) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            with urllib.request.urlopen(health, timeout=2) as response:  # noqa: S310 - our own server
                return bool(json.load(response)[component]["status"] == "healthy")
        except (OSError, KeyError, ValueError):
            return False

    return ready
