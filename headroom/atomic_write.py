"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from headroom.errors import UnavailableError

__all__ = ["write_whole"]


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Have `write` write a file beside `path`, then put it in its place in a single step; a failure leaves what was there.

    The file beside it has the same extension, so that a writer which looks at it does the right thing.

    Raises:
        UnavailableError: when the system does not let it be written: a full disk, no right, no such place.
    """
    fresh = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(fresh)
        return fresh.replace(path)
    except OSError as error:
        raise UnavailableError(f"{path} cannot be written: {error.strerror or error}; make room for it, or choose another place") from error
    finally:
        with suppress(OSError):  # of a place that is none, which was said
            fresh.unlink(missing_ok=True)
