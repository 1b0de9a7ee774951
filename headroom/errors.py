"""Errors whose message names the thing, the rule and the remedy."""

from __future__ import annotations

__all__ = ["BadInputError", "CloudRefusedError", "HeadroomError", "OvertakenError", "SettingsError", "UnavailableError"]


class HeadroomError(Exception):
    """Base of every error that Headroom raises on purpose."""


class BadInputError(HeadroomError):
    """An input breaks a stated rule; retrying cannot help, so a task that raises it fails at once."""


class SettingsError(BadInputError):
    """`capacity.yaml` or the environment is wrong."""


class OvertakenError(HeadroomError):
    """Something newer was done meanwhile, so that this must not be done any more; nothing is wrong."""


class UnavailableError(HeadroomError):
    """A source, a server or the cloud did not answer; the same call may succeed later."""


class CloudRefusedError(HeadroomError):
    """The cloud answered and refused; `code` is its own word for why (for example QUOTA_EXCEEDED)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
