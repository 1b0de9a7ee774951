"""Preparing the state of an installation: databases migrated, tables and folders created. Safe to repeat."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from headroom.errors import UnavailableError
from headroom.home import Home
from headroom.lake import Lake

__all__ = ["prepare_state"]


def prepare_state(home: Home, environment: Mapping[str, str]) -> None:
    """Migrate the databases of Airflow and MLflow, create ledger, promotion log, tuning log and lake.

    Migrations run before any task, because two tasks that meet a fresh database race its migration. They are skipped
    when the same versions have already migrated this state.

    Raises:
        UnavailableError: when a migration fails; the message names its log.
    """
    for folder in (home.root, home.work, home.root / "logs", home.root / "airflow", home.root / "mlflow" / "artifacts"):
        folder.mkdir(parents=True, exist_ok=True)
    stamp = home.root / "state.json"
    wanted = {"airflow": version("apache-airflow"), "mlflow": version("mlflow"), "headroom": version("headroom")}
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return
    migrations = {
        "airflow-migrate": [sys.executable, "-m", "airflow", "db", "migrate"],
        "mlflow-migrate": [
            sys.executable,
            "-c",
            "from headroom.home import Home; from models.registry import migrate; migrate(Home.from_environment())",
        ],
    }
    mlflow_environment = {**environment, "MLFLOW_TRACKING_URI": f"sqlite:///{home.root}/mlflow/mlflow.db"}
    running = {
        name: _start(command, home.root / "logs" / f"{name}.log", mlflow_environment if name == "mlflow-migrate" else environment)
        for name, command in migrations.items()
    }
    _create_tables(home)
    for name, process in running.items():
        if process.wait() != 0:
            raise UnavailableError(f"{name} failed; its log is {home.root / 'logs' / f'{name}.log'}")
    stamp.write_text(json.dumps(wanted))


def _create_tables(home: Home) -> None:
    from headroom.sql_engine import open_engine
    from infra.ledger_tables import create_tables as create_ledger
    from models.promotion_log import create_tables as create_promotions
    from models.tuning.store import create_tables as create_tuning

    engine = open_engine(home.database_url)
    create_ledger(engine)
    create_promotions(engine)
    create_tuning(engine)
    engine.dispose()
    Lake(home.lake_uri).create()


def _start(command: list[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)  # noqa: S603 - ours
