"""Names of the cloud resources that Headroom makes: the same want has the same name in every run."""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = ["GROUP_NAME_LENGTH", "PREFIX", "group_name", "machines_name", "resource_name"]

PREFIX: Final = "headroom"
# RFC 1035; a group's name also begins its machines' names, which add five characters.
_LONGEST: Final = 63
GROUP_NAME_LENGTH: Final = 58
_HASH: Final = 6


def group_name(service: str, further_type: str | None = None) -> str:
    """Of a service's group of machines in a region, or of that of its machines of a further type; no service's own group is called so."""
    # A slash, which no name has, always leaves a hash at the end.
    return resource_name(service if further_type is None else f"{service}/{further_type}", longest=GROUP_NAME_LENGTH)


def machines_name(service: str, machine_type: str) -> str:
    """Of the template, and of the reservation in every zone that holds some: one per service and machine type."""
    return resource_name(service, machine_type)


def resource_name(*parts: str, longest: int = _LONGEST) -> str:
    """`headroom-<part>-<part>`, valid by RFC 1035 and different for different parts.

    What must be rewritten (the colon of `service:client`, an underscore) or cut gets a hash of the original at the end, so that
    two services never share a resource.
    """
    plain = "-".join([PREFIX, *parts])
    clean = re.sub(r"[^a-z0-9-]+", "-", plain.lower()).rstrip("-")
    if clean == plain and len(plain) <= longest:
        return plain
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_HASH]
    return f"{clean[: longest - _HASH - 1].rstrip('-')}-{digest}"
