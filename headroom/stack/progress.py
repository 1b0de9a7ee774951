"""Progress by stage, with the time that each took: live on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

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
                self._console.print(Text.assemble(("failed", "red"), f"  {time.monotonic() - start:5.0f} s  {name}"))
                raise
        detail = (f"  {said}" if said else "", "dim")
        self._console.print(Text.assemble(("done", "green"), f"    {time.monotonic() - start:5.0f} s  {name}", detail))
