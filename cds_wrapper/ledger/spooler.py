"""The spooler: the one thread that appends to the spool.

It sleeps while the ledger works, but for a look every few seconds whether the folder could be written, so
that nobody trusts a disk that is gone. A commit that hangs for seconds does not keep it from anything.
"""

from __future__ import annotations

import errno
import time
from datetime import timedelta

from cds_wrapper.ledger.items import Item, tell
from cds_wrapper.ledger.routing import Routing
from cds_wrapper.ledger.spool import Spool
from cds_wrapper.ledger.spool_lines import Draft
from cds_wrapper.ledger.threads import Worker


class Spooler:
    """Owns the thread and the writing side of the spool."""

    def __init__(self, spool: Spool, routing: Routing) -> None:
        self._spool = spool
        self._routing = routing
        self.worker = Worker(
            "ledger-spooler", routing.wait_for_spool, self._step, self._after_failure, self._end
        )

    def _step(self) -> None:
        items = self._routing.take_for_spool()
        if not self._spool.is_open:
            self._spool.open()
            self._routing.spool_opened(self._spool.at, self._spool.end)
        if items:
            end = self._spool.append([_draft(item) for item in items])
            self._routing.spool_durable(end)
            tell(items)
        elif self._routing.is_to_retire():
            self._spool.retire()
        else:
            self._spool.probe()
            self._routing.spool_works()

    def _after_failure(self, error: Exception) -> None:
        number = error.errno if isinstance(error, OSError) else None
        name = errno.errorcode.get(number) if number else None
        tell(self._routing.spool_failed(name or type(error).__name__))

    def _end(self) -> None:
        self._spool.close()


def _draft(item: Item) -> Draft:
    """The line of a piece of work that was taken; it is recorded as of then."""
    if item.recorded_at is None:
        raise RuntimeError("work that nobody has taken")
    return Draft(item.piece, item.recorded_at, timedelta(seconds=time.monotonic() - item.put_at))
