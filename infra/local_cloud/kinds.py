"""What makes one kind of resource different from the others; `methods` does what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from infra.local_cloud.call import Call
from infra.local_cloud.fields import Body
from infra.local_cloud.store import Row

__all__ = ["Change", "Kind"]


def _unused(_call: Call, _row: Row) -> str | None:
    return None


def _nothing(_call: Call, _row: Row) -> None:
    return None


@dataclass(frozen=True)
class Change:
    """A method that changes a resource.

    Attributes:
        apply: the new body, from the stored row and the request; refuses what is not allowed.
        operation: the operation's type.
        schema: schema of the request's body; None when there is none.
    """

    apply: Callable[[Call, Row], Body]
    operation: str
    schema: str | None


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    Attributes:
        collection: name in paths; `schema` is the name of one resource in the discovery document.
        scopes: `zones`, `regions` or `global`: where the collection exists.
        prepare: the body to store, from an insert request; refuses what is wrong.
        present: the body to show, live fields included.
        patch: the PATCH method; `actions` are the `POST .../{name}/{action}` methods.
        used_by: what stands in the way of a deletion, if anything.
        applied: runs in the same transaction after an insert or change; `removed` before a deletion.
        at_once: changes take effect when they are accepted, not when the operation is DONE.
        hidden: not to be seen before its insert operation is DONE.
        list_word: what the `kind` of a list says before `List`, where it is not `word`.
    """

    collection: str
    schema: str
    scopes: tuple[str, ...]
    prepare: Callable[[Call, Body], Body]
    present: Callable[[Call, Row], Body]
    patch: Change | None = None
    actions: Mapping[str, Change] = field(default_factory=dict)
    used_by: Callable[[Call, Row], str | None] = _unused
    applied: Callable[[Call, Row], None] = _nothing
    removed: Callable[[Call, Row], None] = _nothing
    insert_operation: str = "insert"
    delete_operation: str = "delete"
    at_once: bool = False
    hidden: bool = False
    list_word: str = ""

    @property
    def word(self) -> str:
        """The kind in `kind` fields: the schema's name with a small first letter."""
        return self.schema[0].lower() + self.schema[1:]
