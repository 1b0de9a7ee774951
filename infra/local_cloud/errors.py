"""Answers that say no, worded and shaped as Compute Engine does."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ApiError",
    "already_exists",
    "condition_not_met",
    "invalid",
    "method_not_allowed",
    "not_found",
    "not_ready",
    "parse_error",
    "quota_exceeded",
    "resource_in_use",
]


class ApiError(Exception):
    """A request that is refused at once; `status` is the HTTP status."""

    def __init__(self, status: int, reason: str, message: str, *, domain: str = "global") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.domain = domain

    def body(self) -> dict[str, Any]:
        """The JSON body, as in the recorded refusals."""
        detail = {"domain": self.domain, "message": self.message, "reason": self.reason}
        return {"error": {"code": self.status, "errors": [detail], "message": self.message}}


def not_found(path: str) -> ApiError:
    return ApiError(404, "notFound", f"The resource '{path}' was not found")


def already_exists(path: str) -> ApiError:
    return ApiError(409, "alreadyExists", f"The resource '{path}' already exists")


def invalid(message: str) -> ApiError:
    return ApiError(400, "invalid", message)


def parse_error(message: str) -> ApiError:
    return ApiError(400, "badRequest", f"Invalid JSON payload received. {message}")


def not_ready(path: str) -> ApiError:
    """Another operation on the resource has not finished; the same call succeeds after it."""
    return ApiError(400, "resourceNotReady", f"The resource '{path}' is not ready")


def resource_in_use(path: str, user: str) -> ApiError:
    return ApiError(400, "resourceInUseByAnotherResource", f"The resource '{path}' is already being used by '{user}'")


def condition_not_met(message: str) -> ApiError:
    return ApiError(412, "conditionNotMet", message)


def method_not_allowed(method: str, allowed: str) -> ApiError:
    return ApiError(405, "httpMethodNotAllowed", f"The method {method} is not allowed here; allowed: {allowed}")


def quota_exceeded(message: str) -> ApiError:
    """A count of resources would pass its quota: refused before there is an operation."""
    return ApiError(403, "quotaExceeded", message, domain="usageLimits")
