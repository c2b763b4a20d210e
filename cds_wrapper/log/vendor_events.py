"""The operator log's events about how vendors are guarded and how we show ourselves to them."""

from __future__ import annotations

from cds_wrapper.log.event import Level, event

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

VENDOR_FAILED = event(
    "vendor_failed",
    Level.WARNING,
    "The vendor gave nothing usable.",
    "request_id prediction_id service_id status reason http_status vendor_ms",
)
VENDOR_ANSWER_IMPLAUSIBLE = event(
    "vendor_answer_implausible",
    Level.ERROR,
    "The vendor's score is not where it was declared, has another type, or lies outside its range.",
    "request_id prediction_id service_id reason",
)
MODEL_VERSION_UNKNOWN = event(
    "model_version_unknown",
    Level.ERROR,
    "The model's version is not in the plan; its scores are recorded and not shown.",
    "request_id prediction_id service_id model_id",
)
_OFFERED = "service_id joins shared additional colliding unusable unusual unasked unreadable"
VENDOR_DISCOVERY_READ = event(
    "vendor_discovery_read",
    Level.INFO,
    "A vendor's own list of services was read; its prefetch keys are named, held against `service.yaml`.",
    _OFFERED,
)
VENDOR_DISCOVERY_CHANGED = event(
    "vendor_discovery_changed",
    Level.WARNING,
    "A vendor asks for something else than at the start; taken at the next start, where its templates join.",
    _OFFERED,
)
VENDOR_DISCOVERY_UNAVAILABLE = event(
    "vendor_discovery_unavailable",
    Level.WARNING,
    "A vendor's list of services could not be read, or does not list ours; what was read last holds.",
    "service_id reason",
)
VENDOR_FEEDBACK_SENT = event(
    "vendor_feedback_sent", Level.INFO, "A vendor took feedback on its cards.", "service_id entries"
)
VENDOR_FEEDBACK_FAILED = event(
    "vendor_feedback_failed",
    Level.WARNING,
    "Feedback cannot be passed on to a vendor; it is kept and tried again until it can.",
    "service_id reason",
)
VENDOR_FEEDBACK_REFUSED = event(
    "vendor_feedback_refused",
    Level.ERROR,
    "A vendor calls entries of feedback wrong (HTTP 400, 413, 422); each was tried alone, and given up.",
    "service_id entries refused",
)
VENDOR_FEEDBACK_RESTARTED = event(
    "vendor_feedback_restarted",
    Level.WARNING,
    "The place up to which a vendor has heard does not fit this ledger: it is told from the beginning.",
    "service_id reason",
)
