"""The ledger: what was asked of the cloud, and what it answered.

A row is written before its call (`plan`), gets the operation's name after it (`sent`), and ends as `done`, `failed` or
`abandoned`. So whoever starts after a crash knows every call that may be under way. Nothing acts without a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pandas as pd
from sqlalchemy import Connection, Engine, RowMapping, Select, delete, func, insert, select, update
from sqlalchemy.exc import OperationalError

from headroom.errors import UnavailableError
from headroom.sql_engine import open_engine
from infra.actions import Action, intent_of, request_id_of
from infra.ledger_rows import Entry, Fact, Holding, Refusal, Unmet
from infra.ledger_tables import actions, create_tables, facts, held_history, holdings, results, unmet

__all__ = ["Ledger"]

_UNFINISHED: Final = ("planned", "sent")


@dataclass(frozen=True)
class Ledger:
    """The ledger of one database."""

    engine: Engine

    @classmethod
    def open(cls, url: str) -> Ledger:
        """Open a database, creating the tables when they are missing.

        Raises:
            UnavailableError: when the database does not answer, or its folder is not there.
        """
        engine = open_engine(url)
        try:
            create_tables(engine)
        except OperationalError as error:
            shown = engine.url.render_as_string(hide_password=True)
            raise UnavailableError(
                f"ledger {shown}: {error.orig}; check HEADROOM_HOME and HEADROOM_DATABASE_URL, or make it by headroom up"
            ) from error
        return cls(engine)

    def plan(self, project: str, issue_time: pd.Timestamp, action: Action) -> Entry:
        """The row of this action, to be written before its call.

        An unfinished row of the same intent is returned as it is: the call is then a retry with the same request id.
        """
        intent = intent_of(project, issue_time, action)
        with self.engine.begin() as connection:
            rows = connection.execute(select(actions).where(actions.c.intent == intent).order_by(actions.c.id)).mappings().all()
            unfinished = [row for row in rows if row["state"] in _UNFINISHED]
            if unfinished:
                return _entry(unfinished[-1])
            values = {
                **asdict(action),
                "issue_time": issue_time,
                "intent": intent,
                "request_id": request_id_of(intent, len(rows)),
                "state": "planned",
                **_stamps(created=True),
            }
            key = connection.execute(insert(actions).values(**values)).inserted_primary_key
            return _one(connection, int(key[0]) if key else 0)

    def sent(self, entry: Entry, operation: str) -> Entry:
        """The cloud accepted the call as this operation."""
        return self._move(entry, state="sent", operation=operation)

    def done(self, entry: Entry) -> Entry:
        return self._move(entry, state="done")

    def failed(self, entry: Entry, code: str, message: str, fact: Fact | None = None) -> Entry:
        """The cloud refused; the fact that follows is recorded in the same transaction."""
        with self.engine.begin() as connection:
            if fact is not None:
                _record_fact(connection, entry.issue_time, fact)
            return _update(connection, entry, state="failed", code=code, message=message)

    def abandon(self, entry: Entry, reason: str) -> Entry:
        """The call was never made or needless, or is overtaken by what was seen since."""
        return self._move(entry, state="abandoned", message=reason)

    def record_fact(self, issue_time: pd.Timestamp, fact: Fact) -> None:
        with self.engine.begin() as connection:
            _record_fact(connection, issue_time, fact)

    def record_result(
        self,
        region: str,
        issue_time: pd.Timestamp,
        held: Sequence[Holding],
        missing: Sequence[Unmet],
        *,
        since: Sequence[pd.Timestamp] | None = None,
    ) -> None:
        """Replace what is held in a region, and what an issue time left unmet there; what it held is kept for the bill.

        Args:
            since: moments from which on the bill counts it; default the issue time. A correction counts from its own moment on, not from that of
                the plan that it corrects.
        """
        now = pd.Timestamp.now(tz="UTC")
        where = {"region": region, "issue_time": issue_time}
        moments = sorted({issue_time} if since is None else set(since))
        with self.engine.begin() as connection:
            connection.execute(delete(holdings).where(holdings.c.region == region))
            connection.execute(delete(unmet).where(unmet.c.region == region, unmet.c.issue_time == issue_time))
            for table in (results, held_history):
                connection.execute(delete(table).where(table.c.region == region, table.c.issue_time.in_(moments)))
            connection.execute(insert(results), [{"region": region, "issue_time": at, "confirmed_at": now} for at in moments])
            if held:
                kept = [{**asdict(row), "region": region, "issue_time": at} for at in moments for row in held]
                connection.execute(insert(held_history), kept)
                connection.execute(insert(holdings), [{**asdict(row), **where, "confirmed_at": now} for row in held])
            if missing:
                connection.execute(insert(unmet), [{**asdict(row), **where, "recorded_at": now} for row in missing])

    def unfinished(self, region: str) -> list[Entry]:
        """Rows whose call may be under way, oldest first."""
        return self._entries(select(actions).where(actions.c.region == region, actions.c.state.in_(_UNFINISHED)).order_by(actions.c.id))

    def recent(self, region: str | None = None, *, issue_time: pd.Timestamp | None = None, limit: int = 100) -> list[Entry]:
        """The newest rows first, of one region or all, of one issue time or all."""
        query = select(actions).order_by(actions.c.id.desc()).limit(limit)
        if region is not None:
            query = query.where(actions.c.region == region)
        if issue_time is not None:
            query = query.where(actions.c.issue_time == issue_time)
        return self._entries(query)

    def newest_issue_time(self, region: str | None = None, *, until: pd.Timestamp | None = None) -> pd.Timestamp | None:
        """The newest issue time of a plan that was acted upon, in one region or anywhere, up to `until`; None when none was."""
        found = []
        with self.engine.begin() as connection:
            for table in (actions, holdings, unmet):
                query = select(func.max(table.c.issue_time))
                query = query if until is None else query.where(table.c.issue_time <= until)
                found.append(connection.execute(query if region is None else query.where(table.c.region == region)).scalar())
        return max((stamp for stamp in found if stamp is not None), default=None)

    def newest_confirmed(self, region: str) -> pd.Timestamp | None:
        """The newest moment, of a plan or a correction, whose reconciliation of a region was finished; None when none was."""
        with self.engine.begin() as connection:
            found: pd.Timestamp | None = connection.execute(
                select(func.max(results.c.issue_time)).where(results.c.region == region)
            ).scalar()
        return found

    def held(self, region: str | None = None) -> pd.DataFrame:
        """What the last reconciliation of each region confirmed: the columns of `Holding`, `region`, `issue_time`, `confirmed_at`."""
        return self._frame(select(holdings).order_by(holdings.c.region, holdings.c.service, holdings.c.id), holdings.c.region, region)

    def unmet(self, region: str | None = None, *, issue_time: pd.Timestamp | None = None) -> pd.DataFrame:
        """What could not be had: the columns of `Unmet`, `region`, `issue_time`, `recorded_at`."""
        query = select(unmet).order_by(unmet.c.issue_time, unmet.c.id)
        if issue_time is not None:
            query = query.where(unmet.c.issue_time == issue_time)
        return self._frame(query, unmet.c.region, region)

    def facts(self, region: str, issue_time: pd.Timestamp) -> list[Fact]:
        """What the cloud refused at an issue time."""
        query = select(facts).where(facts.c.region == region, facts.c.issue_time == issue_time).order_by(facts.c.id)
        with self.engine.begin() as connection:
            return [_fact(row) for row in connection.execute(query).mappings()]

    def refusals(self, region: str, *, start: pd.Timestamp, end: pd.Timestamp) -> list[Refusal]:
        """The refusals of the issue times from `start` and before `end` whose reconciliation was finished, oldest first."""
        columns = [facts.c[name] for name in Refusal.__dataclass_fields__]
        finished = select(results.c.issue_time).where(results.c.region == region)
        query = select(*columns).where(facts.c.region == region, facts.c.issue_time >= start, facts.c.issue_time < end)
        query = query.where(facts.c.issue_time.in_(finished))
        with self.engine.begin() as connection:
            return [Refusal(**row) for row in connection.execute(query.order_by(facts.c.issue_time, facts.c.id)).mappings()]

    def _move(self, entry: Entry, **values: object) -> Entry:
        with self.engine.begin() as connection:
            return _update(connection, entry, **values)

    def _entries(self, query: Select[Any]) -> list[Entry]:
        with self.engine.begin() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    def _frame(self, query: Select[Any], column: Any, region: str | None) -> pd.DataFrame:
        if region is not None:
            query = query.where(column == region)
        with self.engine.begin() as connection:
            result = connection.execute(query)
            return pd.DataFrame(result.all(), columns=list(result.keys())).drop(columns="id")


def _stamps(*, created: bool) -> dict[str, pd.Timestamp]:
    now = pd.Timestamp.now(tz="UTC")
    return {"created_at": now, "updated_at": now} if created else {"updated_at": now}


def _update(connection: Connection, entry: Entry, **values: object) -> Entry:
    connection.execute(update(actions).where(actions.c.id == entry.id).values(**values, **_stamps(created=False)))
    return _one(connection, entry.id)


def _one(connection: Connection, key: int) -> Entry:
    return _entry(connection.execute(select(actions).where(actions.c.id == key)).mappings().one())


def _record_fact(connection: Connection, issue_time: pd.Timestamp, fact: Fact) -> None:
    """Insert, or keep the smallest refused total and the newest of the rest."""
    key = {"issue_time": issue_time, "region": fact.region, "zone": fact.zone, "name": fact.name, "resource": fact.resource}
    same = [facts.c[column] == value for column, value in key.items()]
    known = connection.execute(select(func.min(facts.c.asked)).where(*same)).scalar()
    values: dict[str, Any] = {**asdict(fact), **key, "recorded_at": pd.Timestamp.now(tz="UTC")}
    if known is None:
        connection.execute(insert(facts).values(**values))
    else:
        connection.execute(update(facts).where(*same).values(**{**values, "asked": min(fact.asked, known)}))


def _entry(row: RowMapping) -> Entry:
    action = Action(**{k: row[k] for k in Action.__dataclass_fields__})
    rest = {k: row[k] for k in ("id", "issue_time", "request_id", "operation", "state", "code", "message")}
    return Entry(action=action, **rest)


def _fact(row: RowMapping) -> Fact:
    return Fact(**{k: row[k] for k in Fact.__dataclass_fields__})
