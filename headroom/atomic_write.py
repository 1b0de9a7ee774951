"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Have `write` write a file beside `path`, then put it in its place in a single step; a failure leaves what was there.

    The file beside it has the same extension, so that a writer which looks at it does the right thing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(fresh)
        return fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
