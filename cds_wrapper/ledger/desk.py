"""The desk at which callers hand work over and wait, for as long as they have."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import overload

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.committer import Committer
from cds_wrapper.ledger.database import Checkpoints, LedgerFile
from cds_wrapper.ledger.items import Item
from cds_wrapper.ledger.queues import SHORTEST_WAIT
from cds_wrapper.ledger.routing import Routing
from cds_wrapper.ledger.spool import Spool
from cds_wrapper.ledger.spooler import Spooler
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

CLOSE_PATIENCE = timedelta(seconds=5)

_CLOSING_GRACE = timedelta(seconds=1)

PATIENCE_SHARE = 0.5
"""The part of a caller's time that the ledger has; with what is left the spool must do."""

LONGEST_PATIENCE = timedelta(seconds=2)
LONGEST_PACE = timedelta(milliseconds=250)
"""The spool makes callers wait so that the ledger catches up: this, or half of their patience, at most."""

_SHORTEST, _LONGEST = SHORTEST_WAIT.total_seconds(), LONGEST_PATIENCE.total_seconds()


class Desk:
    """Owns the threads of ledger and spool. Start it in the event loop its callers run in."""

    def __init__(
        self,
        file: LedgerFile,
        spool: Spool | None = None,
        on_commit: Callable[[Sequence[Committed]], None] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Without a spool a ledger that cannot be written is said to every caller."""
        self._routing = Routing(file.writer, has_spool=spool is not None)
        self._spool = spool
        self._committer = Committer(file, self._routing, spool, on_commit, checkpoints)
        self._spooler = Spooler(spool, self._routing) if spool else None

    def start(self) -> None:
        """Start the threads; what the spool holds from before is moved to the ledger first."""
        if self._spool is not None and self._spooler is not None:
            if self._spool.is_open:
                self._routing.spool_opened(self._spool.at, self._spool.end)
            self._spooler.worker.start()
        self._routing.open()
        self._committer.worker.start()

    async def close(self, patience: timedelta = CLOSE_PATIENCE) -> None:
        """Take nothing more, write out the queues, end the threads; what is in the spool stays there.

        `patience` is how long writing is tried again when it fails. A write of the ledger under way is always
        waited for; the spool, which holds what it has told of, for `patience` once more.
        """
        self._routing.close(patience)
        await self._committer.worker.ended()
        if self._spooler is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience.total_seconds() + _CLOSING_GRACE.total_seconds()):
                    await self._spooler.worker.ended()

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
        future: asyncio.Future[Receipt | FeedbackReceipt | None] = loop.create_future()
        item = Item(work, future, loop)
        wait = _Wait(self._routing, item, loop, within)
        told = False
        try:
            result = await future
            told = True
        finally:
            wait.end()
            if not told:
                self._routing.leave(item)
        return result

    @property
    def health(self) -> LedgerHealth:
        """State and counts, for health checks and metrics."""
        health = replace(self._routing.health, chain_problems=self._committer.chain_problems)
        if self._spool is None or not health.spool_records:
            return health
        return replace(health, spool_bytes=self._spool.size, spool_oldest=self._spool.oldest)


class _Wait:
    """Hands a piece of work over and watches the clock for its caller.

    Once when it has lost patience with the ledger, once when its time is over.
    """

    __slots__ = ("_alarm", "_item", "_loop", "_rest", "_routing")

    def __init__(
        self, routing: Routing, item: Item, loop: asyncio.AbstractEventLoop, within: timedelta
    ) -> None:
        self._routing, self._item, self._loop = routing, item, loop
        seconds = within.total_seconds()
        patience = min(max(seconds * PATIENCE_SHARE, _SHORTEST), _LONGEST, seconds)
        item.spool_by = item.put_at + min(patience * PATIENCE_SHARE, LONGEST_PACE.total_seconds())
        routing.put(item)
        self._rest = seconds - patience
        self._alarm = loop.call_later(patience, self._lose_patience)

    def _lose_patience(self) -> None:
        self._routing.lose_patience(self._item)
        self._alarm = self._loop.call_later(self._rest, self._expire)

    def _expire(self) -> None:
        future = self._item.future
        if future is None or future.done() or not self._routing.expire(self._item):
            return
        future.set_exception(LedgerUnavailable("The record could not be made durable in time."))

    def end(self) -> None:
        self._alarm.cancel()
