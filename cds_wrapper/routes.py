"""The HTTP doors: discovery, invoke, feedback, health; and how a refusal looks on the wire.

Nothing is decided here about a patient. Invoke is a plain Starlette route: the framework's own request
validation costs more than the rest of our work on a call, and would echo what it refuses.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from cds_wrapper import log
from cds_wrapper.cds import (
    Discovery,
    DiscoveryEntry,
    TrustedClient,
    encode,
    outcome,
    read_feedback,
    read_request,
)
from cds_wrapper.errors import (
    LedgerUnavailable,
    MalformedRequest,
    MethodNotAllowed,
    NotJSON,
    RequestRefused,
    RequestTimedOut,
    RequestTooLarge,
    UnknownService,
    WrapperError,
)
from cds_wrapper.invocation import answer
from cds_wrapper.ledger.feedback import FeedbackEntry, read_feedback_entry
from cds_wrapper.runtime import Runtime
from cds_wrapper.services import ServiceDefinition

JSON = "application/json"
FEEDBACK_WAIT = timedelta(seconds=5)
BODY_WITHIN = timedelta(seconds=10)
"""Within which a body must have come; shorter than the patience of a stop."""


@dataclass(slots=True)
class Doors:
    """What the doors need: the runtime, once the process is ready, and whether it is about to stop."""

    client: TrustedClient
    max_body_bytes: int
    log: log.OperatorLog
    clock: Callable[[], datetime]
    _runtime: Runtime | None = None
    draining: bool = False
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def runtime(self) -> Runtime:
        """The runtime; the server opens no door before it is there."""
        if self._runtime is None:
            raise RuntimeError("the application's lifespan has not started")
        return self._runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def routes(self) -> list[Route]:
        """Every route of the CDS service, in one table."""
        return [
            Route("/cds-services", self.discover, methods=["GET"]),
            Route("/cds-services/{service_id}", self.invoke_service, methods=["POST"]),
            Route("/cds-services/{service_id}/feedback", self.receive_feedback, methods=["POST"]),
            Route("/livez", self.livez, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
        ]

    async def discover(self, _request: Request) -> Response:
        """List the services (CDS Hooks 2.0.1, "Discovery"); the vendor is not asked."""
        services = [
            DiscoveryEntry(
                hook=service.hook,
                title=service.title,
                description=service.description,
                id=service.id,
                prefetch=dict(service.prefetch) or None,
                usageRequirements=service.usage_requirements,
            )
            for service in self.runtime.services.catalog
        ]
        return Response(encode(Discovery(services)), media_type=JSON)

    async def invoke_service(self, request: Request) -> Response:
        """One hook call: read it, find the service, answer."""
        candidates = self._services(request)
        call = read_request(await self._body(request), self.clock())
        for service in candidates:
            if service.hook == call.hook:
                reply = await answer(call, self.client, service, self.runtime, request.is_disconnected)
                return Response(reply.body, reply.http_status, self._headers(), JSON)
        raise MalformedRequest("This service listens to another hook; see /cds-services.")

    async def receive_feedback(self, request: Request) -> Response:
        """Store what clinicians did with cards; an empty 200 says that it is kept."""
        service = self._services(request)[0]
        entries = read_feedback(await self._body(request))
        received = self.clock()
        read = [read_feedback_entry(entry, service.id, self.client.name, received) for entry in entries]
        good = [entry for entry in read if isinstance(entry, FeedbackEntry)]
        if entries and not good:
            raise MalformedRequest(
                "No entry could be stored: each needs `card`, `outcome` (accepted or overridden) and"
                " `outcomeTimestamp`."
            )
        receipt = await self.runtime.ledger.append_feedback(good, FEEDBACK_WAIT)
        self.log.emit(
            log.FEEDBACK_RECEIVED,
            service_id=service.id,
            entries=len(entries),
            unmatched=receipt.unmatched,
            rejected=len(entries) - len(good),
        )
        return Response(status_code=200)

    async def livez(self, _request: Request) -> Response:
        """The loop turns; nothing else is asked."""
        return Response(b'{"status":"alive"}', media_type=JSON)

    async def readyz(self, _request: Request) -> Response:
        """Configuration and evidence in memory, ledger writable, not draining; never the vendor."""
        runtime = self._runtime
        checks = {
            "configuration": runtime is not None,
            "ledger": runtime is not None and runtime.ledger.health.available,
            "accepting": not self.draining,
        }
        ready = all(checks.values())
        body = {"status": "ready" if ready else "not_ready", "checks": checks, "refused": dict(self.refused)}
        return Response(msgspec.json.encode(body), status_code=200 if ready else 503, media_type=JSON)

    def _headers(self) -> dict[str, str]:
        """While draining, a client is told not to send its next call over this connection."""
        return {"connection": "close"} if self.draining else {}

    def _services(self, request: Request) -> tuple[ServiceDefinition, ...]:
        """The services of this address, one for each hook it listens to."""
        found = self.runtime.services.catalog.of(request.path_params["service_id"])
        if not found:
            raise UnknownService("No CDS service answers at this address; see /cds-services.")
        return found

    async def _body(self, request: Request) -> bytes:
        """The whole body, refused as soon as it is known to be too large or not JSON."""
        kind = request.headers.get("content-type", JSON).split(";")[0].strip().lower()
        if kind != JSON and not kind.endswith("+json"):
            raise NotJSON("Send the body as application/json.")
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self.max_body_bytes:
            raise RequestTooLarge(self._too_large())
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_WITHIN.total_seconds()):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > self.max_body_bytes:
                        raise RequestTooLarge(self._too_large())
                    chunks.append(chunk)
        except (TimeoutError, ClientDisconnect):
            raise RequestTimedOut("The body did not come to its end; send it again.") from None
        return b"".join(chunks)

    def _too_large(self) -> str:
        return (
            f"The body is larger than {self.max_body_bytes} bytes;"
            " the setting CDS_WRAPPER_MAX_BODY_BYTES raises the limit."
        )

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Turn an error into an OperationOutcome that holds nothing of the request."""
        ours = _translated(error)
        if isinstance(ours, RequestRefused):
            self.refused[ours.reason] += 1
            known = request.path_params.get("service_id")
            self.log.emit(
                log.REQUEST_REFUSED,
                request_id=uuid4().hex[:16],
                http_status=ours.http_status,
                reason=ours.reason,
                service_id=known if known and self.runtime.services.catalog.of(known) else None,
            )
        headers = {**self._headers(), **({"Retry-After": "5"} if ours.http_status == 503 else {})}
        return Response(
            outcome(ours.issue_code, ours.sentence), ours.http_status, headers=headers, media_type=JSON
        )


def _translated(error: Exception) -> WrapperError:
    match error:
        case WrapperError():
            return error
        case HTTPException(status_code=404):
            return UnknownService("Nothing answers at this address; see /cds-services.")
        case HTTPException(status_code=405):
            return MethodNotAllowed("This address takes another method.")
        case _:
            return WrapperError("The service met an error of its own; it is in the operator log.")


REFUSALS: tuple[type[Exception], ...] = (RequestRefused, LedgerUnavailable, HTTPException, Exception)
