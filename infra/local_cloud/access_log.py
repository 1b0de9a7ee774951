"""Every request that the local cloud answered: who asked for what, and whether it could have changed anything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from infra.local_cloud.store import DATABASE, Store

__all__ = ["Access", "read_access_log", "record"]


@dataclass(frozen=True)
class Access:
    """One answered request; `time` is the server's clock in seconds since 1970."""

    time: float
    method: str
    path: str
    query: str
    request_id: str | None
    status: int

    @property
    def writes(self) -> bool:
        """True for a call of the API that asks for a change, whether or not it was granted."""
        asks = self.method != "GET" and not self.path.endswith(("/wait", "/listManagedInstances"))
        return asks and not self.path.startswith("/admin/")


def read_access_log(state: Path) -> list[Access]:
    """The log of a state folder, oldest first; the server may be running or not."""
    with closing(sqlite3.connect(state / DATABASE, timeout=30)) as db:
        rows = db.execute("SELECT time, method, path, query, request_id, status FROM access ORDER BY rowid").fetchall()
    return [Access(*row) for row in rows]


def record(store: Store, access: Access) -> None:
    """Add one line, in the transaction of the request it tells of: there is no change without its line."""
    values = (access.time, access.method, access.path, access.query, access.request_id, access.status)
    store.db.execute("INSERT INTO access VALUES (?, ?, ?, ?, ?, ?)", values)
