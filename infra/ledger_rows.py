"""What the ledger keeps, as values: calls, refusals, what is missing and what is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from infra.actions import Action

__all__ = ["Entry", "Fact", "Holding", "Refusal", "Unmet"]


@dataclass(frozen=True)
class Entry:
    """One row of the ledger."""

    id: int
    issue_time: pd.Timestamp
    action: Action
    request_id: str
    operation: str
    state: str
    code: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, flat."""
        own = {"issue_time": self.issue_time.isoformat(), "request_id": self.request_id, "operation": self.operation}
        return {**self.action.as_dict(), **own, "state": self.state, "code": self.code, "message": self.message}


@dataclass(frozen=True)
class Fact:
    """Something the cloud refused or lacks, learnt at an issue time.

    Attributes:
        resource: what is limited: reservation, running, standby, attachment, disk, ...
        asked: smallest total that was refused (instances, GiB, Gbit/s).
        got: total held there.
        hint: total that should fit, computed from the remaining quota; None when nothing is known.
    """

    region: str
    zone: str
    service: str
    name: str
    resource: str
    code: str
    message: str
    asked: float = 0.0
    got: float = 0.0
    machine_type: str = ""
    hint: float | None = None


@dataclass(frozen=True)
class Refusal:
    """When and where the cloud refused what."""

    issue_time: pd.Timestamp
    zone: str
    machine_type: str
    code: str


@dataclass(frozen=True)
class Unmet:
    """Capacity that was wanted and is not held; machines of other types that carry the same count as held."""

    service: str
    resource: str
    pool: str
    unit: str
    wanted: float
    held: float
    reason: str
    machine_type: str = ""


@dataclass(frozen=True)
class Holding:
    """Capacity that was seen in the cloud."""

    zone: str
    service: str
    resource: str
    pool: str
    name: str
    amount: float
    unit: str
    usd_per_hour: float
    machine_type: str = ""
