"""Work on a history that several candidates of one forecast have in common is done once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import ContextVar, Token
from typing import Final, Self, TypeVar, cast

__all__ = ["SharedWork", "once"]

_Answer = TypeVar("_Answer")


class SharedWork:
    """Within `with` this, `once` remembers; what it remembers is gone with the object.

    Nothing that is asked about may be changed meanwhile: answers are told apart by the very object that they are about, not by its content.
    """

    def __init__(self) -> None:
        # The objects are kept with the answers about them, or another one could take the identity of one that is gone.
        self._kept: dict[tuple[int, Hashable], tuple[object, object]] = {}
        self._outer: Token[SharedWork | None] | None = None

    def __enter__(self) -> Self:
        self._outer = _CURRENT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._outer is not None:
            _CURRENT.reset(self._outer)

    def _answer(self, about: object, question: Hashable, find: Callable[[], object]) -> object:
        key = (id(about), question)
        if key not in self._kept:
            self._kept[key] = (about, find())
        return self._kept[key][1]


_CURRENT: Final[ContextVar[SharedWork | None]] = ContextVar("shared_work", default=None)


def once(about: object, question: Hashable, find: Callable[[], _Answer]) -> _Answer:
    """The answer of `find`; within a `SharedWork` that of the first call with the same object and an equal question.

    Args:
        question: what is asked, and all that decides the answer beside the object.
    """
    work = _CURRENT.get()
    return find() if work is None else cast("_Answer", work._answer(about, question, find))  # noqa: SLF001 -- the other half of the class
