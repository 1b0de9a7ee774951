"""The installation's SQL database, as a log uses it: tables made when absent, waiting instead of failing, one error when it is down.

SQLite by default, PostgreSQL in production; both keep the promises of the logs (`models.promotion_log`, `models.tuning.store`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, MetaData, inspect
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from headroom.errors import UnavailableError
from headroom.sql_engine import open_engine

__all__ = ["SqlDatabase", "create_missing"]


class SqlDatabase:
    """Connections to one database, for one log; its transactions wait for each other (`headroom.sql_engine.open_engine`)."""

    def __init__(self, url: str, tables: MetaData, *, name: str) -> None:
        """Nothing is connected yet.

        Args:
            url: SQLAlchemy URL.
            tables: of the log; made at the first transaction.
            name: of the log, for messages.
        """
        self._engine = open_engine(url)
        self._tables, self._name, self._ready = tables, name, False

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
