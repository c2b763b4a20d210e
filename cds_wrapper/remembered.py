"""Answers of pure functions, kept for as long as they are asked for again.

What a call costs is mostly code that the processor has not seen for a while: an answer that is looked up
takes a few instructions, where making it anew takes thousands. Kept is only what says nothing of a single
patient: whoever uses this asks such questions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")


class Remembered(Generic[_Answer]):
    """Answers by their question, at most so many; all are forgotten when there would be more."""

    __slots__ = ("_answers", "_most")

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._answers: dict[Hashable, _Answer] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def questions(self) -> tuple[Hashable, ...]:
        """Every question whose answer is kept."""
        return tuple(self._answers)

    def of(self, question: Hashable, answer: Callable[[], _Answer]) -> _Answer:
        """The answer to a question, made once; the same question must always have an equal answer."""
        found = self._answers.get(question)
        if found is None:
            if len(self._answers) >= self._most:
                self._answers.clear()
            found = self._answers[question] = answer()
        return found
