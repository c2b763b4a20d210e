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
from cds_wrapper.ledger.columns import CHAINED
from cds_wrapper.ledger.entries import Correction, KeptFile, Stamp, Waiting
from cds_wrapper.ledger.feedback import FeedbackEntry
from cds_wrapper.ledger.heads import ChainEnd, HeadProblem, read_end
from cds_wrapper.ledger.values import Plain, timestamp

SETTING = "CDS_WRAPPER_LEDGER"
BUSY_TIMEOUT = timedelta(milliseconds=100)
CHECKPOINT_ABOVE_BYTES = 64 * 1024 * 1024
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


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


def check_not_empty(path: Path) -> None:
    """Raise `LedgerGone` for a file that holds nothing: opening it, even to read, loses the log beside it."""
    with contextlib.suppress(OSError):
        if path.stat().st_size == 0:
            raise LedgerGone("the ledger's file is empty")


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
    number = _number(connection)
    if number != schema.SCHEMA:
        _make_tables(connection, schema.migration(number) or schema.ddl())


def _check(connection: sqlite3.Connection, path: Path) -> None:
    number = _number(connection)
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if is_empty and number == 0:
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION:
        raise refused(f"names {path}, which is another program's database.")
    if number != schema.SCHEMA and schema.migration(number) is None:
        raise refused(
            f"names {path}, a ledger with schema number {number}; this version knows {schema.SCHEMA}: "
            "run the version of cds-wrapper that wrote it."
        )


def _number(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _make_tables(connection: sqlite3.Connection, statements: Iterable[str]) -> None:
    """Make an empty file a ledger or bring an earlier one up to date, unless that has just been done."""
    connection.execute("BEGIN IMMEDIATE")
    if _number(connection) != schema.SCHEMA:
        for statement in statements:
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


class RowKeptOut(sqlite3.OperationalError):
    """The database took a row without an error and does not hold it: somebody altered its schema."""


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
        self._ends: dict[str, ChainEnd] = {}
        self._moved: set[str] = set()
        self.head_problems: tuple[HeadProblem, ...] = ()
        """What was wrong with the end of this writer's chains when the file was last opened."""

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
            self._read_ends(self._open)
        return self._open

    def _read_ends(self, connection: sqlite3.Connection) -> None:
        read = {chain: read_end(connection, chain, self.writer) for chain in CHAINED}
        self._ends = {chain: end for chain, (end, _) in read.items()}
        self._moved = set()
        self.head_problems = tuple(problem for _, problem in read.values() if problem)

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

    def add_predictions(self, waiting: Sequence[Waiting]) -> list[Stamp | None]:
        """Write predictions in order; None for one that is recorded already, which takes no place."""
        now = datetime.now(UTC)
        stamps = [self._add_prediction(one, now) for one in waiting]
        cards = [
            (uuid, one.entry.prediction_id)
            for one, stamp in zip(waiting, stamps, strict=True)
            if stamp
            for uuid in one.entry.card_uuids
        ]
        self._connection.executemany(schema.INSERT_CARD, cards)
        return stamps

    def _add_prediction(self, waiting: Waiting, now: datetime) -> Stamp | None:
        stamp = self._ends["predictions"].stamp(waiting.recorded_at or now, waiting.waited)
        is_new = self._add("predictions", schema.INSERT_PREDICTION, stamp, waiting.entry.row(stamp))
        if not is_new and not self.recorded([waiting.entry.prediction_id]):
            raise RowKeptOut("a row was neither written nor there: a trigger that is not ours?")
        return stamp if is_new else None

    def _add(self, chain: str, insert: str, stamp: Stamp, row: tuple[Plain, ...]) -> bool:
        """Write a row and move the chain on to it; false when it is there already."""
        if not self._connection.execute(insert, row).rowcount:
            return False
        self._ends[chain].follow(stamp, str(row[-1]))
        self._moved.add(chain)
        return True

    def add_corrections(self, corrections: Sequence[Correction]) -> None:
        """Write what must be said about earlier predictions; a prediction is corrected once."""
        now = datetime.now(UTC)
        for correction in corrections:
            stamp = self._ends["corrections"].stamp(correction.recorded_at or now)
            if self._add("corrections", schema.INSERT_CORRECTION, stamp, correction.row(stamp)):
                returned = [(uuid, correction.prediction_id) for uuid in correction.cards_returned or ()]
                self._connection.executemany(schema.INSERT_CARD, returned)

    def add_feedback(self, entries: Sequence[FeedbackEntry]) -> tuple[int, int]:
        """Write feedback; how many entries were new, and how many of these name a card we do not know.

        The same card, outcome, time and suggestions again is the same feedback, delivered twice.
        """
        stored = unmatched = 0
        for entry in entries:
            prediction = self._prediction_of(entry)
            stamp = self._ends["feedback"].stamp(entry.received_at)
            row = entry.row(self.writer, stamp.sequence, prediction, stamp.previous_hash)
            if self._add("feedback", schema.INSERT_FEEDBACK, stamp, row):
                stored, unmatched = stored + 1, unmatched + (prediction is None)
        return stored, unmatched

    def _prediction_of(self, entry: FeedbackEntry) -> str | None:
        """The prediction whose card it names; one of another EHR, tenant or service is none that is known."""
        asked = (entry.card_uuid, entry.client, entry.tenant, entry.service_id)
        found = self._connection.execute(schema.PREDICTION_OF_CARD, asked).fetchone()
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
        """Make the transaction durable, chain heads included; returns when the disk has said so."""
        ends = [(chain, self._ends[chain]) for chain in sorted(self._moved)]
        heads = [(chain, end.writer, end.sequence, end.hash) for chain, end in ends]
        self._connection.executemany(schema.SET_HEAD, heads)
        self._moved.clear()
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
