"""What corrections of the last week did between the plans: when standby machines ran, why, what failed, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from headroom.holdings import database_exists
from headroom.home import Home
from headroom.settings import Settings

__all__ = ["MACHINES", "Corrected", "Spell", "corrected_until", "spells_of"]

# What tells the machines of one correction from those of another.
MACHINES: Final = ["region", "service", "machine_type"]
_WEEK: Final = pd.Timedelta("7D")
_DAY: Final = pd.Timedelta("1D")
# Corrections this far apart belong together: one may be missed, and the first after a plan comes a step later.
_BREAK: Final = pd.Timedelta("15min")


@dataclass(frozen=True)
class Spell:
    """A time without a break in which more of a service's machines should run than the plan holds hot.

    Attributes:
        start, end: the first correction, and what put an end to it; with `ended` false it has not been ended yet.
        planned, standby: hot and warm machines of the plan that was corrected.
        needed, ran, why: of the correction that needed most; `ran` is None when no reconciliation was finished.
        missing: the most that should have run and did not; `refused` is what the cloud said.
        unmet: the most that was needed beyond hot and warm.
        machine_hours, usd: beyond the plan.
    """

    region: str
    service: str
    machine_type: str
    start: pd.Timestamp
    end: pd.Timestamp
    ended: bool
    planned: int
    standby: int
    needed: int
    ran: int | None
    why: str
    missing: int
    refused: str
    unmet: int
    machine_hours: float
    usd: float

    @property
    def failures(self) -> tuple[str, ...]:
        """What was wanted and did not happen, in words."""
        told = []
        if self.ran is None:
            told.append("no reconciliation was finished")
        if self.missing:
            told.append(f"{self.missing} did not run" + (f": {self.refused}" if self.refused else ""))
        if self.unmet:
            told.append(f"{self.unmet} fewer could run than were needed")
        return tuple(told)


@dataclass(frozen=True)
class Corrected:
    """The spells of the window, the newest first, and what they were made of.

    Attributes:
        rows: `infra.correction_history.correction_history`.
        held: `infra.correction_history.machines_confirmed` of the last day.
        until: end of that day.
    """

    spells: tuple[Spell, ...]
    rows: pd.DataFrame
    held: pd.DataFrame
    until: pd.Timestamp

    @property
    def machine_hours(self) -> float:
        return sum(spell.machine_hours for spell in self.spells)

    @property
    def usd(self) -> float:
        return sum(spell.usd for spell in self.spells)

    @property
    def short(self) -> int:
        """Spells in which something was wanted and did not happen."""
        return sum(bool(spell.failures) for spell in self.spells)


def corrected_until(settings: Settings, home: Home, issued: pd.Timestamp, *, issue_time: pd.Timestamp | None = None) -> Corrected | None:
    """The seven days before `issued` and what came after it; None where `policy.correction` is not set.

    Args:
        issue_time: nothing later is told; None for all that the ledger knows.
    """
    if settings.policy.correction is None or not database_exists(home):
        return None
    from infra.correction_history import correction_history, machines_confirmed
    from infra.ledger import Ledger

    ledger = Ledger.open(home.database_url)
    rows = correction_history(ledger, settings, start=issued - _WEEK, end=issue_time)
    until = issue_time or max([issued, *rows["ends"]])
    return Corrected(spells_of(rows), rows, machines_confirmed(ledger, start=until - _DAY, end=until), until)


def spells_of(rows: pd.DataFrame) -> tuple[Spell, ...]:
    """The spells of a correction history, those that began last first."""
    spells = [_spell(part) for _, machines in rows.groupby(MACHINES) for part in _without_break(machines)]
    return tuple(sorted(spells, key=lambda spell: (spell.start, spell.region, spell.service, spell.machine_type), reverse=True))


def _without_break(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows in which something should run beyond the plan; one in which nothing should, or a missing one, parts them."""
    ordered = rows.sort_values("issue_time")
    active = (ordered["resumed"] > 0) | (ordered["needed"] > ordered["hot"])
    breaks = ~active | (ordered["issue_time"] - ordered["ends"].shift() > _BREAK)
    return [part for _, part in ordered[active].groupby(breaks.cumsum()[active])]


def _spell(rows: pd.DataFrame) -> Spell:
    (most,) = rows.iloc[[int(rows["needed"].to_numpy().argmax())]].to_dict("records")
    said = [part for told in rows.loc[rows["missing"] > 0, "refused"] for part in str(told).split(", ") if part]
    return Spell(
        region=str(most["region"]),
        service=str(most["service"]),
        machine_type=str(most["machine_type"]),
        start=rows["issue_time"].iloc[0],
        end=rows["ends"].iloc[-1],
        ended=bool(rows["ended"].iloc[-1]),
        planned=int(most["planned"]),
        standby=int(most["standby"]),
        needed=int(most["needed"]),
        ran=None if pd.isna(most["ran"]) else int(most["ran"]),
        why=str(most["why"]),
        missing=int(rows["missing"].max()),
        refused=", ".join(dict.fromkeys(said)),
        unmet=int((rows["needed"] - rows["hot"]).clip(lower=0).max()),
        machine_hours=float(rows["machine_hours"].sum()),
        usd=float(rows["usd"].sum()),
    )
