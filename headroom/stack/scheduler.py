"""Airflow's scheduler, with the libraries of our tasks imported first.

The processes that LocalExecutor runs tasks in are forks of the scheduler: they find the libraries loaded, instead of each importing
Great Expectations (4 s), MLflow (2 s) or the Compute Engine client (2 s) again. Nothing here is used, only imported.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Final

__all__ = ["main"]

_LIBRARIES: Final = (
    "pandas", "duckdb", "deltalake", "sqlalchemy",
    "feature_store.ingestion", "models.training", "models.scoring", "models.learning", "infra.planner", "infra.reconciler", "infra.ledger",
    "great_expectations", "google.cloud.compute_v1", "mlflow", "lightgbm", "statsforecast.models",
)  # fmt: skip


def main() -> None:
    """Import, then become the scheduler."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    for name in _LIBRARIES:
        importlib.import_module(name)
    sys.argv = ["airflow", "scheduler"]
    importlib.import_module("airflow.__main__").main()


if __name__ == "__main__":
    main()
