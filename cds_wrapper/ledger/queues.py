"""Where each piece of work goes: to the ledger or to the spool, decided in one place under one lock.

The life of a piece of work. Its caller puts it into the queue of the store that the route names, and waits.

    route LEDGER   put -> ledger QUEUED -> TAKEN by a transaction -> DURABLE        (the normal state)
    route SPOOL    put -> spool QUEUED  -> TAKEN by the spooler   -> DURABLE, and from there to the ledger

The route turns to SPOOL when the ledger fails, or when somebody has waited for it too long. What its queue
holds goes to the spool then, and so does, as a copy, what a transaction has taken and may still commit: it is
durable wherever that happens first, and the ledger knows a row by its id and takes it once.

The route turns back (the hand-over) when what the spool still holds fits into one transaction. Under the lock
everything that is on its way is divided: first the lines that are durable by now, then what the spooler has
in hand or in its queue, then what comes from now on; all of it in that order and in one transaction. So no
record overtakes one that came before it, and there is no moment at which nobody takes work.

A caller that leaves withdraws its work where it is QUEUED. Where it may be or become durable, a correction
follows it on the same way, and is written only if its row is there by then.
"""

from __future__ import annotations

import enum
import math
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.entries import Correction
from cds_wrapper.ledger.items import Item, Place
from cds_wrapper.ledger.outage import Backlog, Outage, Store

QUEUE_LIMIT = 1024
"""Pieces of work that may wait for the ledger; above it the spool takes over, or nobody is let in."""

SPOOL_QUEUE_LIMIT = 4096
CHUNK = 256
"""Lines of the spool in one transaction: callers beside it wait for no longer."""

SHORTEST_WAIT = timedelta(milliseconds=20)
"""Who has waited for less has proved nothing about a disk."""


class Route(enum.Enum):
    """Where work goes that comes now."""

    LEDGER = "ledger"
    SPOOL = "spool"


