"""Our own token for an EHR's FHIR server (SMART App Launch 2, "Backend Services")."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from cds_wrapper import log
from cds_wrapper.ehr.access import BackendClient
from cds_wrapper.log import read_events
from cds_wrapper.outbound import Outbound
from cds_wrapper.own_tokens import AGAIN_AFTER, OwnTokens, TokenClient


def backend_tokens(
    client: str,
    backend: BackendClient,
    outbound: Outbound,
    lines: log.OperatorLog,
    *,
    clock: Callable[[], float] = time.monotonic,
    again_after: timedelta = AGAIN_AFTER,
) -> OwnTokens:
    """The tokens of one EHR's authorisation server; `client` is its name in the operator log."""

    def tell(reason: str | None) -> None:
        if reason is None:
            lines.emit(read_events.FHIR_TOKEN_READ, client=client)
        else:
            lines.emit(read_events.FHIR_TOKEN_UNAVAILABLE, client=client, reason=reason)

    return OwnTokens(as_client(backend), outbound, tell, clock=clock, again_after=again_after)


def as_client(backend: BackendClient) -> TokenClient:
    """Who we are to that server: a client that proves itself by a key."""
    return TokenClient(backend.token_url, backend.client_id, backend.key, backend.scope)
