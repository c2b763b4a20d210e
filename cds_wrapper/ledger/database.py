"""The ledger's SQLite file: opening it, writing one transaction, copying the log back. Used by one thread.

WAL with `synchronous=FULL`: when COMMIT returns, the rows are on the disk. Nothing here waits for longer
than the busy time-out, knows of callers, or decides what to do about an error.
"""

from __future__ import annotations

import contextlib
import enum
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.entries import Correction, KeptFile, LedgerEntry, Stamp
from cds_wrapper.ledger.feedback import FeedbackEntry
from cds_wrapper.ledger.values import json_text, timestamp

SETTING = "CDS_WRAPPER_LEDGER"
BUSY_TIMEOUT = timedelta(milliseconds=100)
CHECKPOINT_ABOVE_BYTES = 64 * 1024 * 1024
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_COUNTED = ("predictions", "corrections", "feedback")


class Synchronous(enum.Enum):
    """What COMMIT waits for. `OFF` exists for one test: the one that proves the others would notice."""

    FULL = "FULL"
    OFF = "OFF"


def refused(problem: str) -> ConfigurationRefused:
    """The error that says, in one sentence, what is wrong with the ledger the setting names."""
    return ConfigurationRefused((Mistake("environment", None, None, SETTING, problem),))


def is_locked(error: Exception) -> bool:
    """Whether another connection holds the lock: nothing is wrong, and it will be let go."""
    return isinstance(error, sqlite3.Error) and _primary_code(error) in _LOCKED


def error_name(error: Exception) -> str:
    """A name for an error that holds nothing else: `SQLITE_FULL`, or the class."""
    name = getattr(error, "sqlite_errorname", None)
    return name if isinstance(name, str) else type(error).__name__


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


# Opening ----------------------------------------------------------------------------------------------------


def prepare(path: Path) -> None:
    """Make sure that there is a ledger at `path`, readable by nobody else; `ConfigurationRefused` if not.

    A ledger that is there and cannot be written at the moment (full disk, read-only file system) is no
    reason to refuse: the service starts, answers as planned without a ledger, and the committer recovers.
    """
    is_new = _create(path)
    try:
        connect(path).close()
        with contextlib.suppress(OSError):
            path.chmod(0o600)  # ours, as we know by now
    except sqlite3.OperationalError as error:
        if is_new:
            path.unlink()
            raise refused(f"names {path}, which cannot be written ({error_name(error)}).") from None
    except sqlite3.DatabaseError:
        raise refused(f"names {path}, which is not an SQLite database.") from None


