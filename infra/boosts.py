"""Boosts: a service in trouble weighs more for a limited time, from a limited budget of hours. The ledger keeps who wanted it why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import pandas as pd
from sqlalchemy import insert, select

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.ledger import Ledger
from infra.ledger_tables import boosts

__all__ = ["Boost", "boosts_known", "boosts_of", "grant_boost", "hours_left"]

_WEEK: Final = pd.Timedelta(days=7)
_HOUR: Final = pd.Timedelta(hours=1)


@dataclass(frozen=True)
class Boost:
    """A service whose demand counts more from `start` to before `end`."""

    service: str
    start: pd.Timestamp
    end: pd.Timestamp
    why: str

    def __str__(self) -> str:
        """For people: who, until when, why."""
        return f"{self.service} from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC: {self.why}"


def grant_boost(settings: Settings, ledger: Ledger, wanted: Boost) -> Boost:
    """Record a boost; it counts in every plan made from its start on. Asking for the same one again changes nothing.

    Raises:
        BadInputError: for an unknown service, a length that is not above 0 or holds no full hour, no reason, or more hours in any seven days than
            `policy.boost_hours_per_week`; the message says how many are left.
    """
    if wanted.service not in settings.services:
        raise BadInputError(f"boost: no service {wanted.service!r}; there is: {', '.join(sorted(settings.services))}")
    if wanted.end <= wanted.start:
        raise BadInputError(f"boost of {wanted.service}: {wanted.end - wanted.start} is no time; give a length above 0, for example 2h")
    if wanted.start.ceil("h") >= wanted.end:
        raise BadInputError(f"boost of {wanted.service}: no full hour, when plans are made, lies in {wanted}; give a length of 1h or more")
    if not wanted.why.strip():
        raise BadInputError(f"boost of {wanted.service}: say why, the ledger keeps it")
    if wanted in (known := boosts_known(ledger)):
        return wanted
    budget = settings.policy.boost_hours_per_week
    used = _hours_beside(known, wanted.start) + (wanted.end - wanted.start) / _HOUR
    if used > budget:
        raise BadInputError(
            f"boost of {wanted.service}: {used:g} hours of boosts within seven days, above policy.boost_hours_per_week {budget:g}; "
            f"{hours_left(settings, known, wanted.start):g} are left. Ask for less, or raise the budget"
        )
    with ledger.engine.begin() as connection:
        connection.execute(insert(boosts), [{**asdict(wanted), "recorded_at": pd.Timestamp.now(tz="UTC")}])
    return wanted


def boosts_known(ledger: Ledger) -> list[Boost]:
    """All boosts, oldest first."""
    columns = [boosts.c[name] for name in Boost.__dataclass_fields__]
    with ledger.engine.begin() as connection:
        return [Boost(**row) for row in connection.execute(select(*columns).order_by(boosts.c.start, boosts.c.id)).mappings()]


def boosts_of(ledger: Ledger, issue_time: pd.Timestamp) -> list[Boost]:
    """Those that a plan of this issue time knows: they have begun by then, so that a repetition knows the same, and are not over."""
    return [boost for boost in boosts_known(ledger) if boost.start <= issue_time < boost.end]


def hours_left(settings: Settings, known: Sequence[Boost], start: pd.Timestamp) -> float:
    """The longest boost that may begin at `start`, beside those that are known."""
    return max(settings.policy.boost_hours_per_week - _hours_beside(known, start), 0.0)


def _hours_beside(known: Sequence[Boost], start: pd.Timestamp) -> float:
    """The most hours of boosts, of all services together, that begin within any seven days which `start` lies in."""
    windows = [start, *(boost.start for boost in known if boost.start <= start < boost.start + _WEEK)]
    return max(
        float(sum((boost.end - boost.start) / _HOUR for boost in known if first <= boost.start < first + _WEEK)) for first in windows
    )
