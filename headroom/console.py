"""The console that commands print to."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console

__all__ = ["open_console"]

# A log or a pipe has no width of its own; the summary's table needs this much.
_WIDTH_OF_A_PIPE: Final = 132


def open_console() -> Console:
    """A console as wide as the terminal, or wide enough for every table when the output goes to a file or a pipe.

    It prints text as it is: names and paths of people may hold brackets, which are no styles.
    """
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE, markup=False)
