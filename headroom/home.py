"""Where state lives. Every location comes from the environment, with a default that needs no set-up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Home"]


@dataclass(frozen=True)
class Home:
    """Locations of one installation.

    Attributes:
        root: folder of all local state (`HEADROOM_HOME`, default `var` under the working directory).
        capacity_file: the settings file (`HEADROOM_CAPACITY`, default `capacity.yaml`).
        lake_uri: Delta tables; a folder or a `gs://` prefix (`HEADROOM_LAKE`, default `<root>/lake`).
        database_url: SQLAlchemy URL of the ledger and the promotion log (`HEADROOM_DATABASE_URL`, default SQLite in root).
        mlflow_uri: MLflow tracking server (`MLFLOW_TRACKING_URI`, default SQLite in root).
        cloud_endpoint: overrides `cloud.endpoint` of the settings (`HEADROOM_CLOUD_ENDPOINT`).
    """

    root: Path
    capacity_file: Path
    lake_uri: str
    database_url: str
    mlflow_uri: str
    cloud_endpoint: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Home:
        env = os.environ if environ is None else environ
        root = Path(env.get("HEADROOM_HOME", "var")).resolve()
        return cls(
            root=root,
            capacity_file=Path(env.get("HEADROOM_CAPACITY", "capacity.yaml")).resolve(),
            lake_uri=env.get("HEADROOM_LAKE", str(root / "lake")),
            database_url=env.get("HEADROOM_DATABASE_URL", f"sqlite:///{root}/headroom.db"),
            mlflow_uri=env.get("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow/mlflow.db"),
            cloud_endpoint=env.get("HEADROOM_CLOUD_ENDPOINT") or None,
        )

    @property
    def work(self) -> Path:
        """Scratch files that tasks of one run hand to each other."""
        return self.root / "work"

    @property
    def validation(self) -> Path:
        """Results of validations, from which Data Docs are written."""
        return self.work / "validation"

    @property
    def report(self) -> Path:
        return self.root / "report" / "index.html"

    @property
    def data_docs(self) -> Path:
        return self.root / "data_docs"
