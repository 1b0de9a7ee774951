"""One writing call to the cloud, described before it is made."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import pandas as pd

__all__ = ["Action", "Kind", "Verb", "intent_of", "request_id_of"]

Kind = Literal["template", "group", "reservation", "attachment", "disk", "regional-disk", "storage-pool"]
Verb = Literal["create", "resize", "extend", "delete", "scale", "standby", "move", "set-template", "set-bandwidth"]

_AMOUNTS: Final = ("count", "running", "suspended", "stopped", "gib")
_NAMESPACE: Final = uuid.UUID("6f0d8c3e-57a1-5d5e-9a39-0d1f7b6f2c11")


@dataclass(frozen=True)
class Action:
    """A change of one resource.

    Attributes:
        zone: "" when the resource is regional or global.
        wanted: the content that the call sets, in JSON types; part of the request id.
        observed: what was there before.
        description: one sentence for the dry run and the approval page.
        usd_per_hour: change of the bill when it succeeds.
        amount: total asked for at this resource (instances, GiB, Gbit/s); 0 when the action asks for none.
    """

    verb: Verb
    kind: Kind
    region: str
    zone: str
    service: str
    name: str
    description: str
    wanted: dict[str, Any]
    observed: dict[str, Any] = field(default_factory=dict)
    usd_per_hour: float = 0.0
    amount: float = 0.0
    machine_type: str = ""

    @property
    def resource(self) -> str:
        """What a refusal of this action limits."""
        return {"scale": "running", "standby": "standby"}.get(self.verb, self.kind)

    @property
    def held(self) -> float:
        """Total at this resource before the action, in the unit of `amount`."""
        return float(sum(self.observed.get(key) or 0 for key in _AMOUNTS))

    @property
    def searches(self) -> bool:
        """Whether a smaller amount may be asked for when this much is refused."""
        return self.amount > 0 and self.kind != "attachment"

    @property
    def releases(self) -> bool:
        """Whether it asks for fewer machines than there are: no refusal of anything else may stand in its way."""
        if self.kind == "reservation":
            return self.verb == "delete" or (self.verb == "resize" and self.wanted["count"] < self.held)
        return self.verb == "scale" and bool(self.wanted["running"] < self.held)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def intent_of(project: str, issue_time: pd.Timestamp, action: Action) -> str:
    """Identity of what is wanted: the same want of the same issue time has the same id, in any process."""
    parts = [project, action.region, action.zone, action.kind, action.name, action.verb, issue_time.isoformat()]
    return str(uuid.uuid5(_NAMESPACE, "|".join([*parts, json.dumps(action.wanted, sort_keys=True)])))


def request_id_of(intent: str, generation: int) -> str:
    """The `requestId` of the cloud call; `generation` counts how often this intent was finished before."""
    return str(uuid.uuid5(uuid.UUID(intent), str(generation)))
