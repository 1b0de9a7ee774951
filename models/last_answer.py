"""The last answer to a question that several candidates of one training ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["LastAnswer"]

_Answer = TypeVar("_Answer")


class LastAnswer(Generic[_Answer]):
    """Remembers one answer, that to the last question."""

    def __init__(self) -> None:
        self._kept: dict[str, _Answer] = {}

    def to(self, question: str, find: Callable[[], _Answer]) -> _Answer:
        """The answer to `question`, from `find` unless it was asked last.

        Args:
            question: a digest of all that decides the answer.
        """
        if question not in self._kept:
            found = find()
            self._kept = {question: found}
        return self._kept[question]
