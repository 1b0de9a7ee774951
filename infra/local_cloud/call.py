"""One request, read and located: what every method of the API gets."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from infra.local_cloud.books import load_books
from infra.local_cloud.capacity import Books, Shortage
from infra.local_cloud.catalog import Catalog
from infra.local_cloud.errors import invalid
from infra.local_cloud.fields import Body
from infra.local_cloud.seed import Timing
from infra.local_cloud.store import Row, Store

__all__ = ["BASE", "Call", "Cloud", "last_part", "stamp"]

BASE: Final = "https://www.googleapis.com/compute/v1"


@dataclass(frozen=True)
class Cloud:
    """What stays the same from request to request."""

    project: str
    catalog: Catalog
    timing: Timing


@dataclass(frozen=True)
class Call:
    """A request.

    Attributes:
        scope: `zones/<zone>`, `regions/<region>` or `global`.
        now: the server's clock, seconds since 1970.
        fingerprint: the same for two requests exactly when method, path, parameters and body are the same.
        forced: why the operation fails whatever there is, by request (see `faults`).
    """

    cloud: Cloud
    store: Store
    now: float
    scope: str
    query: Mapping[str, list[str]]
    body: Body
    request_id: str | None
    fingerprint: str
    forced: Shortage | None = None

    @cached_property
    def books(self) -> Books:
        """Who held what before this request changed anything."""
        return load_books(self.store, self.cloud.catalog)

    @cached_property
    def usage(self) -> tuple[Mapping[tuple[str, str], float], Mapping[tuple[str, str], float]]:
        """Quota used by `(region, metric)` and stock used by `(zone, sku)`; what is not used reads as 0."""
        return self.books.usage()

    @cached_property
    def in_use(self) -> Mapping[str, int]:
        """Path of a reservation -> VMs that consume it."""
        return self.books.in_use()

    def parameter(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def path(self, rest: str) -> str:
        """`projects/<project>/<rest>`, as messages name resources."""
        return f"projects/{self.cloud.project}/{rest}"

    def url(self, rest: str) -> str:
        return f"{BASE}/{self.path(rest)}"

    def region_of(self, scope: str) -> str | None:
        """The region that a scope is in; None for `global`."""
        kind, _, name = scope.partition("/")
        return {"zones": self.cloud.catalog.zones.get(name), "regions": name}.get(kind)

    def location(self, scope: str) -> Body:
        """The field `zone` or `region` of a resource in the scope."""
        kind = scope.partition("/")[0]
        return {} if kind == "global" else {kind.removesuffix("s"): self.url(scope)}

    def frame(self, row: Row, kind: str) -> Body:
        """The fields that every stored resource has."""
        return {
            "kind": f"compute#{kind}",
            "id": str(row.id),
            "creationTimestamp": stamp(row.created),
            "name": row.name,
            "selfLink": self.url(row.path),
            **self.location(row.scope),
        }

    def whole(self, value: object, field: str, *, least: int = 0) -> int:
        """A whole number of at least `least`.

        Raises:
            ApiError: 400 when it is missing, not a number, or too small.
        """
        text = str(value)
        if not re.fullmatch("-?[0-9]{1,19}", text) or int(text) < least:
            raise invalid(f"Invalid value for field '{field}': '{text}'. Must be a whole number of at least {least}.")
        return int(text)


def stamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).isoformat(timespec="milliseconds")


def last_part(link: str) -> str:
    """The name at the end of a full or partial URL."""
    return link.rstrip("/").rpartition("/")[2]
