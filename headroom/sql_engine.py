"""Engines for the installation's SQL databases and their column of times: SQLite with WAL by default, PostgreSQL in production."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import pandas as pd
from sqlalchemy import DateTime, Engine, TypeDecorator, create_engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["UtcTime", "open_engine"]

_BUSY_MILLISECONDS: Final = 30_000


class UtcTime(TypeDecorator[pd.Timestamp]):
    """A point in time: naive UTC in the database, `pd.Timestamp` in UTC outside."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else pd.Timestamp(value).tz_convert("UTC").tz_localize(None).to_pydatetime()

    def process_result_value(self, value: Any, dialect: Dialect) -> pd.Timestamp | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else pd.Timestamp(value, tz="UTC")


def open_engine(url: str) -> Engine:
    """An engine whose transactions wait for each other instead of failing; nothing is connected yet.

    On SQLite every transaction takes the write lock at its start (a read that later wants to write could otherwise be
    refused at once), readers do not block (WAL), and a busy database is waited for.

    Args:
        url: SQLAlchemy URL.
    """
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()
