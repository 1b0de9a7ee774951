"""How far a long calculation is, with the time left: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["ProgressBar"]

# A log gets a line at most this often.
_SECONDS_BETWEEN_LINES: Final = 10.0


class ProgressBar:
    """A `headroom.progress.Progress` for people; use it as a context manager."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._what, self._total, self._done = "", 0, 0
        self._started = self._said = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._bar.stop()
        if kind is None:
            self._end_stage()

    def start(self, total: int, what: str) -> None:
        """A stage of `total` steps begins; the one before is reported with the time that it took."""
        self._end_stage()
        self._what, self._total, self._done = what, total, 0
        self._started = self._said = self._clock()
        self._task = self._bar.add_task(what, total=total)

    def advance(self, steps: int = 1, what: str = "") -> None:
        """`steps` more are done; `what` is shown beside the stage."""
        self._done += steps
        if self._task is not None:
            self._bar.update(self._task, advance=steps, description=f"{self._what}: {what}" if what else None)
        now = self._clock()
        if not self._console.is_terminal and now - self._said >= _SECONDS_BETWEEN_LINES and 0 < self._done < self._total:
            self._said = now
            left = (now - self._started) / self._done * (self._total - self._done)
            self._console.print(f"{self._what}: {self._done / self._total:.0%}, about {left:.0f} s left", highlight=False)

    def _end_stage(self) -> None:
        if self._task is None:
            return
        self._bar.remove_task(self._task)
        self._task = None
        self._console.print(f"{self._what}: {self._clock() - self._started:.1f} s", highlight=False)
