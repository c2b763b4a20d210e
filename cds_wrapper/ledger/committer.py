"""The committer: one thread that writes what callers hand over, many rows to a transaction.

A row is `queued` until the committer has the write lock and takes it; until then its caller can withdraw it.
Once taken it may become durable whatever the caller does: a caller that has gone by then gets a correction
(`not_returned`) behind its row. All of this is decided under one lock, so a row is never both withdrawn and
written, and no caller waits past its time for a disk that hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, overload

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.database import Checkpoints, LedgerFile, error_name, is_locked
from cds_wrapper.ledger.entries import Correction, Stamp
from cds_wrapper.ledger.work import (
    Committed,
    Feedback,
    FeedbackReceipt,
    Files,
    LedgerHealth,
    Receipt,
    Record,
    Work,
)

QUEUE_LIMIT = 1024
RETRY_AFTER = timedelta(seconds=1)
"""How often a ledger that cannot be written is tried again while nobody asks."""
CLOSE_PATIENCE = timedelta(seconds=5)
_CLOSING_RETRY = timedelta(milliseconds=50)


class _State(enum.Enum):
    QUEUED = "queued"
    TAKEN = "taken"
    COMMITTED = "committed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class _Step(enum.Enum):
    LOCKING = "locking"  # nothing taken yet
    WRITING = "writing"  # an error now means that nothing was written
    COMMITTING = "committing"  # an error now proves nothing
    CONCLUDING = "concluding"  # durable


@dataclass(slots=True, eq=False)
class _Item:
    work: Work
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    put_at: float
    state: _State = _State.QUEUED
    caller_has_gone: bool = False
    result: Stamp | Receipt | FeedbackReceipt | LedgerUnavailable | None = None

    def correction(self) -> list[Correction]:
        """What must follow this row, if it is durable, when its caller was not told so."""
        if not isinstance(self.work, Record) or isinstance(self.result, LedgerUnavailable):
            return []
        return [Correction(self.work.entry.prediction_id, self.work.if_late)]


@dataclass(slots=True)
class _Batch:
    """What one transaction holds, and how far it has come."""

    items: list[_Item] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    step: _Step = _Step.LOCKING


class Committer:
    """Owns the thread, the queue and the ledger's file. Start it in the event loop its callers run in."""

    def __init__(
        self,
        file: LedgerFile,
        on_commit: Callable[[Sequence[Committed]], None] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """`on_commit` is called in the committer's thread with each batch, after its callers were told."""
        self._file = file
        self._on_commit = on_commit
        self._checkpoints = checkpoints or Checkpoints(file.path)
        self._wake = threading.Condition(threading.Lock())
        self._thread = threading.Thread(target=self._run, name="ledger-committer", daemon=True)
        self._queue: dict[_Item, None] = {}
        self._pending: list[Correction] = []
        self._doubtful: list[Correction] = []
        self._batch = _Batch()
        self._available = True
        self._retry_at = 0.0
        self._give_up_at: float | None = None
        self._records = self._batches = self._corrections = 0
        self._last_error: str | None = None

    # In the event loop ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._thread.start()

    async def close(self, patience: timedelta = CLOSE_PATIENCE) -> None:
        """Take nothing more, write out the queue, end the thread.

        `patience` is how long writing is tried again when it fails; a write under way is always waited for.
        """
        with self._wake:
            self._give_up_at = time.monotonic() + patience.total_seconds()
            self._wake.notify()
        await self._stopped.wait()
        self._thread.join()

    @overload
    async def submit(self, work: Record, within: timedelta) -> Receipt: ...
    @overload
    async def submit(self, work: Feedback, within: timedelta) -> FeedbackReceipt: ...
    @overload
    async def submit(self, work: Files, within: timedelta) -> None: ...
    async def submit(self, work: Work, within: timedelta) -> Receipt | FeedbackReceipt | None:
        """Wait until `work` is durable, at most `within`; `LedgerUnavailable` when it is not by then.

        Being cancelled is like running out of time.
        """
        loop = asyncio.get_running_loop()
        item = _Item(work, loop.create_future(), loop, time.monotonic())
        self._put(item)
        alarm = loop.call_later(within.total_seconds(), self._expire, item)
        told = False
        try:
            result: Receipt | FeedbackReceipt | None = await item.future
            told = True
        finally:
            alarm.cancel()
            if not told:
                self._leave(item)
        return result

    def _put(self, item: _Item) -> None:
        with self._wake:
            if self._give_up_at is not None or not self._thread.is_alive():
                raise LedgerUnavailable("The ledger is closed.")
            if len(self._queue) >= QUEUE_LIMIT:
                raise LedgerUnavailable("The ledger has more to write than it may keep waiting.")
            self._queue[item] = None
            self._wake.notify()

    def _expire(self, item: _Item) -> None:
        """The caller's time is over. A row that is durable by now is told about all the same."""
        with self._wake:
            if item.future.done() or item.state in {_State.COMMITTED, _State.FAILED}:
                return
            self._available = False
            self._retry_at = 0.0
            self._wake.notify()
        self._leave(item)
        item.future.set_exception(LedgerUnavailable("The record could not be made durable in time."))

    def _leave(self, item: _Item) -> None:
        """The caller goes without having been told."""
        with self._wake:
            if item.caller_has_gone:
                return
            item.caller_has_gone = True
            match item.state:
                case _State.QUEUED:
                    del self._queue[item]
                    item.state = _State.WITHDRAWN
                case _State.COMMITTED:
                    self._pending += item.correction()
                    self._wake.notify()
                case _State.TAKEN | _State.FAILED | _State.WITHDRAWN:
                    pass  # a taken row gets its correction from the committer, if it becomes durable

    @property
    def health(self) -> LedgerHealth:
        """State and counts, for health checks and metrics."""
        with self._wake:
            return LedgerHealth(
                available=self._available and self._give_up_at is None,
                queue_depth=len(self._queue),
                records_total=self._records,
                batches_total=self._batches,
                corrections_total=self._corrections,
                last_error=self._last_error,
            )

    # In the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                self._commit_batch()
            except Exception as error:  # noqa: BLE001  a dead thread would hang every caller
                self._after_failure(error)
        self._refuse(self._drain(), "The ledger was closed before the record was durable.")
        self._checkpoints.close()
        self._file.discard()
        with contextlib.suppress(RuntimeError):  # the loop ended without closing the ledger
            self._loop.call_soon_threadsafe(self._stopped.set)

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do; false when the thread may end."""
        with self._wake:
            while self._give_up_at is None:
                if self._queue or (self._pending and self._available):
                    return True
                if not self._available and time.monotonic() >= self._retry_at:
                    return True
                self._wake.wait(None if self._available else self._retry_at - time.monotonic())
            if not self._available:
                self._wake.wait(_CLOSING_RETRY.total_seconds())
            is_late = time.monotonic() > self._give_up_at
            return not is_late and bool(self._queue or self._pending or self._doubtful)

    def _commit_batch(self) -> None:
        """One transaction: the lock first, only then the rows, so that a row can be withdrawn until then."""
        self._batch = batch = _Batch()
        self._file.begin()
        self._settle_doubts()
        self._take(batch)
        if not batch.items and not batch.corrections:
            self._file.beat()
        self._write(batch.items)
        self._file.add_corrections(batch.corrections)
        batch.step = _Step.COMMITTING
        self._file.commit()
        batch.step = _Step.CONCLUDING
        self._conclude(batch)

    def _settle_doubts(self) -> None:
        """A commit that failed may have been written all the same: such a row needs its correction."""
        if not self._doubtful:
            return
        found = self._file.recorded([doubt.prediction_id for doubt in self._doubtful])
        with self._wake:
            self._pending += [doubt for doubt in self._doubtful if doubt.prediction_id in found]
        self._doubtful = []

    def _take(self, batch: _Batch) -> None:
        with self._wake:
            batch.items = list(self._queue)
            batch.corrections = list(self._pending)
            self._queue.clear()
            for item in batch.items:
                item.state = _State.TAKEN
        batch.step = _Step.WRITING

    def _write(self, items: Sequence[_Item]) -> None:
        now = time.monotonic()
        records = [(item, item.work.entry) for item in items if isinstance(item.work, Record)]
        waiting = [(entry, timedelta(seconds=now - item.put_at)) for item, entry in records]
        for (item, _), stamp in zip(records, self._file.add_predictions(waiting), strict=True):
            item.result = stamp or LedgerUnavailable("A prediction of that id is recorded already.")
        for item in items:
            match item.work:
                case Feedback(entries):
                    stored, unmatched = self._file.add_feedback(entries)
                    item.result = FeedbackReceipt(stored, unmatched, len(entries) - stored)
                case Files(files):
                    self._file.add_files(files)
                case Record():
                    pass

    def _conclude(self, batch: _Batch) -> None:
        committed = self._mark_durable(batch)
        _tell(batch.items)
        self._checkpoints.consider(self._file.log_bytes())
        if self._on_commit is not None and committed:
            self._on_commit(committed)

    def _mark_durable(self, batch: _Batch) -> list[Committed]:
        now, committed = time.monotonic(), []
        with self._wake:
            self._available = True
            self._batches += 1
            self._corrections += len(batch.corrections)
            del self._pending[: len(batch.corrections)]  # it only ever grows at its end
            for item in batch.items:
                is_refused = isinstance(item.result, LedgerUnavailable)
                item.state = _State.FAILED if is_refused else _State.COMMITTED
                if item.caller_has_gone:
                    self._pending += item.correction()
                if isinstance(item.work, Record) and isinstance(item.result, Stamp):
                    item.result = Receipt.of(item.result, timedelta(seconds=now - item.put_at))
                    committed.append(Committed(item.work.entry, item.result, not item.caller_has_gone))
            self._records += len(committed)
        return committed

    def _after_failure(self, error: Exception) -> None:
        """Fail the rows of this batch and no others; the next batch opens the file afresh."""
        batch = self._batch
        self._last_error = error_name(error)
        if batch.step is _Step.CONCLUDING:
            return  # what was told about durable rows failed, not the rows
        with self._wake:
            self._available = False
            self._retry_at = time.monotonic() + RETRY_AFTER.total_seconds()
        if batch.step is _Step.LOCKING and is_locked(error):
            return  # the rows stay in the queue, where their callers can withdraw them
        if batch.step is _Step.COMMITTING:
            self._doubtful += [doubt for item in batch.items for doubt in item.correction()]
        self._file.discard()
        rows = self._drain() if batch.step is _Step.LOCKING else batch.items
        self._refuse(rows, f"The ledger cannot be written ({self._last_error}).")

    def _drain(self) -> list[_Item]:
        with self._wake:
            items = list(self._queue)
            self._queue.clear()
            return items

    def _refuse(self, items: Sequence[_Item], sentence: str) -> None:
        with self._wake:
            for item in items:
                item.state = _State.FAILED
                item.result = LedgerUnavailable(sentence)
        _tell(items)


def _tell(items: Sequence[_Item]) -> None:
    """Wake every caller, once per event loop."""
    for loop in {item.loop for item in items}:
        theirs = [item for item in items if item.loop is loop]
        with contextlib.suppress(RuntimeError):  # a closed loop: nobody is waiting any more
            loop.call_soon_threadsafe(_settle, theirs)


def _settle(items: Sequence[_Item]) -> None:
    for item in items:
        if item.future.done():
            continue
        if isinstance(item.result, LedgerUnavailable):
            item.future.set_exception(item.result)
        else:
            item.future.set_result(item.result)
