"""The demonstration FHIR server: R4, read only, in memory, holding the synthetic population.

    python -m cds_wrapper.demo.fhir_server --port 8082

It answers the reads and searches that a CDS Hooks prefetch uses. Ages are right and bedside values recent
however long it runs, because the population is made again every hour (`--today 2026-06-30`: that of the
fixtures, made once).
"""

from __future__ import annotations

import argparse
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_wrapper.demo.fhir_search import TYPES, Problem, parameters_of
from cds_wrapper.demo.fhir_values import JSON
from cds_wrapper.demo.population import populate
from cds_wrapper.demo.serving import serve
from cds_wrapper.demo.store import Store, searchset
from cds_wrapper.demo.vendor_card import complain

_MEDIA_TYPE: Final = "application/fhir+json"
_NOT_LET_IN: Final = Problem(401, "login", "show the token this server was started with")


class Renewed:
    """A store that is made again when somebody asks for it after more than `every`."""

    def __init__(
        self,
        make: Callable[[datetime], Store],
        clock: Callable[[], datetime],
        every: timedelta = timedelta(hours=1),
    ) -> None:
        self._make, self._clock, self._every = make, clock, every
        self._made_at = clock()
        self._store = make(self._made_at)

    def __call__(self) -> Store:
        """The store as of now."""
        now = self._clock()
        if now - self._made_at > self._every:
            self._store, self._made_at = self._make(now), now
        return self._store


def create_fhir_server(
    store: Store | Callable[[], Store], started_on: date, token: str | None = None
) -> Starlette:
    """Build the app over a store, or what gives one; `started_on` dates its CapabilityStatement.

    With `token` nothing but that statement is given to anybody who does not show it.
    """
    held = (lambda: store) if isinstance(store, Store) else store
    server = _Server(held, capability_statement(started_on), token)
    return Starlette(
        routes=[
            Route("/metadata", server.metadata, methods=["GET"]),
            Route("/{kind}", server.search, methods=["GET"]),
            Route("/{kind}/{resource_id}", server.read, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _refuse},
    )


@dataclass(frozen=True, slots=True)
class _Server:
    store: Callable[[], Store]
    capabilities: JSON
    token: str | None = None

    async def metadata(self, _request: Request) -> Response:
        return _fhir(self.capabilities)

    def _is_let_in(self, request: Request) -> bool:
        shown = request.headers.get("authorization", "")
        return self.token is None or hmac.compare_digest(shown.encode(), f"Bearer {self.token}".encode())

    async def read(self, request: Request) -> Response:
        if not self._is_let_in(request):
            return _reply(_NOT_LET_IN)
        return _reply(self.store().read(request.path_params["kind"], request.path_params["resource_id"]))

    async def search(self, request: Request) -> Response:
        if not self._is_let_in(request):
            return _reply(_NOT_LET_IN)
        kind = request.path_params["kind"]
        parameters = request.query_params.multi_items()
        found = self.store().search(kind, parameters)
        if isinstance(found, Problem):
            return _reply(found)
        return _fhir(searchset(found, kind, parameters, str(request.base_url).rstrip("/")))


def _reply(found: JSON | Problem) -> Response:
    if isinstance(found, Problem):
        return _fhir(complain(found.code, found.sentence), found.status)
    return _fhir(found)


def _fhir(resource: JSON, status: int = 200) -> Response:
    return Response(msgspec.json.encode(resource), status_code=status, media_type=_MEDIA_TYPE)


async def _refuse(_request: Request, error: Exception) -> Response:
    """Answer what no route takes (another method, a longer path) in FHIR's own form."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = "not-supported" if status == 405 else "not-found"
    return _fhir(complain(code, "this server does not answer that; it is read only"), status)


def capability_statement(on: date) -> dict[str, Any]:
    """Say what the server can do, as a CapabilityStatement."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": on.isoformat(),
        "kind": "instance",
        "software": {"name": "cds-wrapper demonstration FHIR server"},
        "implementation": {"description": "Synthetic patients only; read only; for demonstrations and tests"},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": [_capability(kind) for kind in TYPES]}],
    }


def _capability(kind: str) -> dict[str, Any]:
    tokens = {"name": "string", **dict.fromkeys(("patient", "subject", "encounter"), "reference")}
    return {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [{"name": name, "type": tokens.get(name, "token")} for name in parameters_of(kind)],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server as a process."""
    parser = argparse.ArgumentParser(
        prog="python -m cds_wrapper.demo.fhir_server",
        description="Demonstration FHIR R4 server with a synthetic population; read only, in memory.",
        epilog="example: python -m cds_wrapper.demo.fhir_server --port 8082",
    )
    parser.add_argument("--port", type=int, default=8082)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--today", type=date.fromisoformat, help="make the population for this day, YYYY-MM-DD"
    )
    parser.add_argument("--token", help="answer only those who show this token (as Bearer)")
    chosen = parser.parse_args(arguments)
    store = Store(populate(chosen.today).resources) if chosen.today else Renewed(population_at, utc_now)
    today = chosen.today or utc_now().date()
    serve(create_fhir_server(store, today, chosen.token), chosen.host, chosen.port)
    return 0


def utc_now() -> datetime:
    """Read the clock."""
    return datetime.now(UTC)


def population_at(now: datetime) -> Store:
    """The population as it stands at a moment."""
    return Store(populate(now.date(), now=now).resources)


if __name__ == "__main__":
    raise SystemExit(main())
