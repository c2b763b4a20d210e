"""Reads the rows of a ledger that lie behind a place, beside its writer, as lines.

Every look is one short snapshot over a connection that cannot write: one held for long would keep the
write-ahead log from being emptied. Rows of every writer are read, by writer and sequence; what the committer
holds in memory plays no part.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.database import check_not_empty, error_name
from cds_wrapper.ledger.lines import CORRECTION, KINDS, PREDICTION, LineKind

_PATIENCE = timedelta(seconds=5)
# A sequence that is no number sorts behind every number, and was written past the wrapper.
_LAST = 2**63 - 1


class Place(NamedTuple):
    """How far a writer's rows of a table are known: the last one's sequence and hash."""

    sequence: int
    hash: str


Places: TypeAlias = Mapping[tuple[str, str], Place]
"""By table and writer; a writer that is not there is not known at all."""


class Row(NamedTuple):
    """One row as its line, and the place it stands for."""

    table: str
    writer: str
    place: Place
    line: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Look:
    """What one snapshot showed; `is_whole` when nothing more was there to be read."""

    rows: list[Row]
    is_whole: bool

    def __repr__(self) -> str:
        return f"Look({len(self.rows)} rows)"


class Tail:
    """The reading connection; used by one thread.

    Everything but `close` raises `LedgerUnavailable` when the file cannot be read or is no ledger of this
    version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None
        self._identity = (0, 0)

    def open(self) -> bool:
        """Open the ledger, again if another file is at its path; whether it was opened just now."""
        if self._open is not None and self._found() == self._identity:
            return False
        self._opened()
        return True

    def _opened(self) -> sqlite3.Connection:
        self.close()
        identity = self._found()
        with _translated():
            check_not_empty(self._path)
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=_PATIENCE.total_seconds(),
                isolation_level=None,
            )
            try:
                _check(connection)
            except BaseException:
                connection.close()
                raise
        self._open, self._identity = connection, identity
        return connection

    def close(self) -> None:
        """Close the connection; `open` makes another."""
        connection, self._open = self._open, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def look(self, places: Places, most: int) -> Look:
        """The next rows behind `places`, at most so many: predictions, then corrections, then feedback.

        A correction or feedback is shown only with every prediction of the same snapshot before it, so that
        its own prediction is always known first.
        """
        rows: list[Row] = []
        with self._snapshot() as connection:
            for kind in KINDS:
                for writer in _writers(connection, kind):
                    after = places.get((kind.table, writer), _START).sequence
                    until = _head(connection, kind, writer)
                    rows += _rows(connection, kind, writer, (after, until), most - len(rows))
                    if len(rows) >= most:
                        return Look(rows, is_whole=False)
        return Look(rows, is_whole=True)

    def rows(self, kind: LineKind, writer: str, after: int, until: int, most: int) -> list[Row]:
        """The next rows of one writer behind `after`, up to the sequence `until`."""
        with self._snapshot() as connection:
            rows = _rows(connection, kind, writer, (after, until), most)
            if kind is PREDICTION and rows:
                rows += _corrections(connection, writer, after, rows[-1].place.sequence)
            return rows

    def heads(self, kind: LineKind) -> dict[str, int]:
        """Each writer's last sequence."""
        with self._snapshot() as connection:
            return {writer: _last(connection, kind, writer) for writer in _writers(connection, kind)}

    def lag(self, places: Places) -> int:
        """How many rows lie behind `places`, at most: those erased in between are counted."""
        with self._snapshot() as connection:
            return sum(
                max(0, _last(connection, kind, writer) - places.get((kind.table, writer), _START).sequence)
                for kind in KINDS
                for writer in _writers(connection, kind)
            )

    def holds(self, places: Places) -> bool:
        """Whether each place is one of this ledger: the row is there with that hash, or was erased."""
        with self._snapshot() as connection:
            return all(_is_there(connection, *key, place) for key, place in places.items())

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """One transaction; what goes wrong in it closes the connection."""
        connection = self._open or self._opened()
        try:
            with _translated():
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
        except BaseException:
            self.close()
            raise

    def _found(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            problem = f"The ledger cannot be read: {self._path.absolute()} ({type(error).__name__})"
            raise LedgerUnavailable(f"{problem}; the setting CDS_WRAPPER_LEDGER names it.") from None
        return found.st_dev, found.st_ino


_START = Place(0, "")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"The ledger cannot be read ({error_name(error)}).") from None


