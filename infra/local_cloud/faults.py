"""Faults by request: what a cloud does at its worst, on the requests that a test or a rehearsal names.

`PUT /admin/faults` `{"fault": "stockout", "method": "POST", "path": "/reservations", "times": 2}` strikes the next two requests
of that method whose path contains that text; without `method` and `path` any, without `times` one, with `times` null all of
them until `{"clear": true}`. Faults wait in the order in which they were asked for, and stay over a restart.

| fault | what happens |
|---|---|
| `stockout` | accepted; the operation fails with ZONE_RESOURCE_POOL_EXHAUSTED and changes nothing |
| `quota` | the same with QUOTA_EXCEEDED; `metric` names the quota |
| `failed` | the same with any `code`, INTERNAL_ERROR unless said |
| `slow` | the operation takes `seconds` longer |
| `unavailable` | answered 503 (or `status`) before anything is done |
| `cut` | done and committed; the connection is cut before the answer has arrived |
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final

from infra.local_cloud.call import Call
from infra.local_cloud.capacity import Shortage, quota_shortage, stockout
from infra.local_cloud.errors import ApiError, invalid
from infra.local_cloud.store import Store

__all__ = ["CUT", "Fault", "ask", "refusal", "struck", "take"]

CUT: Final = "cut"
_BROKEN: Final = "unavailable"
_OPERATION: Final = ("stockout", "quota", "failed", "slow")
_DETAILS: Final[dict[str, dict[str, tuple[type, Any]]]] = {
    "stockout": {},
    "quota": {"metric": (str, "CPUS")},
    "failed": {"code": (str, "INTERNAL_ERROR")},
    "slow": {"seconds": (float, 1.0)},
    _BROKEN: {"status": (int, 503)},
    CUT: {},
}


@dataclass(frozen=True)
class Fault:
    """A fault that strikes now; `detail` has what the request for it said beside its kind."""

    kind: str
    detail: dict[str, Any]


def ask(store: Store, body: dict[str, Any]) -> None:
    """Let the fault of `body` wait for its requests, or with `clear` let no fault wait any more.

    Raises:
        ApiError: 400 for a fault that is not in the table above, or a field that it does not have.
    """
    if body.get("clear") is True:
        store.db.execute("DELETE FROM faults")
        return
    kind, times = body.get("fault"), body.get("times", 1)
    if kind not in _DETAILS:
        raise invalid(f"Invalid value for field 'fault': '{kind}'. Must be one of {', '.join(_DETAILS)}.")
    if unknown := sorted(set(body) - {"fault", "times", "method", "path", *_DETAILS[kind]}):
        raise invalid(f"Invalid value for field '{unknown[0]}': the fault '{kind}' has no such field.")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise invalid(f"Invalid value for field 'times': '{times}'. Must be a whole number of at least 1, or null.")
    detail = {name: _value(body, name, *how) for name, how in _DETAILS[kind].items()}
    values = (kind, str(body.get("method", "")), str(body.get("path", "")), times, json.dumps(detail))
    store.db.execute("INSERT INTO faults (kind, method, path, times, detail) VALUES (?, ?, ?, ?, ?)", values)


def take(store: Store, kinds: Collection[str], method: str, path: str) -> Fault | None:
    """The oldest waiting fault of one of `kinds` that this request meets, counted as having struck once; requests of the owner meet none."""
    if path.startswith("/admin/"):
        return None
    for identity, kind, wanted_method, wanted_path, times, detail in store.db.execute("SELECT * FROM faults ORDER BY id").fetchall():
        if kind in kinds and wanted_method in ("", method) and wanted_path in path:
            if times == 1:
                store.db.execute("DELETE FROM faults WHERE id = ?", (identity,))
            elif times is not None:
                store.db.execute("UPDATE faults SET times = times - 1 WHERE id = ?", (identity,))
            return Fault(kind, json.loads(detail))
    return None


def refusal(store: Store, method: str, path: str) -> ApiError | None:
    """The answer to a request that finds the server unavailable; None when it is there."""
    fault = take(store, (_BROKEN,), method, path)
    return None if fault is None else ApiError(fault.detail["status"], "backendError", "The service is currently unavailable.")


def struck(call: Call, method: str, path: str) -> Call:
    """The writing call with what has been asked for its operation: that it fails, or takes longer."""
    fault = take(call.store, _OPERATION, method, path)
    if fault is None:
        return call
    if fault.kind == "slow":
        timing = replace(call.cloud.timing, operation=call.cloud.timing.operation + fault.detail["seconds"])
        return replace(call, cloud=replace(call.cloud, timing=timing))
    return replace(call, forced=_shortage(call, fault))


def _shortage(call: Call, fault: Fault) -> Shortage:
    region = call.region_of(call.scope)
    place = call.scope.partition("/")[2]
    if fault.kind == "stockout":
        zone = (
            place if place in call.cloud.catalog.zones else call.cloud.catalog.regions[region or next(iter(call.cloud.catalog.regions))][0]
        )
        return stockout(zone, "", call.cloud.project)
    if fault.kind == "quota":
        metric = fault.detail["metric"]
        return quota_shortage(region or "global", metric, call.books.limits.quotas.get((region or "", metric), 0.0))
    return Shortage(fault.detail["code"], "The operation failed as it was asked to.", 500, "INTERNAL SERVER ERROR", [], "")


def _value(body: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise invalid(f"Invalid value for field '{name}': '{value}'. Must be of type {kind.__name__}.")
    return value
