"""One writer per region at a time: a plan's reconciliation and a correction of the plan before it must not undo each other.

The lock ends with its process, however that ends: a file lock beside a SQLite ledger, an advisory lock of the session on PostgreSQL.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text

from headroom.errors import UnavailableError

__all__ = ["region_lock"]

_PAUSE_SECONDS: Final = 0.2


@contextmanager
def region_lock(engine: Engine, region: str, *, seconds: float) -> Iterator[None]:
    """Hold a region; a ledger in memory has one user and needs no lock.

    Args:
        engine: of the ledger.
        seconds: how long to wait for whoever holds it.

    Raises:
        UnavailableError: when it is still held after that time.
    """
    if engine.dialect.name == "postgresql":
        with _session_lock(engine, region, seconds):
            yield
    elif engine.url.database and engine.url.database != ":memory:":
        with _file_lock(Path(f"{engine.url.database}.{region}.lock"), region, seconds):
            yield
    else:
        yield


@contextmanager
def _file_lock(path: Path, region: str, seconds: float) -> Iterator[None]:
    import fcntl

    def take() -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    with path.open("w") as file:
        _wait(take, region, seconds)
        yield


@contextmanager
def _session_lock(engine: Engine, region: str, seconds: float) -> Iterator[None]:
    key = int.from_bytes(hashlib.sha256(f"headroom region {region}".encode()).digest()[:8], "big", signed=True)
    with engine.connect() as connection:

        def take() -> bool:
            taken = bool(connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar())
            connection.commit()  # the lock is the session's, so that no transaction stays open for it
            return taken

        _wait(take, region, seconds)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.commit()


def _wait(take: Callable[[], bool], region: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not take():
        if time.monotonic() >= end:
            raise UnavailableError(f"region {region} is being reconciled by somebody else for more than {seconds:g} s; run again")
        time.sleep(_PAUSE_SECONDS)
