"""The promotion log: which version was champion from when, kept for ever.

MLflow moves an alias and forgets where it was. A backfill must know who was champion at a past issue time, so every
promotion and rollback is a row here, in `Home.database_url`. The row whose `effective_at` is the latest at or before an
issue time names its champion; of rows with the same time the one recorded last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from sqlalchemy import (
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from headroom.errors import BadInputError
from headroom.sql_engine import UtcTime
from models.sql_log import SqlLog, create_missing

__all__ = ["ACTIONS", "Promotion", "PromotionLog", "create_tables"]

ACTIONS: Final = ("promote", "rollback")


_METADATA = MetaData()
_PROMOTIONS = Table(
    "promotions",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", String(255), nullable=False),
    Column("version", String(32), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("effective_at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("action", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("score", Float, nullable=True),
    # The ordinal lets a person go 1 -> 2 -> 1 -> 2 within one issue time, and still stops two processes from recording one change twice.
    Column("ordinal", Integer, nullable=False),
    UniqueConstraint("model", "effective_at", "ordinal", name="promotions_key"),
)


@dataclass(frozen=True)
class Promotion:
    """One line of the log.

    Attributes:
        version: MLflow model version that became champion.
        run_id: MLflow run that made it.
        effective_at: first issue time that it serves.
        recorded_at: when the line was written, by the wall clock; decides nothing.
        action: promote or rollback.
        score: mean pinball loss over the best naive's, when known.
    """

    model: str
    version: str
    run_id: str
    effective_at: pd.Timestamp
    recorded_at: pd.Timestamp
    action: str
    reason: str
    score: float | None


def create_tables(engine: Engine) -> None:
    """Create the table when it does not exist; safe to repeat and to race."""
    create_missing(engine, _METADATA)


class PromotionLog(SqlLog):
    """The log of one database."""

    name = "promotion log"
    tables = _METADATA

    def record(
        self,
        *,
        model: str,
        version: str,
        run_id: str,
        effective_at: pd.Timestamp,
        reason: str,
        action: str = "promote",
        score: float | None = None,
    ) -> Promotion:
        """Make `version` the champion from `effective_at` on; recording the same champion again changes nothing.

        Returns:
            The line that says so: the new one, or the one that already did.

        Raises:
            BadInputError: when `action` is not one of `ACTIONS`.
            UnavailableError: when the database does not answer.
        """
        if action not in ACTIONS:
            raise BadInputError(f"promotion log: action {action!r} is not one of {', '.join(ACTIONS)}")
        at_that_time = select(_PROMOTIONS).where(_PROMOTIONS.c.model == model, _PROMOTIONS.c.effective_at == effective_at)
        newest = at_that_time.order_by(_PROMOTIONS.c.ordinal.desc()).limit(1)
        values = {
            "model": model,
            "version": version,
            "run_id": run_id,
            "effective_at": effective_at,
            "recorded_at": pd.Timestamp.now(tz="UTC"),
            "action": action,
            "reason": reason,
            "score": score,
        }
        try:
            return self._append(newest, values)
        except IntegrityError:  # another process was first (PostgreSQL): what it wrote decides whether ours is still news
            return self._append(newest, values)

    def champion_as_of(self, model: str, issue_time: pd.Timestamp | None = None) -> Promotion | None:
        """Who is champion at `issue_time` (None: after everything in the log); None when nobody is.

        Raises:
            UnavailableError: when the database does not answer.
        """
        return next(iter(self.champions_until(model, issue_time)), None)

    def champions_until(self, model: str, issue_time: pd.Timestamp | None = None) -> list[Promotion]:
        """Every line effective at or before `issue_time`, the reigning champion first.

        Raises:
            UnavailableError: when the database does not answer.
        """
        query = select(_PROMOTIONS).where(_PROMOTIONS.c.model == model)
        if issue_time is not None:
            query = query.where(_PROMOTIONS.c.effective_at <= issue_time)
        query = query.order_by(_PROMOTIONS.c.effective_at.desc(), _PROMOTIONS.c.ordinal.desc())
        with self.transaction() as connection:
            return [_promotion(row) for row in connection.execute(query).mappings()]

    def _append(self, newest: Any, values: dict[str, Any]) -> Promotion:
        with self.transaction() as connection:
            last = connection.execute(newest).mappings().first()
            if last is not None and (last["version"], last["run_id"]) == (values["version"], values["run_id"]):
                return _promotion(last)
            ordinal = 0 if last is None else last["ordinal"] + 1
            connection.execute(insert(_PROMOTIONS).values(**values, ordinal=ordinal))
        return Promotion(**values)


def _promotion(row: RowMapping) -> Promotion:
    return Promotion(**{name: row[name] for name in Promotion.__dataclass_fields__})
