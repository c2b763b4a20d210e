"""The leanest forwarder in the wrapper's own materials: Starlette and one aiohttp session. A baseline.

python -m cds_wrapper.bench.forward_aiohttp --port 8093 --vendor http://127.0.0.1:8091/cds-services/prevent
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_wrapper.bench.forwarding import CONNECTIONS, serve_forwarder

JSON = "application/json"


def forwarder(vendor: str) -> Starlette:
    """Request body in, vendor's body out."""
    sessions: list[aiohttp.ClientSession] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector) as session:
            sessions.append(session)
            yield

    async def forward(request: Request) -> Response:
        body = await request.body()
        async with sessions[0].post(vendor, data=body, headers={"content-type": JSON}) as answer:
            return Response(await answer.read(), answer.status, media_type=JSON)

    routes = [Route("/cds-services/{service_id}", forward, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    serve_forwarder(forwarder)
