"""A ledger with something of everything, and whoever has got at its file."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cds_wrapper.caveats.orders import Ordered
from cds_wrapper.ledger.audit import NotedHead, audit
from cds_wrapper.ledger.columns import CHAINED
from cds_wrapper.ledger.database import LedgerFile, prepare
from cds_wrapper.ledger.decisions import NewOrder, give
from cds_wrapper.ledger.entries import Correction, KeptFile, Waiting
from cds_wrapper.ledger.feedback import FeedbackEntry
from cds_wrapper.ledger.values import FORMS
from tests.unit.ledger.examples import NOON, card_of, entry

WRITER = "host-0"
PREDICTIONS = 9
PLAN = b"version: 1\n"
PLAN_DIGEST = f"sha256:{hashlib.sha256(PLAN).hexdigest()}"
CORRECTED = (2, 5, 7)


def prediction_id(number: int) -> str:
    return f"prediction-{number}"


def feedback(card: str, minutes: int = 1) -> FeedbackEntry:
    """What a clinician did with a card, that many minutes after noon."""
    at = NOON + timedelta(minutes=minutes)
    return FeedbackEntry(
        "cvd-risk", "demonstration", at, card, "overridden", at, "raw", ("s1",), "c", "s", "d", True, ()
    )


def write(path: Path, numbers: Sequence[int], writer: str = WRITER) -> None:
    """Write predictions with files, corrections of some and feedback to all, as the committer does."""
    prepare(path)
    file = LedgerFile(path, writer)
    file.begin()
    file.add_files([KeptFile(PLAN_DIGEST, "plan", "plan.yaml", PLAN)])
    entries = [entry(prediction_id=prediction_id(n), file_digests={"plan": PLAN_DIGEST}) for n in numbers]
    assert all(file.add_predictions([Waiting(one, timedelta(milliseconds=1)) for one in entries]))
    file.add_corrections([Correction(prediction_id(n), (f"late-{n}",)) for n in numbers if n in CORRECTED])
    cards = [card_of(prediction_id(n)) for n in numbers]
    file.add_feedback([feedback(card) for card in (*cards, f"unknown-{numbers[0]}")])
    file.commit()
    file.discard()
    for number, decision in enumerate((Ordered.STOP, Ordered.LIVE, Ordered.SHADOW)):
        give(path, order(f"order-{numbers[0]}-{number}", decision), writer=writer)


def order(decision_id: str, decision: Ordered, service_id: str = "cvd-risk") -> NewOrder:
    """An order with everything that one can have."""
    roles = ("chief medical information officer", "clinical owner")
    return NewOrder(decision_id, service_id, decision, *roles, "the vendor withdrew it", "1")


def written(path: Path) -> Path:
    """A ledger of one writer that is whole."""
    write(path, range(1, PREDICTIONS + 1))
    return path


@contextlib.contextmanager
def attacker(path: Path, *, covers_tracks: bool = True) -> Iterator[sqlite3.Connection]:
    """Somebody who may write the file: drops every trigger, and makes them again at the end."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    yield connection
    for _, statement in triggers if covers_tracks else ():
        connection.execute(statement)
    connection.close()


def row(connection: sqlite3.Connection, table: str, sequence: int, writer: str = WRITER) -> dict[str, Any]:
    """One row as it is stored."""
    names = FORMS[table].names
    query = f"SELECT {', '.join(names)} FROM {table} WHERE writer = ? AND sequence = ?"
    found = connection.execute(query, (writer, sequence)).fetchone()
    return dict(zip(names, found, strict=True))


def hashed(table: str, stored: dict[str, Any]) -> dict[str, Any]:
    """The row with the hash that fits what it holds now."""
    form = FORMS[table]
    plain = form.of_stored([stored[name] for name in form.names])
    return {**stored, "hash": form.hash(plain)}


def insert(connection: sqlite3.Connection, table: str, stored: dict[str, Any]) -> None:
    places = ", ".join("?" * len(stored))
    connection.execute(f"INSERT INTO {table} ({', '.join(stored)}) VALUES ({places})", [*stored.values()])


def replace(connection: sqlite3.Connection, table: str, sequence: int, stored: dict[str, Any]) -> None:
    """Put a row in the place of another, with the same sequence or not."""
    connection.execute(f"DELETE FROM {table} WHERE writer = ? AND sequence = ?", (WRITER, sequence))
    insert(connection, table, stored)


def rewrite_from(connection: sqlite3.Connection, table: str, sequence: int, **differences: Any) -> None:
    """Alter a row and write every later one anew, the head included: all that can be done with the file."""
    previous = None
    last = connection.execute(f"SELECT max(sequence) FROM {table}").fetchone()[0]
    for place in range(sequence, last + 1):
        stored = row(connection, table, place)
        changed = hashed(
            table, {**stored, **differences, **({"previous_hash": previous} if previous else {})}
        )
        replace(connection, table, place, changed)
        previous, differences = changed["hash"], {}
    connection.execute("UPDATE chain_heads SET hash = ? WHERE chain = ?", (previous, table))


def found(path: Path, noted: Sequence[NotedHead] = ()) -> list[tuple[str, str, int | None]]:
    """What an audit names: problem, table, and the row or the first of them."""
    return [
        (finding.problem.value, finding.table, finding.sequence) for finding, _ in audit(path, noted).findings
    ]


def heads(path: Path) -> list[NotedHead]:
    """The heads as somebody would note them."""
    return [NotedHead(one.chain, one.writer, one.sequence, one.hash) for one in audit(path).chains]


COLUMNS_OF_ROWS = [(table, column) for table, columns in CHAINED.items() for column in columns]
