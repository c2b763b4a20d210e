"""Looks at the ledger for orders, about once a second, in a thread of its own: no request waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from cds_wrapper import log
from cds_wrapper.again import Again
from cds_wrapper.caveats.orders import Order, Ordered
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.decisions import orders_in
from cds_wrapper.log import order_events
from cds_wrapper.runtime import OrdersInForce

LOOK_EVERY: Final = timedelta(seconds=1)


class OrderWatch:
    """Keeps the orders in force as the ledger has them; while it cannot be read, the last known ones stay.

    It reads over connections of its own that cannot write, each open for one look: neither the committer nor
    the event loop waits for it.
    """

    def __init__(
        self,
        ledger: Path,
        in_force: OrdersInForce,
        lines: log.OperatorLog,
        read: Callable[[Path], Mapping[str, Order]] = orders_in,
        every: timedelta = LOOK_EVERY,
    ) -> None:
        self._ledger = ledger
        self._in_force = in_force
        self._lines = lines
        self._read = read
        self._is_readable = True
        self._looking = Again(self._look, every, "orders")

    async def open(self) -> None:
        """Look once, so that the first request is under what was ordered before; then go on looking."""
        self._in_force.are_known = False
        await asyncio.to_thread(self._look)
        self._looking.start()

    async def close(self) -> None:
        """Look no more."""
        self._looking.stop()
        await asyncio.to_thread(self._looking.join)

    def _look(self) -> None:
        try:
            read = self._read(self._ledger)
        except LedgerUnavailable as error:
            if self._is_readable:
                self._is_readable = False
                self._lines.emit(
                    order_events.ORDERS_UNREADABLE, problem=error.sentence, known=self._in_force.are_known
                )
            return
        if not self._is_readable:
            self._is_readable = True
            self._lines.emit(order_events.ORDERS_READABLE)
        for order in self._in_force.follow(read):
            self._tell(order)

    def _tell(self, order: Order) -> None:
        self._lines.emit(
            _EVENTS[order.decision],
            service_id=order.service_id,
            by=order.by,
            second=order.second,
            decision_id=order.decision_id,
            plan_version=order.plan_version,
            since=log.timestamp(order.since),
        )


_EVENTS: Final = {
    Ordered.STOP: order_events.SERVICE_STOPPED,
    Ordered.SHADOW: order_events.SERVICE_IN_SHADOW,
    Ordered.LIVE: order_events.SERVICE_RESUMED,
}
