"""How a long calculation says how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "SilentProgress"]


class Progress(Protocol):
    """Listens to a calculation of known length."""

    def start(self, total: int, what: str) -> None:
        """A stage called `what` begins; it has `total` steps of about the same length. The stage before has ended."""
        ...

    def advance(self, steps: int = 1, what: str = "") -> None:
        """`steps` more steps are done; `what` names what was done or comes next, "" keeps the name that is shown."""
        ...


class SilentProgress:
    """Says nothing: for tests, tasks and libraries."""

    def start(self, total: int, what: str) -> None:
        """Nothing is said."""

    def advance(self, steps: int = 1, what: str = "") -> None:
        """Nothing is said."""
