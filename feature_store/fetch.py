"""Bytes of a file or of an https address, with time-outs, retries and a size limit.

A message names the host of an address and never its path or query: private calendar addresses carry a token there.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from tenacity import RetryCallState, retry, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from headroom.errors import BadInputError, UnavailableError

__all__ = ["Answer", "Limits", "check_address", "read_location", "send"]

_REDIRECTS: Final = 5
_CHUNK_BYTES: Final = 1 << 16
# A server that asks for more patience than this is better tried again by the next run of the task.
_LONGEST_WAIT_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Limits:
    """How long and how much one request may take.

    Attributes:
        timeout_seconds: for the connection, for each pause of the server, and for the whole answer.
        attempts: tries in all, when the server is unreachable or answers 429 or 5xx.
        first_wait_seconds: pause before the second try; it doubles from try to try.
        size_bytes: a longer answer or file is refused.
    """

    timeout_seconds: float = 30.0
    attempts: int = 4
    first_wait_seconds: float = 0.5
    size_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer below 500."""

    status: int
    body: bytes
    redirect: str | None = None


class _BusyError(UnavailableError):
    """A server that may answer the next try; `wait_seconds` is the pause it asked for."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def read_location(location: str, base: Path, *, what: str, limits: Limits | None = None) -> bytes:
    """The bytes at `location`: an https address, or a path relative to `base`. `what` names the reader in messages.

    Raises:
        BadInputError: missing or unreadable file, refused address, answer other than 200, more than `limits.size_bytes`.
        UnavailableError: the address did not answer after every attempt.
    """
    limits = limits or Limits()
    if "://" in location:
        return _read_address(location, what, limits)
    path = base / location
    if not path.is_file():
        raise BadInputError(f"{what}: no such file {location!r} in {base}; correct the location in capacity.yaml")
    if path.stat().st_size > limits.size_bytes:
        raise BadInputError(f"{what}: {location!r} is larger than {limits.size_bytes:,} bytes; split it")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{what}: {location!r} cannot be read: {error.strerror}; check its permissions") from error


def send(
    session: requests.Session, method: str, url: str, *, what: str, limits: Limits, data: Mapping[str, str | float] | None = None
) -> Answer:
    """One request with retries. Redirects are not followed: `Answer.redirect` holds where they lead.

    Raises:
        BadInputError: the address or its certificate is wrong, or the answer is longer than `limits.size_bytes`.
        UnavailableError: no connection, a time-out, 429 or 5xx on every attempt.
    """

    @retry(
        retry=retry_if_exception_type(_BusyError),
        stop=stop_after_attempt(limits.attempts),
        wait=lambda state: _pause(state, limits),
        reraise=True,
    )
    def attempt() -> Answer:
        return _send_once(session, method, url, what, limits, data)

    return attempt()


def check_address(url: str, what: str, *, plain_http: bool = False) -> None:
    """Refuse an address that would send in the clear, or that holds a secret itself.

    Args:
        plain_http: whether `http://` may leave this machine; loopback addresses may always be plain.

    Raises:
        BadInputError: naming the rule.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise BadInputError(f"{what}: the address is not valid: {error}") from error
    if parts.username or parts.password:
        raise BadInputError(f"{what}: the address holds a user name or password; put them into an Airflow connection")
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise BadInputError(f"{what}: {_shown(url)!r} is not an address; expected https://host/path")
    if parts.scheme == "http" and not plain_http and not _is_loopback(parts.hostname):
        raise BadInputError(f"{what}: {_shown(url)} would travel unencrypted; use https (plain http is for this machine only)")


def _read_address(url: str, what: str, limits: Limits) -> bytes:
    with requests.Session() as session:
        for _ in range(_REDIRECTS + 1):
            check_address(url, what)
            answer = send(session, "GET", url, what=what, limits=limits)
            if answer.redirect is None:
                if answer.status != HTTPStatus.OK:
                    raise BadInputError(f"{what}: {_shown(url)} answers {answer.status}; check the address and whether it is public")
                return answer.body
            before, url = url, urljoin(url, answer.redirect)
            if _is_loopback(urlsplit(url).hostname or "") and not _is_loopback(urlsplit(before).hostname or ""):
                raise BadInputError(f"{what}: {_shown(before)} redirects to this machine; use the final address")
    raise BadInputError(f"{what}: more than {_REDIRECTS} redirects, the last to {_shown(url)}; use the final address")


def _send_once(
    session: requests.Session, method: str, url: str, what: str, limits: Limits, data: Mapping[str, str | float] | None
) -> Answer:
    where = _shown(url)
    deadline = time.monotonic() + limits.timeout_seconds
    try:
        with session.request(method, url, data=data, stream=True, allow_redirects=False, timeout=limits.timeout_seconds) as response:
            body = _read_body(response, deadline, where, what, limits)
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS or response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                text = body[:300].decode("utf-8", "replace").strip()
                raise _BusyError(f"{what}: {where} answers {response.status_code} {text}".rstrip(), _asked_wait(response))
            return Answer(response.status_code, body, response.headers.get("Location") if response.is_redirect else None)
    except requests.exceptions.SSLError as error:
        raise BadInputError(f"{what}: {where}: the certificate is not accepted: {error}") from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise BadInputError(f"{what}: {where} is not a usable address: {error}") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _BusyError(f"{what}: {where} does not answer ({type(error).__name__}); check that it is up and reachable") from error


def _read_body(response: requests.Response, deadline: float, where: str, what: str, limits: Limits) -> bytes:
    body = bytearray()
    # read1 returns what has arrived; iter_content would wait for a full chunk, however slowly it drips.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > limits.size_bytes:
            raise BadInputError(f"{what}: {where} answers more than {limits.size_bytes:,} bytes; ask for less")
        if time.monotonic() > deadline:
            raise _BusyError(f"{what}: {where} took longer than {limits.timeout_seconds:g} s to answer")
    return bytes(body)


def _asked_wait(response: requests.Response) -> float | None:
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else None


def _pause(state: RetryCallState, limits: Limits) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.wait_seconds if isinstance(error, _BusyError) else None
    backoff = wait_exponential(multiplier=limits.first_wait_seconds) + wait_random(0, limits.first_wait_seconds)
    return min(max(asked or 0.0, backoff(state)), _LONGEST_WAIT_SECONDS)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
