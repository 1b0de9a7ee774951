"""What earlier refusals say about where machines are scarce: a memory per zone and machine type that fades.

A pure function of the ledger's facts and the issue time. Only facts of earlier reconciliations that were finished count: a run
that is killed and taken up again asks the zones in the order in which it began, whether the same plan is run again or the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pandas as pd

from headroom.settings import Settings
from infra.ledger import Ledger
from infra.ledger_rows import Refusal
from infra.refusals import is_stockout
from infra.targets import MachineTarget, Target

__all__ = ["asking_order", "scarce_types", "scarcity", "with_memory"]

# Half of a refusal is forgotten after so long; once nine tenths are, the zone is as good as any.
_HALF_LIFE: Final = pd.Timedelta("6h")
_FORGOTTEN: Final = 0.1
# A refusal that is older than this is forgotten whatever came with it: 2 ** (-48 / 6) is 0.004.
_LONGEST: Final = pd.Timedelta("48h")


def with_memory(targets: Sequence[Target], ledger: Ledger, *, region: str, issue_time: pd.Timestamp) -> list[Target]:
    """The targets, with more machines asked for first where the last two days saw no stockout of their type."""
    known = scarcity(ledger.refusals(region, start=issue_time - _LONGEST, end=issue_time), issue_time=issue_time)
    return [
        replace(target, order=asking_order(target.zones, target.machine_type, known)) if isinstance(target, MachineTarget) else target
        for target in targets
    ]


def scarcity(refusals: Sequence[Refusal], *, issue_time: pd.Timestamp) -> dict[tuple[str, str], float]:
    """`(zone, machine type)` -> the sum of `2 ** (-age / 6 h)` over the issue times at which the zone had no stock of the type.

    Refusals for lack of quota do not count, for a quota is the region's; nor do those at or after `issue_time`.
    """
    times = defaultdict(set)
    for refusal in refusals:
        if refusal.zone and is_stockout(refusal.code) and refusal.issue_time < issue_time:
            times[refusal.zone, refusal.machine_type].add(refusal.issue_time)
    return {key: sum(0.5 ** ((issue_time - stamp) / _HALF_LIFE) for stamp in stamps) for key, stamps in times.items()}


def scarce_types(settings: Settings, ledger: Ledger, *, issue_time: pd.Timestamp) -> dict[tuple[str, str], float]:
    """`(region, machine type)` -> share of the region's zones that had no stock of it lately, each by how much of that is remembered.

    What is forgotten (`asking_order`) is left out, and so is what reconciliations of the issue time or later met: a plan that is made again is
    the same.
    """
    found = {}
    for region, asked in settings.regions.items():
        known = scarcity(ledger.refusals(region, start=issue_time - _LONGEST, end=issue_time), issue_time=issue_time)
        for machine_type in {name for zone, name in known if zone in asked.zones}:
            remembered = [_remembered(known, zone, machine_type) for zone in asked.zones]
            if any(remembered):
                found[region, machine_type] = sum(min(weight, 1.0) for weight in remembered) / len(asked.zones)
    return found


def asking_order(zones: Sequence[str], machine_type: str, known: Mapping[tuple[str, str], float]) -> tuple[str, ...]:
    """`zones` with those last that refused most and most lately; the order of preference among equals."""
    return tuple(sorted(zones, key=lambda zone: _remembered(known, zone, machine_type)))


def _remembered(known: Mapping[tuple[str, str], float], zone: str, machine_type: str) -> float:
    found = known.get((zone, machine_type), 0.0)
    return found if found >= _FORGOTTEN else 0.0
