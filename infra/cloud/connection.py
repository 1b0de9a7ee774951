"""The connection to a Compute Engine API: which endpoint, with whose credentials, how a call fails and when it is retried."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from headroom.errors import CloudRefusedError, SettingsError, UnavailableError

__all__ = ["Connection", "is_loopback", "key_credentials"]

_LOG = logging.getLogger(__name__)
_SCOPE: Final = "https://www.googleapis.com/auth/compute"
_ATTEMPTS: Final = 6
# Too many calls, or a resource that another operation is still making: the same call may succeed later.
_PASSING: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "resourceNotReady"})
_RETRYABLE_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})
# Refusals that come as an HTTP error say them in another spelling than those that come in an operation.
_SPELLINGS: Final = {"quotaExceeded": "QUOTA_EXCEEDED"}

T = TypeVar("T")


@dataclass(frozen=True)
class Connection:
    """Clients of one project at one endpoint.

    Attributes:
        endpoint: None for Google's own, else the address before `/compute/v1/`.
        credentials: Google credentials; None takes the environment's, or none at all on a loopback http endpoint.
        timeout: seconds that one HTTP call may take.
        pause: seconds that the first retry waits at most; doubles from there.
    """

    project: str
    endpoint: str | None = None
    credentials: Any = None
    timeout: float = 30.0
    pause: float = 0.5
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, name: str) -> Any:
        """The client class `name` of google-cloud-compute, made once."""
        if name not in self._clients:
            from google.cloud import compute_v1

            options = {"api_endpoint": self.endpoint.rstrip("/")} if self.endpoint else None
            self._clients[name] = getattr(compute_v1, name)(credentials=self._credentials(), client_options=options)
        return self._clients[name]

    def call(self, client: str, method: str, request: dict[str, Any], *, timeout: float | None = None) -> Any:
        """One call, repeated while the server or the network fails.

        Repeating is safe: reads change nothing and writes carry a request id that the server replays.

        Raises:
            CloudRefusedError: the cloud answered and refused.
            UnavailableError: it did not answer in `_ATTEMPTS` attempts.
        """
        bound = getattr(self.client(client), method)
        body = {"project": self.project, **request}
        return self._retried(f"{client}.{method}", lambda: bound(request=body, timeout=timeout or self.timeout, retry=None))

    def get(self, client: str, request: dict[str, Any], read: Callable[[Any], T]) -> T | None:
        """`read` of one resource, None when it does not exist."""
        try:
            return read(self.call(client, "get", request))
        except CloudRefusedError as error:
            if error.code == "notFound":
                return None
            raise

    def list(self, client: str, request: dict[str, Any], read: Callable[[Any], T], *, method: str = "list") -> list[T]:
        """`read` of every listed resource, over all pages."""
        bound = getattr(self.client(client), method)
        body = {"project": self.project, **request}
        pages = lambda: [read(message) for message in bound(request=body, timeout=self.timeout, retry=None)]  # noqa: E731 - one attempt covers all pages
        return self._retried(f"{client}.{method}", pages)

    def _retried(self, what: str, attempt: Callable[[], T]) -> T:
        retries = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=self.pause, max=20),
            retry=retry_if_exception_type(UnavailableError),
            before_sleep=_log_retry,
            reraise=True,
        )
        result: T = retries(_translated, what, self._where(), attempt)
        return result

    def _where(self) -> str:
        """For people whose cloud does not answer: where it was looked for, and what to do."""
        if self.endpoint is None:
            return "Google Cloud did not answer; check network and proxy, then run again"
        remedy = (
            "start it with `make up`, or set cloud.endpoint" if is_loopback(self.endpoint) else "check cloud.endpoint, network and proxy"
        )
        return f"the cloud at {self.endpoint} did not answer; {remedy}"

    def _credentials(self) -> Any:
        if self.credentials is not None:
            return self.credentials
        if self.endpoint is not None and is_loopback(self.endpoint):
            from google.auth.credentials import AnonymousCredentials

            return AnonymousCredentials()
        if self.endpoint is not None and self.endpoint.startswith("http://"):
            raise SettingsError(
                f"cloud.endpoint: {self.endpoint!r} would carry credentials in clear text; use https, or a loopback address"
            )
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        try:
            credentials, _ = google.auth.default(scopes=[_SCOPE])
        except DefaultCredentialsError as error:
            raise SettingsError(
                f"no Google credentials: {error}; set GOOGLE_APPLICATION_CREDENTIALS or the connection's key file"
            ) from error
        return credentials


def key_credentials(*, path: str | None = None, text: str | None = None) -> Any:
    """Credentials of a service account from its key, given as JSON text or as a file; None when neither is given.

    Raises:
        SettingsError: when the key cannot be read.
    """
    if not path and not text:
        return None
    from google.oauth2.service_account import Credentials

    try:
        key = json.loads(text or Path(str(path)).read_text(encoding="utf-8"))
        return Credentials.from_service_account_info(key, scopes=[_SCOPE])
    except (OSError, ValueError) as error:
        what = "the connection's key" if text else f"key file {path}"
        raise SettingsError(f"{what} is not a service account key: {type(error).__name__}; download it again") from error


def is_loopback(endpoint: str) -> bool:
    """Whether an address is plain http on this machine, where no credentials are needed."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if parts.scheme != "http":
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _translated(what: str, where: str, call: Callable[[], T]) -> T:
    """The call's result, its errors in Headroom's words; `where` says what to do when nobody answers."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import TransportError

    try:
        return call()
    except GoogleAPICallError as error:
        raise _refusal(what, error) from error
    except (requests.RequestException, TransportError, RetryError, ConnectionError, TimeoutError) as error:
        # urllib3 wraps what went wrong in the whole address and its own retries.
        reason = getattr(error.args[0], "reason", error) if error.args else error
        raise UnavailableError(f"{what}: {where} ({reason})") from error


def _refusal(what: str, error: Any) -> CloudRefusedError | UnavailableError:
    first = next((item for item in error.errors if isinstance(item, dict)), {})
    reason = str(first.get("reason") or error.reason or "")
    if error.code in _RETRYABLE_STATUS or reason in _PASSING:
        return UnavailableError(f"{what}: {error.code} {error.message}")
    return CloudRefusedError(_SPELLINGS.get(reason) or reason or f"HTTP_{error.code}", f"{what}: {error.message}")


def _log_retry(state: RetryCallState) -> None:
    failure = state.outcome.exception() if state.outcome else None
    _LOG.warning("attempt %d failed, trying again: %s", state.attempt_number, failure)
