"""Where a writer's chains end: what the next row follows, and whether the end is what was written last.

Each chain and writer has a row in `chain_heads`, replaced in the same transaction as its rows. It is compared
with the rows when a ledger is opened to be written: cheap, and rows that were cut off at the end are noticed
before anything is written over the place they had.
"""

from __future__ import annotations

import enum
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from cds_wrapper.ledger.columns import CHAINED
from cds_wrapper.ledger.entries import Stamp

# Far above any count a writer reaches, and far below what the database can count.
_LARGEST_SEQUENCE = 2**62
_TIMES = {chain: "received_at" if chain == "feedback" else "recorded_at" for chain in CHAINED}

_Place: TypeAlias = tuple[int, str]


class HeadTrouble(enum.Enum):
    """What is wrong with the end of a chain."""

    NO_HEAD = "no_head"
    ROWS_MISSING = "rows_missing_at_the_end"
    ROWS_ADDED = "rows_after_the_head"
    OTHER_ROW = "last_row_is_another"


@dataclass(frozen=True, slots=True)
class HeadProblem:
    """The end of one chain of this writer is not what was written last; `sequence` is where it should end."""

    chain: str
    writer: str
    trouble: HeadTrouble
    sequence: int


@dataclass(slots=True)
class ChainEnd:
    """The end of one chain of one writer, moved on by each row that is added."""

    writer: str
    sequence: int
    hash: str | None
    recorded_at: datetime | None

    def stamp(self, moment: datetime, waited: timedelta = timedelta()) -> Stamp:
        """The stamp of the next row; its time is never before that of the row it follows."""
        at = moment if self.recorded_at is None else max(moment, self.recorded_at)
        return Stamp(self.writer, self.sequence + 1, at, waited, self.hash)

    def follow(self, stamp: Stamp, row_hash: str) -> None:
        """The row with this stamp and hash was added."""
        self.sequence, self.hash, self.recorded_at = stamp.sequence, row_hash, stamp.recorded_at


def read_end(connection: sqlite3.Connection, chain: str, writer: str) -> tuple[ChainEnd, HeadProblem | None]:
    """Where the writer's next row belongs, and what is wrong with the end of its chain.

    After rows that are gone from the end the chain follows the last row that is there, and the count goes on
    behind the head: the gap stays.
    """
    last, head = _last(connection, chain, writer), _head(connection, chain, writer)
    if last is None and head is None:
        return ChainEnd(writer, 0, _last_of_anybody(connection, chain), None), None
    trouble = _trouble(last, head)
    sequence = max(place[0] for place in (last, head) if place)
    follows = last[1] if last else _last_of_anybody(connection, chain)
    end = ChainEnd(writer, sequence, follows, _last_time(connection, chain, writer))
    at = head[0] if head else sequence
    return end, HeadProblem(chain, writer, trouble, at) if trouble else None


def _trouble(last: _Place | None, head: _Place | None) -> HeadTrouble | None:
    if head is None:
        return HeadTrouble.NO_HEAD
    if last is None or last[0] < head[0]:
        return HeadTrouble.ROWS_MISSING
    if last[0] > head[0]:
        return HeadTrouble.ROWS_ADDED
    return None if last == head else HeadTrouble.OTHER_ROW


def _last(connection: sqlite3.Connection, chain: str, writer: str) -> _Place | None:
    """The last row that is there, or was erased as the rules say."""
    found = [
        connection.execute(query, parameters).fetchone()
        for query, parameters in (
            (_last_query(chain, "writer = ?"), (_LARGEST_SEQUENCE, writer)),
            (_last_query("erasures", "chain = ? AND writer = ?"), (_LARGEST_SEQUENCE, chain, writer)),
        )
    ]
    return max((_place(*one) for one in found if one), default=None)


def _last_query(table: str, where: str) -> str:
    # Whoever altered the file may have left anything in a column; a count that is none is passed over.
    return (
        f"SELECT sequence, hash FROM {table} WHERE typeof(sequence) = 'integer' AND sequence < ? AND {where} "  # noqa: S608  names are ours
        "ORDER BY sequence DESC LIMIT 1"
    )


def _head(connection: sqlite3.Connection, chain: str, writer: str) -> _Place | None:
    query = _last_query("chain_heads", "chain = ? AND writer = ?")
    found = connection.execute(query, (_LARGEST_SEQUENCE, chain, writer)).fetchone()
    return _place(*found) if found else None


def _place(sequence: int, row_hash: object) -> _Place:
    return sequence, row_hash if isinstance(row_hash, str) else ""


def _last_of_anybody(connection: sqlite3.Connection, chain: str) -> str | None:
    """The hash of the chain's row written last; of the row erased last when no other is left."""
    for query, parameters in (
        (f"SELECT hash FROM {chain} ORDER BY rowid DESC LIMIT 1", ()),  # noqa: S608  names are ours
        ("SELECT hash FROM erasures WHERE chain = ? ORDER BY rowid DESC LIMIT 1", (chain,)),
    ):
        found = connection.execute(query, parameters).fetchone()
        if found is not None and isinstance(found[0], str):
            return found[0]
    return None


def _last_time(connection: sqlite3.Connection, chain: str, writer: str) -> datetime | None:
    query = f"SELECT {_TIMES[chain]} FROM {chain} WHERE writer = ? ORDER BY sequence DESC LIMIT 1"  # noqa: S608  names are ours
    found = connection.execute(query, (writer,)).fetchone()
    try:
        moment = datetime.fromisoformat(found[0]) if found else None
    except (TypeError, ValueError):
        return None
    return moment if moment is None or moment.tzinfo else None
