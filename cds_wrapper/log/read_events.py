"""The operator log's events about reading what an EHR did not send."""

from __future__ import annotations

from cds_wrapper.log.event import Level, event

HOST_REFUSED = event(
    "host_refused",
    Level.ERROR,
    "An EHR named a FHIR server that is not listed under `fhir.servers` of its entry; it was not called.",
    "request_id prediction_id service_id hook client",
)
FHIR_NOT_READ = event(
    "fhir_not_read",
    Level.WARNING,
    "Something was missing and the FHIR server could not be asked: no server, no token, or none that lives.",
    "request_id prediction_id service_id hook client reason prefetch_keys",
)
FHIR_READ_FAILED = event(
    "fhir_read_failed",
    Level.WARNING,
    "Some of what was missing could not be read, by prefetch key with the reason.",
    "request_id prediction_id service_id hook client troubles fhir_ms",
)
FHIR_SERVER_NOT_NAMED = event(
    "fhir_server_not_named",
    Level.WARNING,
    "An EHR sent a token and no FHIR server it is for; the token was not used.",
    "request_id prediction_id service_id hook client",
)
FHIR_TOKEN_UNAVAILABLE = event(
    "fhir_token_unavailable",
    Level.WARNING,
    "An authorisation server gave us no token; it is asked again after five seconds.",
    "client reason",
)
FHIR_TOKEN_READ = event(
    "fhir_token_read", Level.INFO, "An authorisation server gives us tokens again.", "client"
)
