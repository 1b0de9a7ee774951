"""Request bodies: only fields that Compute Engine knows, of the type it expects.

`request_fields.json` is cut from Google's discovery document (Compute Engine v1, Apache-2.0): schema name -> field -> type.
A type is a scalar's name, `enum:A|B`, `#Schema`, `[type]` for an array or `{"*": type}` for a map. A contract test cuts it
again from the document and compares.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from infra.local_cloud.errors import ApiError, parse_error

__all__ = ["Body", "read_body"]

Body = dict[str, Any]

_WHOLE: Final = {"int32", "int64", "uint64"}
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")


def read_body(raw: bytes, schema: str | None) -> Body:
    """The JSON object in `raw` with 64-bit integers as text, as Google's JSON has them; null fields are dropped.

    Raises:
        ApiError: 400 for text that is not JSON, an unknown field, or a value of the wrong type.
    """
    if schema is None or not raw.strip():
        return {}
    try:
        parsed = json.loads(raw)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise parse_error(f"Unexpected token: {error}") from error
    value = _checked(parsed, f"#{schema}", "")
    return dict(value)


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    text = (Path(__file__).parent / "request_fields.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _checked(value: Any, kind: Any, path: str) -> Any:
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise _wrong(path, value)
        return [_checked(item, kind[0], f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            raise _wrong(path, value)
        return {key: _checked(item, kind["*"], f"{path}.{key}") for key, item in value.items() if item is not None}
    if kind.startswith("#"):
        return _object(value, kind[1:], path)
    return _scalar(value, kind, path)


def _object(value: Any, schema: str, path: str) -> Body:
    if not isinstance(value, dict):
        raise _wrong(path, value)
    known = _schemas()[schema]
    for key in value:
        if key not in known:
            where = f" at '{path.lstrip('.')}'" if path else ""
            raise parse_error(f'Unknown name "{key}"{where}: Cannot find field.')
    return {key: _checked(item, known[key], f"{path}.{key}") for key, item in value.items() if item is not None}


def _scalar(value: Any, kind: str, path: str) -> Any:
    if kind in _WHOLE:
        if isinstance(value, bool) or not isinstance(value, int | str) or not _NUMBER.fullmatch(str(value)):
            raise _wrong(path, value)
        return int(value) if kind == "int32" else str(int(value))
    if kind.startswith("enum:"):
        if value not in kind[5:].split("|"):
            raise _wrong(path, value)
        return value
    wanted: dict[str, type | tuple[type, ...]] = {"boolean": bool, "string": str, "any": object}
    if not isinstance(value, wanted.get(kind, (int, float))):
        raise _wrong(path, value)
    return value


def _wrong(path: str, value: object) -> ApiError:
    return parse_error(f"Invalid value at '{path.lstrip('.') or 'body'}': {json.dumps(value)}")
