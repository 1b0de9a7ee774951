"""The ASGI application: reads a request, settles what is due, answers, and logs, in one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from infra.local_cloud import faults, operations, vms
from infra.local_cloud.access_log import Access, record
from infra.local_cloud.admin import administer
from infra.local_cloud.call import Call, Cloud
from infra.local_cloud.errors import ApiError, not_found
from infra.local_cloud.fields import Body, read_body
from infra.local_cloud.routes import Route, resolve
from infra.local_cloud.store import Store

__all__ = ["App"]

_API: Final = "/compute/v1/projects/"
# As in Compute Engine: `wait` answers after two minutes even when the operation has not ended.
_LONGEST_WAIT: Final = 120.0
_LOOK_AGAIN: Final = 0.02

Message = MutableMapping[str, Any]


class App:
    """Answers one request after the other; requests that `wait` leave room for others."""

    def __init__(self, cloud: Cloud, store: Store) -> None:
        self._cloud = cloud
        self._store = store

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        method, path, query = scope["method"], scope["path"], scope["query_string"].decode("latin-1")
        status, body, cut = self._answer(method, path, query, raw)
        if status == 200 and path.endswith("/wait"):
            body = await self._until_done(path, query, body)
        text = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json; charset=UTF-8"), (b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if cut:  # the server closes the connection when an answer ends before its length
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            return
        await send({"type": "http.response.body", "body": text})

    def _answer(self, method: str, path: str, query: str, raw: bytes) -> tuple[int, Body, bool]:
        """Status, body, and whether the connection is cut. A refusal changes nothing; either way the access log gets its line."""
        request_id = parse_qs(query).get("requestId", [None])[0]
        try:
            with self._store.transaction():
                broken = faults.refusal(self._store, method, path)
                body = broken.body() if broken else self._handle(method, path, query, raw)
                status = broken.status if broken else 200
                record(self._store, Access(self._store.now(), method, path, query, request_id, status))
                cut = faults.take(self._store, (faults.CUT,), method, path)
        except ApiError as refusal:
            with self._store.transaction():
                record(self._store, Access(self._store.now(), method, path, query, request_id, refusal.status))
            return refusal.status, refusal.body(), False
        return status, body, cut is not None

    def _handle(self, method: str, path: str, query: str, raw: bytes) -> Body:
        if path.startswith("/admin/"):
            return administer(self._store, self._cloud.catalog, method, path, raw)
        project, *parts = path.removeprefix(_API).rstrip("/").split("/") if path.startswith(_API) else [""]
        if project != self._cloud.project:
            raise not_found(f"projects/{project}" if project else path)
        route, scope, name = resolve(method, parts, self._cloud.catalog)
        call = self._call(route, scope, method, path, query, raw)
        self._settle(call.now)
        if route.writes and (again := operations.replayed(call)) is not None:
            return again
        return route.answer(faults.struck(call, method, path) if route.writes else call, name)

    def _call(self, route: Route, scope: str, method: str, path: str, query: str, raw: bytes) -> Call:
        parameters = parse_qs(query, keep_blank_values=True)
        request_id = operations.check_request_id(parameters.pop("requestId", [None])[0]) if route.writes else None
        body = read_body(raw, route.schema)
        parts = (method, path, urlencode(sorted(parameters.items()), doseq=True), json.dumps(body, sort_keys=True))
        fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return Call(self._cloud, self._store, self._store.now(), scope, parameters, body, request_id, fingerprint)

    def _settle(self, now: float) -> None:
        self._store.settle(now)
        vms.mature(self._store, now)
        vms.grant(self._store, self._cloud, now)

    async def _until_done(self, path: str, query: str, operation: Body) -> Body:
        deadline = asyncio.get_running_loop().time() + _LONGEST_WAIT
        while not operations.is_done(operation) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_LOOK_AGAIN)
            with self._store.transaction():
                operation = self._handle("POST", path, query, b"")
        return operation
