"""Rows of a window from a Prometheus server, or from Cloud Monitoring's Prometheus-compatible address.

Headroom's timestamp is the START of a step; PromQL looks back. So the row at `t` is the query evaluated at `t + step`:
`rate(x[5m])` or `avg_over_time(x[5m])` at a step of 5 minutes then describe exactly `(t, t + step]`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import pandas as pd
import requests
import requests.auth

from feature_store.fetch import Answer, Limits, check_address, send
from feature_store.sources.credentials import Credentials
from feature_store.sources.prometheus_answer import matrix_rows
from feature_store.sources.raw import raw_frame
from headroom.errors import BadInputError, UnavailableError
from headroom.settings_sources import PrometheusSource

__all__ = ["MAX_POINTS", "PrometheusRows"]

# Prometheus refuses a range query with more points per series than this.
MAX_POINTS: Final = 11_000
_MONITORING_READ: Final = "https://www.googleapis.com/auth/monitoring.read"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrometheusRows:
    """One PromQL per metric, asked in chunks of at most `chunk_hours`; see `MetricRows`.

    Timestamps are multiples of `step_minutes`. `value` is a number, NaN and infinities included. A series with fewer
    points than the window has steps is named in `attrs["remarks"]`: a gap may be real, so it is for validation to judge.

    Raises:
        BadInputError: credentials over plain http to another machine.
    """

    source: PrometheusSource
    credentials: Credentials = field(default_factory=Credentials)

    def __post_init__(self) -> None:
        secret = bool(self.credentials) or self.source.google_auth
        check_address(self.source.url, self._what, plain_http=not secret)

    def rows(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """Rows of every metric, sorted by metric, series and time.

        Raises:
            BadInputError: a refused or unsuitable query, refused credentials, an address that is no Prometheus.
            UnavailableError: no answer after every attempt, or an answer that says it is partial.
        """
        first, last = (
            bound.ceil(f"{self.source.step_minutes}min") for bound in (start, end)
        )  # timestamps are first, first + step, ... < last
        parts, remarks = [], []
        with self._session() as session:
            for metric in self.source.metrics:
                chunks = [self._ask(session, metric, chunk_start, chunk_end) for chunk_start, chunk_end in self._chunks(first, last)]
                frame = raw_frame(chunks).sort_values(["region", "service", "timestamp"], kind="stable", ignore_index=True)
                remarks += self._gaps(metric, frame, expected=(last - first) // self._step)
                parts.append(frame)
        for remark in remarks:
            _log.warning("%s: %s", self._what, remark)
        return raw_frame(parts, remarks)

    @property
    def _what(self) -> str:
        return f"source {self.source.name}"

    @property
    def _step(self) -> pd.Timedelta:
        return pd.Timedelta(minutes=self.source.step_minutes)

    def _chunks(self, first: pd.Timestamp, last: pd.Timestamp) -> Iterator[tuple[pd.Timestamp, pd.Timestamp]]:
        points = min(MAX_POINTS, max(1, math.floor(self.source.chunk_hours * 60 / self.source.step_minutes)))
        while first < last:
            following = min(first + points * self._step, last)
            yield first, following
            first = following

    def _ask(self, session: requests.Session, metric: str, first: pd.Timestamp, following: pd.Timestamp) -> pd.DataFrame:
        """Rows with timestamps `first, first + step, ... < following`."""
        settings = self.source.metrics[metric]
        limits = Limits(timeout_seconds=self.source.timeout_seconds)
        form: dict[str, str | float] = {
            "query": settings.query or "",
            "start": (first + self._step).timestamp(),
            "end": following.timestamp(),  # the last row starts one step before `following` and ends there
            "step": self._step.total_seconds(),
            "timeout": f"{math.ceil(self.source.timeout_seconds)}s",
        }
        what = f"{self._what}: metric {metric!r}"
        answer = send(session, "POST", f"{self.source.url.rstrip('/')}/api/v1/query_range", what=what, limits=limits, data=form)
        if answer.redirect is not None:
            raise BadInputError(f"{what}: the server answers a redirect to {answer.redirect}; set url to the final address")
        self._check_let_in(answer, what)
        return matrix_rows(answer, metric, self._step, what)

    def _check_let_in(self, answer: Answer, what: str) -> None:
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            remedy = (
                "check that the Google credentials may read Cloud Monitoring (roles/monitoring.viewer)"
                if self.source.google_auth
                else f"check the Airflow connection {self.source.connection_id or '(connection_id is not set)'}"
            )
            raise BadInputError(f"{what}: the server answers {answer.status} and lets us not in; {remedy}")

    def _gaps(self, metric: str, frame: pd.DataFrame, expected: int) -> list[str]:
        if frame.empty:
            return [f"metric {metric!r} has no series in the window"] if expected else []
        found = frame.groupby(["region", "service"], dropna=False).size()
        short = found[found < expected]
        return [
            f"metric {metric!r}: {region}/{service} has {count} of {expected} points"
            for (region, service), count in zip(short.index.to_list(), short, strict=True)
        ]

    def _session(self) -> requests.Session:
        if self.source.google_auth:
            return _google_session(self._what)
        session = requests.Session()
        if self.credentials.token:
            session.auth = _Bearer(self.credentials.token)
        elif self.credentials.username:
            session.auth = requests.auth.HTTPBasicAuth(self.credentials.username, self.credentials.password or "")
        return session


@dataclass(frozen=True)
class _Bearer(requests.auth.AuthBase):
    """As `auth`, not as a header: requests would replace the header by what a .netrc file says."""

    token: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _google_session(what: str) -> requests.Session:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
    from google.auth.transport.requests import AuthorizedSession, Request

    try:
        credentials, _ = google.auth.default(scopes=[_MONITORING_READ])
        credentials.refresh(Request())
    except (DefaultCredentialsError, RefreshError) as error:
        raise BadInputError(
            f"{what}: google_auth is set and this machine has no usable Google credentials; "
            "run `gcloud auth application-default login` or set GOOGLE_APPLICATION_CREDENTIALS"
        ) from error
    except TransportError as error:
        raise UnavailableError(f"{what}: Google's token server does not answer: {error}") from error
    session: requests.Session = AuthorizedSession(credentials)
    return session
