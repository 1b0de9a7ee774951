"""Operations: waiting for one, finding one again, and what it says about its failure.

The library's own poller asks Google whatever the endpoint is, and its `wait` never raises for a failed operation, so
this waits by itself and reads the error itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from headroom.errors import CloudRefusedError, UnavailableError
from infra.cloud.connection import Connection
from infra.cloud.states import last_part

__all__ = ["Operation", "find_operation", "get_operation", "read_operation", "wait_for"]

# The server holds a `wait` call for up to two minutes; the HTTP call must outlast it.
_WAIT_CALL_SECONDS: Final = 150.0
_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0


@dataclass(frozen=True)
class Operation:
    """A change that the cloud accepted. `zone` is "" for regional and global ones, `region` for global ones."""

    name: str
    region: str
    zone: str
    done: bool
    code: str = ""
    message: str = ""

    def check(self) -> None:
        """Raise what went wrong.

        Raises:
            CloudRefusedError: with the operation's first error code, for example QUOTA_EXCEEDED.
        """
        if self.code:
            raise CloudRefusedError(self.code, self.message)


def read_operation(message: Any) -> Operation:
    """An operation from the library's message; an HTTP error status without an error list is a failure too."""
    errors = list(message.error.errors)
    status = int(message.http_error_status_code)
    code = errors[0].code if errors else (f"HTTP_{status}" if status else "")
    text = errors[0].message if errors else message.http_error_message
    return Operation(
        name=message.name,
        region=last_part(message.region),
        zone=last_part(message.zone),
        done=_is_done(message),
        code=code,
        message=text,
    )


def wait_for(connection: Connection, operation: Operation, *, deadline: float) -> Operation:
    """The finished operation.

    Args:
        deadline: seconds to wait in all.

    Raises:
        UnavailableError: it is not finished by then; it goes on in the cloud, and the ledger knows its name.
    """
    end = time.monotonic() + deadline
    pause = _SHORTEST_PAUSE
    client, scope = _scope(operation.region, operation.zone)
    while not operation.done:
        if time.monotonic() >= end:
            raise UnavailableError(f"operation {operation.name}: not finished after {deadline:.0f} s; run again to go on waiting for it")
        started = time.monotonic()
        operation = read_operation(connection.call(client, "wait", {**scope, "operation": operation.name}, timeout=_WAIT_CALL_SECONDS))
        if not operation.done and time.monotonic() - started < pause:  # `wait` may return at once
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
    return operation


def get_operation(connection: Connection, *, name: str, region: str, zone: str) -> Operation | None:
    """An operation by name, None when the cloud does not know it (any more)."""
    client, scope = _scope(region, zone)
    return connection.get(client, {**scope, "operation": name}, read_operation)


def find_operation(connection: Connection, *, request_id: str, region: str, zone: str) -> Operation | None:
    """The operation that a request id started, None when the request never arrived."""
    client, scope = _scope(region, zone)
    request = {**scope, "filter": f'clientOperationId = "{request_id}"'}
    found = connection.list(client, request, lambda message: (message.client_operation_id, read_operation(message)))
    return next((operation for key, operation in found if key == request_id), None)


def _scope(region: str, zone: str) -> tuple[str, dict[str, str]]:
    if zone:
        return "ZoneOperationsClient", {"zone": zone}
    if region:
        return "RegionOperationsClient", {"region": region}
    return "GlobalOperationsClient", {}


def _is_done(message: Any) -> bool:
    from google.cloud.compute_v1 import Operation as Message

    return bool(message.status == Message.Status.DONE)
