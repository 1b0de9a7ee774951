"""Out-of-fold rows of many candidates and windows, in this process or spread over a few."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Final

import pandas as pd

from headroom.progress import Progress
from models.backtest import OOF_COLUMNS, backtest
from models.engine_clock import EngineClock

__all__ = ["Rows", "end_with_the_caller", "out_of_fold"]

# Libraries that add up in threads of their own read these when they are loaded; a worker has one core.
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
# What a worker was started with.
_given: list[EngineClock] = []


@dataclass(frozen=True)
class Rows:
    """Out-of-fold rows.

    Attributes:
        rows: `models.backtest.OOF_COLUMNS`.
        seconds: candidate -> CPU seconds; its keys are the candidates that ran.
        elsewhere: CPU seconds of other processes, also of rows that were not kept.
    """

    rows: pd.DataFrame
    seconds: dict[str, float]
    elsewhere: float = 0.0

    def joined(self, other: Rows) -> Rows:
        """These rows and those of other candidates."""
        both = pd.concat([self.rows, other.rows], ignore_index=True) if len(other.rows) else self.rows
        return Rows(both, self.seconds | other.seconds, self.elsewhere + other.elsewhere)


def out_of_fold(
    clock: EngineClock, names: Sequence[str], backs: Sequence[int], *, seed: int, progress: Progress, jobs: int = 1, what: str = "backtest"
) -> Rows:
    """Rows of every candidate at the cutoffs `back` horizons before the end; the same with any number of jobs. `what` is said of the progress."""
    tasks = [(name, back) for back in backs for name in names]
    seconds, found = dict.fromkeys(names, 0.0), {}
    progress.start(len(tasks), what)
    for task, rows, spent in _each(clock, names, backs, seed, jobs):
        found[task] = rows
        seconds[task[0]] += spent
        progress.advance(1, f"{task[0]}, {task[1]} windows back")
    full = [found[task] for task in tasks if len(found[task])]
    rows = pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=list(OOF_COLUMNS))
    return Rows(rows, seconds, sum(seconds.values()) if jobs > 1 else 0.0)


_Task = tuple[str, int]


def _each(
    clock: EngineClock, names: Sequence[str], backs: Sequence[int], seed: int, jobs: int
) -> Iterator[tuple[_Task, pd.DataFrame, float]]:
    """Every task with its rows and CPU seconds, in any order.

    A window is one piece of work: its candidates share the effects of drivers and the smoothing that they were fitted with.
    """
    if jobs == 1:
        for back in backs:
            for name in names:
                yield (name, back), *_one(clock, (name, back), seed)
        return
    # Not forked: threads of the caller (a progress bar) would leave their locks held in the child.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(clock,)) as pool:
        running = {pool.submit(_given_window, tuple(names), back, seed): back for back in backs}
        for done in as_completed(running):
            for name, result in zip(names, done.result(), strict=True):
                yield (name, running[done]), *result


def end_with_the_caller() -> None:
    """Called in a worker: Ctrl-C ends it at once. Python's own way would count as the result of one piece of work, and the next would begin."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _begin(clock: EngineClock) -> None:
    end_with_the_caller()
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    _given[:] = [clock]


def _given_window(names: Sequence[str], back: int, seed: int) -> list[tuple[pd.DataFrame, float]]:
    return [_one(_given[0], (name, back), seed) for name in names]


def _one(clock: EngineClock, task: _Task, seed: int) -> tuple[pd.DataFrame, float]:
    name, back = task
    started, horizon = time.process_time(), clock.rhythm.horizon
    rows = backtest([name], clock.history, clock.events, clock.calendar, [clock.cutoff(back * horizon)], horizon, seed=seed)
    return rows, time.process_time() - started
