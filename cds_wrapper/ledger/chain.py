"""Judges the links of a chain as they pass. Pure: what it is given decides what it finds.

A row vouches for the row before it: it names that row's hash, and its own hash covers the name. The head
vouches for the last row. So a row that was altered and hashed again is given away by the row after it, and
whoever wants to hide that has to write every later row anew, the head included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cds_wrapper.ledger.findings import Finding, Problem


class Link(NamedTuple):
    """One place in a chain: a row, or what an erased row left; `problem` is what is wrong with it alone."""

    sequence: int
    hash: str
    previous_hash: str | None
    prediction_id: str | None = None
    is_erased: bool = False
    problem: Problem | None = None
    detail: str | None = None


class Head(NamedTuple):
    """Which row was written last, as the table of heads has it."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What passed of one writer's chain; `starts_from` is the hash its first row names."""

    rows: int
    erased: int
    first: Link
    last: Link

    @property
    def starts_from(self) -> str | None:
        """The hash the first row names."""
        return self.first.previous_hash


class Judge:
    """Takes one writer's links in the order of their sequence and reports what is wrong.

    A link is judged when the two after it are known: one that does not name the row before it is to blame
    itself when the row after it does not name it either.
    """

    def __init__(self, table: str, writer: str, head: Head | None, report: Callable[[Finding], None]) -> None:
        self._table = table
        self._writer = writer
        self._head = head
        self._report = report
        self._first: Link | None = None
        self._judged: Link | None = None
        self._waiting: Link | None = None
        self._latest: Link | None = None
        self._rows = self._erased = 0

    def add(self, link: Link) -> None:
        """The next link; one with the place of the one before it is reported and otherwise passed over."""
        self._count(link)
        before = self._latest
        if before is None:
            self._first = link
            self._missing(1, link.sequence - 1, None)
        elif link.sequence == before.sequence:
            self._say(Problem.ERASED_BUT_THERE if link.is_erased else Problem.DUPLICATE, link)
            return
        else:
            is_known = "the rows beside the gap fit together" if link.previous_hash == before.hash else None
            self._missing(before.sequence + 1, link.sequence - 1, is_known)
        if self._waiting is not None and before is not None:
            self._judge(self._waiting, before, _vouches(link, before))
        self._judged, self._waiting, self._latest = self._waiting, before, link

    def _count(self, link: Link) -> None:
        self._rows += not link.is_erased
        self._erased += link.is_erased
        if self._head is not None and link.sequence > self._head.sequence:
            self._say(Problem.AFTER_HEAD, link)

    def end(self) -> Ended | None:
        """No more links: judge the last ones by the head. None when there was no link at all."""
        last = self._latest
        if last is None or self._first is None:
            if self._head is not None:
                self._say_missing_at_end(1, self._head.sequence)
            return None
        by_head = self._head_vouches(last)
        if self._waiting is not None:
            self._judge(self._waiting, last, by_head)
        self._judged = self._waiting
        self._judge_last(last, by_head)
        return Ended(self._rows, self._erased, self._first, last)

    def _head_vouches(self, last: Link) -> bool | None:
        head = self._head
        if head is None:
            self._report(Finding(Problem.NO_HEAD, self._table, self._writer))
            return None
        if head.sequence > last.sequence:
            self._say_missing_at_end(last.sequence + 1, head.sequence)
            return None
        return head.hash == last.hash if head.sequence == last.sequence else None

    def _judge(self, link: Link, after: Link, after_is_vouched_for: bool | None) -> None:
        if link.problem is not None:
            self._say(link.problem, link)
            return
        if _vouches(after, link) is not False:
            return
        does_not_fit_before = self._judged is not None and _vouches(link, self._judged) is False
        if link.is_erased:
            self._say(Problem.ERASURE_MISFIT, link)
        elif does_not_fit_before:
            self._say(Problem.INSERTED, link)
        elif after_is_vouched_for is False:
            return  # the one after it is to blame, and will be
        elif after.is_erased:
            self._say(Problem.ERASURE_MISFIT, after)
        else:
            self._say(Problem.REWRITTEN, link)

    def _judge_last(self, last: Link, by_head: bool | None) -> None:
        does_not_fit_before = self._judged is not None and _vouches(last, self._judged) is False
        if last.problem is not None:
            self._say(last.problem, last)
        elif by_head is False and does_not_fit_before:
            self._say(Problem.ERASURE_MISFIT if last.is_erased else Problem.INSERTED, last)
        elif by_head is False:
            self._say(Problem.HEAD_DIFFERS, last)

    def _say(self, problem: Problem, link: Link) -> None:
        place = (self._table, self._writer, link.sequence, link.prediction_id)
        self._report(Finding(problem, *place, link.detail if problem is link.problem else None))

    def _missing(self, start: int, end: int, detail: str | None) -> None:
        if start <= end:
            self._report(Finding(Problem.MISSING, self._table, self._writer, start, detail=detail, until=end))

    def _say_missing_at_end(self, start: int, end: int) -> None:
        self._report(Finding(Problem.MISSING_AT_END, self._table, self._writer, start, until=end))


def _vouches(after: Link, link: Link) -> bool | None:
    """Whether `after` names `link`; None where that cannot be known: a gap, or a row that was altered."""
    if after.sequence != link.sequence + 1:
        return None
    if after.previous_hash == link.hash:
        return True
    return None if link.problem or after.problem else False
