"""The installation's SQL database, as a log uses it: tables made when absent, waiting instead of failing, one error when it is down.

SQLite by default, PostgreSQL in production; both keep the promises of the logs (`models.promotion_log`, `models.tuning.store`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, inspect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from headroom.errors import UnavailableError

__all__ = ["SqlDatabase", "create_missing"]

_BUSY_MILLISECONDS: Final = 30_000


class SqlDatabase:
    """Connections to one database, for one log.

    On SQLite every transaction takes the write lock at its start (one that reads and then writes would be refused instead of waiting),
    readers do not block, and a busy database is waited for.
    """

    def __init__(self, url: str, tables: MetaData, *, name: str) -> None:
        """Nothing is connected yet.

        Args:
            url: SQLAlchemy URL.
            tables: of the log; made at the first transaction.
            name: of the log, for messages.
        """
        self._engine = create_engine(url, pool_pre_ping=True)
        self._tables, self._name, self._ready = tables, name, False
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _wait_when_busy)
            event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction, committed at the end and rolled back by an exception.

        Raises:
            UnavailableError: when the database does not answer.
        """
        try:
            if not self._ready:
                create_missing(self._engine, self._tables)
                self._ready = True
            with self._engine.begin() as connection:
                yield connection
        except OperationalError as error:
            shown = self._engine.url.render_as_string(hide_password=True)
            raise UnavailableError(
                f"{self._name}: database {shown} does not answer ({error.orig}); check HEADROOM_DATABASE_URL, then retry"
            ) from error


def create_missing(engine: Engine, tables: MetaData) -> None:
    """Create the tables that do not exist; safe to repeat and to race."""
    try:
        tables.create_all(engine)
    except (IntegrityError, OperationalError, ProgrammingError):
        if set(tables.tables) - set(inspect(engine).get_table_names()):  # else another process created them meanwhile
            raise


def _wait_when_busy(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    del record
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()
