"""What a calculation costs: CPU time of the process and everything that it starts, wall time, the most memory, the most threads."""

from __future__ import annotations

import resource
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Usage:
    """CPU time is user and system time; memory is the sum of resident sizes, in which shared pages count more than once."""

    cpu_seconds: float
    wall_seconds: float
    peak_gib: float
    threads: int


class Meter:
    """`with Meter() as meter: ...`, then `meter.usage`.

    Children that were waited for are counted by the kernel. Those that nobody waits for (workers of a pool) are sampled; of the two sums the
    larger counts.
    """

    usage: Usage

    def __enter__(self) -> Self:
        self._wall, self._own, self._reaped = time.perf_counter(), _spent(resource.RUSAGE_SELF), _spent(resource.RUSAGE_CHILDREN)
        self._seen: dict[int, float] = {}
        self._before = dict(self._tree_cpu())
        self._peak, self._threads = 0, 0
        self._over = threading.Event()
        self._sampler = threading.Thread(target=self._watch, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._sampler.join()
        sampled = sum(spent - self._before.get(pid, 0.0) for pid, spent in self._seen.items())
        children = max(_spent(resource.RUSAGE_CHILDREN) - self._reaped, sampled)
        self.usage = Usage(
            cpu_seconds=_spent(resource.RUSAGE_SELF) - self._own + children,
            wall_seconds=time.perf_counter() - self._wall,
            peak_gib=self._peak / 2**30,
            threads=self._threads,
        )

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._sample()
        self._sample()

    def _sample(self) -> None:
        self._seen.update(self._tree_cpu())
        size = threads = 0
        for process in (psutil.Process(), *_children()):
            try:
                size += process.memory_info().rss
                threads += process.num_threads()
            except psutil.Error:  # it ended meanwhile
                continue
        # The sampler is a thread of its own.
        self._peak, self._threads = max(self._peak, size), max(self._threads, threads - 1)

    def _tree_cpu(self) -> dict[int, float]:
        found = {}
        for process in _children():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            found[process.pid] = times.user + times.system
        return found


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _spent(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
