"""The committer: the one thread that touches the database; it writes many rows to a transaction.

A transaction takes the write lock first and only then the rows, so that a row can be withdrawn until then. It
holds, in this order: lines of the spool, what callers wait for, corrections of rows that are there.

What may happen to it, and what then becomes of its rows:

    the lock is not to be had  nothing was taken; whoever loses patience goes to the spool
    it fails while writing     nothing was written; its rows go to the spool
    it fails while committing  nobody knows; its rows go to the spool, and one that is there is passed over
    it hangs                   its rows go to the spool as a copy; it may still commit, and each is there once
    the process is killed      its rows are there or not; lines of the spool stay until the cursor has moved,
                               which it does behind the commit, so they are looked at twice and written once
"""

from __future__ import annotations

import enum
import itertools
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.database import Checkpoints, LedgerFile, error_name, is_locked
from cds_wrapper.ledger.entries import Correction, Stamp, Waiting
from cds_wrapper.ledger.items import Item, tell
from cds_wrapper.ledger.queues import CHUNK
from cds_wrapper.ledger.routing import Routing, Taken
from cds_wrapper.ledger.spool import Chunk, Spool
from cds_wrapper.ledger.spool_lines import SpooledLine
from cds_wrapper.ledger.threads import Worker
from cds_wrapper.ledger.work import Committed, Feedback, FeedbackReceipt, Files, Receipt, Record

_HAND_OVER = 2 * CHUNK

# What a single row can cause by what it holds. Anything else is the ledger's trouble and not the row's.
_ROWS_OWN = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    TypeError,
    ValueError,
    OverflowError,
)


class _Step(enum.Enum):
    LOCKING = "locking"  # nothing taken yet
    WRITING = "writing"  # an error now means that nothing was written
    COMMITTING = "committing"  # an error now proves nothing
    CONCLUDING = "concluding"  # durable


