"""The prediction stream: a thread that writes each row of the ledger as a line, at least once.

It reads the ledger as any reader does, from where its cursor stands, so nothing it does or fails to do can
touch a request or a record. Lines are synced before the cursor that names them is saved: a kill or a power
cut costs a second look at some rows and never one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import errno
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cds_wrapper import log
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.cursor import CursorFile
from cds_wrapper.ledger.sinks import NotSynced, Sink
from cds_wrapper.ledger.tail import Place, Row, Tail
from cds_wrapper.log import ledger_events

EVERY = timedelta(milliseconds=100)
"""How often rows are read at most: together they cost the requests less than each by itself."""

LOOK_EVERY = timedelta(seconds=1)
"""How often it looks without having been woken, tries again after trouble and saves the cursor."""

MOST_ROWS = 250
"""Rows in one snapshot and one write."""

CLOSE_PATIENCE = timedelta(seconds=2)
_REST_PATIENCE = timedelta(seconds=1)

_ADVICE = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room on its disk",
    errno.EFBIG: "let it grow, or lower CDS_WRAPPER_STREAM_MAX_BYTES",
    errno.EBUSY: "another process writes it: name another file",
    errno.EINVAL: "it is no file: name one",
    errno.ENOENT: "make its folder",
    errno.EACCES: "make it writable for this user",
    errno.EROFS: "name a place that can be written",
    errno.ECONNREFUSED: "start its receiver",
    errno.ECONNRESET: "start its receiver",
}


class _Wish(enum.Enum):
    GO_ON = "go on"
    REST = "rest"
    END = "end"


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """Whether lines are being written, and how many rows of the ledger wait for theirs at most.

    `last_error` is the name of what went wrong last, and never a message.
    """

    available: bool
    lag_rows: int
    last_error: str | None


class PredictionStream:
    """Owns the thread: `start` it once the ledger is there, `let_go` before that closes, `close` after."""

    def __init__(self, ledger: Path, sink: Sink, cursor: CursorFile, lines: log.OperatorLog) -> None:
        self._tail = Tail(ledger)
        self._sink = sink
        self._cursor = cursor
        self._lines = lines
        self._thread = threading.Thread(target=self._run, name="prediction-stream", daemon=True)
        self._changed = threading.Condition(threading.Lock())
        self._wish = _Wish.GO_ON
        self._is_woken = True
        self._rested = threading.Event()
        self._give_up_at = 0.0
        self._places: dict[tuple[str, str], Place] = {}
        self._saved: dict[tuple[str, str], Place] = {}
        self._saved_at = 0.0
        self._is_begun = False
        self._fits = False
        self._is_interrupted = False
        self._last_error: str | None = None
        self._lag = 0

    # For others -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self, _committed: object = None) -> None:
        """There is something new; the ledger's `on_commit`, so it must cost nothing and never wait."""
        with self._changed:
            self._is_woken = True
            self._changed.notify()

    async def let_go(self) -> None:
        """Stop reading, so that the ledger can close as its file's last user; waits for a moment only."""
        if self._thread.is_alive():
            self._ask(_Wish.REST)
            await asyncio.to_thread(self._rested.wait, _REST_PATIENCE.total_seconds())

    async def close(self, patience: timedelta = CLOSE_PATIENCE) -> None:
        """Write what the ledger holds, for `patience` at most, save the cursor, end the thread.

        What is left is written after the next start.
        """
        if self._thread.is_alive():
            self._give_up_at = time.monotonic() + patience.total_seconds()
            self._ask(_Wish.END)
            await asyncio.to_thread(
                self._thread.join, 2 * patience.total_seconds() + 1
            )  # it may hang in a disk

    @property
    def health(self) -> StreamHealth:
        """State and lag."""
        available = not self._is_interrupted and self._thread.is_alive()
        return StreamHealth(available, self._lag, self._last_error)

    def _ask(self, wish: _Wish) -> None:
        with self._changed:
            self._wish = wish
            self._changed.notify()

    # In the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (wish := self._next_wish()) is not _Wish.END:
                if wish is _Wish.REST:
                    self._tail.close()
                    self._rested.set()
                else:
                    self._turn()
            self._turn()
            self._save()
        except (OSError, LedgerUnavailable) as error:
            self._tell_trouble(error)  # the cursor's last save: its lines come twice after the next start
        finally:
            if self._wish is not _Wish.END:
                problem = "The stream ended over an error of its own: restart the service, it goes on then."
                self._tell_once("ended", problem)
            self._tail.close()
            self._sink.close()

    def _next_wish(self) -> _Wish:
        """Sleep until there is something to do, and then until some more may have come."""
        with self._changed:
            if self._rested.is_set():
                self._changed.wait_for(lambda: self._wish is _Wish.END)
            self._changed.wait_for(
                lambda: (self._is_woken and not self._is_interrupted) or self._wish is not _Wish.GO_ON,
                LOOK_EVERY.total_seconds(),
            )
            self._changed.wait_for(lambda: self._wish is not _Wish.GO_ON, EVERY.total_seconds())
            self._is_woken = False
            return self._wish

    def _turn(self) -> None:
        """Write what is there. Trouble is told once, and it goes on from the same place until it succeeds."""
        try:
            self._write_on()
        except NotSynced as error:
            self._places = dict(self._saved)
            self._tell_trouble(error)
        except (OSError, LedgerUnavailable) as error:
            self._tell_trouble(error)
        else:
            self._tell_success()

    def _write_on(self) -> None:
        if self._tail.open():
            self._fits = False
        if not self._fits:
            self._find_place()
        is_whole = False
        while not is_whole:
            began = time.monotonic()
            look = self._tail.look(self._places, MOST_ROWS)
            self._write(look.rows)
            is_whole = look.is_whole
            self._lag = 0 if is_whole else self._tail.lag(self._places)
            self._save_if_due()
            if not is_whole and self._is_called_off(time.monotonic() - began):
                return

    def _find_place(self) -> None:
        """Where to go on: behind the cursor if it is this ledger's, else from the beginning."""
        places = self._places if self._is_begun else self._cursor.read()
        if places is None:
            self._restart("cursor_unreadable")
        elif not self._tail.holds(places):
            self._restart("another_ledger")
        else:
            self._places = dict(places)
        if not self._is_begun:
            self._saved = dict(self._places)
        self._is_begun = self._fits = True

    def _restart(self, reason: str) -> None:
        self._places = {}
        self._saved = {}
        self._lines.emit(ledger_events.STREAM_RESTARTED, reason=reason, stream=self._sink.name)

    def _write(self, rows: list[Row]) -> None:
        while rows:
            taken = self._sink.write([row.line for row in rows])
            self._places |= {(row.table, row.writer): row.place for row in rows[:taken]}
            rows = rows[taken:]

    def _is_called_off(self, took: float) -> bool:
        """Between two batches: leave the interpreter to the requests for as long as the last one took."""
        with self._changed:
            if self._wish is _Wish.END:
                return time.monotonic() > self._give_up_at
            return self._changed.wait_for(lambda: self._wish is not _Wish.GO_ON, took)

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_at >= LOOK_EVERY.total_seconds():
            self._save()

    def _save(self) -> None:
        """Name what is synced, and nothing else, as written."""
        if self._places != self._saved:
            self._sink.sync()
            self._cursor.save(self._places)
            self._saved = dict(self._places)
        self._saved_at = time.monotonic()

    def _tell_trouble(self, error: OSError | LedgerUnavailable) -> None:
        self._last_error = _name_of(error)
        with contextlib.suppress(LedgerUnavailable):
            self._lag = self._tail.lag(self._places)
        self._tell_once(self._last_error, self._problem(error))

    def _tell_once(self, error: str, problem: str) -> None:
        if not self._is_interrupted:
            self._is_interrupted = True
            told = {"error": error, "problem": problem, "lag_rows": self._lag}
            self._lines.emit(ledger_events.STREAM_INTERRUPTED, stream=self._sink.name, **told)

    def _problem(self, error: OSError | LedgerUnavailable) -> str:
        if isinstance(error, LedgerUnavailable):
            return error.sentence
        advice = _ADVICE.get(error.errno or 0, "see what ails its place")
        return (
            f"{self._sink.name} or its cursor cannot be written ({self._last_error}): {advice}. Records and"
            " answers are not affected, and the stream goes on where it stopped."
        )

    def _tell_success(self) -> None:
        if self._is_interrupted:
            self._is_interrupted = False
            self._lines.emit(ledger_events.STREAM_RESUMED, stream=self._sink.name, lag_rows=self._lag)


def _name_of(error: OSError | LedgerUnavailable) -> str:
    if isinstance(error, LedgerUnavailable):
        return error.reason
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
