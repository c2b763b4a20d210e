"""The HTTP doors: discovery, invoke, feedback, health; and how a refusal looks on the wire.

Nothing is decided here about a patient. Invoke is a plain Starlette route: the framework's own request
validation costs more than the rest of our work on a call, and would echo what it refuses.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive

from cds_wrapper import log
from cds_wrapper.cds import (
    Discovery,
    DiscoveryEntry,
    encode,
    outcome,
    read_feedback,
    read_request,
)
from cds_wrapper.cds_client import TrustedClient
from cds_wrapper.cds_library import BALLOT, hook_version
from cds_wrapper.cross_origin import Origins
from cds_wrapper.ehr.callers import Callers, Shown
from cds_wrapper.errors import (
    LedgerUnavailable,
    MalformedRequest,
    MethodNotAllowed,
    NotAuthenticated,
    NotEntitled,
    NotJSON,
    OriginRefused,
    Overwhelmed,
    RequestRefused,
    RequestTimedOut,
    RequestTooLarge,
    TooManyCalls,
    UnknownService,
    WrapperError,
)
from cds_wrapper.health import in_force, streamed, written
from cds_wrapper.in_flight import CallsInFlight
from cds_wrapper.invocation import answer
from cds_wrapper.ledger.feedback import FeedbackEntry, read_feedback_entry
from cds_wrapper.log import call_events
from cds_wrapper.metrics.at_doors import count_feedback, count_refusal
from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.runtime import Runtime
from cds_wrapper.services import ServiceDefinition

JSON = "application/json"
FEEDBACK_WAIT = timedelta(seconds=5)
DISCOVERY = "/cds-services"
SERVICE = "/cds-services/{service_id}"
FEEDBACK = "/cds-services/{service_id}/feedback"
METHODS: Mapping[str, str] = {DISCOVERY: "GET", SERVICE: "POST", FEEDBACK: "POST"}
BODY_WITHIN = timedelta(seconds=10)
"""Within which a body must have come; shorter than the patience of a stop."""


@dataclass(slots=True)
class Doors:
    """What the doors need: the runtime, once the process is ready, and whether it is about to stop."""

    certificate_header: str | None
    max_body_bytes: int
    log: log.OperatorLog
    clock: Callable[[], datetime]
    _runtime: Runtime | None = None
    _callers: Callers | None = None
    origins: Origins = field(default_factory=Origins)
    draining: bool = False
    in_flight: CallsInFlight = field(default_factory=CallsInFlight)
    refused: Counter[str] = field(default_factory=Counter)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def runtime(self) -> Runtime:
        """The runtime; the server opens no door before it is there."""
        if self._runtime is None:
            raise RuntimeError("the application's lifespan has not started")
        return self._runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def callers(self) -> Callers:
        """Whoever answers who is calling; there before any door is open."""
        if self._callers is None:
            raise RuntimeError("the application's lifespan has not started")
        return self._callers

    @callers.setter
    def callers(self, callers: Callers) -> None:
        self._callers = callers

    def routes(self) -> list[Route]:
        """Every route of the CDS service, in one table; pages are answered only where some are listed."""
        called = {DISCOVERY: self.discover, SERVICE: self.invoke_service, FEEDBACK: self.receive_feedback}
        return [
            *(Route(path, door, methods=[METHODS[path]]) for path, door in called.items()),
            *(
                Route(path, partial(self.preflight, METHODS[path]), methods=["OPTIONS"])
                for path in called
                if self.origins
            ),
            Route("/livez", self.livez, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
        ]

    async def discover(self, request: Request) -> Response:
        """List the services (CDS Hooks 2.0.1, "Discovery"), its own to a client that has not all of them."""
        client = None if self.callers.open_discovery else await self._caller(request, "")
        services = [
            DiscoveryEntry(
                hook=service.hook,
                title=service.title,
                description=service.description,
                id=service.id,
                prefetch=dict(service.prefetch) or None,
                usageRequirements=service.usage_requirements,
                version=BALLOT if service.ballot else None,
                hookVersion=hook_version(service.hook) if service.ballot else None,
            )
            for service in self.runtime.services.catalog
            if client is None or client.may_call(service.id)
        ]
        return Response(encode(Discovery(services)), 200, self._headers(request, client), JSON)

    async def preflight(self, method: str, request: Request) -> Response:
        """Tell a page whether it may call with `method`; nobody has a token yet (CDS Hooks 2.0.1, "CORS").

        The answer is the same whether there is such a service or not.
        """
        asked = request.headers.get("access-control-request-method")
        if asked != method:
            raise HTTPException(405, headers={"Allow": f"{method}, OPTIONS"})
        headers = self.origins.preflight_headers(request.headers.getlist("origin"), method)
        if headers is None:
            raise OriginRefused("This page was not listed as one that may call.")
        return Response(status_code=204, headers=headers)

    async def invoke_service(self, request: Request) -> Response:
        """One hook call: read it, find the service, answer."""
        path = f"/{request.path_params['service_id']}"
        client = await self._caller(request, path)
        candidates = self._services(request, client)
        with self.in_flight.one_of(client, candidates[0].id) as place:
            call = read_request(await self._body(request), self.clock())
            hung_up = partial(has_hung_up, request.receive)
            for service in candidates:
                if service.hook == call.hook:
                    reply = await answer(call, client, service, self.runtime, hung_up, is_over=place.is_over)
                    self.metrics.answered(service.id, service.hook, client.name, reply.http_status)
                    return Response(reply.body, reply.http_status, self._headers(request, client), JSON)
        raise MalformedRequest("This service listens to another hook; see /cds-services.")

    async def receive_feedback(self, request: Request) -> Response:
        """Store what clinicians did with cards; an empty 200 says that it is kept."""
        path = f"/{request.path_params['service_id']}"
        # Some EHRs make one token out to the service for both of its addresses.
        client = await self._caller(request, f"{path}/feedback", path)
        service = self._services(request, client)[0]
        with self.in_flight.one_of(client, service.id):
            await self._keep_feedback(request, client, service)
        return Response(status_code=200, headers=self._headers(request, client))

    async def _keep_feedback(
        self, request: Request, client: TrustedClient, service: ServiceDefinition
    ) -> None:
        entries = read_feedback(await self._body(request))
        received = self.clock()
        read = [
            read_feedback_entry(entry, service.id, client.name, received, client.tenant) for entry in entries
        ]
        good = [entry for entry in read if isinstance(entry, FeedbackEntry)]
        if entries and not good:
            raise MalformedRequest(
                "No entry could be stored: each needs `card`, `outcome` (accepted or overridden) and"
                " `outcomeTimestamp`."
            )
        receipt = await self.runtime.ledger.append_feedback(good, FEEDBACK_WAIT)
        rejected = len(entries) - len(good)
        count_feedback(self.metrics, service.id, receipt, rejected)
        self.log.emit(
            call_events.FEEDBACK_RECEIVED,
            service_id=service.id,
            entries=len(entries),
            unmatched=receipt.unmatched,
            rejected=rejected,
        )

    async def livez(self, _request: Request) -> Response:
        """The loop turns; nothing else is asked."""
        return Response(b'{"status":"alive"}', media_type=JSON)

    async def readyz(self, _request: Request) -> Response:
        """Configuration and evidence in memory, ledger or spool writable, not draining; never the vendor."""
        runtime = self._runtime
        checks = {
            "configuration": runtime is not None,
            "records": runtime is not None and runtime.ledger.health.available,
            "accepting": not self.draining,
        }
        authenticates = self._callers is not None and self._callers.authenticates
        ready = all(checks.values())
        body = {
            "status": "ready" if ready else "not_ready",
            "checks": checks,
            "callers": "authenticated" if authenticates else "not_authenticated",
            "refused": dict(self.refused),
            "alarms": dict(runtime.alarms) if runtime else {},
            "in_flight": self.in_flight.counted(),
            **in_force(runtime, self.clock()),
            **written(runtime, self.clock()),
            **streamed(runtime),
        }
        return Response(msgspec.json.encode(body), status_code=200 if ready else 503, media_type=JSON)

    def _headers(self, request: Request, client: TrustedClient | None = None) -> dict[str, str]:
        """While draining, not to send the next call over this connection; to a page, whether it may read."""
        headers = {"connection": "close"} if self.draining else {}
        if self.origins and f"{request.scope['path']}/".startswith(f"{DISCOVERY}/"):
            name = client.name if client else None
            headers |= self.origins.answer_headers(request.headers.getlist("origin"), name)
        return headers

    async def _caller(self, request: Request, *paths: str) -> TrustedClient:
        """Who calls one of these paths below `/cds-services`, by its headers, before the body is read."""
        header = self.certificate_header
        shown = Shown(
            authorization=request.headers.getlist("authorization"),
            certificate=request.headers.getlist(header) if header else (),
            peer=request.client.host if request.client else None,
        )
        base = f"{self.runtime.public_url}/cds-services"
        return await self.callers.who(shown, [base + path for path in paths], self.clock())

    def _services(self, request: Request, client: TrustedClient) -> tuple[ServiceDefinition, ...]:
        """The services of this address, one for each hook it listens to.

        A client that has not all of them hears the same of the others, whether they are there or not.
        """
        if not client.may_call(request.path_params["service_id"]):
            raise NotEntitled(client.name)
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
        # Mostly the whole of it has come by now, and there is nothing to wait for.
        first = at_once(request.receive)
        if first is not None and not first.get("more_body"):
            return self._part(first, 0)
        try:
            async with asyncio.timeout(BODY_WITHIN.total_seconds()):
                return await self._rest(request.receive, first)
        except TimeoutError:
            raise RequestTimedOut(_NOT_WHOLE) from None

    async def _rest(self, receive: Receive, first: Message | None) -> bytes:
        """A body that comes piece by piece; `first` is the piece that is there already."""
        message = first if first is not None else await receive()
        pieces, size = [self._part(message, 0)], 0
        while message.get("more_body"):
            size += len(pieces[-1])
            message = await receive()
            pieces.append(self._part(message, size))
        return b"".join(pieces)

    def _part(self, message: Message, before: int) -> bytes:
        """What a message brings of the body, of which so many bytes are there."""
        if message["type"] == "http.disconnect":
            raise RequestTimedOut(_NOT_WHOLE)
        part: bytes = message.get("body", b"")
        if before + len(part) > self.max_body_bytes:
            raise RequestTooLarge(self._too_large())
        return part

    def _too_large(self) -> str:
        return (
            f"The body is larger than {self.max_body_bytes} bytes;"
            " the setting CDS_WRAPPER_MAX_BODY_BYTES raises the limit."
        )

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Turn an error into an OperationOutcome that holds nothing of the request."""
        ours = _translated(error)
        named = request.path_params.get("service_id")
        known = self.runtime.services.catalog.of(named) if named else ()
        client = ours.client if isinstance(ours, _NAMES_ITS_CLIENT) else None
        count_refusal(self.metrics, ours, client, known if _is_hook_call(request) else None)
        if isinstance(ours, RequestRefused):
            self.refused[ours.reason] += 1
            self.log.emit(
                call_events.REQUEST_REFUSED,
                request_id=uuid4().hex[:16],
                http_status=ours.http_status,
                reason=ours.why if isinstance(ours, NotAuthenticated) else ours.reason,
                service_id=known[0].id if known else None,
                **({"client": client} if isinstance(ours, _NAMES_ITS_CLIENT) else {}),
            )
        # A 405 has to say which methods there are (RFC 9110, 15.5.6); the router knows.
        allowed = error.headers if isinstance(error, HTTPException) else None
        headers = {**self._headers(request), **_OF_STATUS.get(ours.http_status, {}), **(allowed or {})}
        return Response(
            outcome(ours.issue_code, ours.sentence), ours.http_status, headers=headers, media_type=JSON
        )


_NOT_WHOLE = "The body did not come to its end; send it again."
_NAMES_ITS_CLIENT = (NotAuthenticated, NotEntitled, TooManyCalls, Overwhelmed)
_OF_STATUS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "5"},
}


async def has_hung_up(receive: Receive) -> bool:
    """Whether the server knows by now that the EHR has gone; it is asked, and not waited for."""
    message = at_once(receive)
    return message is not None and message["type"] == "http.disconnect"


def at_once(receive: Receive) -> Message | None:
    """The next message if it has come; None when it would have to be waited for.

    Taking one step by hand costs a tenth of a cancel scope, which is how the framework looks.
    """
    asking = receive().__await__()
    try:
        next(asking)
    except StopIteration as told:
        message: Message = told.value
        return message
    asking.close()
    return None


def _is_hook_call(request: Request) -> bool:
    folder = request.scope["path"].rpartition("/")[0]
    return request.method == METHODS[SERVICE] and folder == DISCOVERY


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
