"""Processes that share out work hold their caller up by nothing: not by threads, by a Ctrl-C, nor by an end of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from headroom.errors import HeadroomError
from models.worker_processes import end_with_the_caller, given, use_one_thread, worker_processes

# More than a pipe holds.
LARGE = 1_000_000


def _loaded_already() -> None:
    """With what this module has imported."""
    use_one_thread()


def test_a_worker_adds_up_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits have to hold for libraries that a worker has loaded before it begins, whatever its caller was started with."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_loaded_already) as pool:
        before = pool.submit(threadpool_info).result()
    with worker_processes(1, np.ones(1)) as pool:
        after = pool.submit(threadpool_info).result()
    for told in (before, after):
        assert {library["internal_api"] for library in told} >= {"openblas"}
        assert {library["num_threads"] for library in told} == {1}


def test_an_interruption_ends_a_worker_at_once():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_the_caller) as pool:
        worker = pool.submit(os.getpid).result()
        under_way, queued = pool.submit(time.sleep, 60), pool.submit(time.sleep, 60)
        os.kill(worker, signal.SIGINT)
        for work in (under_way, queued):
            with pytest.raises(BrokenProcessPool):
                work.result(timeout=20)


def _sum() -> float:
    return float(given().sum())


def test_every_process_has_what_it_was_given() -> None:
    with worker_processes(2, np.ones(LARGE)) as pool:
        assert [done.result() for done in [pool.submit(_sum) for _ in range(4)]] == [LARGE] * 4


def _killed() -> None:
    with worker_processes(1, None) as pool:
        os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
        pool.submit(time.sleep, 60).result(timeout=20)


def test_a_process_that_is_killed_is_told_with_what_to_do() -> None:
    with pytest.raises(HeadroomError, match="a worker process ended by itself"):
        _killed()


def test_a_script_that_works_when_it_is_imported_is_told_so_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    """A new process imports it again, and ends there, with more than a pipe holds still to come."""
    script = tmp_path / "work.py"
    script.write_text(
        "import os\n"
        "from models.worker_processes import worker_processes\n"
        f"with worker_processes(2, bytes({LARGE})) as pool:\n"
        "    pool.submit(os.getpid).result()\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "HeadroomError: a worker process ended by itself" in done.stderr
    assert 'if __name__ == "__main__":' in done.stderr
