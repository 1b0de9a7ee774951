"""Corrections: machines that run for the next minutes, between two plans. The ledger keeps what was decided, for which plan, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

import pandas as pd
from sqlalchemy import and_, delete, func, insert, select

from infra.ledger import Ledger
from infra.ledger_tables import corrections
from infra.targets import MachineTarget, Target

__all__ = ["Correction", "corrections_in_force", "corrections_since", "record_corrections", "with_corrections"]

_TIMES: Final = ("issue_time", "plan_time", "until")


@dataclass(frozen=True)
class Correction:
    """What shall run of a service's machines for the next minutes.

    Attributes:
        issue_time: when it was decided.
        plan_time: issue time of the plan that it corrects.
        until: end of the minutes that were looked at.
        needed: machines that the next minutes need.
        hot, warm: machines that run, and that stand by; together as many as in the plan.
        resumed: how many of `hot` stand by in the plan.
        why: both figures, in words.
    """

    region: str
    service: str
    machine_type: str
    issue_time: pd.Timestamp
    plan_time: pd.Timestamp
    until: pd.Timestamp
    needed: int
    hot: int
    warm: int
    resumed: int
    why: str

    @property
    def unmet(self) -> int:
        """Machines that are needed and neither run nor stand by for it."""
        return max(self.needed - self.hot, 0)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, times in ISO 8601."""
        return {name: value.isoformat() if name in _TIMES else value for name, value in asdict(self).items()}

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """What `as_dict` gave."""
        values: dict[str, Any] = {name: pd.Timestamp(value) if name in _TIMES else value for name, value in row.items()}
        return cls(**values)


def record_corrections(ledger: Ledger, rows: Sequence[Correction]) -> None:
    """Keep what was decided; deciding the same moment again replaces it."""
    if not rows:
        return
    now = pd.Timestamp.now(tz="UTC")
    same = [getattr(corrections.c, name) == getattr(rows[0], name) for name in ("region", "issue_time")]
    with ledger.engine.begin() as connection:
        connection.execute(delete(corrections).where(*same))
        connection.execute(insert(corrections), [{**asdict(row), "recorded_at": now} for row in rows])


def corrections_in_force(ledger: Ledger, region: str, *, at: pd.Timestamp) -> list[Correction]:
    """The newest of every service and machine type, where it looked beyond `at`.

    A plan that waited for an approval finds those that were made since its issue time, and keeps running what they let run.
    """
    newest = (
        select(corrections.c.service, corrections.c.machine_type, func.max(corrections.c.issue_time).label("issue_time"))
        .where(corrections.c.region == region)
        .group_by(corrections.c.service, corrections.c.machine_type)
        .subquery()
    )
    same = and_(*(corrections.c[name] == newest.c[name] for name in ("service", "machine_type", "issue_time")))
    query = select(corrections).join(newest, same).where(corrections.c.region == region, corrections.c.until > at)
    return _read(ledger, query)


def corrections_since(ledger: Ledger, region: str, *, start: pd.Timestamp, end: pd.Timestamp) -> list[Correction]:
    """Those decided after `start` and before `end`, oldest first."""
    decided = (corrections.c.issue_time > start, corrections.c.issue_time < end)
    return _read(ledger, select(corrections).where(corrections.c.region == region, *decided).order_by(corrections.c.issue_time))


def with_corrections(targets: Sequence[Target], rows: Sequence[Correction]) -> list[Target]:
    """The targets, told what shall run now: what is needed, where that is less than hot, for all that is hot may not be there."""
    run = {(row.service, row.machine_type): row.hot if row.resumed else min(row.needed, row.hot) for row in rows}
    return [
        replace(target, run_now=run.get((target.service, target.machine_type), 0)) if isinstance(target, MachineTarget) else target
        for target in targets
    ]


def _read(ledger: Ledger, query: object) -> list[Correction]:
    with ledger.engine.begin() as connection:
        rows = connection.execute(query).mappings().all()  # type: ignore[call-overload]
    return [Correction(**{name: row[name] for name in Correction.__dataclass_fields__}) for row in rows]
