"""Reads a chain from a ledger as links, writer by writer and in order, in memory that does not grow.

Whatever a file holds becomes a link or a finding, never an exception: whoever altered it may have left
anything in any column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cds_wrapper.ledger.chain import Ended, Head, Judge, Link
from cds_wrapper.ledger.findings import Finding, Problem
from cds_wrapper.ledger.values import FORMS, RowForm

_ROWS_AT_ONCE = 500
_MOVES_SOUGHT = 10
_LONGEST_NAME = 200
_ERASURES = """
SELECT writer, sequence, hash, previous_hash FROM erasures WHERE chain = ? ORDER BY writer, sequence"""


@dataclass(frozen=True, slots=True)
class Placed:
    """A link and whose it is."""

    writer: str
    link: Link

    @property
    def order(self) -> tuple[str, int, bool]:
        """Rows before what is noted of an erased row of the same place."""
        return self.writer, self.link.sequence, self.link.is_erased


class ChainReader:
    """Reads one chained table; used by one thread.

    `report` hears of every finding, `passed` of the number of rows read since it was called last.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        table: str,
        report: Callable[[Finding], None],
        passed: Callable[[int], None],
    ) -> None:
        self._connection = connection
        self._table = table
        self._report = report
        self._passed = passed
        self._form: RowForm = FORMS[table]
        self._moves_left = _MOVES_SOUGHT
        self.rows_read = 0
        self.ended: dict[str, Ended] = {}
        """What passed of each writer's chain."""

    def judge(self) -> None:
        """Pass every link by its writer's judge; fills `ended`. Raises `sqlite3.Error`."""
        heads = self._heads()
        judge, writer = None, ""
        for placed in _merged(self._rows(), self._erasures()):
            if judge is None or placed.writer != writer:
                self._end(writer, judge)
                writer = placed.writer
                judge = Judge(self._table, shown(writer), heads.pop(writer, None), self._report)
            judge.add(placed.link)
        self._end(writer, judge)
        for writer, head in heads.items():
            self._end(writer, Judge(self._table, shown(writer), head, self._report))

    def _end(self, writer: str, judge: Judge | None) -> None:
        if judge is not None and (end := judge.end()):
            self.ended[writer] = end

    def _heads(self) -> dict[str, Head]:
        query = "SELECT writer, sequence, hash FROM chain_heads WHERE chain = ?"
        heads = {}
        for writer, sequence, row_hash in self._connection.execute(query, (self._table,)):
            if _is_place(writer, sequence, row_hash):
                heads[writer] = Head(sequence, row_hash)
            else:
                self._report(Finding(Problem.HEAD_UNREADABLE, self._table, shown(writer)))
        return heads

    def _erasures(self) -> Iterator[Placed]:
        for writer, sequence, row_hash, previous in self._connection.execute(_ERASURES, (self._table,)):
            if _is_place(writer, sequence, row_hash):
                yield Placed(writer, Link(sequence, row_hash, _text(previous), is_erased=True))
            else:
                self._report(Finding(Problem.ERASURE_MISFIT, self._table, shown(writer), _number(sequence)))

    def _rows(self) -> Iterator[Placed]:
        names = self._form.names
        writer_at, sequence_at = names.index("writer"), names.index("sequence")
        prediction_at = names.index("prediction_id") if "prediction_id" in names else None
        cursor = self._connection.execute(
            f"SELECT {', '.join(names)} FROM {self._table} ORDER BY writer, sequence"  # noqa: S608  names are ours
        )
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            for row in rows:
                writer, sequence = row[writer_at], row[sequence_at]
                prediction_id = None if prediction_at is None else row[prediction_at]
                problem, detail = self._look_at(row)
                if _is_place(writer, sequence, row[-1]):
                    named = None if prediction_id is None else shown(prediction_id)
                    link = Link(sequence, row[-1], _text(row[-2]), named, False, problem, detail)
                    yield Placed(writer, link)
                else:
                    named = None if prediction_at is None else shown(prediction_id)
                    place = (shown(writer), _number(sequence), named)
                    self._report(Finding(Problem.UNREADABLE, self._table, *place, detail))
            self.rows_read += len(rows)
            self._passed(len(rows))

    def _look_at(self, stored: tuple[Any, ...]) -> tuple[Problem | None, str | None]:
        """What is wrong with a row by itself."""
        try:
            row = self._form.of_stored(stored)
        except ValueError as error:
            return Problem.UNREADABLE, str(error)
        if self._fits(row, stored[-1]):
            return None, None
        came_from = self._came_from(row)
        return (Problem.ALTERED, None) if came_from is None else (Problem.MOVED, f"row {came_from}")

    def _fits(self, row: list[Any], row_hash: object) -> bool:
        try:
            return self._form.hash(row) == row_hash
        except ValueError:  # an infinite number, or text that is no Unicode
            return False

    def _came_from(self, row: list[Any]) -> int | None:
        """The place this row had when hashed: behind the row it names, or before the one that names it.

        No index leads there, so only the first few altered rows are worth the search.
        """
        if self._moves_left == 0:
            return None
        self._moves_left -= 1
        sequence, writer = (self._form.names.index(name) for name in ("sequence", "writer"))
        after = f"SELECT sequence - 1 FROM {self._table} WHERE writer = ? AND previous_hash = ?"  # noqa: S608  names are ours
        before = f"SELECT sequence + 1 FROM {self._table} WHERE writer = ? AND hash = ?"  # noqa: S608  names are ours
        head = "SELECT sequence FROM chain_heads WHERE chain = ? AND writer = ? AND hash = ?"
        candidates = [
            *self._connection.execute(f"{after} LIMIT 1", (row[writer], row[-1])),
            *self._connection.execute(f"{before} LIMIT 1", (row[writer], row[-2])),
            *self._connection.execute(head, (self._table, row[writer], row[-1])),
        ]
        for (candidate,) in candidates:
            row[sequence] = candidate
            if isinstance(candidate, int) and self._fits(row, row[-1]):
                return candidate
        return None


def _merged(rows: Iterator[Placed], erasures: Iterator[Placed]) -> Iterator[Placed]:
    """Both, in the order of their places. Both come in it, as far as the database's indexes are sound."""
    erased = next(erasures, None)
    for row in rows:
        while erased is not None and erased.order < row.order:
            yield erased
            erased = next(erasures, None)
        yield row
    while erased is not None:
        yield erased
        erased = next(erasures, None)


def _is_place(writer: object, sequence: object, row_hash: object) -> bool:
    return isinstance(writer, str) and isinstance(sequence, int) and isinstance(row_hash, str)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def shown(value: object) -> str:
    """A name that may have been tampered with, fit for a terminal."""
    text = value if isinstance(value, str) and value.isprintable() else ascii(value)
    return text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + "…"
