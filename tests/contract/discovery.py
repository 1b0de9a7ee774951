"""Google's discovery document of Compute Engine v1: checks responses, and cuts the request fields out of it.

`python -m tests.contract.discovery` writes `infra/local_cloud/request_fields.json` again.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

REQUEST_FIELDS = Path(__file__).parents[2] / "infra" / "local_cloud" / "request_fields.json"
REQUEST_SCHEMAS = (
    "Disk",
    "DisksResizeRequest",
    "InstanceGroupManager",
    "InstanceTemplate",
    "InterconnectAttachment",
    "RegionDisksResizeRequest",
    "Reservation",
    "ReservationsResizeRequest",
    "StoragePool",
)
SCALARS: dict[str, type | tuple[type, ...]] = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "any": object}


@cache
def document() -> dict[str, Any]:
    import googleapiclient

    path = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents" / "compute.v1.json"
    return dict(json.loads(path.read_text()))


def problems(value: Any, schema: str) -> list[str]:
    """What in `value` is not as the schema says: unknown fields, wrong types, unknown enum values, numbers out of range."""
    return list(_problems(value, document()["schemas"][schema], schema))


def _problems(value: Any, kind: dict[str, Any], path: str):
    if "$ref" in kind:
        kind = document()["schemas"][kind["$ref"]]
    if kind["type"] == "array":
        if not isinstance(value, list):
            yield f"{path}: {value!r} is not a list"
            return
        for index, item in enumerate(value):
            yield from _problems(item, kind["items"], f"{path}[{index}]")
    elif kind["type"] == "object":
        yield from _object_problems(value, kind, path)
    else:
        yield from _scalar_problems(value, kind, path)


def _object_problems(value: Any, kind: dict[str, Any], path: str):
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not an object"
        return
    known, others = kind.get("properties", {}), kind.get("additionalProperties")
    for key, item in value.items():
        if key in known:
            yield from _problems(item, known[key], f"{path}.{key}")
        elif others is not None:
            yield from _problems(item, others, f"{path}.{key}")
        else:
            yield f"{path}.{key}: not in the discovery document"


def _scalar_problems(value: Any, kind: dict[str, Any], path: str):
    if not isinstance(value, SCALARS[kind["type"]]) or (isinstance(value, bool) and kind["type"] != "boolean"):
        yield f"{path}: {value!r} is not {kind['type']}"
    elif "enum" in kind and value not in kind["enum"]:
        yield f"{path}: {value!r} is not among {kind['enum']}"
    elif kind.get("format") in {"int64", "uint64"} and not str(value).removeprefix("-").isdecimal():
        yield f"{path}: {value!r} is not {kind['format']} as text"
    elif kind.get("pattern") and path.endswith(".name") and not _matches(kind["pattern"], value):
        yield f"{path}: {value!r} does not match {kind['pattern']}"


def _matches(pattern: str, value: str) -> bool:
    import re

    return re.fullmatch(pattern, value) is not None


def request_fields() -> dict[str, dict[str, Any]]:
    """Schema name -> field -> type, of everything that the requests can hold."""
    found: dict[str, dict[str, Any]] = {}
    for name in REQUEST_SCHEMAS:
        _visit(name, document()["schemas"][name], found)
    return dict(sorted(found.items()))


def _visit(name: str, schema: dict[str, Any], found: dict[str, dict[str, Any]]) -> None:
    if name not in found:
        found[name] = {}
        found[name] |= {key: _type(kind, f"{name}.{key}", found) for key, kind in sorted(schema.get("properties", {}).items())}


def _type(kind: dict[str, Any], name: str, found: dict[str, dict[str, Any]]) -> Any:
    if "$ref" in kind:
        _visit(kind["$ref"], document()["schemas"][kind["$ref"]], found)
        return f"#{kind['$ref']}"
    if kind["type"] == "array":
        return [_type(kind["items"], name, found)]
    if kind["type"] == "object":
        if "additionalProperties" in kind:
            return {"*": _type(kind["additionalProperties"], name, found)}
        _visit(name, kind, found)
        return f"#{name}"
    if "enum" in kind:
        return "enum:" + "|".join(kind["enum"])
    return kind["format"] if kind.get("format") in {"int32", "int64", "uint64"} else kind["type"]


if __name__ == "__main__":
    REQUEST_FIELDS.write_text(json.dumps(request_fields(), indent=1) + "\n")
