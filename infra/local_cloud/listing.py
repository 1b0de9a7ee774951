"""Lists: filter, order and pages, as every list method of the API has them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Final

from infra.local_cloud.call import Call
from infra.local_cloud.errors import invalid
from infra.local_cloud.fields import Body

__all__ = ["page"]

_MOST: Final = 500
_TERM: Final = re.compile(r"""\s*\(?\s*([\w.\-]+)\s*(=|!=|\beq\b|\bne\b)\s*("[^"]*"|[^\s()"]+)\s*\)?\s*(?:AND\b)?""")


def page(call: Call, items: Sequence[tuple[str, Body]]) -> tuple[list[tuple[str, Body]], str | None]:
    """The asked-for page of `(key, item)` and the token of the next one, or None when this is the last.

    Items come in the order of their unique keys, or newest first with `orderBy=creationTimestamp desc`. A token names the
    last key given, so an item that goes between two pages makes no other one go missing.

    Raises:
        ApiError: 400 for a filter, order, page size or token that is not understood.
    """
    newest_first = _newest_first(call.parameter("orderBy"))
    terms = _terms(call.parameter("filter"))
    kept = sorted((pair for pair in items if _matches(pair[1], terms)), key=lambda pair: pair[0])
    if newest_first:
        kept = sorted(kept, key=lambda pair: str(pair[1].get("creationTimestamp", "")), reverse=True)
    size = call.whole(call.parameter("maxResults", str(_MOST)), "maxResults")
    if size > _MOST:
        raise invalid(f"Invalid value for field 'maxResults': '{size}'. Must be at most {_MOST}.")
    size = size or _MOST
    start = _start(call.parameter("pageToken"), [key for key, _ in kept], ordered=not newest_first)
    chosen = kept[start : start + size]
    more = start + size < len(kept)
    return chosen, _token(chosen[-1][0]) if more else None


def _newest_first(order: str) -> bool:
    if order not in {"", "name", "creationTimestamp desc"}:
        raise invalid(f"Invalid value for field 'orderBy': '{order}'. Must be 'name' or 'creationTimestamp desc'.")
    return order.startswith("creationTimestamp")


def _terms(text: str) -> list[tuple[str, bool, str]]:
    """Parse `field = value`, `field != value` and their conjunctions into `(field, wanted equal, value)`."""
    terms, rest = [], text.strip()
    while rest:
        found = _TERM.match(rest)
        if found is None:
            raise invalid(
                f"Invalid value for field 'filter': '{text}'. Only field = value and field != value are supported, joined by AND."
            )
        terms.append((found[1], found[2] in {"=", "eq"}, found[3].strip('"')))
        rest = rest[found.end() :].strip()
    return terms


def _matches(item: Body, terms: list[tuple[str, bool, str]]) -> bool:
    return all((_text(item, name) == value) is equal for name, equal, value in terms)


def _text(item: Body, name: str) -> str | None:
    value: object = item
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _start(token: str, keys: list[str], *, ordered: bool) -> int:
    if not token:
        return 0
    try:
        last = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid(f"Invalid value for field 'pageToken': '{token}'. It is not a token that this list gave.") from error
    if not ordered:
        return keys.index(last) + 1 if last in keys else 0
    return sum(key <= last for key in keys)
