"""Remembers which tokens were used, for as long as they could be used again, across processes and restarts.

Kept is a hash of issuer and `jti`, nothing of the token. The file is not synced: what a power failure takes
away are marks of tokens that live for minutes, and a sync would cost more than the request.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path
from typing import Final

from cds_wrapper import log
from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.log import caller_events

SETTING: Final = "CDS_WRAPPER_REPLAY"
APPLICATION: Final = 0x6A746931
"""Written into the file, so that another program's file is never taken for ours."""

LARGEST_PAGES: Final = 65_536
"""256 MiB: some four million tokens alive at once."""

PRUNE_EVERY: Final = 1.0
_PRUNED_AT_ONCE: Final = 500
# The wait for another process that is writing: a write takes microseconds, unless that process is stopped.
_BUSY_SECONDS: Final = 0.25
_OPEN_SECONDS: Final = 5.0
_MOST_IN_MEMORY: Final = 100_000
_TRY_AGAIN_EVERY: Final = 1.0

_TABLES: Final = (
    "CREATE TABLE seen (mark BLOB PRIMARY KEY NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX seen_until ON seen (until)",
    f"PRAGMA application_id = {APPLICATION}",
)
_PRUNE: Final = "DELETE FROM seen WHERE mark IN (SELECT mark FROM seen WHERE until < ? LIMIT ?)"


class ReplayMemory:
    """Every token once. When the file cannot be written, this process remembers by itself and says so."""

    def __init__(self, path: Path, lines: log.OperatorLog) -> None:
        """`path` may be shared by processes of one machine."""
        self._path = path
        self._log = lines
        self._database: sqlite3.Connection | None = None
        self._own: dict[bytes, int] = {}
        self._is_failing = False
        self._try_again_at = 0.0
        self._prune_at = 0.0

    def open(self) -> None:
        """Open or make the file; `ConfigurationRefused` when it cannot be had or is not ours."""
        try:
            self._database = _opened(self._path)
        except _Damaged:
            self._set_aside()
            self._database = _opened(self._path)
        except sqlite3.Error as error:
            problem = f"names {self._path}, which cannot be used ({error}): is the folder there and writable?"
            raise _refused(problem) from None

    def close(self) -> None:
        """Close the file; what is remembered stays in it."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def first_use(self, issuer: str, token_id: str, until: float, now: float) -> bool:
        """Whether this token has not been used before; from `now` on, and until `until`, it has.

        Two processes that ask at the same moment get one yes. Times are seconds since 1970.
        """
        mark = hashlib.sha256(f"{len(issuer)}:{issuer}{token_id}".encode()).digest()[:20]
        if self._is_failing and now < self._try_again_at:
            return self._remember_here(mark, int(until) + 1, now)
        try:
            is_first = self._remember(mark, int(until) + 1, now)
        except sqlite3.Error as error:
            self._fail(error, now)
            return self._remember_here(mark, int(until) + 1, now)
        self._recover()
        return is_first and mark not in self._own

    def _remember(self, mark: bytes, until: int, now: float) -> bool:
        if self._database is None:
            raise RuntimeError("the replay memory is closed")
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY
            self._database.execute(_PRUNE, (int(now), _PRUNED_AT_ONCE))
            self._forget_here(now)
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (mark, until)).rowcount == 1

    def _remember_here(self, mark: bytes, until: int, now: float) -> bool:
        """The same without the file, as far as this process knows."""
        if mark in self._own or self._was_seen(mark):
            return False
        if len(self._own) >= _MOST_IN_MEMORY:
            self._forget_here(now)
        if len(self._own) >= _MOST_IN_MEMORY:
            self._own.pop(next(iter(self._own)))
        self._own[mark] = until
        return True

    def _was_seen(self, mark: bytes) -> bool:
        """What cannot be written can often still be read, as on a full disk."""
        with contextlib.suppress(sqlite3.Error):
            if self._database is not None:
                found = self._database.execute("SELECT 1 FROM seen WHERE mark = ?", (mark,))
                return found.fetchone() is not None
        return False

    def _forget_here(self, now: float) -> None:
        self._own = {mark: until for mark, until in self._own.items() if until >= now}

    def _fail(self, error: sqlite3.Error, now: float) -> None:
        self._try_again_at = now + _TRY_AGAIN_EVERY
        if not self._is_failing:
            self._is_failing = True
            self._log.emit(
                caller_events.REPLAY_MEMORY_UNAVAILABLE, error=getattr(error, "sqlite_errorname", "closed")
            )

    def _recover(self) -> None:
        if self._is_failing:
            self._is_failing = False
            self._log.emit(caller_events.REPLAY_MEMORY_AVAILABLE)

    def _set_aside(self) -> None:
        """A file that a power failure has damaged holds nothing worth a night call; it is kept beside."""
        for end in ("", "-wal", "-shm"):
            damaged = self._path.with_name(self._path.name + end)
            with contextlib.suppress(FileNotFoundError):
                damaged.replace(damaged.with_name(f"{self._path.name}.damaged{end}"))
        self._log.emit(caller_events.REPLAY_MEMORY_UNAVAILABLE, error="damaged")


class _Damaged(Exception):
    """The file is ours and cannot be read any more."""


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to a file that is ours; made when there is none."""
    database = sqlite3.connect(path, timeout=_OPEN_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN IMMEDIATE")
        _claim(database, path)
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA max_page_count = {LARGEST_PAGES}")
        database.execute(f"PRAGMA busy_timeout = {round(_BUSY_SECONDS * 1000)}")
    except sqlite3.DatabaseError as error:
        database.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT and _says_it_is_ours(path):
            raise _Damaged from None
        raise
    except ConfigurationRefused:
        database.close()
        raise
    return database


def _says_it_is_ours(path: Path) -> bool:
    """Whether a file's first bytes name our application (SQLite file format, 1.3): no other is moved."""
    with path.open("rb") as file:
        head = file.read(72)
    return head[:16] == b"SQLite format 3\0" and head[68:72] == APPLICATION.to_bytes(4)


def _claim(database: sqlite3.Connection, path: Path) -> None:
    """Make our tables in an empty file; refuse a file with somebody else's."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION:
        return
    if tables:
        raise _refused(f"names {path}, which is another program's file: choose a name of its own.")
    for statement in _TABLES:
        database.execute(statement)


def _refused(problem: str) -> ConfigurationRefused:
    return ConfigurationRefused((Mistake("environment", None, None, SETTING, problem),))