def _create(path: Path) -> bool:
    """Create an empty file with mode 0600; false when there is one already."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise refused(f"names {path}, which is no file.") from None
        return False
    except OSError as error:
        problem = f"names {path}, which cannot be created ({type(error).__name__}): create its folder."
        raise refused(problem) from None
    return True


def connect(path: Path, synchronous: Synchronous = Synchronous.FULL) -> sqlite3.Connection:
    """A connection that can write; makes the tables in an empty file.

    Raises `sqlite3.Error`, or `ConfigurationRefused` for a file that is not a ledger of this version.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT.total_seconds(),
        isolation_level=None,
    )
    try:
        _set_up(connection, path, synchronous)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    _check(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise refused(f"names {path}, whose file system has no shared memory: use a local disk.")
    connection.execute(f"PRAGMA synchronous = {synchronous.value}")
    connection.execute("PRAGMA fullfsync = 1")
    # Copying the log back while an answer waits would cost that answer: see `checkpoint`.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    if _number(connection) == 0:
        _make_tables(connection)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    number = _number(connection)
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if is_empty and number == 0:
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION:
        raise refused(f"names {path}, which is another program's database.")
    if number != schema.SCHEMA:
        raise refused(
            f"names {path}, a ledger with schema number {number}; this version knows {schema.SCHEMA}: "
            "run the version of cds-wrapper that wrote it."
        )


def _number(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in schema.ddl():
        connection.execute(statement)
    connection.execute("COMMIT")


def checkpoint(path: Path) -> None:
    """Copy the write-ahead log back into the database and empty it, mostly without keeping writers out.

    The passive pass does the bulk beside the writer; the second one holds the write lock for what is left.
    """
    with contextlib.closing(connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class Checkpoints:
    """Copies the log back in a thread of its own when it has grown, one at a time.

    One that could not empty the log (a reader in the way) keeps writers waiting for a moment; so it is tried
    again only when the log has grown by as much again.
    """

    def __init__(
        self,
        path: Path,
        above_bytes: int = CHECKPOINT_ABOVE_BYTES,
        run: Callable[[Path], None] = checkpoint,
    ) -> None:
        self._path = path
        self._above = above_bytes
        self._due_at = above_bytes
        self._checkpoint = run
        self._thread: threading.Thread | None = None

    def consider(self, log_bytes: int) -> None:
        """Start one if the log is larger than it may be and none is running."""
        if log_bytes <= self._above:
            self._due_at = self._above
        if log_bytes <= self._due_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._due_at = log_bytes + self._above
        self._thread = threading.Thread(target=self._run, name="ledger-checkpoint", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # One that fails (a full disk) loses nothing: the log is still there.
        with contextlib.suppress(sqlite3.Error, ConfigurationRefused):
            self._checkpoint(self._path)

    def close(self) -> None:
        """Wait for the one that is running."""
        if self._thread is not None:
            self._thread.join()


# Writing ----------------------------------------------------------------------------------------------------


class LedgerGone(sqlite3.OperationalError):
    """The file is not where it was; nothing written to the open one would ever be found."""


class LedgerFile:
    """The committer's connection: begin, add, commit. Opens itself when it has to.

    After any error but a lock, `discard` it: the next `begin` opens afresh and reads the counts again, since
    a commit that failed is no proof that nothing was written.
    """

    def __init__(self, path: Path, writer: str, synchronous: Synchronous = Synchronous.FULL) -> None:
        self.path = path
        self.writer = writer
        self._synchronous = synchronous
        self._log = path.with_name(path.name + "-wal")
        self._open: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._last: dict[str, int] = {}

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            # Another file at the path is not this ledger, even an empty one: opening it would make SQLite
            # throw away the log that stands beside it.
            if self._identity != (0, 0) and not self._is_still_there():
                raise LedgerGone("the ledger's file was removed or replaced")
            self._open = connect(self.path, self._synchronous)
            found = self.path.stat()
            self._identity = (found.st_dev, found.st_ino)
            self._last = {table: self._last_sequence(table) for table in _COUNTED}
        return self._open

    def _last_sequence(self, table: str) -> int:
        query = f"SELECT COALESCE(MAX(sequence), 0) FROM {table} WHERE writer = ?"  # noqa: S608  names are ours
        return int(self._connection.execute(query, (self.writer,)).fetchone()[0])

    def begin(self) -> None:
        """Take the write lock; raises while another connection holds it, or when the file is gone."""
        connection = self._connection
        if not self._is_still_there():
            raise LedgerGone("the ledger's file was removed or replaced")
        connection.execute("BEGIN IMMEDIATE")

    def _is_still_there(self) -> bool:
        """Whether the path still leads to the file that is open: writes to a removed one reach nobody."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def add_predictions(self, waiting: Sequence[tuple[LedgerEntry, timedelta]]) -> list[Stamp | None]:
        """Write predictions in order, first in the transaction; None for one that is recorded already.

        `waiting` holds each entry with the time it has waited so far.
        """
        now = datetime.now(UTC)
        try:
            stamps = [Stamp(self.writer, self._next("predictions"), now, waited) for _, waited in waiting]
            rows = [entry.row(stamp) for (entry, _), stamp in zip(waiting, stamps, strict=True)]
            self._connection.executemany(schema.INSERT_PREDICTION, rows)
        except sqlite3.IntegrityError:
            # One row that is there already must not take its neighbours with it.
            self.discard()
            self.begin()
            return [self._add_alone(entry, now, waited) for entry, waited in waiting]
        self._add_cards(entry for entry, _ in waiting)
        return list(stamps)

    def _add_alone(self, entry: LedgerEntry, now: datetime, waited: timedelta) -> Stamp | None:
        stamp = Stamp(self.writer, self._last["predictions"] + 1, now, waited)
        try:
            self._connection.execute(schema.INSERT_PREDICTION, entry.row(stamp))
        except sqlite3.IntegrityError:
            return None
        self._next("predictions")
        self._add_cards([entry])
        return stamp

    def _add_cards(self, entries: Iterable[LedgerEntry]) -> None:
        cards = [(uuid, entry.prediction_id) for entry in entries for uuid in entry.card_uuids]
        self._connection.executemany(schema.INSERT_CARD, cards)

    def add_corrections(self, corrections: Sequence[Correction]) -> None:
        """Write what must be said about earlier predictions; a prediction is corrected once."""
        for correction in corrections:
            cards = None if correction.cards_returned is None else json_text(correction.cards_returned)
            place = (self._last["corrections"] + 1, self.writer, timestamp(datetime.now(UTC)))
            row = (*place, correction.prediction_id, correction.delivery, cards)
            if self._connection.execute(schema.INSERT_CORRECTION, row).rowcount:
                self._next("corrections")
                returned = [(uuid, correction.prediction_id) for uuid in correction.cards_returned or ()]
                self._connection.executemany(schema.INSERT_CARD, returned)

    def add_feedback(self, entries: Sequence[FeedbackEntry]) -> tuple[int, int]:
        """Write feedback; how many entries were new, and how many of these name a card we do not know.

        The same card, outcome, time and suggestions again is the same feedback, delivered twice.
        """
        stored = unmatched = 0
        for entry in entries:
            prediction = self._prediction_of(entry.card_uuid)
            row = entry.row(self.writer, self._last["feedback"] + 1, prediction)
            if self._connection.execute(schema.INSERT_FEEDBACK, row).rowcount:
                self._next("feedback")
                stored, unmatched = stored + 1, unmatched + (prediction is None)
        return stored, unmatched

    def _prediction_of(self, card_uuid: str) -> str | None:
        query = "SELECT prediction_id FROM cards WHERE card_uuid = ?"
        found = self._connection.execute(query, (card_uuid,)).fetchone()
        return str(found[0]) if found else None

    def add_files(self, files: Sequence[KeptFile]) -> None:
        """Keep files by digest; one that is kept already stays as it is."""
        now = timestamp(datetime.now(UTC))
        rows = [(file.digest, file.kind, file.name, file.content, now) for file in files]
        self._connection.executemany(schema.INSERT_FILE, rows)

    def beat(self) -> None:
        """Write something that says nothing, to find out whether writing works."""
        self._connection.execute(schema.BEAT, (timestamp(datetime.now(UTC)),))

    def recorded(self, prediction_ids: Collection[str]) -> set[str]:
        """Which of these predictions are in the file."""
        query = "SELECT 1 FROM predictions WHERE prediction_id = ?"
        return {one for one in prediction_ids if self._connection.execute(query, (one,)).fetchone()}

    def commit(self) -> None:
        """Make the transaction durable; returns when the disk has said so."""
        self._connection.execute("COMMIT")

    def discard(self) -> None:
        """Close without saying what became of the transaction; the next `begin` opens again."""
        connection, self._open = self._open, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def log_bytes(self) -> int:
        """Size of the write-ahead log."""
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _next(self, table: str) -> int:
        self._last[table] += 1
        return self._last[table]
