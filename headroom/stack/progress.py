"""Progress by stage, with the time that each took: live on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

__all__ = ["Stages"]


class Stages:
    """Shows one stage after the other."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[str], None]]:
        """Show that `name` is going on, then how long it took; the yielded function says what is being done."""
        said = ""
        start = time.monotonic()
        with self._console.status(name) as status:

            def say(text: str) -> None:
                nonlocal said
                said = text
                status.update(f"{name}: {text}")

            try:
                yield say
            except BaseException:
                self._console.print(f"[red]failed[/red]  {time.monotonic() - start:5.0f} s  {name}", highlight=False)
                raise
        detail = f"  [dim]{said}[/dim]" if said else ""
        self._console.print(f"[green]done[/green]    {time.monotonic() - start:5.0f} s  {name}{detail}", highlight=False)
