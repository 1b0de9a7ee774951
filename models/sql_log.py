"""A log in the installation's SQL database: tables made when absent, waiting instead of failing, one error when it is down.

SQLite by default, PostgreSQL in production; both keep the promises of the logs (`models.promotion_log`, `models.tuning.store`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

from sqlalchemy import Connection, Engine, MetaData, inspect
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from headroom.errors import UnavailableError
from headroom.sql_engine import open_engine

__all__ = ["SqlLog", "create_missing"]


class SqlLog:
    """A log in one database; its transactions wait for each other (`headroom.sql_engine.open_engine`).

    Attributes:
        name: of the log, for messages.
        tables: of the log; made at the first transaction.
    """

    name: ClassVar[str]
    tables: ClassVar[MetaData]

    def __init__(self, url: str) -> None:
        """Nothing is connected yet.

        Args:
            url: SQLAlchemy URL.
        """
        self._engine = open_engine(url)
        self._ready = False

    @classmethod
    @contextmanager
    def open(cls, url: str) -> Iterator[Self]:
        """The log, its connections closed at the end."""
        log = cls(url)
        try:
            yield log
        finally:
            log.close()

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
                create_missing(self._engine, self.tables)
                self._ready = True
            with self._engine.begin() as connection:
                yield connection
        except OperationalError as error:
            shown = self._engine.url.render_as_string(hide_password=True)
            raise UnavailableError(
                f"{self.name}: database {shown} does not answer ({error.orig}); check HEADROOM_DATABASE_URL, then retry"
            ) from error


def create_missing(engine: Engine, tables: MetaData) -> None:
    """Create the tables that do not exist; safe to repeat and to race."""
    try:
        tables.create_all(engine)
    except (IntegrityError, OperationalError, ProgrammingError):
        if set(tables.tables) - set(inspect(engine).get_table_names()):  # else another process created them meanwhile
            raise
