"""The operator log's events about how vendors are guarded and how we show ourselves to them."""

from __future__ import annotations

from cds_wrapper.log_event import Level, event

CIRCUIT_OPENED = event(
    "circuit_opened",
    Level.ERROR,
    "A vendor has failed call after call and is given a rest: until it works again clinicians read that there"
    " is no result right now. `status` and `reason` are those of the last call.",
    "service_id hook status reason open_seconds",
)
CIRCUIT_CLOSED = event(
    "circuit_closed",
    Level.INFO,
    "A vendor that had been given a rest works again; `seconds` since its circuit opened.",
    "service_id hook seconds",
)
VENDOR_TOKEN_UNAVAILABLE = event(
    "vendor_token_unavailable",
    Level.WARNING,
    "An authorisation server gives us no token for a vendor, whose calls cannot be sent without one; it is"
    " asked again after five seconds, and said once for each reason.",
    "service_id reason",
)
VENDOR_TOKEN_READ = event(
    "vendor_token_read",
    Level.INFO,
    "An authorisation server gives us tokens for a vendor again.",
    "service_id",
)

WORKER_STARTED = event(
    "worker_started",
    Level.INFO,
    "The process of a service's Python callable has imported it and can be asked.",
    "service_id",
)
WORKER_ENDED = event(
    "worker_ended",
    Level.WARNING,
    "The process of a service's Python callable is gone, and another is started: `timed_out` (a call was not"
    " over by its deadline), `ended` (by itself), `import_raised_...` (the callable cannot be imported),"
    " `import_timed_out`, `import_ended`, `not_spawned`.",
    "service_id reason",
)

VENDOR_EVENTS = (
    CIRCUIT_OPENED,
    CIRCUIT_CLOSED,
    VENDOR_TOKEN_UNAVAILABLE,
    VENDOR_TOKEN_READ,
    WORKER_STARTED,
    WORKER_ENDED,
)
