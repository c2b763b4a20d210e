"""The ledger: append that returns when the record is durable, and reading beside the writer.

One process writes a ledger file: it holds the writer's slot, a file lock beside the database, for as long as
it lives. Reading uses connections of its own that cannot write.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.columns import COLUMNS, DECISION_COLUMNS, FEEDBACK_VIEW_COLUMNS, Kind
from cds_wrapper.ledger.database import (
    Checkpoints,
    LedgerFile,
    Synchronous,
    check_not_empty,
    error_name,
    prepare,
    refused,
)
from cds_wrapper.ledger.desk import CLOSE_PATIENCE, Desk
from cds_wrapper.ledger.entries import KeptFile, LedgerEntry
from cds_wrapper.ledger.feedback import FeedbackEntry
from cds_wrapper.ledger.spool import Spool
from cds_wrapper.ledger.work import (
    Committed,
    Feedback,
    FeedbackReceipt,
    Files,
    LedgerHealth,
    Receipt,
    Record,
)

SLOT = 0
"""The only slot of an SQLite ledger: one process writes it."""

START_PATIENCE = timedelta(seconds=10)
"""How long keeping files at the start may take."""

_READ_PATIENCE = timedelta(seconds=5)
_KINDS = {column.name: column.kind for column in (*COLUMNS, *FEEDBACK_VIEW_COLUMNS, *DECISION_COLUMNS)}


class Ledger(Protocol):
    """What the corridor needs of a ledger."""

    async def append(
        self, entry: LedgerEntry, within: timedelta, if_late: Sequence[str] | None = None
    ) -> Receipt:
        """Return when the entry is durable; `LedgerUnavailable` when it is not within that time.

        `if_late` are the ids of the cards that are returned in that case: should the row become durable
        after all, its correction names them.
        """
        ...

    async def append_feedback(self, entries: Sequence[FeedbackEntry], within: timedelta) -> FeedbackReceipt:
        """Return when the feedback is durable; `LedgerUnavailable` when it is not within that time."""
        ...

    async def keep_files(self, files: Sequence[KeptFile], within: timedelta = START_PATIENCE) -> None:
        """Keep the files that decide, by digest; `LedgerUnavailable` as above."""
        ...

    @property
    def health(self) -> LedgerHealth:
        """State and counts."""
        ...


class SQLiteLedger:
    """A ledger in one SQLite file, for one serving process, and the folder that stands in for it.

    While the ledger cannot be written in time, work becomes durable in the folder `spool` and is moved to the
    ledger afterwards; without a folder every caller is told. `on_commit` is told of every batch that has come
    into the ledger, in the committer's thread and after the callers. `host` is the first
    half of the writer's name, the machine's own unless given. `synchronous` exists for the test that proves
    the sync to matter, `checkpoints` for the tests of those.
    """

    def __init__(
        self,
        path: Path,
        *,
        spool: Path | None = None,
        on_commit: Callable[[Sequence[Committed]], None] | None = None,
        synchronous: Synchronous = Synchronous.FULL,
        checkpoints: Checkpoints | None = None,
        host: str | None = None,
    ) -> None:
        self.path = path
        self.reader = LedgerReader(path)
        self._slot = WriterSlot(path)
        file = LedgerFile(path, f"{host or socket.gethostname()}-{SLOT}", synchronous)
        self._spool = Spool(spool) if spool is not None else None
        self._desk = Desk(file, self._spool, on_commit, checkpoints)

    async def open(self) -> None:
        """Take the writer's slot, prepare file and folder, start the threads; else `ConfigurationRefused`.

        Once, in the event loop whose tasks append.
        """
        self._slot.take()
        try:
            prepare(self.path)
            if self._spool is not None:
                self._spool.prepare()
        except BaseException:
            self._slot.release()
            raise
        self._desk.start()

    async def close(self, patience: timedelta = CLOSE_PATIENCE) -> None:
        """Write out what waits (for `patience` when that fails), end the threads, let go of the slot."""
        await self._desk.close(patience)
        self._slot.release()

    async def append(
        self, entry: LedgerEntry, within: timedelta, if_late: Sequence[str] | None = None
    ) -> Receipt:
        """As `Ledger.append`."""
        late = None if if_late is None else tuple(if_late)
        return await self._desk.submit(Record(entry, late), within)

    async def append_feedback(self, entries: Sequence[FeedbackEntry], within: timedelta) -> FeedbackReceipt:
        """As `Ledger.append_feedback`."""
        return await self._desk.submit(Feedback(tuple(entries)), within)

    async def keep_files(self, files: Sequence[KeptFile], within: timedelta = START_PATIENCE) -> None:
        """As `Ledger.keep_files`."""
        await self._desk.submit(Files(tuple(files)), within)

    @property
    def health(self) -> LedgerHealth:
        """State and counts."""
        return self._desk.health

    async def prediction(self, prediction_id: str) -> dict[str, Any] | None:
        """As `LedgerReader.prediction`, in a thread."""
        return await asyncio.to_thread(self.reader.prediction, prediction_id)

    async def kept_file(self, digest: str) -> bytes | None:
        """As `LedgerReader.kept_file`, in a thread."""
        return await asyncio.to_thread(self.reader.kept_file, digest)

    async def recent(self, limit: int) -> list[dict[str, Any]]:
        """As `LedgerReader.recent`, in a thread."""
        return await asyncio.to_thread(self.reader.recent, limit)


class LedgerReader:
    """Reads a ledger without being able to write it; each call opens a connection of its own.

    Rows come as the contract's views have them, by column: booleans and JSON as Python values, times as text.
    Raises `LedgerUnavailable` when the file cannot be read or the query cannot be run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def prediction(self, prediction_id: str) -> dict[str, Any] | None:
        """One row of `predictions_v1`, or None."""
        rows = self.rows("SELECT * FROM predictions_v1 WHERE prediction_id = ?", prediction_id)
        return rows[0] if rows else None

    def recent(self, limit: int) -> list[dict[str, Any]]:
        """The latest rows of `predictions_v1`, the latest first."""
        return self.rows(
            "SELECT * FROM predictions_v1 ORDER BY occurred_at DESC, sequence DESC LIMIT ?", limit
        )

    def feedback(self, prediction_id: str) -> list[dict[str, Any]]:
        """The rows of `feedback_v1` about one prediction, in the order they came."""
        query = "SELECT * FROM feedback_v1 WHERE prediction_id = ? ORDER BY received_at, sequence"
        return self.rows(query, prediction_id)

    def decision(self, decision_id: str) -> dict[str, Any] | None:
        """One row of `decisions_v1`, or None."""
        rows = self.rows("SELECT * FROM decisions_v1 WHERE decision_id = ?", decision_id)
        return rows[0] if rows else None

    def kept_file(self, digest: str) -> bytes | None:
        """The content of a kept file, or None."""
        with self._connection() as connection:
            query = "SELECT content FROM kept_files WHERE digest = ?"
            found = connection.execute(query, (digest,)).fetchone()
            return bytes(found["content"]) if found else None

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """The rows of any query over the views."""
        with self._connection() as connection:
            return [_values(row) for row in connection.execute(query, parameters)]

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        address = f"{self._path.absolute().as_uri()}?mode=ro"
        patience = _READ_PATIENCE.total_seconds()
        try:
            check_not_empty(self._path)
            with contextlib.closing(
                sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None)
            ) as connection:
                connection.row_factory = sqlite3.Row
                yield connection
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"The ledger cannot be read ({error_name(error)}).") from None


def _values(row: sqlite3.Row) -> dict[str, Any]:
    return {name: _value(_KINDS.get(name), row[name]) for name in row.keys()}  # noqa: SIM118  rows iterate over values


def _value(kind: Kind | None, stored: Any) -> Any:
    match kind:
        case Kind.BOOLEAN if stored is not None:
            return bool(stored)
        case Kind.JSON if stored is not None:
            return json.loads(stored)
        case _:
            return stored


class WriterSlot:
    """The right to write a ledger file: a lock on a file beside it, let go of when the process ends."""

    def __init__(self, path: Path) -> None:
        self._ledger = path
        real = path.resolve()  # two names of one file are one ledger
        self._path = real.with_name(f"{real.name}.writer-{SLOT}")
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take it at once, or `ConfigurationRefused`: somebody else writes this ledger."""
        descriptor = self._opened()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise refused(
                f"names {self._ledger}, which another process is writing: stop it, or name another file."
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            # A read-only file system can still be locked on, if the file is there.
            with contextlib.suppress(OSError):
                return os.open(self._path, os.O_RDONLY)
            problem = f"names {self._ledger}, beside which no lock can be made ({type(error).__name__})"
            raise refused(f"{problem}: create its folder, writable for this user.") from None
