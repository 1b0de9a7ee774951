"""Fingerprints: a change that was prepared from an outdated reading is refused."""

from __future__ import annotations

import base64
import hashlib
import json

from infra.local_cloud.errors import condition_not_met
from infra.local_cloud.fields import Body

__all__ = ["check", "fingerprint"]


def fingerprint(content: Body) -> str:
    """Eight bytes in base64 that change with the content."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def check(sent: str | None, content: Body) -> None:
    """Accept a missing fingerprint, or the present one.

    Raises:
        ApiError: 412 for an old one.
    """
    if sent is not None and sent != fingerprint(content):
        raise condition_not_met("Supplied fingerprint does not match current metadata fingerprint.")
