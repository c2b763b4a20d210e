"""The events about who calls: clients, their keys, and tokens used twice."""

from __future__ import annotations

from cds_wrapper.log.event import Level, event

CALLERS_NOT_AUTHENTICATED = event(
    "callers_not_authenticated",
    Level.WARNING,
    "There is no `clients.yaml`, so anybody may call: development only, never with patients.",
)
CLIENTS_LOADED = event(
    "clients_loaded", Level.INFO, "Only the EHRs of `clients.yaml` may call.", "clients digest discovery"
)
CLIENT_KEYS_UNAVAILABLE = event(
    "client_keys_unavailable",
    Level.WARNING,
    "An EHR's key set could not be read; its last good one, of this age, serves until it is too old.",
    "client reason keys_age_seconds",
)
CLIENT_KEYS_READ = event(
    "client_keys_read",
    Level.INFO,
    "An EHR's key set was read again after a failure, holds no usable key, or holds a private one.",
    "client keys unusable private",
)
TOKEN_REPLAYED = event(
    "token_replayed",
    Level.ERROR,
    "A valid token was used a second time and refused: a copied token, or a proxy that sends calls twice.",
    "client",
)
REPLAY_MEMORY_UNAVAILABLE = event(
    "replay_memory_unavailable",
    Level.ERROR,
    "Used tokens cannot be written to `CDS_WRAPPER_REPLAY`; this process remembers them by itself.",
    "error",
)
REPLAY_MEMORY_AVAILABLE = event(
    "replay_memory_available", Level.INFO, "Used tokens are written to `CDS_WRAPPER_REPLAY` again."
)
