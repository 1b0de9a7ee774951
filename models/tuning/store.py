"""The tuning log: every choice of parameters with its context, and its reward once that is known; the tuner's only state.

One row per segment and issue time, in `Home.database_url` beside the promotion log. The first choice that is written stays, and so does
the first reward: a retry or a backfill finds them and changes nothing. What the bandit believes at an issue time is computed from the
rewards learnt before it, so there is no other state that a crash could tear or a backfill could see too much of.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from sqlalchemy import (
    Boolean,
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
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from headroom.sql_engine import UtcTime
from models.sql_log import SqlLog, create_missing
from models.tuning.arms import Tuning

__all__ = ["Choice", "TuningLog", "create_tables"]

_METADATA = MetaData()
_CHOICES = Table(
    "tuning_choices",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("segment", String(255), nullable=False),
    Column("issue_time", UtcTime, nullable=False, index=True),
    Column("arm", String(64), nullable=False),
    Column("tuning", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("frozen", Boolean, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    # Known once the horizon has been measured: loss over the reference's, hours that it rests on, reward, and the run that learnt it.
    Column("ratio", Float, nullable=True),
    Column("hours", Integer, nullable=True),
    Column("reward", Float, nullable=True),
    Column("learnt_at", UtcTime, nullable=True, index=True),
    Column("learns", Boolean, nullable=True),
    UniqueConstraint("segment", "issue_time", name="tuning_choices_key"),
)


@dataclass(frozen=True)
class Choice:
    """The parameters of one segment's forecasts at one issue time.

    Attributes:
        arm: name of the preset.
        tuning: its values when it was chosen.
        context: features of the segment that the choice looked at.
        reason: what the bandit expected, for people.
        frozen: chosen while the tuner was frozen.
    """

    segment: str
    issue_time: pd.Timestamp
    arm: str
    tuning: Tuning
    context: dict[str, float]
    reason: str
    frozen: bool


def create_tables(engine: Engine) -> None:
    """Create the table when it does not exist; safe to repeat and to race."""
    create_missing(engine, _METADATA)


class TuningLog(SqlLog):
    """The log of one database; every method raises `UnavailableError` when that does not answer."""

    name = "tuning log"
    tables = _METADATA

    def choices(self, issue_time: pd.Timestamp) -> dict[str, Choice]:
        """Segment -> choice of the issue time."""
        query = select(_CHOICES).where(_CHOICES.c.issue_time == issue_time).order_by(_CHOICES.c.segment)
        with self.transaction() as connection:
            return {row["segment"]: _choice(row) for row in connection.execute(query).mappings()}

    def add(self, choices: Sequence[Choice]) -> None:
        """Write the choices (all of one issue time) whose segment has none yet."""
        if not choices:
            return
        try:
            self._add(choices)
        except IntegrityError:  # another process was first (PostgreSQL): what it wrote stays
            self._add(choices)

    def unrewarded(self, until: pd.Timestamp) -> pd.DataFrame:
        """`segment, issue_time` of choices without a reward that were made at or before `until`."""
        query = select(_CHOICES.c.segment, _CHOICES.c.issue_time).where(_CHOICES.c.learnt_at.is_(None), _CHOICES.c.issue_time <= until)
        with self.transaction() as connection:
            rows = connection.execute(query.order_by(_CHOICES.c.issue_time, _CHOICES.c.segment)).all()
        return _frame(rows, ["segment", "issue_time"])

    def reward(self, rewards: pd.DataFrame, *, learnt_at: pd.Timestamp, learns: bool) -> int:
        """Write rewards (`segment, issue_time, ratio, hours, reward`) of choices that have none yet.

        Args:
            learnt_at: issue time of the run that learnt them; they count for issue times after it.
            learns: False writes them down without the bandit ever learning from them.

        Returns:
            Rewards learnt by this issue time's run, those of an earlier try included.
        """
        change = (
            update(_CHOICES)
            .where(
                _CHOICES.c.segment == bindparam("of_segment"),
                _CHOICES.c.issue_time == bindparam("of_issue_time"),
                _CHOICES.c.learnt_at.is_(None),
            )
            .values(
                ratio=bindparam("new_ratio"),
                hours=bindparam("new_hours"),
                reward=bindparam("new_reward"),
                learnt_at=learnt_at,
                learns=learns,
            )
        )
        values = [
            {
                "of_segment": str(row["segment"]),
                "of_issue_time": row["issue_time"],
                "new_ratio": float(row["ratio"]) if row["ratio"] < float("inf") else None,
                "new_hours": int(row["hours"]),
                "new_reward": float(row["reward"]),
            }
            for row in rewards.to_dict("records")
        ]
        count = select(func.count()).where(_CHOICES.c.learnt_at == learnt_at)
        with self.transaction() as connection:
            if values:
                connection.execute(change, values)
            return int(connection.execute(count).scalar_one())

    def learnt_before(self, issue_time: pd.Timestamp, memory: pd.Timedelta) -> pd.DataFrame:
        """Rewards that runs before `issue_time` learnt, of choices not older than `memory` before the newest of them.

        Returns:
            `segment, issue_time, arm, context, reward`, `context` a dict; by issue time, then segment.
        """
        known = [_CHOICES.c.learnt_at < issue_time, _CHOICES.c.learns.is_(True)]
        columns = [_CHOICES.c[name] for name in ("segment", "issue_time", "arm", "context", "reward")]
        with self.transaction() as connection:
            newest = connection.execute(select(func.max(_CHOICES.c.issue_time)).where(*known)).scalar_one()
            if newest is not None:
                known.append(_CHOICES.c.issue_time >= newest - memory)
            query = select(*columns).where(*known)
            rows = connection.execute(query.order_by(_CHOICES.c.issue_time, _CHOICES.c.segment)).all()
        frame = _frame(rows, [column.name for column in columns])
        return frame.assign(context=[json.loads(text) for text in frame["context"]])

    def history(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """Every column of the choices of issue times in [start, end), for reports; by issue time, then segment."""
        query = select(_CHOICES).where(_CHOICES.c.issue_time >= start, _CHOICES.c.issue_time < end)
        with self.transaction() as connection:
            rows = connection.execute(query.order_by(_CHOICES.c.issue_time, _CHOICES.c.segment)).all()
        return _frame(rows, list(_CHOICES.columns.keys())).drop(columns="id")

    def _add(self, choices: Sequence[Choice]) -> None:
        there = select(_CHOICES.c.segment).where(_CHOICES.c.issue_time == choices[0].issue_time)
        now = pd.Timestamp.now(tz="UTC")
        with self.transaction() as connection:
            taken = set(connection.execute(there).scalars())
            rows = [{**_values(choice), "recorded_at": now} for choice in choices if choice.segment not in taken]
            if rows:
                connection.execute(insert(_CHOICES), rows)


def _frame(rows: Sequence[Any], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame([tuple(row) for row in rows], columns=columns)
    times = [name for name in ("issue_time", "learnt_at", "recorded_at") if name in columns]
    return frame.assign(**{name: pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]") for name in times})


def _values(choice: Choice) -> dict[str, Any]:
    return {
        "segment": choice.segment,
        "issue_time": choice.issue_time,
        "arm": choice.arm,
        "tuning": json.dumps(asdict(choice.tuning), sort_keys=True),
        "context": json.dumps(choice.context, sort_keys=True),
        "reason": choice.reason,
        "frozen": choice.frozen,
    }


def _choice(row: RowMapping) -> Choice:
    return Choice(
        segment=row["segment"],
        issue_time=row["issue_time"],
        arm=row["arm"],
        tuning=Tuning(**json.loads(row["tuning"])),
        context=json.loads(row["context"]),
        reason=row["reason"],
        frozen=row["frozen"],
    )
