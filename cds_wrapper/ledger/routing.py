"""What the two threads do with the queues: take work, say what became of it. See `queues` for the whole."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.entries import Correction
from cds_wrapper.ledger.items import Item, Place
from cds_wrapper.ledger.queues import CHUNK, Queues, Route
from cds_wrapper.ledger.spool_folder import Position
from cds_wrapper.ledger.work import LedgerHealth

PROBE_EVERY = timedelta(seconds=10)
"""How often the spool is tried while it is not needed."""

PACE = 2
"""Lines that the committer moves for each one the spooler adds, so that it catches up under any load."""

_CLOSING_RETRY = timedelta(milliseconds=50)


@dataclass(slots=True)
class Taken:
    """What one transaction is to hold: lines of the spool up to `until`, then items, then corrections."""

    items: list[Item] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    until: Position | None = None
    hands_over: bool = False
    spool_is_quiet: bool = True


class Routing(Queues):
    """The queues as the committer's and the spooler's thread see them. Nothing here waits for a disk."""

    # In the committer's thread ----------------------------------------------------------------------------

    def wait_for_ledger(self) -> bool:
        """Sleep until a transaction is due; false when the committer may end."""
        with self._lock:
            while self._give_up_at is None:
                due = self._next_transaction_at()
                now = time.monotonic()
                if due is not None and due <= now:
                    return True
                self._for_ledger.wait(None if due is None else due - now)
            if not self._ledger.is_available:
                self._for_ledger.wait(_CLOSING_RETRY.total_seconds())
            while self._spooler_may_hand_back() and time.monotonic() <= self._give_up_at:
                self._for_ledger.wait(_CLOSING_RETRY.total_seconds())
            is_late = time.monotonic() > self._give_up_at
            return not is_late and bool(self._to_ledger or self._corrections)

    def _spooler_may_hand_back(self) -> bool:
        """Whether the only work left is the spooler's: what it cannot write comes back to the ledger."""
        return not (self._to_ledger or self._corrections) and bool(self._to_spool or self._in_spool)

    def _next_transaction_at(self) -> float | None:
        """When the committer has something to do: 0 for now, None for never."""
        if self._to_ledger:
            return 0.0
        if not self._ledger.is_available:
            return self._ledger.retry_at
        if self._corrections or (self._kept_back and self._spool_is_quiet):
            return 0.0
        if self._route is Route.SPOOL and self._backlog.records <= CHUNK:
            return self._outage.hand_over_at
        return self._backlog.drain_at if self._backlog.is_behind else None

    def take_for_ledger(self, *, alone: bool) -> Taken:
        """What the transaction that has just begun is to hold; `alone`: nothing but what is in the spool."""
        with self._lock:
            until = self._backlog.end if self._backlog.is_behind else None
            taken = Taken(until=until, spool_is_quiet=self._spool_is_quiet)
            if alone and until is not None:
                return taken
            taken.hands_over = self._may_hand_over()
            if taken.hands_over:
                taken.items += self._hand_over()
            if taken.spool_is_quiet:
                self._corrections += self._kept_back
                self._kept_back = []
            taken.items += self._to_ledger
            taken.corrections, self._corrections = self._corrections[:CHUNK], self._corrections[CHUNK:]
            self._to_ledger = {}
            for item in taken.items:
                item.ledger = Place.TAKEN
            self._in_ledger, self._in_ledger_corrections = taken.items, taken.corrections
            return taken

    def ledger_durable(
        self, taken: Taken, rows: int, corrected: int, unfounded: Sequence[Correction]
    ) -> None:
        """The transaction is durable. `unfounded` are corrections whose rows are not in the ledger."""
        with self._lock:
            self._ledger.works()
            self._batches += 1
            self._records += rows
            self._corrected += corrected
            self._in_ledger, self._in_ledger_corrections = [], []
            # Its row may be in the spool still; if it is nowhere, there is nothing to correct.
            self._kept_back += [] if taken.spool_is_quiet else unfounded
            for item in taken.items:
                is_refused = isinstance(item.written, LedgerUnavailable)
                item.ledger = Place.FAILED if is_refused else Place.DURABLE
                if item.spool is Place.QUEUED:
                    del self._to_spool[item]
                    item.spool = Place.AWAY
                if not item.is_settled:
                    item.settle(item.ledger_result())

    def ledger_failed(self, error: str, *, has_begun: bool, in_doubt: bool) -> list[Item]:
        """The transaction failed, or could not begin; whoever has nowhere else to go is refused."""
        with self._lock:
            self._ledger.fails(error)
            tried = self._in_ledger if has_begun else list(self._to_ledger)
            self._in_ledger = []
            for item in tried:
                self._to_ledger.pop(item, None)
                item.ledger = Place.FAILED
                item.in_doubt = item.in_doubt or in_doubt
            self._corrections[:0] = self._in_ledger_corrections
            self._in_ledger_corrections = []
            self._turn_to_spool(tried)
            nowhere = [item for item in tried if item.spool in {Place.AWAY, Place.FAILED}]
            return self._refuse(nowhere, f"The ledger cannot be written ({error}).")

    def ledger_locked(self, error: str) -> None:
        """Another connection holds the lock: the queue stays, and whoever loses patience turns the route."""
        with self._lock:
            self._ledger.fails(error)

    def note(self, error: str) -> None:
        """Something failed that takes nothing from anybody's record."""
        with self._lock:
            self._ledger.last_error = error

    def ledger_ended(self) -> list[Item]:
        """The committer ends: what it has not written goes to the spool, or is refused."""
        with self._lock:
            rest = list(self._to_ledger)
            self._corrections += self._kept_back
            if rest or self._corrections:
                self._turn_to_spool()
            self._ledger_has_ended = True
            self._for_spool.notify()
            nowhere = [item for item in rest if item.ledger is Place.QUEUED]
            self._to_ledger.clear()
            for item in nowhere:
                item.ledger = Place.FAILED
            return self._refuse(nowhere, "The ledger was closed before the record was durable.")

    def moved(self, at: Position, lines: int, oldest: datetime | None, *, is_readable: bool = True) -> None:
        """The spool's lines before `at` are in the ledger; `is_readable`: the spool did what it was asked."""
        with self._lock:
            self._backlog.moved(at, is_readable=is_readable)
            self._outage.moved(lines, oldest)
            self._owed -= lines
            self._for_spool.notify()
            self._look_for_the_end()

    def damaged(self, lost: int, out_of_place: int) -> None:
        """Lines of the spool were not what had been written."""
        with self._lock:
            self._backlog.lost += lost
            self._backlog.out_of_place += out_of_place

    # In the spooler's thread ------------------------------------------------------------------------------

    def spool_opened(self, at: Position, end: Position) -> None:
        """The spool can be used; what it holds from before goes to the ledger first, in its order."""
        with self._lock:
            self._backlog.opened(at, end)
            if self._backlog.is_behind:
                self._outage.inherit(time.monotonic())
                if not self._is_open:
                    self._route = Route.SPOOL
            self._look_for_the_end()
            self._for_ledger.notify()

    def wait_for_spool(self) -> bool:
        """Sleep until there is something to do; false when the spooler may end."""
        with self._lock:
            while (due := self._next_line_at()) is not None:
                now = time.monotonic()
                if due <= now:
                    return True
                self._for_spool.wait(due - now)
            return False

    def _next_line_at(self) -> float | None:
        """When the spooler has something to do: 0 for now, None when it may end."""
        if self._to_spool:
            is_catching_up = self._ledger.is_available and self._backlog.records > CHUNK
            return self._spool_by if is_catching_up and self._owed > 0 else 0.0
        if self._ledger_has_ended:
            return None
        return 0.0 if self._is_to_retire and self._spool.is_available else self._spool.retry_at

    def take_for_spool(self) -> list[Item]:
        """What is to be written next, recorded as of now; from here on it may become durable."""
        with self._lock:
            items = list(self._to_spool)
            self._to_spool.clear()
            self._spool_by = math.inf
            now = datetime.now(UTC)
            for item in items:
                item.spool, item.recorded_at = Place.TAKEN, now
            self._in_spool = items
            return items

    def is_to_retire(self) -> bool:
        """Whether the spool was emptied since this was asked last."""
        with self._lock:
            is_to_retire, self._is_to_retire = self._is_to_retire, False
            return is_to_retire

    def spool_durable(self, end: Position) -> None:
        """What was taken is durable in the spool, which ends here now."""
        with self._lock:
            self._spool.works(PROBE_EVERY)
            self._backlog.end = end
            items, self._in_spool = self._in_spool, []
            self._owed = PACE * len(items)
            for item in items:
                item.spool = Place.DURABLE
                if not item.is_settled:
                    item.settle(item.spool_result(self._writer))
            self._for_ledger.notify()

    def spool_works(self) -> None:
        """It could be written, had there been anything to write."""
        with self._lock:
            self._spool.works(PROBE_EVERY)

    def spool_failed(self, error: str) -> list[Item]:
        """What was taken is not in the spool: it goes to the ledger, or is refused if it has been there."""
        with self._lock:
            self._spool.fails(error)
            items, self._in_spool = self._in_spool, []
            nowhere = []
            for item in items:
                item.spool = Place.FAILED
                if isinstance(item.piece, Correction):
                    self._corrections.append(item.piece)
                elif item.ledger is Place.FAILED or self._ledger_has_ended:
                    nowhere.append(item)
                elif item.is_wanted and item.ledger is Place.AWAY:
                    self._queue_for_ledger(item)
            self._look_for_the_end()
            self._for_ledger.notify()
            return self._refuse(nowhere, f"Neither the ledger nor the spool can be written ({error}).")

    # For anybody ------------------------------------------------------------------------------------------

    @property
    def health(self) -> LedgerHealth:
        """State and counts, but for what only the spool itself knows."""
        with self._lock:
            is_closing = self._give_up_at is not None
            return LedgerHealth(
                ledger_available=self._ledger.is_available and not is_closing,
                spool_available=self._spool.is_available and not is_closing,
                spool_stands_in=self._outage.is_on,
                spool_records=self._backlog.records,
                queue_depth=len(self._to_ledger) + len(self._to_spool),
                records_total=self._records,
                batches_total=self._batches,
                corrections_total=self._corrected,
                last_error=self._ledger.last_error,
                spool_error=self._spool.last_error,
                spool_starts_total=self._outage.starts,
                replays_total=self._outage.replays,
                last_replay=self._outage.last,
                lost_total=self._backlog.lost,
                out_of_place_total=self._backlog.out_of_place,
            )
