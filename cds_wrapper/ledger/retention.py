"""Erases predictions whose time is over, and all that was written about them; their places in the chain stay.

Beside a serving writer, over a connection of its own: in small transactions with pauses between them, so that
an answer never waits long for the write lock. What is erased is overwritten in the file, not only unlinked.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.columns import CHAINED
from cds_wrapper.ledger.database import connect, error_name
from cds_wrapper.ledger.values import timestamp

BATCH = 100
"""How many predictions one transaction erases."""

_PAUSE = timedelta(milliseconds=20)
_LOCK_PATIENCE = timedelta(seconds=10)
EMPTYING_PATIENCE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Erasure:
    """How many rows of each chain went; `log_is_empty` when no older copy is left in the write-ahead log."""

    predictions: int
    corrections: int
    feedback: int
    log_is_empty: bool


@dataclass(frozen=True, slots=True)
class Due:
    """How many predictions, and how many feedback rows that belong to none, are due to be erased."""

    predictions: int
    unmatched_feedback: int


def due(path: Path, before: datetime) -> Due:
    """What `erase` would begin with; `LedgerUnavailable` when the ledger cannot be read."""
    at = timestamp(before)
    with _connection(path) as connection:
        counted = [
            connection.execute(f"SELECT count(*) FROM {which}", (at,)).fetchone()[0]  # noqa: S608  names are ours
            for which in (_OLD_PREDICTIONS, _OLD_UNMATCHED)
        ]
        return Due(*counted)


def erase(
    path: Path,
    before: datetime,
    reason: str,
    *,
    batch: int = BATCH,
    passed: Callable[[int], None] = lambda predictions: None,
    patience: timedelta = EMPTYING_PATIENCE,
) -> Erasure:
    """Erase every prediction that occurred before a moment, its cards, corrections and feedback.

    Feedback from before it that belongs to no prediction goes too. `passed` hears how many predictions each
    transaction erased; `patience` is how long readers that keep the log from being emptied are waited for.
    `LedgerUnavailable` when the ledger cannot be written; what was erased until then stays erased, and the
    next run goes on.
    """
    gone = dict.fromkeys(CHAINED, 0)
    at = timestamp(before)
    with _connection(path) as connection:
        while counts := _erase_some(connection, at, reason, batch):
            for chain, rows in counts.items():
                gone[chain] += rows
            passed(counts["predictions"])
            time.sleep(_PAUSE.total_seconds())
        return Erasure(
            gone["predictions"], gone["corrections"], gone["feedback"], _empty_log(connection, patience)
        )


_OLD_PREDICTIONS = "predictions WHERE occurred_at < ?"
_OLD_UNMATCHED = "feedback WHERE prediction_id IS NULL AND received_at < ?"


@contextlib.contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(connect(path)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {_LOCK_PATIENCE // timedelta(milliseconds=1)}")
            connection.execute("PRAGMA secure_delete = ON")
            yield connection
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{path} cannot be written ({error_name(error)}).") from None


def _erase_some(connection: sqlite3.Connection, at: str, reason: str, batch: int) -> dict[str, int]:
    """One transaction; nothing when nothing is left to erase."""
    connection.execute("BEGIN IMMEDIATE")
    old = f"SELECT prediction_id FROM {_OLD_PREDICTIONS} ORDER BY occurred_at LIMIT ?"  # noqa: S608  names are ours
    ids = [prediction_id for (prediction_id,) in connection.execute(old, (at, batch))]
    unmatched = f"SELECT rowid FROM {_OLD_UNMATCHED} LIMIT ?"  # noqa: S608  names are ours
    strays = [rowid for (rowid,) in connection.execute(unmatched, (at, batch))]
    if not ids and not strays:
        connection.execute("ROLLBACK")
        return {}
    counts = _erase_these(connection, ids, strays, reason)
    connection.execute("COMMIT")
    return counts


def _erase_these(
    connection: sqlite3.Connection, ids: Sequence[str], strays: Sequence[int], reason: str
) -> dict[str, int]:
    """What was written about the predictions goes first, their cards last: see the triggers of the schema."""
    cards = [card for one in ids for card in _cards_of(connection, one)]
    now = timestamp(datetime.now(UTC))
    counts = dict.fromkeys(CHAINED, 0)
    early = [rowid for one in ids for (rowid,) in connection.execute(schema.FEEDBACK_BEFORE, (one,))]
    places: list[tuple[str, str, object]] = [
        ("feedback", "rowid", row) for row in dict.fromkeys((*strays, *early))
    ]
    places += [
        (chain, "prediction_id", one) for one in ids for chain in ("feedback", "corrections", "predictions")
    ]
    for chain, column, value in places:
        place = (
            f"SELECT '{chain}', writer, sequence, hash, previous_hash, ?, ? FROM {chain} WHERE {column} = ?"  # noqa: S608  names are ours
        )
        keep = "INSERT INTO erasures (chain, writer, sequence, hash, previous_hash, erased_at, reason) "
        connection.execute(keep + place, (now, reason, value))
        counts[chain] += connection.execute(f"DELETE FROM {chain} WHERE {column} = ?", (value,)).rowcount  # noqa: S608  names are ours
    connection.executemany("DELETE FROM cards WHERE card_uuid = ?", [(card,) for card in cards])
    return counts


def _cards_of(connection: sqlite3.Connection, prediction_id: str) -> list[str]:
    """The cards of a prediction, those of its correction among them.

    An altered row may hold anything in their place; it must not keep others from being erased.
    """
    readable = "CASE WHEN json_valid(t.cards_returned) THEN t.cards_returned ELSE '[]' END"
    query = " UNION ".join(
        f"SELECT c.card_uuid FROM {table} t, json_each({readable}) j, cards c"  # noqa: S608  names are ours
        " WHERE t.prediction_id = ? AND c.card_uuid = j.value AND c.prediction_id = t.prediction_id"
        for table in ("predictions", "corrections")
    )
    return [card for (card,) in connection.execute(query, (prediction_id, prediction_id))]


def _empty_log(connection: sqlite3.Connection, patience: timedelta) -> bool:
    """Copy the write-ahead log back and empty it: until then it holds what the file no longer does.

    A reader in the way, an audit for one, is waited for, but not for ever.
    """
    give_up_at = time.monotonic() + patience.total_seconds()
    connection.execute("PRAGMA busy_timeout = 100")
    while time.monotonic() < give_up_at:
        is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_busy:
            return True
        time.sleep(_PAUSE.total_seconds())
    return False
