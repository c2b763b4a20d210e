"""The doors of the vendor's two models that answer with a bare score: Open Inference and MLflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from cds_wrapper.demo.faults import FaultSwitch
from cds_wrapper.demo.mlflow_scoring import invoke
from cds_wrapper.demo.news2 import MODEL_ID, MODEL_VERSION
from cds_wrapper.demo.open_inference import METADATA, SERVER, infer
from cds_wrapper.demo.readmission import ReadmissionModel, load_model

MAX_BODY: Final = 10 * 1024 * 1024
_MODEL: Final = f"/v2/models/{MODEL_ID}"
_VERSION: Final = f"{_MODEL}/versions/{MODEL_VERSION}"


def scoring_routes(switch: FaultSwitch) -> list[Route]:
    """Both servers' routes; the scores obey `switch`."""
    doors = _Doors(switch, load_model())
    return [
        Route("/v2", _constant(SERVER), methods=["GET"]),
        Route("/v2/health/live", _constant({"live": True}), methods=["GET"]),
        Route("/v2/health/ready", _constant({"ready": True}), methods=["GET"]),
        *(Route(path, _constant(METADATA), methods=["GET"]) for path in (_MODEL, _VERSION)),
        *(
            Route(f"{path}/ready", _constant({"name": MODEL_ID, "ready": True}), methods=["GET"])
            for path in (_MODEL, _VERSION)
        ),
        *(Route(f"{path}/infer", doors.infer, methods=["POST"]) for path in (_MODEL, _VERSION)),
        Route("/v2/models/{name:path}", _unknown_model, methods=["GET", "POST"]),
        Route("/ping", _alive, methods=["GET"]),
        Route("/health", _alive, methods=["GET"]),
        Route("/invocations", doors.invoke, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class _Doors:
    switch: FaultSwitch
    model: ReadmissionModel

    async def infer(self, request: Request) -> Response:
        body = await request.body()
        status, answer = infer(body) if len(body) <= MAX_BODY else (413, {"error": "too long"})
        return await self.switch.disturb(status, answer)

    async def invoke(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_BODY:
            return JSONResponse({"error_code": "BAD_REQUEST", "message": "too long"}, status_code=413)
        status, answer = invoke(self.model, body)
        return await self.switch.disturb(status, answer)


def _constant(answer: dict[str, Any]) -> Callable[[Request], Awaitable[Response]]:
    async def say(_request: Request) -> Response:
        return JSONResponse(answer)

    return say


async def _unknown_model(_request: Request) -> Response:
    return JSONResponse({"error": "there is no such model here"}, status_code=404)


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("\n")
