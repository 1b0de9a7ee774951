"""Out-of-fold rows of many candidates and windows, in this process or spread over a few."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field

import pandas as pd

from headroom.progress import Progress
from models.backtest import OOF_COLUMNS, forecast_windows
from models.candidates import create
from models.engine_clock import EngineClock
from models.engine_rounds import Round, engine_rounds
from models.shared_work import SharedWork
from models.worker_processes import given, worker_processes

__all__ = ["Rows", "out_of_fold"]


@dataclass(frozen=True)
class Rows:
    """Out-of-fold rows.

    Attributes:
        rows: `models.backtest.OOF_COLUMNS`, `back` (horizons to the end of the series) and `moment` (what the fit had seen ended there); `y` is
            NaN where `back` is 0.
        seconds: candidate -> CPU seconds; its keys are the candidates that ran.
        elsewhere: CPU seconds of other processes, also of rows that were not kept.
        since: candidate -> time from which on it may take part in a forecast; before it, it was not known to be worth its cost.
    """

    rows: pd.DataFrame
    seconds: dict[str, float]
    elsewhere: float = 0.0
    since: Mapping[str, pd.Timestamp] = field(default_factory=dict)

    def joined(self, other: Rows) -> Rows:
        """These rows and those of other candidates."""
        both = pd.concat([self.rows, other.rows], ignore_index=True) if len(other.rows) else self.rows
        return Rows(both, self.seconds | other.seconds, self.elsewhere + other.elsewhere)


def out_of_fold(
    clock: EngineClock, names: Sequence[str], backs: Sequence[int], *, seed: int, progress: Progress, jobs: int = 1, what: str = "backtest"
) -> Rows:
    """Rows of every candidate at the cutoffs `backs` horizons before the end of every series (0: what lies ahead).

    The rows are the same with any number of jobs. `what` is said of the progress.
    """
    rounds = engine_rounds(clock.ends, clock.rhythm, backs)
    tasks = [(name, at) for at in rounds for name in names]
    seconds, found = dict.fromkeys(names, 0.0), {}
    progress.start(len(tasks), what)
    for task, rows, spent in _each(clock, names, rounds, seed, jobs):
        found[task] = rows
        seconds[task[0]] += spent
        progress.advance(1, f"{task[0]}, {_words(task[1])}")
    full = [found[task] for task in tasks if len(found[task])]
    rows = pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=[*OOF_COLUMNS, "back", "moment"])
    return Rows(rows, seconds, sum(seconds.values()) if jobs > 1 else 0.0)


def _words(at: Round) -> str:
    backs = sorted({window.back for window in at.windows})
    return "next steps" if backs == [0] else f"{backs[0]} windows back" if len(backs) == 1 else f"{backs[0]} to {backs[-1]} windows back"


_Task = tuple[str, Round]


def _each(
    clock: EngineClock, names: Sequence[str], rounds: Sequence[Round], seed: int, jobs: int
) -> Iterator[tuple[_Task, pd.DataFrame, float]]:
    """Every task with its rows and CPU seconds, in any order.

    A round is one piece of work: its candidates share what they are given (`models.shared_work`), the effects of drivers, and the smoothing that
    they were fitted with.
    """
    if jobs == 1:
        for at in rounds:
            work = SharedWork()
            for name in names:
                with work:
                    made = _one(clock, (name, at), seed)
                yield (name, at), *made
        return
    with worker_processes(jobs, clock) as pool:
        running = {pool.submit(_given_round, tuple(names), at, seed): at for at in rounds}
        for done in as_completed(running):
            for name, result in zip(names, done.result(), strict=True):
                yield (name, running[done]), *result


def _given_round(names: Sequence[str], at: Round, seed: int) -> list[tuple[pd.DataFrame, float]]:
    with SharedWork():
        return [_one(given(), (name, at), seed) for name in names]


def _one(clock: EngineClock, task: _Task, seed: int) -> tuple[pd.DataFrame, float]:
    name, at = task
    started = time.process_time()
    windows = [(window.cutoff, clock.by_end[window.end]) for window in at.windows]
    rows = forecast_windows(create(name, seed=seed), clock.history, clock.events, clock.calendar, at.moment, windows, clock.rhythm.horizon)
    if rows.empty:
        return rows, time.process_time() - started
    ahead: pd.Series[pd.Timedelta] = rows["unique_id"].astype(object).map(clock.ends) - rows["cutoff"]
    told = rows.assign(back=ahead // (clock.rhythm.horizon * clock.rhythm.step), moment=at.moment)
    return told[told["y"].notna() | (told["back"] == 0)], time.process_time() - started
