"""The methods that every kind shares: get, list, aggregatedList, insert, change and delete."""

from __future__ import annotations

import re
from typing import Final

from infra.local_cloud import operations
from infra.local_cloud.call import Call
from infra.local_cloud.capacity import Claim, Shortage, first_shortage
from infra.local_cloud.claims import claim_of
from infra.local_cloud.errors import already_exists, invalid, not_found, not_ready, quota_exceeded, resource_in_use
from infra.local_cloud.fields import Body
from infra.local_cloud.kinds import Change, Kind
from infra.local_cloud.listing import page
from infra.local_cloud.store import Row

__all__ = ["aggregated", "change", "delete", "get", "insert", "list_all", "visible"]

_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
# Quotas on a number of resources: refused before there is an operation.
_COUNTED: Final = {"RESERVATIONS", "INSTANCE_GROUP_MANAGERS", "REGIONAL_INSTANCE_GROUP_MANAGERS", "INTERCONNECT_ATTACHMENTS_PER_REGION"}


def get(call: Call, kind: Kind, name: str) -> Body:
    return kind.present(call, visible(call, kind, name))


def visible(call: Call, kind: Kind, name: str) -> Row:
    """The stored resource.

    Raises:
        ApiError: 404 when there is none, or it cannot be seen yet.
    """
    row = call.store.find(kind.collection, call.scope, name)
    if row is None or (kind.hidden and row.phase == "CREATING"):
        raise not_found(call.path(f"{call.scope}/{kind.collection}/{name}"))
    return row


def list_all(call: Call, kind: Kind) -> Body:
    """One page of the scope's resources."""
    shown = [(row.name, kind.present(call, row)) for row in _shown(call, kind, call.scope)]
    items, token = page(call, shown)
    where = f"{call.scope}/{kind.collection}"
    return {
        "kind": f"compute#{kind.list_word or kind.word}List",
        "id": call.path(where),
        "selfLink": call.url(where),
        **({"items": [item for _, item in items]} if items else {}),
        **({"nextPageToken": token} if token else {}),
    }


def aggregated(call: Call, kind: Kind) -> Body:
    """One page of the resources of every zone and region; a scope with none on the page says so."""
    shown = [(row.path, kind.present(call, row)) for row in _shown(call, kind, None)]
    items, token = page(call, shown)
    scopes: dict[str, Body] = {}
    for path, item in items:
        scope = "/".join(path.split("/")[:2])
        scopes.setdefault(scope, {kind.collection: []})[kind.collection].append(item)
    catalog = call.cloud.catalog
    every = [f"regions/{name}" for name in catalog.regions] * ("regions" in kind.scopes)
    every += [f"zones/{name}" for name in catalog.zones] * ("zones" in kind.scopes)
    where = f"aggregated/{kind.collection}"
    return {
        "kind": f"compute#{kind.word}AggregatedList",
        "id": call.path(where),
        "selfLink": call.url(where),
        "items": {scope: scopes.get(scope) or _empty(scope) for scope in sorted(every)},
        **({"nextPageToken": token} if token else {}),
    }


def insert(call: Call, kind: Kind) -> Body:
    """Make a resource; the answer is its operation."""
    name = str(call.body.get("name", ""))
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid value for field 'resource.name': '{name}'. Must be a match of regex '{_NAME.pattern}'")
    path = f"{call.scope}/{kind.collection}/{name}"
    if call.store.find(kind.collection, call.scope, name) is not None:
        raise already_exists(call.path(path))
    body = kind.prepare(call, call.body)
    shortage = call.forced or _shortage(call, claim_of(path, body))
    if shortage is not None or call.parameter("validateOnly") == "true":
        return operations.start(call, kind.insert_operation, path, call.store.next_id(), shortage=shortage)
    row = call.store.add(kind.collection, call.scope, name, body, now=call.now, settles_at=_end(call))
    kind.applied(call, row)
    return operations.start(call, kind.insert_operation, path, row.id)


def change(call: Call, kind: Kind, how: Change, name: str) -> Body:
    """Patch, resize or another change; the answer is its operation."""
    row = visible(call, kind, name)
    if row.phase != "READY" and not (kind.at_once and row.phase == "CREATING"):
        raise not_ready(call.path(row.path))
    body = how.apply(call, row)
    shortage = call.forced or _shortage(call, claim_of(row.path, body), instead_of=row)
    if shortage is None:
        row = call.store.change(row, body, settles_at=None if kind.at_once else _end(call))
        kind.applied(call, row)
    return operations.start(call, how.operation, row.path, row.id, shortage=shortage)


def delete(call: Call, kind: Kind, name: str) -> Body:
    """Remove a resource; it is gone when the operation is DONE."""
    row = visible(call, kind, name)
    if row.phase != "READY":
        raise not_ready(call.path(row.path))
    user = kind.used_by(call, row)
    if user is not None:
        raise resource_in_use(call.path(row.path), call.path(user))
    if call.forced is not None:
        return operations.start(call, kind.delete_operation, row.path, row.id, shortage=call.forced)
    kind.removed(call, row)
    call.store.remove(row, settles_at=_end(call))
    return operations.start(call, kind.delete_operation, row.path, row.id)


def _shown(call: Call, kind: Kind, scope: str | None) -> list[Row]:
    return [row for row in call.store.all(kind.collection, scope) if not (kind.hidden and row.phase == "CREATING")]


def _empty(scope: str) -> Body:
    return {
        "warning": {
            "code": "NO_RESULTS_ON_PAGE",
            "message": f"No results for the scope '{scope}'.",
            "data": [{"key": "scope", "value": scope}],
        }
    }


def _end(call: Call) -> float:
    return call.now + call.cloud.timing.pending + call.cloud.timing.operation


def _shortage(call: Call, claim: Claim, instead_of: Row | None = None) -> Shortage | None:
    """What stands in the way of `claim`, if anything; what a changed resource holds already does not count twice.

    Raises:
        ApiError: 403 when a quota on a number of resources is passed.
    """
    if instead_of is not None:
        held = claim_of(instead_of.path, instead_of.body).amounts
        claim = Claim(claim.held, {metric: amount - held.get(metric, 0.0) for metric, amount in claim.amounts.items()})
    after = call.books.with_claim(claim, call.region_of(call.scope))
    shortage = first_shortage(call.books, after, call.cloud.project)
    if shortage is not None and shortage.metric in _COUNTED:
        raise quota_exceeded(shortage.message)
    return shortage
