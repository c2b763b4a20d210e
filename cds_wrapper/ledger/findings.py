"""What an audit can find wrong with a ledger, in words, and how much of it is kept. Pure values."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass

RANGES_KEPT = 1000
"""How many ranges of missing rows are named one by one; the rest are counted."""


class Problem(enum.Enum):
    """What is wrong, by the name a script sees."""

    # One row, and the rows beside it.
    UNREADABLE = "unreadable"
    ALTERED = "altered"
    MOVED = "moved"
    REWRITTEN = "rewritten"
    INSERTED = "inserted"
    DUPLICATE = "duplicate"
    MISSING = "missing"
    ERASURE_MISFIT = "erasure_misfit"
    ERASED_BUT_THERE = "erased_but_there"
    # The ends of a chain.
    HEAD_DIFFERS = "head_differs"
    MISSING_AT_END = "missing_at_end"
    AFTER_HEAD = "after_head"
    NO_HEAD = "no_head"
    HEAD_UNREADABLE = "head_unreadable"
    START_UNKNOWN = "start_unknown"
    TWO_STARTS = "two_starts"
    NOTED_HEAD_GONE = "noted_head_gone"
    NOTED_HEAD_DIFFERS = "noted_head_differs"
    # What stands beside the chains.
    CARD_UNACCOUNTED = "card_unaccounted"
    CARD_MISSING = "card_missing"
    WITHOUT_PREDICTION = "without_prediction"
    WITHOUT_DECISION = "without_decision"
    WITHOUT_REVIEW = "without_review"
    UNLIKE_REVIEW = "unlike_review"
    FILE_ALTERED = "file_altered"
    FILE_MISSING = "file_missing"
    # The database itself.
    SCHEMA_MISSING = "schema_missing"
    SCHEMA_ALTERED = "schema_altered"
    SCHEMA_ADDED = "schema_added"
    HIDDEN_ROWS = "hidden_rows"
    DAMAGED = "damaged"


_SAYS = {
    Problem.UNREADABLE: "holds what its columns cannot hold",
    Problem.ALTERED: "content does not fit its hash: the row was altered",
    Problem.MOVED: "the row was moved here from another place of its chain",
    Problem.REWRITTEN: "content fits its hash, but the row after it names another: this row, or several up to"
    " it, were written anew",
    Problem.INSERTED: "fits neither the row before it nor the row after it: it was inserted or written anew",
    Problem.DUPLICATE: "a second row with the same place",
    Problem.MISSING: "rows are missing: they were deleted, or their places were changed",
    Problem.ERASURE_MISFIT: "what was kept of an erased row does not fit the rows beside it",
    Problem.ERASED_BUT_THERE: "the row is noted as erased and is still there",
    Problem.HEAD_DIFFERS: "the last row is not the one the chain's head names: one of them was altered",
    Problem.MISSING_AT_END: "rows at the end are missing: the chain's head names a row that is not there",
    Problem.AFTER_HEAD: "the row stands after the chain's head: it was not written by the wrapper, or the"
    " head was set back",
    Problem.NO_HEAD: "the chain has no head: it was deleted",
    Problem.HEAD_UNREADABLE: "the chain's head holds what its columns cannot hold",
    Problem.START_UNKNOWN: "the chain starts from a hash that no row has",
    Problem.TWO_STARTS: "a second chain that starts from nothing; the first one is another writer's",
    Problem.NOTED_HEAD_GONE: "the row that was noted as a head is not there",
    Problem.NOTED_HEAD_DIFFERS: "the row that was noted as a head has another hash: rows were written anew",
    Problem.CARD_UNACCOUNTED: "a card that neither its prediction nor a correction of it names",
    Problem.CARD_MISSING: "a card the row names is not in the table of cards",
    Problem.WITHOUT_PREDICTION: "the prediction it speaks of is not there",
    Problem.WITHOUT_DECISION: "the order it was given under is not there",
    Problem.WITHOUT_REVIEW: "the review it rests on is not there",
    Problem.UNLIKE_REVIEW: "not as the kept result of its review says: it was altered, added or taken away",
    Problem.FILE_ALTERED: "a kept file's content does not fit its digest",
    Problem.FILE_MISSING: "a file that decided this prediction is not kept",
    Problem.SCHEMA_MISSING: "a part of the schema is missing",
    Problem.SCHEMA_ALTERED: "a part of the schema is not as this version makes it",
    Problem.SCHEMA_ADDED: "a part of the schema that this version does not make",
    Problem.HIDDEN_ROWS: "the table holds another number of rows than its index shows",
    Problem.DAMAGED: "the database is damaged",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where; `until` is the end of a range of missing rows.

    `prediction_id` is random and leads to a patient only through the ledger. `detail` never holds a value.
    """

    problem: Problem
    table: str
    writer: str | None = None
    sequence: int | None = None
    prediction_id: str | None = None
    detail: str | None = None
    until: int | None = None

    @property
    def says(self) -> str:
        """What is wrong, in words."""
        return _SAYS[self.problem] + (f" ({self.detail})" if self.detail else "")

    @property
    def where(self) -> str:
        """Table, writer, place and prediction, as far as they are known."""
        many = self.until is not None and self.until != self.sequence
        place = f"{self.sequence} to {self.until}" if many else str(self.sequence)
        parts = (
            self.table,
            f"writer {self.writer}" if self.writer is not None else "",
            f"{'rows' if many else 'row'} {place}" if self.sequence is not None else "",
            f"prediction {self.prediction_id}" if self.prediction_id else "",
        )
        return ", ".join(part for part in parts if part)

    def document(self) -> dict[str, object]:
        """For scripts."""
        return {**asdict(self), "problem": self.problem.value, "says": self.says}


class Findings:
    """Keeps the first finding of each kind, table and writer, and counts the others; every range of gaps."""

    def __init__(self) -> None:
        self._first: dict[tuple[Problem, str, str | None], Finding] = {}
        self._further: dict[tuple[Problem, str, str | None], int] = {}
        self._ranges: list[Finding] = []
        self._ranges_left_out = 0

    def add(self, finding: Finding) -> None:
        """Take note of one."""
        if finding.problem is Problem.MISSING:
            if len(self._ranges) < RANGES_KEPT:
                self._ranges.append(finding)
            else:
                self._ranges_left_out += 1
            return
        key = (finding.problem, finding.table, finding.writer)
        if key in self._first:
            self._further[key] = self._further.get(key, 0) + 1
        else:
            self._first[key] = finding

    def merge(self, others: Findings) -> None:
        """Take over what another collection holds; its tables are none of this one's."""
        self._first |= others._first
        self._further |= others._further
        for finding in others._ranges:
            self.add(finding)
        self._ranges_left_out += others._ranges_left_out

    def counted(self) -> list[tuple[Finding, int]]:
        """Each kept finding with the number of further ones like it; ranges of missing rows first."""
        ranges = [(finding, 0) for finding in self._ranges]
        if ranges:
            ranges[-1] = (ranges[-1][0], self._ranges_left_out)
        return ranges + [(finding, self._further.get(key, 0)) for key, finding in self._first.items()]

    def __len__(self) -> int:
        return len(self._first) + len(self._ranges)
