"""The events about orders: a service stopped, put in shadow, live again, and orders that cannot be read."""

from __future__ import annotations

from cds_wrapper.log.event import Level, event

_ORDER = "service_id by second decision_id plan_version since"
SERVICE_STOPPED = event(
    "service_stopped",
    Level.WARNING,
    "By order its vendor is not asked any more; also told at the start, as long as that is so.",
    _ORDER,
)
SERVICE_IN_SHADOW = event(
    "service_in_shadow",
    Level.WARNING,
    "By order its vendor is asked and recorded, and no score shown; also told at the start.",
    _ORDER,
)
SERVICE_RESUMED = event(
    "service_resumed", Level.WARNING, "An order was lifted: the service is live again.", _ORDER
)
ORDERS_UNREADABLE = event(
    "orders_unreadable",
    Level.ERROR,
    "Orders cannot be read from the ledger; the last known ones stay. Where `known` is false none could be"
    " read since the start, and no vendor is asked until they can.",
    "problem known",
)
ORDERS_READABLE = event("orders_readable", Level.INFO, "Orders can be read from the ledger again.")
