"""What a cloud's owner can do and its customers cannot: `PUT /admin/...`, outside the Compute Engine API.

- `/admin/stock` `{"zone": "us-central1-a", "sku": "n2", "limit": 64}`: a family in vCPUs, or a machine type in machines
- `/admin/quotas` `{"region": "us-central1", "metric": "N2_CPUS", "limit": 200}`
- `/admin/stock` `{"zone": "us-central1-a", "sku": "resuming", "limit": 5}`: standby VMs that may resume at the same time
- `/admin/clock` `{"advance_seconds": 3600}`: moves the server's clock forward, for good
- `/admin/clock` `{"skew_seconds": -300}`: the server's clock is that far off, and what is under way takes as long as before
- `/admin/preemptions` `{"zone": "us-central1-a", "count": 3}`: takes running spot VMs away, the youngest first
- `/admin/faults`: see `faults`

A limit of null takes the limit away. The changes stay over a restart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from infra.local_cloud import faults, operations, vms
from infra.local_cloud.catalog import Catalog
from infra.local_cloud.errors import invalid, method_not_allowed, not_found, parse_error
from infra.local_cloud.fields import Body
from infra.local_cloud.store import Store

__all__ = ["administer"]


def administer(store: Store, catalog: Catalog, method: str, path: str, raw: bytes) -> Body:
    """Do what `PUT <path>` says; the answer repeats it.

    Raises:
        ApiError: when the path, method or body is not one of the above.
    """
    doer = _TOPICS.get(path.removeprefix("/admin/"))
    if doer is None:
        raise not_found(path)
    if method != "PUT":
        raise method_not_allowed(method, "PUT")
    try:
        body = json.loads(raw)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise parse_error(str(error)) from error
    if not isinstance(body, dict):
        raise parse_error("Expected an object.")
    return {**body, **doer(store, catalog, body)}


def _set_limit(store: Store, catalog: Catalog, body: Body, *, table: str) -> Body:
    place, item = ("zone", "sku") if table == "stock" else ("region", "metric")
    known = catalog.zones if place == "zone" else catalog.regions
    if body.get(place) not in known or not isinstance(body.get(item), str):
        raise invalid(f"Invalid value for field '{place}' or '{item}': '{body.get(place)}', '{body.get(item)}'.")
    key, limit = (body[place], body[item]), _number(body, "limit")
    store.db.execute(f"DELETE FROM {table} WHERE {place} = ? AND {item} = ?", key)  # noqa: S608 - one of two constants
    if limit is not None:
        store.db.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (*key, limit))  # noqa: S608 - one of two constants
    return {}


def _set_clock(store: Store, _catalog: Catalog, body: Body) -> Body:
    if "skew_seconds" in body:
        skew = body["skew_seconds"]
        if isinstance(skew, bool) or not isinstance(skew, int | float):
            raise invalid(f"Invalid value for field 'skew_seconds': '{skew}'. Must be a number.")
        store.skew(float(skew))
    if "advance_seconds" in body or "skew_seconds" not in body:
        store.advance(_number(body, "advance_seconds") or 0.0)
    return {}


def _preempt(store: Store, catalog: Catalog, body: Body) -> Body:
    zone, count = body.get("zone"), _number(body, "count")
    if zone not in catalog.zones:
        raise invalid(f"Invalid value for field 'zone': '{zone}'.")
    taken = vms.preempt(store, zone, int(count or 0))
    for vm in taken:
        operations.note(store, "compute.instances.preempted", f"zones/{zone}", f"zones/{zone}/instances/{vm.name}", vm.id)
    return {"preempted": [vm.name for vm in taken]}


def _ask_fault(store: Store, _catalog: Catalog, body: Body) -> Body:
    faults.ask(store, body)
    return {}


def _number(body: dict[str, Any], field: str) -> float | None:
    value = body.get(field, "missing")
    if value is None and field == "limit":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise invalid(f"Invalid value for field '{field}': '{value}'. Must be a number of at least 0.")
    return float(value)


_TOPICS: Final[dict[str, Callable[[Store, Catalog, Body], Body]]] = {
    "stock": partial(_set_limit, table="stock"),
    "quotas": partial(_set_limit, table="quotas"),
    "clock": _set_clock,
    "preemptions": _preempt,
    "faults": _ask_fault,
}
