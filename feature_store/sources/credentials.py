"""What a source needs to be let in; never printed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Credentials"]


@dataclass(frozen=True)
class Credentials:
    """User and password, or a bearer token. `repr` shows neither."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, source: str, environ: Mapping[str, str] | None = None) -> Credentials:
        """`HEADROOM_<SOURCE>_USER`, `_PASSWORD` and `_TOKEN`; the source's name in capitals, `-` as `_`. Empty when none is set."""
        env = os.environ if environ is None else environ
        prefix = f"HEADROOM_{source.upper().replace('-', '_')}"
        return cls(username=env.get(f"{prefix}_USER"), password=env.get(f"{prefix}_PASSWORD"), token=env.get(f"{prefix}_TOKEN"))

    def __bool__(self) -> bool:
        return any((self.username, self.password, self.token))
