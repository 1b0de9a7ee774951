"""Paths below `/compute/v1/projects/{project}/` and what answers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Final

from infra.local_cloud import methods, operations, places
from infra.local_cloud.attachments import ATTACHMENTS
from infra.local_cloud.call import Call
from infra.local_cloud.catalog import Catalog
from infra.local_cloud.disks import DISKS, REGION_DISKS
from infra.local_cloud.errors import method_not_allowed, not_found
from infra.local_cloud.fields import Body
from infra.local_cloud.groups import GROUPS, REGION_GROUPS, list_managed_instances
from infra.local_cloud.kinds import Kind
from infra.local_cloud.listing import page
from infra.local_cloud.reservations import RESERVATIONS
from infra.local_cloud.storage_pools import STORAGE_POOLS
from infra.local_cloud.templates import TEMPLATES

__all__ = ["Route", "resolve"]

_KINDS: Final = (RESERVATIONS, GROUPS, REGION_GROUPS, TEMPLATES, ATTACHMENTS, DISKS, REGION_DISKS, STORAGE_POOLS)
# The last part of a path's pattern, where it is not an action's name.
_LIST, _ITEM = "", "{name}"


@dataclass(frozen=True)
class Route:
    """What answers a request.

    Attributes:
        answer: from the request and the name in its path.
        schema: schema of the request's body, if it has one.
        writes: true when it starts an operation, so that `requestId` counts.
        waits: true for `operations.wait`, which holds its answer back until the operation is DONE.
    """

    answer: Callable[[Call, str], Body]
    schema: str | None = None
    writes: bool = False
    waits: bool = False


def resolve(method: str, parts: list[str], catalog: Catalog) -> tuple[Route, str, str]:
    """The route, the scope and the name that a path (split, after the project) asks for.

    Raises:
        ApiError: 404 for a path, zone or region that does not exist, 405 for a method that the path does not have.
    """
    whole = "/".join(parts)
    scope, rest = _scope(parts, catalog)
    place = scope.partition("/")[0]
    collection = rest[0] if rest else _LIST
    shape = _LIST if len(rest) < 2 else _ITEM if len(rest) == 2 else rest[2]
    found = _table().get((place, collection, shape)) if len(rest) <= 3 and all(rest) else None
    if found is None:
        raise not_found(whole)
    if method not in found:
        raise method_not_allowed(method, ", ".join(sorted(found)))
    return found[method], scope, rest[1] if len(rest) > 1 else ""


def _scope(parts: list[str], catalog: Catalog) -> tuple[str, list[str]]:
    """The scope and what is left of the path; the project, and lists of places, have the scopes `project` and themselves."""
    match parts:
        case []:
            return "project", []
        case ["zones" | "regions" as place]:
            return f"every {place}", []
        case ["zones" | "regions" as place, name, *rest]:
            if name not in (catalog.zones if place == "zones" else catalog.regions):
                raise not_found(f"{place}/{name}")
            return f"{place}/{name}", rest
        case ["global" | "aggregated" as place, *rest] if rest:
            return place, rest
    raise not_found("/".join(parts))


@cache
def _table() -> dict[tuple[str, str, str], dict[str, Route]]:
    """`(place, collection, shape)` -> method -> route."""
    table: dict[tuple[str, str, str], dict[str, Route]] = {
        ("project", "", _LIST): {"GET": Route(lambda call, _: places.get_project(call))},
        ("zones", "machineTypes", _LIST): {"GET": Route(lambda call, _: places.list_machine_types(call))},
        ("zones", "machineTypes", _ITEM): {"GET": Route(places.get_machine_type)},
    }
    for place in ("zones", "regions"):
        table[f"every {place}", "", _LIST] = {"GET": Route(lambda call, _, place=place: places.list_places(call, place))}  # type: ignore[misc]
        table[place, "", _LIST] = {"GET": Route(lambda call, _: places.get_place(call))}
    for place in ("zones", "regions", "global"):
        table[place, "operations", _LIST] = {"GET": Route(_list_operations)}
        table[place, "operations", _ITEM] = {"GET": Route(operations.find)}
        table[place, "operations", "wait"] = {"POST": Route(operations.find, waits=True)}
    for kind in _KINDS:
        table |= _routes(kind)
    return table


def _routes(kind: Kind) -> dict[tuple[str, str, str], dict[str, Route]]:
    (place,) = kind.scopes
    item = {
        "GET": Route(lambda call, name: methods.get(call, kind, name)),
        "DELETE": Route(lambda call, name: methods.delete(call, kind, name), writes=True),
    }
    if kind.patch is not None:
        item["PATCH"] = Route(partial(_change, kind, ""), kind.patch.schema, writes=True)
    found = {
        (place, kind.collection, _LIST): {
            "GET": Route(lambda call, _: methods.list_all(call, kind)),
            "POST": Route(lambda call, _: methods.insert(call, kind), kind.schema, writes=True),
        },
        (place, kind.collection, _ITEM): item,
    }
    for name, action in kind.actions.items():
        found[place, kind.collection, name] = {"POST": Route(partial(_change, kind, name), action.schema, writes=True)}
    if kind.collection == GROUPS.collection:
        found[place, kind.collection, "listManagedInstances"] = {"POST": Route(lambda call, name: list_managed_instances(call, kind, name))}
    if place != "global":
        everywhere = replace(kind, scopes=tuple(scope for other in _KINDS if other.collection == kind.collection for scope in other.scopes))
        found["aggregated", kind.collection, _LIST] = {"GET": Route(lambda call, _: methods.aggregated(call, everywhere))}
    return found


def _change(kind: Kind, action: str, call: Call, name: str) -> Body:
    how = kind.actions[action] if action else kind.patch
    if how is None:  # the table has no PATCH for a kind that cannot be patched
        raise not_found(f"{call.scope}/{kind.collection}/{name}")
    return methods.change(call, kind, how, name)


def _list_operations(call: Call, _name: str) -> Body:
    items, token = page(call, [(operation["name"], operation) for operation in operations.ops_of_scope(call)])
    where = f"{call.scope}/operations"
    return {
        "kind": "compute#operationList",
        "id": call.path(where),
        "selfLink": call.url(where),
        **({"items": [item for _, item in items]} if items else {}),
        **({"nextPageToken": token} if token else {}),
    }
