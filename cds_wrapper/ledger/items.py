"""One piece of work on its way, as the threads see it: where it is, and how its caller hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.entries import Correction, Stamp
from cds_wrapper.ledger.work import Feedback, FeedbackReceipt, Piece, Receipt, Record

Result: TypeAlias = Receipt | FeedbackReceipt | LedgerUnavailable | None


class Place(enum.Enum):
    """How far a piece of work has come in one of the two stores."""

    AWAY = "away"
    QUEUED = "queued"  # its thread has not begun: it can still be withdrawn
    TAKEN = "taken"  # it may become durable, whatever anybody does now
    DURABLE = "durable"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Item:
    """A piece of work, its caller, and its place in either store.

    It is settled once it is decided what its caller is told. `spool_by` is the time by which the spool should
    take it, on the monotonic clock; `recorded_at` is set when it does.
    `in_doubt` says that a store reported a failure and may hold it all the same.
    """

    piece: Piece
    future: asyncio.Future[Any] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    put_at: float = field(default_factory=time.monotonic)
    spool_by: float = 0.0
    ledger: Place = Place.AWAY
    spool: Place = Place.AWAY
    recorded_at: datetime | None = None
    written: Stamp | Result = None
    result: Result = None
    is_settled: bool = False
    caller_has_gone: bool = False
    is_corrected: bool = False
    in_doubt: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits to hear of it."""
        return not self.is_settled and not self.caller_has_gone

    @property
    def may_be_durable(self) -> bool:
        """Whether a store holds it, or may come to hold it without being asked again."""
        held = {self.ledger, self.spool} & {Place.TAKEN, Place.DURABLE}
        return bool(held) or self.in_doubt

    @property
    def waited(self) -> timedelta:
        """How long it has waited so far."""
        return timedelta(seconds=time.monotonic() - self.put_at)

    def settle(self, result: Result) -> None:
        """Decide what its caller is told; `tell` tells it."""
        self.result, self.is_settled = result, True

    def correction(self) -> Correction | None:
        """What must follow this row, if it is durable anywhere, when its caller was not told so. Once."""
        if not isinstance(self.piece, Record) or self.is_corrected:
            return None
        self.is_corrected = True
        return Correction(self.piece.entry.prediction_id, self.piece.if_late)

    def receipt_without_place(self, writer: str) -> Receipt:
        """What its caller is told when it is in the ledger, at a place that nobody knows."""
        return Receipt(writer, None, self.recorded_at or datetime.now(UTC), self.waited)

    def ledger_result(self) -> Result:
        """What its caller is told when the transaction it was written in is durable."""
        return Receipt.of(self.written, self.waited) if isinstance(self.written, Stamp) else self.written

    def spool_result(self, writer: str) -> Result:
        """What its caller is told when it is durable in the spool."""
        match self.piece:
            case Record() if self.recorded_at is not None:
                return Receipt(writer, None, self.recorded_at, self.waited, spooled=True)
            case Feedback(entries):
                return FeedbackReceipt(len(entries), 0, 0, spooled=True)
            case _:
                return None


def tell(items: Iterable[Item]) -> None:
    """Wake every caller of settled items, once per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Item]] = {}
    for item in items:
        if item.loop is not None:
            by_loop.setdefault(item.loop, []).append(item)
    for loop, theirs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # a closed loop: nobody is waiting any more
            loop.call_soon_threadsafe(_resolve, theirs)


def _resolve(items: Iterable[Item]) -> None:
    for item in items:
        if item.future is None or item.future.done() or not item.is_settled:
            continue
        if isinstance(item.result, LedgerUnavailable):
            item.future.set_exception(item.result)
        else:
            item.future.set_result(item.result)
