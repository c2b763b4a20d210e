"""A bare forwarder as one would write it first: a FastAPI endpoint and plain httpx. A baseline, no product.

python -m cds_wrapper.bench.forward_httpx --port 8092 --vendor http://127.0.0.1:8091/cds-services/prevent
"""

from __future__ import annotations

import httpx
from fastapi import FastAPI, Request, Response

from cds_wrapper.bench.forwarding import CONNECTIONS, serve_forwarder

JSON = "application/json"


def forwarder(vendor: str) -> FastAPI:
    """Request body in, vendor's body out."""
    app = FastAPI()
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    client = httpx.AsyncClient(limits=limits)

    @app.post("/cds-services/{service_id}")
    async def forward(service_id: str, request: Request) -> Response:
        answer = await client.post(vendor, content=await request.body(), headers={"content-type": JSON})
        return Response(answer.content, answer.status_code, media_type=JSON)

    return app


if __name__ == "__main__":
    serve_forwarder(forwarder)
