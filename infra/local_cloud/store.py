"""The state on disk: one SQLite file, one transaction per request.

The file is in write-ahead mode with normal synchronisation: what was committed survives a killed process. Nothing runs in
the background. What is due (operations that end, reservations that expire, machines that boot) is settled by the clock at
the start of the next request, so a killed server catches up when it is started again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.local_cloud.fields import Body

__all__ = ["DATABASE", "Row", "Store"]

DATABASE: Final = "local_cloud.sqlite"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS resources (
    id INTEGER PRIMARY KEY, collection TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, created REAL NOT NULL,
    body TEXT NOT NULL, phase TEXT NOT NULL, pending TEXT, settles_at REAL, expires_at REAL, UNIQUE (collection, scope, name));
CREATE TABLE IF NOT EXISTS operations (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, scope TEXT NOT NULL, type TEXT NOT NULL, target TEXT NOT NULL,
    target_id INTEGER NOT NULL, request_id TEXT, inserted REAL NOT NULL, starts REAL NOT NULL, ends REAL NOT NULL, failure TEXT);
CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, operation TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS machines (
    id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, zone TEXT NOT NULL, name TEXT NOT NULL, machine_type TEXT NOT NULL,
    affinity TEXT NOT NULL, target TEXT NOT NULL, state TEXT NOT NULL, ready_at REAL, failure TEXT);
CREATE INDEX IF NOT EXISTS machines_of_a_group ON machines (group_id);
CREATE TABLE IF NOT EXISTS quotas (region TEXT NOT NULL, metric TEXT NOT NULL, ceiling REAL NOT NULL, PRIMARY KEY (region, metric));
CREATE TABLE IF NOT EXISTS stock (zone TEXT NOT NULL, sku TEXT NOT NULL, ceiling REAL NOT NULL, PRIMARY KEY (zone, sku));
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, times INTEGER, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS access (
    time REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, query TEXT NOT NULL, request_id TEXT, status INTEGER NOT NULL);
"""
# Google's ids are 19 digits.
_FIRST_ID: Final = 10**18


@dataclass(frozen=True)
class Row:
    """One resource as stored.

    Attributes:
        phase: CREATING, READY, UPDATING or DELETING; the last operation settles it at `settles_at`.
        body: what is in force; `pending` is what will be when the operation ends.
    """

    id: int
    collection: str
    scope: str
    name: str
    created: float
    body: Body
    phase: str
    pending: Body | None
    expires_at: float | None

    @property
    def path(self) -> str:
        return f"{self.scope}/{self.collection}/{self.name}"


class Store:
    """Everything that the server knows; used by one thread."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(folder / DATABASE, isolation_level=None, check_same_thread=False, timeout=30)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: an exception leaves the state as it was."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def meta(self, key: str) -> str | None:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def now(self) -> float:
        """The server's clock: the machine's, plus what `PUT /admin/clock` added. Seconds since 1970, UTC."""
        return time.time() + float(self.meta("clock_offset") or 0.0)

    def advance(self, seconds: float) -> None:
        """Move the clock forward, for good: what is due by then happens."""
        self.set_meta("clock_offset", str(float(self.meta("clock_offset") or 0.0) + seconds))

    def skew(self, seconds: float) -> None:
        """Let the clock be off by so much, as if it always had been: stamps differ, and what is under way takes as long as before."""
        shift = seconds - float(self.meta("clock_skew") or 0.0)
        self.set_meta("clock_skew", str(seconds))
        self.advance(shift)
        self.db.execute("UPDATE resources SET created = created + ?, settles_at = settles_at + ?", (shift, shift))
        # A time of deletion that was given as such is a promise about the clock, not about a duration.
        self.db.execute("UPDATE resources SET expires_at = expires_at + ? WHERE body NOT LIKE '%\"deleteAtTime\"%'", (shift,))
        self.db.execute("UPDATE operations SET inserted = inserted + ?, starts = starts + ?, ends = ends + ?", (shift, shift, shift))
        self.db.execute("UPDATE machines SET ready_at = ready_at + ?", (shift,))

    def next_id(self) -> int:
        """A number that no resource, operation or machine had before."""
        value = int(self.meta("last_id") or _FIRST_ID) + 1
        self.set_meta("last_id", str(value))
        return value

    def find(self, collection: str, scope: str, name: str) -> Row | None:
        rows = self._rows("collection = ? AND scope = ? AND name = ?", (collection, scope, name))
        return rows[0] if rows else None

    def all(self, collection: str, scope: str | None = None) -> list[Row]:
        """Rows of a collection in the order they were made, in one scope or everywhere."""
        if scope is None:
            return self._rows("collection = ?", (collection,))
        return self._rows("collection = ? AND scope = ?", (collection, scope))

    def by_id(self, identity: int) -> Row:
        return self._rows("id = ?", (identity,))[0]

    def add(self, collection: str, scope: str, name: str, body: Body, *, now: float, settles_at: float) -> Row:
        """A new resource, CREATING until `settles_at`."""
        identity = self.next_id()
        self.db.execute(
            "INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?, 'CREATING', NULL, ?, NULL)",
            (identity, collection, scope, name, now, json.dumps(body), settles_at),
        )
        return self.by_id(identity)

    def change(self, row: Row, body: Body, *, settles_at: float | None) -> Row:
        """A new body: at once when `settles_at` is None, else UPDATING until then."""
        if settles_at is None:
            self.db.execute("UPDATE resources SET body = ? WHERE id = ?", (json.dumps(body), row.id))
        else:
            self.db.execute(
                "UPDATE resources SET pending = ?, phase = 'UPDATING', settles_at = ? WHERE id = ?", (json.dumps(body), settles_at, row.id)
            )
        return self.by_id(row.id)

    def set_expiry(self, row: Row, expires_at: float | None) -> None:
        self.db.execute("UPDATE resources SET expires_at = ? WHERE id = ?", (expires_at, row.id))

    def remove(self, row: Row, *, settles_at: float) -> None:
        """DELETING until `settles_at`, then gone."""
        self.db.execute("UPDATE resources SET phase = 'DELETING', settles_at = ? WHERE id = ?", (settles_at, row.id))

    def settle(self, now: float) -> None:
        """End the operations that are due, and drop what has expired."""
        due = "settles_at IS NOT NULL AND settles_at <= ?"
        self.db.execute(f"DELETE FROM resources WHERE phase = 'DELETING' AND {due}", (now,))  # noqa: S608 - a constant
        self.db.execute(
            f"UPDATE resources SET body = coalesce(pending, body), pending = NULL, phase = 'READY', settles_at = NULL WHERE {due}",  # noqa: S608
            (now,),
        )
        self.db.execute("DELETE FROM resources WHERE expires_at IS NOT NULL AND expires_at <= ?", (now,))

    def _rows(self, where: str, values: tuple[Any, ...]) -> list[Row]:
        columns = "id, collection, scope, name, created, body, phase, pending, expires_at"
        found = self.db.execute(f"SELECT {columns} FROM resources WHERE {where} ORDER BY id", values)  # noqa: S608 - constants
        return [
            Row(identity, collection, scope, name, created, json.loads(body), phase, json.loads(pending) if pending else None, expires_at)
            for identity, collection, scope, name, created, body, phase, pending, expires_at in found
        ]