@dataclass(slots=True)
class _Batch:
    """One transaction and how far it has come."""

    step: _Step = _Step.LOCKING
    taken: Taken = field(default_factory=Taken)
    chunk: Chunk | None = None
    spool_answers: bool = True
    rows: int = 0
    moved: list[Committed] = field(default_factory=list)
    corrected: int = 0
    unfounded: list[Correction] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether it would write nothing."""
        return not (self.taken.items or self.taken.corrections or (self.chunk and self.chunk.lines))


class Committer:
    """Owns the thread and the ledger's file, and moves what is in the spool."""

    def __init__(
        self,
        file: LedgerFile,
        routing: Routing,
        spool: Spool | None = None,
        on_commit: Callable[[Sequence[Committed]], None] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """`on_commit` is called in the committer's thread with each batch, after its callers were told."""
        self._file = file
        self._routing = routing
        self._spool = spool
        self._on_commit = on_commit
        self._checkpoints = checkpoints or Checkpoints(file.path)
        self._batch = _Batch()
        self._one_by_one_until = 0
        self.worker = Worker(
            "ledger-committer", routing.wait_for_ledger, self._commit_batch, self._after_failure, self._end
        )

    @property
    def chain_problems(self) -> tuple[str, ...]:
        """What was wrong with the ends of this writer's chains when the file was last opened."""
        return tuple(f"{one.chain}: {one.trouble.value}" for one in self._file.head_problems)

    def _commit_batch(self) -> None:
        """One transaction's life."""
        self._batch = batch = _Batch()
        self._file.begin()
        batch.taken = self._routing.take_for_ledger(alone=self._is_one_by_one)
        batch.step = _Step.WRITING
        self._read_spool(batch)
        if batch.is_empty:
            self._file.beat()
        self._write_spooled(batch)
        self._write(batch)
        self._write_corrections(batch, batch.taken.corrections)
        batch.step = _Step.COMMITTING
        self._file.commit()
        batch.step = _Step.CONCLUDING
        self._conclude(batch)

    # The spool's lines ------------------------------------------------------------------------------------

    @property
    def _is_one_by_one(self) -> bool:
        """Whether one of the next lines has made a transaction fail, and it has to be found out which."""
        return self._spool is not None and self._spool.at.number < self._one_by_one_until

    def _read_spool(self, batch: _Batch) -> None:
        if self._spool is None or batch.taken.until is None:
            return
        most = 1 if self._is_one_by_one else _HAND_OVER if batch.taken.hands_over else CHUNK
        try:
            batch.chunk = self._spool.read(most, batch.taken.until)
        except OSError:
            batch.spool_answers = False  # what callers wait for is written all the same

    def _write_spooled(self, batch: _Batch) -> None:
        lines = batch.chunk.lines if batch.chunk else []
        for kind, alike in itertools.groupby(lines, key=lambda line: type(line.piece)):
            if kind is Record:
                self._write_records(batch, list(alike))
                continue
            for line in alike:
                match line.piece:
                    case Correction():
                        self._write_corrections(batch, [line.piece])
                    case Feedback(entries):
                        self._file.add_feedback(entries)
                    case Files(files):
                        self._file.add_files(files)
                    case Record():
                        pass  # in the arm above

    def _write_records(self, batch: _Batch, lines: Sequence[SpooledLine]) -> None:
        records = [(line, line.piece.entry) for line in lines if isinstance(line.piece, Record)]
        waiting = [Waiting(entry, line.waited, line.recorded_at) for line, entry in records]
        for (line, entry), stamp in zip(records, self._file.add_predictions(waiting), strict=True):
            if stamp is not None:  # else it is there already: written by a transaction nobody heard of
                batch.rows += 1
                batch.moved.append(Committed(entry, Receipt.of(stamp, line.waited), in_time=True))

    # What callers wait for --------------------------------------------------------------------------------

    def _write(self, batch: _Batch) -> None:
        items = batch.taken.items
        records = [(item, item.piece.entry) for item in items if isinstance(item.piece, Record)]
        waiting = [Waiting(entry, item.waited, item.recorded_at) for item, entry in records]
        for (item, _), stamp in zip(records, self._file.add_predictions(waiting), strict=True):
            item.written = stamp or self._there_already(item)
            batch.rows += stamp is not None
        for item in items:
            match item.piece:
                case Feedback(entries):
                    stored, unmatched = self._file.add_feedback(entries)
                    item.written = FeedbackReceipt(stored, unmatched, len(entries) - stored)
                case Files(files):
                    self._file.add_files(files)
                case Record() | Correction():
                    pass

    def _there_already(self, item: Item) -> Receipt | LedgerUnavailable:
        """Somebody else's row; or its own, of a commit that only said that it had failed."""
        if item.in_doubt:
            return item.receipt_without_place(self._file.writer)
        return LedgerUnavailable("A prediction of that id is recorded already.")

    def _write_corrections(self, batch: _Batch, corrections: Sequence[Correction]) -> None:
        """Only of rows that are there: one that was never written has nothing to be corrected."""
        if not corrections:
            return
        found = self._file.recorded([correction.prediction_id for correction in corrections])
        founded = [correction for correction in corrections if correction.prediction_id in found]
        self._file.add_corrections(founded)
        batch.corrected += len(founded)
        batch.unfounded += [correction for correction in corrections if correction.prediction_id not in found]

    # Afterwards -------------------------------------------------------------------------------------------

    def _conclude(self, batch: _Batch) -> None:
        self._routing.ledger_durable(batch.taken, batch.rows, batch.corrected, batch.unfounded)
        tell(batch.taken.items)
        self._move_cursor(batch)
        self._checkpoints.consider(self._file.log_bytes())
        if self._on_commit is not None and batch.rows:
            self._on_commit([*batch.moved, *_committed(batch.taken.items)])

    def _move_cursor(self, batch: _Batch) -> None:
        """The lines are in the ledger now: the spool may forget them."""
        if self._spool is None or not (batch.taken.hands_over or batch.taken.until):
            return
        lines = batch.chunk.lines if batch.chunk else []
        if batch.chunk is not None:
            try:
                self._spool.drained(batch.chunk)
            except OSError:
                batch.spool_answers = False
            else:
                self._routing.damaged(batch.chunk.lost, batch.chunk.out_of_place)
        oldest = lines[0].recorded_at if lines else None
        self._routing.moved(self._spool.at, len(lines), oldest, is_readable=batch.spool_answers)

    def _after_failure(self, error: Exception) -> None:
        """The rows of this batch go where they can; the next batch opens the file afresh."""
        batch, name = self._batch, error_name(error)
        if batch.step is _Step.CONCLUDING:
            self._routing.note(name)  # what was told about durable rows failed, not the rows
            return
        if batch.step is _Step.LOCKING and is_locked(error):
            self._routing.ledger_locked(name)
            return
        self._file.discard()
        has_begun, in_doubt = batch.step is not _Step.LOCKING, batch.step is _Step.COMMITTING
        tell(self._routing.ledger_failed(name, has_begun=has_begun, in_doubt=in_doubt))
        if isinstance(error, _ROWS_OWN) and batch.chunk is not None and batch.chunk.lines:
            self._look_at_each(batch.chunk)

    def _look_at_each(self, chunk: Chunk) -> None:
        """One of these lines can never be written: once it is found, it is kept aside for a person."""
        if self._spool is None or not self._is_one_by_one:
            self._one_by_one_until = chunk.after.number
            return
        chunk.damaged += [line.raw for line in chunk.lines]
        chunk.lines.clear()
        self._move_cursor(_Batch(taken=Taken(until=chunk.after), chunk=chunk))

    def _end(self) -> None:
        tell(self._routing.ledger_ended())
        self._checkpoints.close()
        self._file.discard()


def _committed(items: Sequence[Item]) -> list[Committed]:
    """The predictions among them that have just been written."""
    return [
        Committed(item.piece.entry, Receipt.of(item.written, item.waited), not item.caller_has_gone)
        for item in items
        if isinstance(item.piece, Record) and isinstance(item.written, Stamp)
    ]
