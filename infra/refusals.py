"""What the cloud's error codes mean for the next step."""

from __future__ import annotations

from typing import Final

__all__ = ["is_denied", "is_limit", "is_quota", "is_stockout", "is_there_already"]

_QUOTA: Final = frozenset({"QUOTA_EXCEEDED", "LIMIT_EXCEEDED"})
_STOCKOUT: Final = ("ZONE_RESOURCE_POOL_EXHAUSTED", "REGION_RESOURCE_POOL_EXHAUSTED", "RESOURCE_POOL_EXHAUSTED", "STOCKOUT")
_THERE: Final = frozenset({"alreadyExists", "RESOURCE_ALREADY_EXISTS"})
_DENIED: Final = frozenset({"forbidden", "required", "authError", "accessNotConfigured", "HTTP_401", "HTTP_403", "SERVICE_DISABLED"})


def is_quota(code: str) -> bool:
    """The project may not have more in this region."""
    return code in _QUOTA


def is_stockout(code: str) -> bool:
    """The zone has no more at the moment; the code comes with and without a suffix such as _WITH_DETAILS."""
    return code.startswith(_STOCKOUT)


def is_limit(code: str) -> bool:
    """Less may succeed where this much did not."""
    return is_quota(code) or is_stockout(code)


def is_there_already(code: str) -> bool:
    """What was to be created exists: somebody else made it since we looked, such as the neighbour region that shares a template."""
    return code in _THERE


def is_denied(code: str) -> bool:
    """No call of ours can succeed."""
    return code in _DENIED