def _head(connection: sqlite3.Connection, kind: LineKind, writer: str) -> int:
    """Where the writer's chain ends; to follow a row planted behind it would pass over those to come."""
    query = "SELECT sequence FROM chain_heads WHERE chain = ? AND writer = ?"
    found = connection.execute(query, (kind.table, writer)).fetchone()
    return found[0] if found and isinstance(found[0], int) else 0


def _check(connection: sqlite3.Connection) -> None:
    program = connection.execute("PRAGMA application_id").fetchone()[0]
    number = connection.execute("PRAGMA user_version").fetchone()[0]
    if (program, number) != (schema.APPLICATION, schema.SCHEMA):
        raise LedgerUnavailable(
            f"The file is no ledger with schema number {schema.SCHEMA}: use the version of cds-wrapper that"
            " wrote it."
        )


def _all(connection: sqlite3.Connection, query: str, *parameters: object) -> list[Any]:
    """The rows of a query, also when a text in them is no UTF-8.

    Such a text was written past the wrapper; it must not stop the rows behind it. Reading so costs more, so
    it begins with the first of them.
    """
    try:
        return connection.execute(query, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):
            raise
        connection.text_factory = _text
        return connection.execute(query, parameters).fetchall()


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "replace")


def _writers(connection: sqlite3.Connection, kind: LineKind) -> list[str]:
    """Each writer once, found by the index: a step for each writer and not for each row."""
    query = f"""
WITH RECURSIVE found (writer) AS (
  SELECT min(writer) FROM {kind.table}
  UNION ALL
  SELECT (SELECT min(writer) FROM {kind.table} WHERE writer > found.writer)
  FROM found WHERE writer IS NOT NULL
)
SELECT writer FROM found WHERE writer IS NOT NULL"""  # noqa: S608  names are ours
    return [str(writer) for (writer,) in _all(connection, query)]


def _rows(
    connection: sqlite3.Connection, kind: LineKind, writer: str, between: tuple[int, int], most: int
) -> list[Row]:
    query = f"""
SELECT {kind.selected} FROM {kind.table}
WHERE writer = ? AND sequence > ? AND sequence <= ? AND typeof(sequence) = 'integer'
ORDER BY sequence LIMIT ?"""  # noqa: S608  names are ours
    return [_row(kind, values) for values in _all(connection, query, writer, *between, most)]


def _corrections(connection: sqlite3.Connection, writer: str, after: int, until: int) -> list[Row]:
    """Those that belong to a writer's predictions in a range."""
    query = f"""
SELECT {CORRECTION.selected} FROM corrections WHERE prediction_id IN (
  SELECT prediction_id FROM predictions WHERE writer = ? AND sequence > ? AND sequence <= ?
) ORDER BY writer, sequence"""  # noqa: S608  names are ours
    return [_row(CORRECTION, values) for values in _all(connection, query, writer, after, until)]


def _row(kind: LineKind, values: Sequence[Any]) -> Row:
    writer, sequence, row_hash = (values[place] for place in kind.positions)
    return Row(kind.table, writer, Place(sequence, str(row_hash)), kind.line(values))


def _last(connection: sqlite3.Connection, kind: LineKind, writer: str) -> int:
    query = f"SELECT max(sequence) FROM {kind.table} WHERE writer = ? AND sequence <= ?"  # noqa: S608  names are ours
    return int(connection.execute(query, (writer, _LAST)).fetchone()[0] or 0)


def _is_there(connection: sqlite3.Connection, table: str, writer: str, place: Place) -> bool:
    if table not in {kind.table for kind in KINDS}:
        return False
    query = f"""
SELECT EXISTS (SELECT 1 FROM {table} WHERE writer = ? AND sequence = ? AND hash = ?)
    OR EXISTS (SELECT 1 FROM erasures WHERE chain = ? AND writer = ? AND sequence = ? AND hash = ?)
"""  # noqa: S608  names are ours
    named = (writer, *place)
    return bool(connection.execute(query, (*named, table, *named)).fetchone()[0])
