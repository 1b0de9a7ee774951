"""Operations: every write answers with one, and its state follows the clock.

An operation's outcome is decided when the request is accepted and shows when it is DONE. A capacity quota that is passed
and a stockout are failed operations (`error.errors[].code`, `httpErrorStatusCode` 403 and 503); a quota on the *number* of
resources is refused at once with HTTP 403.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from infra.local_cloud.call import Call, stamp
from infra.local_cloud.capacity import Shortage
from infra.local_cloud.errors import ApiError, invalid, not_found
from infra.local_cloud.fields import Body
from infra.local_cloud.store import Store

__all__ = ["check_request_id", "find", "is_done", "note", "ops_of_scope", "replayed", "start"]

_COLUMNS = "id, name, scope, type, target, target_id, request_id, inserted, starts, ends, failure"


def check_request_id(request_id: str | None) -> str | None:
    """The id in one spelling.

    Raises:
        ApiError: 400 when it is not a UUID, or the zero UUID.
    """
    if request_id is None:
        return None
    try:
        parsed = uuid.UUID(request_id)
    except ValueError:
        parsed = uuid.UUID(int=0)
    if parsed.int == 0 or len(request_id) != len(str(parsed)):
        raise invalid(f"Invalid value for field 'requestId': '{request_id}'. Must be a valid, non-zero UUID.")
    return str(parsed)


def replayed(call: Call) -> Body | None:
    """The operation that this request already started; None for a new request.

    Raises:
        ApiError: 409 when the id was used by a different request.
    """
    if call.request_id is None:
        return None
    found = call.store.db.execute("SELECT fingerprint, operation FROM requests WHERE id = ?", (call.request_id,)).fetchone()
    if found is None:
        return None
    if found[0] != call.fingerprint:
        raise ApiError(409, "conflict", f"The requestId '{call.request_id}' was already used by a different request.")
    return _view(call, _one(call, "name = ?", found[1]))


def start(call: Call, kind: str, target: str, target_id: int, *, shortage: Shortage | None = None) -> Body:
    """A new operation on `target` (`<scope>/<collection>/<name>`) that fails in the end when there is a shortage."""
    timing, identity = call.cloud.timing, call.store.next_id()
    starts = call.now + timing.pending
    failure = shortage and {"errors": shortage.errors(), "status": shortage.http_status, "message": shortage.http_message}
    name = _name(call.now, identity)
    values = (identity, name, call.scope, kind, target, target_id, call.request_id, call.now, starts, starts + timing.operation)
    call.store.db.execute(
        "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, json.dumps(failure) if failure else None)
    )
    if call.request_id is not None:
        call.store.db.execute("INSERT INTO requests VALUES (?, ?, ?)", (call.request_id, call.fingerprint, name))
    return _view(call, _one(call, "name = ?", name))


def note(store: Store, kind: str, scope: str, target: str, target_id: int) -> None:
    """An operation that nobody asked for and that is over, such as a preemption."""
    now, identity = store.now(), store.next_id()
    values = (identity, _name(now, identity), scope, kind, target, target_id, None, now, now, now, None)
    store.db.execute("INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def find(call: Call, name: str) -> Body:
    """The operation as it is now; 404 when the scope has none of that name."""
    rows = call.store.db.execute(f"SELECT {_COLUMNS} FROM operations WHERE scope = ? AND name = ?", (call.scope, name))  # noqa: S608
    row = rows.fetchone()
    if row is None:
        raise not_found(call.path(f"{call.scope}/operations/{name}"))
    return _view(call, row)


def is_done(operation: Body) -> bool:
    return bool(operation["status"] == "DONE")


def ops_of_scope(call: Call) -> list[Body]:
    """Every operation of the scope, oldest first."""
    rows = call.store.db.execute(f"SELECT {_COLUMNS} FROM operations WHERE scope = ? ORDER BY id", (call.scope,))  # noqa: S608
    return [_view(call, row) for row in rows]


def _one(call: Call, where: str, value: str) -> tuple[Any, ...]:
    return tuple(call.store.db.execute(f"SELECT {_COLUMNS} FROM operations WHERE {where}", (value,)).fetchone())  # noqa: S608


def _name(now: float, identity: int) -> str:
    digits = hashlib.sha256(str(identity).encode()).hexdigest()
    return f"operation-{int(now * 1000)}-{digits[:13]}-{digits[13:21]}-{digits[21:29]}"


def _view(call: Call, row: tuple[Any, ...]) -> Body:
    identity, name, scope, kind, target, target_id, request_id, inserted, starts, ends, failure = row
    status = "DONE" if call.now >= ends else "RUNNING" if call.now >= starts else "PENDING"
    body: Body = {
        "kind": "compute#operation",
        "id": str(identity),
        "name": name,
        "operationType": kind,
        "targetLink": call.url(target),
        "targetId": str(target_id),
        "status": status,
        "user": "headroom@localhost",
        "progress": 100 if status == "DONE" else 0,
        "insertTime": stamp(inserted),
        "selfLink": call.url(f"{scope}/operations/{name}"),
        **call.location(scope),
        **({"clientOperationId": request_id} if request_id else {}),
    }
    if status != "PENDING":
        body["startTime"] = stamp(starts)
    if status == "DONE":
        body["endTime"] = stamp(ends)
        if failure:
            parsed = json.loads(failure)
            body["error"] = {"errors": parsed["errors"]}
            body["httpErrorStatusCode"] = parsed["status"]
            body["httpErrorMessage"] = parsed["message"]
    return body