class Queues:
    """The one lock, the queues of both stores and the route, and what callers do: put, lose patience, leave.

    What the threads do is in `routing`. Nothing here waits for a disk.
    """

    def __init__(self, writer: str, *, has_spool: bool) -> None:
        self._writer = writer
        self._has_spool = has_spool
        self._lock = threading.Lock()
        self._for_ledger = threading.Condition(self._lock)
        self._for_spool = threading.Condition(self._lock)
        self._is_open = False
        self._give_up_at: float | None = None
        self._ledger_has_ended = False
        self._route = Route.LEDGER
        self._outage = Outage()
        # The ledger's side.
        self._to_ledger: dict[Item, None] = {}
        self._in_ledger: list[Item] = []
        self._corrections: list[Correction] = []
        self._in_ledger_corrections: list[Correction] = []
        self._kept_back: list[Correction] = []
        self._ledger = Store()
        self._records = self._batches = self._corrected = 0
        # The spool's side.
        self._to_spool: dict[Item, None] = {}
        self._in_spool: list[Item] = []
        self._spool_by = math.inf
        self._backlog = Backlog()
        self._spool = Store(is_available=has_spool)
        self._is_to_retire = False
        self._owed = 0

    # In the event loop ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take work from now on."""
        self._is_open = True

    def close(self, patience: timedelta) -> None:
        """Take nothing more; writing what waits is tried for `patience` when it fails."""
        with self._lock:
            self._give_up_at = time.monotonic() + patience.total_seconds()
            self._for_ledger.notify()
            self._for_spool.notify()

    def put(self, item: Item) -> None:
        """Queue it where the route leads; `LedgerUnavailable` when nothing is taken."""
        with self._lock:
            if not self._is_open or self._give_up_at is not None:
                raise LedgerUnavailable("The ledger is closed.")
            if self._route is Route.LEDGER and len(self._to_ledger) >= QUEUE_LIMIT:
                self._turn_to_spool()
            queue, limit = (self._to_ledger, QUEUE_LIMIT)
            if self._route is Route.SPOOL:
                queue, limit = (self._to_spool, SPOOL_QUEUE_LIMIT)
            if len(queue) >= limit:
                raise LedgerUnavailable("The ledger has more to write than it may keep waiting.")
            if self._route is Route.LEDGER:
                self._queue_for_ledger(item)
            else:
                self._queue_for_spool(item)

    def lose_patience(self, item: Item) -> None:
        """Its caller has waited long: if it still waits for the ledger, the spool takes over."""
        with self._lock:
            if self._has_spool and item.is_wanted and item.ledger in {Place.QUEUED, Place.TAKEN}:
                self._ledger.fails()
                if self._route is Route.LEDGER:
                    self._turn_to_spool()

    def expire(self, item: Item) -> bool:
        """Its caller's time is over; false when it is settled by now and will be told all the same."""
        with self._lock:
            if not item.is_wanted:
                return False
            if item.waited >= SHORTEST_WAIT:
                self._blame(item)
            self._leave(item)
            return True

    def _blame(self, item: Item) -> None:
        """Whoever had it in hand did not answer; it is asked soon whether it works."""
        if item.ledger in {Place.QUEUED, Place.TAKEN}:
            self._ledger.does_not_answer()
            self._for_ledger.notify()
        if item.spool in {Place.QUEUED, Place.TAKEN}:
            self._spool.does_not_answer()
            self._for_spool.notify()

    def leave(self, item: Item) -> None:
        """Its caller goes without having been told."""
        with self._lock:
            self._leave(item)

    def _leave(self, item: Item) -> None:
        if item.caller_has_gone:
            return
        item.caller_has_gone = True
        if item.ledger is Place.QUEUED:
            del self._to_ledger[item]
            item.ledger = Place.AWAY
        if item.spool is Place.QUEUED:
            del self._to_spool[item]
            item.spool = Place.AWAY
        is_refused = isinstance(item.result, LedgerUnavailable)
        if item.may_be_durable and not is_refused:
            self._correct(item)

    def _correct(self, item: Item) -> None:
        """What must be said about it goes the way that is in use, so that it comes behind its row."""
        correction = item.correction()
        if correction is None:
            return
        if self._route is Route.SPOOL:
            self._queue_for_spool(Item(correction))
        else:
            self._corrections.append(correction)
            self._for_ledger.notify()

    def _queue_for_ledger(self, item: Item) -> None:
        item.ledger = Place.QUEUED
        self._to_ledger[item] = None
        self._for_ledger.notify()

    def _queue_for_spool(self, item: Item) -> None:
        item.spool = Place.QUEUED
        self._to_spool[item] = None
        self._spool_by = min(self._spool_by, item.spool_by)
        self._for_spool.notify()

    # The route --------------------------------------------------------------------------------------------

    def _turn_to_spool(self, first: Sequence[Item] = ()) -> None:
        """Work goes to the spool from now on, what waits for the ledger included, in its order.

        What a transaction has taken goes too, as a copy: it may still commit. `first` are those of one that
        has failed.
        """
        if not self._has_spool:
            return
        self._route = Route.SPOOL
        self._outage.begin(time.monotonic())
        for item in [*first, *self._in_ledger, *self._to_ledger]:
            if item.is_wanted and item.spool is Place.AWAY:
                if item.ledger is Place.QUEUED:
                    del self._to_ledger[item]
                    item.ledger = Place.AWAY
                self._queue_for_spool(item)
        if not self._spool.is_available:
            return  # tried with each failure they would come to cost more than the work itself
        for correction in [*self._in_ledger_corrections, *self._corrections]:
            self._queue_for_spool(Item(correction))
        self._in_ledger_corrections, self._corrections = [], []

    def _may_hand_over(self) -> bool:
        """Whether the ledger has proved that it works, and can take what the spool still holds at once."""
        if self._route is Route.LEDGER or not self._ledger.is_available:
            return False
        fits = self._backlog.records <= CHUNK or self._backlog.is_unreadable
        return fits and time.monotonic() >= self._outage.hand_over_at

    def _hand_over(self) -> list[Item]:
        """Work goes to the ledger from now on; what the spooler has not finished goes before it.

        What it has in hand becomes durable in both and is one row: the spool's line is passed over later.
        """
        self._route = Route.LEDGER
        waiting = list(self._to_spool)
        self._to_spool.clear()
        for item in waiting:
            item.spool = Place.AWAY
        on_the_way = [item for item in [*self._in_spool, *waiting] if item.is_wanted]
        self._corrections += [item.piece for item in waiting if isinstance(item.piece, Correction)]
        return [item for item in on_the_way if not isinstance(item.piece, Correction)]

    @property
    def _spool_is_quiet(self) -> bool:
        """Whether the spool holds nothing that is not in the ledger, and is about to hold nothing."""
        return not (self._backlog.is_behind or self._in_spool or self._to_spool)

    def _look_for_the_end(self) -> None:
        """Once the ledger is used again and the spool is empty, the outage is over."""
        if self._route is Route.LEDGER and self._spool_is_quiet and self._outage.end(time.monotonic()):
            self._is_to_retire = True
            self._for_spool.notify()

    def _refuse(self, items: Iterable[Item], sentence: str) -> list[Item]:
        refused = [item for item in items if item.is_wanted]
        for item in refused:
            item.settle(LedgerUnavailable(sentence))
            if item.in_doubt:
                self._correct(item)
        return refused
