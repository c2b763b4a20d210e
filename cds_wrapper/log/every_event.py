"""Every event there is, out of the modules that declare them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cds_wrapper.log import (
    call_events,
    caller_events,
    edition_events,
    ledger_events,
    order_events,
    outcome_events,
    process_events,
    read_events,
    vendor_events,
)
from cds_wrapper.log.event import Event

_MODULES: Final = (
    process_events,
    caller_events,
    call_events,
    read_events,
    vendor_events,
    ledger_events,
    order_events,
    edition_events,
    outcome_events,
)
_DECLARED: Final = [
    value for module in _MODULES for value in vars(module).values() if isinstance(value, Event)
]

EVENTS: Final[Mapping[str, Event]] = {event.name: event for event in _DECLARED}
"""Every event by its name."""

assert len(EVENTS) == len(_DECLARED), "an event is declared once"  # noqa: S101  a mistake of ours, found at import
