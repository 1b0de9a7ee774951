"""Reconciliations that are killed at one of their steps: real processes, on a real cloud and ledger."""

import multiprocessing
import os
import signal
import threading
from typing import Any

import pandas as pd
from cloud_world import World
from plan_rows import PROJECT, REGION, settings

from infra.cloud import Cloud
from infra.ledger import Ledger
from infra.reconciler import reconcile

# Processes start as forks of one that has imported what is slow to import.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["google.cloud.compute_v1", "infra.reconciler", "cloud_world"])
_ONE_AT_A_TIME = threading.Lock()  # multiprocessing mixes up exit codes of children that several threads wait for


def kill_at(number: int, here: World, plan: pd.DataFrame, **options: Any) -> None:
    """Reconcile in a process that ends at its step `number`."""
    victim = _PROCESSES.Process(target=_die_at, args=(number, str(here.ledger.engine.url), here.address, plan, options))
    with _ONE_AT_A_TIME:
        victim.start()
        victim.join()
    assert victim.exitcode == -signal.SIGKILL


def _die_at(number: int, ledger: str, address: str, plan: pd.DataFrame, options: dict[str, Any]) -> None:
    steps: list[str] = []

    def checkpoint(name: str) -> None:
        steps.append(name)
        if len(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    cloud = Cloud(PROJECT, address, timeout=30)
    reconcile(settings(), Ledger.open(ledger), cloud, plan, region=REGION, settle_seconds=5, checkpoint=checkpoint, **options)
