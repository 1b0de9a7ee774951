"""Processes that share out work on what they were all given."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from headroom.errors import HeadroomError

__all__ = ["end_with_the_caller", "given", "use_one_thread", "worker_processes"]

# Libraries that add up in threads of their own read these when they are loaded, later than a worker begins.
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
# What a worker was started with.
_given: list[Any] = []


@contextmanager
def worker_processes(count: int, work: object) -> Iterator[ProcessPoolExecutor]:
    """`count` processes of one thread each, to which `given` returns `work`. They end with the caller, also on Ctrl-C.

    Raises:
        HeadroomError: one ended by itself.
    """
    # Not forked: threads of the caller (a progress bar) would leave their locks held in the child.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="headroom-") as folder:
        # By a file: what is larger than a pipe would keep the caller waiting for a process that ended as it began.
        kept = Path(folder) / "work.pickle"
        kept.write_bytes(pickle.dumps(work, protocol=pickle.HIGHEST_PROTOCOL))
        try:
            with ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(kept,)) as pool:
                yield pool
        except BrokenProcessPool as error:
            raise HeadroomError(
                "a worker process ended by itself, most often for want of memory: use one process (--jobs 1, jobs=1), or fewer series at a "
                'time; a script of your own must do its work under `if __name__ == "__main__":` to have more than one'
            ) from error


def given() -> Any:
    """What this worker was started with."""
    return _given[0]


def end_with_the_caller() -> None:
    """Called in a worker: Ctrl-C ends it at once. Python's own way would count as the result of one piece of work, and the next would begin."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def use_one_thread() -> None:
    """Called in a worker, which has one core: libraries that are loaded, and those that will be, add up in one thread."""
    from threadpoolctl import threadpool_limits

    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    threadpool_limits(limits=1)


def _begin(kept: Path) -> None:
    end_with_the_caller()
    use_one_thread()
    _given[:] = [pickle.loads(kept.read_bytes())]  # noqa: S301 -- written by the caller a moment ago, in a folder of its own
