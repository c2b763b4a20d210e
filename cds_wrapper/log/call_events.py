"""The events of one call: answered, failed, refused, or answered without a record."""

from __future__ import annotations

from cds_wrapper.log.event import Level, event

INVOCATION_COMPLETED = event(
    "invocation_completed",
    Level.INFO,
    "The canonical line of one call, made from its record; `context_missing` and `context_invalid` name what"
    " its hook requires and the EHR did not send, or sent in another shape; `prefetch_absent` names the keys"
    " nothing came for, `prefetch_unasked` counts those that came beside them under names of the EHR's own.",
    "request_id prediction_id service_id hook trigger client environment status http_status delivery cards"
    " model_id model_version evidence_edition plan_version prefetch prefetch_absent prefetch_unasked"
    " context_missing context_invalid trust_ms fhir_ms vendor_ms decide_ms ledger_ms total_ms budget_ms"
    " vendor_attempts bytes_in bytes_out",
)
INVOCATION_FAILED = event(
    "invocation_failed",
    Level.ERROR,
    "Our own unforeseen error; the plan's answer was given.",
    "request_id prediction_id service_id hook error frames",
)
ANSWERED_WITHOUT_LEDGER = event(
    "answered_without_ledger",
    Level.ERROR,
    "A record could not be made durable in time; the plan's answer for that case was given.",
    "request_id service_id hook",
)
PATIENT_MISMATCH = event(
    "patient_mismatch",
    Level.ERROR,
    "A prefetch value belongs to another patient; it was withheld from everybody.",
    "request_id prediction_id service_id hook client prefetch_keys",
)
REQUEST_STRIPPED = event(
    "request_stripped",
    Level.ERROR,
    "A call came with neither prefetch nor token: the address or the registration in the EHR does not match.",
    "request_id prediction_id service_id hook client",
)
FEEDBACK_RECEIVED = event(
    "feedback_received", Level.INFO, "Feedback was stored.", "service_id entries unmatched rejected"
)
REQUEST_REFUSED = event(
    "request_refused",
    Level.WARNING,
    "A call was refused before a service and a context were known.",
    "request_id http_status reason service_id client",
)
