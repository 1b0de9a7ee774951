"""What a cloud's owner can do and its customers cannot: `PUT /admin/...`, outside the Compute Engine API.

- `/admin/stock` `{"zone": "us-central1-a", "sku": "n2", "limit": 64}`: a family in vCPUs, or a machine type in machines
- `/admin/quotas` `{"region": "us-central1", "metric": "N2_CPUS", "limit": 200}`
- `/admin/clock` `{"advance_seconds": 3600}`: moves the server's clock forward, for good

A limit of null takes the limit away. The changes stay over a restart.
"""

from __future__ import annotations

import json
from typing import Any, Final

from infra.local_cloud.catalog import Catalog
from infra.local_cloud.errors import invalid, method_not_allowed, not_found, parse_error
from infra.local_cloud.fields import Body
from infra.local_cloud.store import Store

__all__ = ["administer"]

_LIMITS: Final = {"stock": ("zone", "sku"), "quotas": ("region", "metric")}


def administer(store: Store, catalog: Catalog, method: str, path: str, raw: bytes) -> Body:
    """Do what `PUT <path>` says; the answer repeats it.

    Raises:
        ApiError: when the path, method or body is not one of the above.
    """
    topic = path.removeprefix("/admin/")
    if topic not in {*_LIMITS, "clock"}:
        raise not_found(path)
    if method != "PUT":
        raise method_not_allowed(method, "PUT")
    try:
        body = json.loads(raw)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise parse_error(str(error)) from error
    if not isinstance(body, dict):
        raise parse_error("Expected an object.")
    if topic == "clock":
        seconds = _number(body, "advance_seconds")
        store.set_meta("clock_offset", str(float(store.meta("clock_offset") or 0.0) + (seconds or 0.0)))
    else:
        _set_limit(store, catalog, topic, body)
    return dict(body)


def _set_limit(store: Store, catalog: Catalog, table: str, body: dict[str, Any]) -> None:
    place, item = _LIMITS[table]
    known = catalog.zones if place == "zone" else catalog.regions
    if body.get(place) not in known or not isinstance(body.get(item), str):
        raise invalid(f"Invalid value for field '{place}' or '{item}': '{body.get(place)}', '{body.get(item)}'.")
    key, limit = (body[place], body[item]), _number(body, "limit")
    store.db.execute(f"DELETE FROM {table} WHERE {place} = ? AND {item} = ?", key)  # noqa: S608 - names from the table above
    if limit is not None:
        store.db.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (*key, limit))  # noqa: S608 - names from the table above


def _number(body: dict[str, Any], field: str) -> float | None:
    value = body.get(field, "missing")
    if value is None and field == "limit":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise invalid(f"Invalid value for field '{field}': '{value}'. Must be a number of at least 0.")
    return float(value)
