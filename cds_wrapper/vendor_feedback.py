"""Tells a vendor what became of its cards: at least once, in order, beside the requests.

It reads the ledger as any reader does, from where its cursor stands, so that a vendor who does not listen
touches no request and no record. The cursor moves only behind what the vendor has taken: a kill costs a
second telling and never an entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from cds_wrapper import log
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.cursor import CursorFile
from cds_wrapper.ledger.for_vendors import FeedbackBatch, FeedbackReader
from cds_wrapper.ledger.tail import Places
from cds_wrapper.log import vendor_events
from cds_wrapper.outbound import Deadline
from cds_wrapper.services import ServiceDefinition
from cds_wrapper.settings import Settings
from cds_wrapper.vendor_access import VendorAccess, pool_for
from cds_wrapper.vendors.peer import Unanswered, VendorPeer

LOOK_EVERY: Final = timedelta(seconds=2)
LONGEST_WAIT: Final = timedelta(minutes=5)
MOST_ENTRIES: Final = 100
_WITHIN: Final = timedelta(seconds=30)
_LARGEST_ANSWER: Final = 64 * 1024
# What says that these entries are wrong, and not that the vendor cannot be reached or asked just now.
_NOT_TAKEN: Final = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class FeedbackPeer:
    """Where feedback of one service goes."""

    service_id: str
    door: VendorPeer


class _NotTold(Exception):
    """The vendor did not take a batch; the message is a word of a closed list."""


class FeedbackForwarder:
    """One vendor's feedback; `open` it in the event loop that serves, once the ledger is there."""

    def __init__(
        self,
        peer: FeedbackPeer,
        reader: FeedbackReader,
        cursor: CursorFile,
        lines: log.OperatorLog,
        every: timedelta = LOOK_EVERY,
    ) -> None:
        self._peer = peer
        self._reader = reader
        self._cursor = cursor
        self._log = lines
        self._every = every.total_seconds()
        self._places: Places | None = None
        self._trouble: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    async def open(self) -> None:
        """Start telling."""
        await self._peer.door.outbound.open()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; what the vendor has not taken is told after the next start."""
        self._is_closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._peer.door.outbound.close()

    async def _run(self) -> None:
        try:
            await self._go_on()
        finally:
            if not self._is_closing:
                self._tell_trouble("ended")  # an error of our own: restart the service, it goes on then

    async def _go_on(self) -> None:
        wait = self._every
        while True:
            try:
                is_whole = await self._turn()
            except (_NotTold, LedgerUnavailable, OSError, ValueError) as error:
                self._tell_trouble(str(error) if isinstance(error, _NotTold) else type(error).__name__)
                wait = min(2 * wait, LONGEST_WAIT.total_seconds())
            else:
                self._trouble = None
                wait = self._every if is_whole else 0.0
            await asyncio.sleep(wait)
            wait = max(wait, self._every)

    async def _turn(self) -> bool:
        """Tell one batch and remember that it is told; whether it was the last for now."""
        if self._places is None:
            self._places = await asyncio.to_thread(self._find_place)
        batch = await asyncio.to_thread(self._next, self._places)
        if batch.entries:
            await self._send(batch.entries)
        if batch.places != self._places:
            await asyncio.to_thread(self._cursor.save, batch.places)
            self._places = batch.places
        return batch.is_whole

    def _next(self, places: Places) -> FeedbackBatch:
        """What lies behind the place; `_NotTold` while another ledger is where ours was."""
        batch = self._reader.after(places, MOST_ENTRIES)
        if batch.places != places and not self._reader.holds(places):
            raise _NotTold("another_ledger")
        return batch

    def _find_place(self) -> Places:
        """Behind the cursor if it is this ledger's, else at the beginning: twice is better than never."""
        places = self._cursor.read()
        if places is not None and self._reader.holds(places):
            return places
        reason = "cursor_unreadable" if places is None else "another_ledger"
        self._log.emit(
            vendor_events.VENDOR_FEEDBACK_RESTARTED, service_id=self._peer.service_id, reason=reason
        )
        return {}

    async def _send(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Send a batch; a wrong one, as the vendor says, goes entry by entry, and wrong ones are given up."""
        if await self._takes(entries):
            self._log.emit(
                vendor_events.VENDOR_FEEDBACK_SENT, service_id=self._peer.service_id, entries=len(entries)
            )
            return
        single = [await self._takes([entry]) for entry in entries] if len(entries) > 1 else [False]
        refused = single.count(False)
        self._log.emit(
            vendor_events.VENDOR_FEEDBACK_REFUSED,
            service_id=self._peer.service_id,
            entries=len(entries) - refused,
            refused=refused,
        )

    async def _takes(self, entries: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the vendor took these; `_NotTold` when it could not be asked."""
        body = msgspec.json.encode({"feedback": entries})
        answer, _ = await self._peer.door.ask(body, Deadline.after(_WITHIN))
        if isinstance(answer, Unanswered):
            raise _NotTold(answer.reason or answer.status.value)
        if answer.status in _NOT_TAKEN:
            return False
        if not 200 <= answer.status < 300:
            raise _NotTold(f"http_{answer.status}")
        return True

    def _tell_trouble(self, reason: str) -> None:
        """Once for each kind of trouble, until it is over."""
        if reason != self._trouble:
            self._trouble = reason
            self._log.emit(
                vendor_events.VENDOR_FEEDBACK_FAILED, service_id=self._peer.service_id, reason=reason
            )


async def start_feedback(
    services: Iterable[ServiceDefinition],
    access: VendorAccess,
    settings: Settings,
    lines: log.OperatorLog,
    stack: AsyncExitStack,
) -> None:
    """Start telling every vendor that is to hear of it; `stack` stops it again."""
    for service in services:
        if service.vendor.feedback is None:
            continue
        door = VendorPeer(
            service.vendor.feedback, _LARGEST_ANSWER, pool_for(service, settings), access.of(service)
        )
        ledger = settings.ledger_path
        # No id and no hook has a `~`: two services never share a file.
        cursor = CursorFile(ledger.with_name(f"{ledger.name}.feedback-{service.id}~{service.hook}"))
        reader = FeedbackReader(ledger, service.id, service.hook)
        forwarder = FeedbackForwarder(FeedbackPeer(service.id, door), reader, cursor, lines)
        await forwarder.open()
        stack.push_async_callback(forwarder.close)
