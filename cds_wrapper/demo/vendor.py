"""The demonstration vendor: three models behind three kinds of door, in one process.

    python -m cds_wrapper.demo.vendor --port 8081

It stands in for commercial models: the wrapper talks to it over HTTP and knows nothing of its inside.

- PREVENT is a CDS Hooks 2.0 service (`/cds-services`) that reads FHIR and answers with a card. Ages outside
  30 to 79 are scored by extrapolation, on purpose (see `prevent_inputs`).
- NEWS2 speaks the Open Inference Protocol (`/v2/models/news2`) and answers with a number of points.
- The readmission model has an MLflow scoring server's door (`/invocations`) and answers with a probability.

It needs no FHIR access, keeps nothing and logs no request. Demonstration only: not a medical device, not
endorsed by anyone.
"""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cds_wrapper.demo.faults import FaultSwitch
from cds_wrapper.demo.fhir_values import mapping
from cds_wrapper.demo.prevent import risk
from cds_wrapper.demo.prevent_inputs import TEMPLATES, Scorable, read_inputs
from cds_wrapper.demo.scoring import MAX_BODY, scoring_routes
from cds_wrapper.demo.serving import serve
from cds_wrapper.demo.vendor_card import complain, compose_card, refuse

SERVICE_ID: Final = "prevent"
HOOK: Final = "patient-view"

DISCOVERY: Final[dict[str, Any]] = {
    "services": [
        {
            "id": SERVICE_ID,
            "hook": HOOK,
            "title": "10-year cardiovascular risk (demonstration)",
            "description": (
                "Demonstration model: the PREVENT base equations (Khan et al., Circulation 2024;149:430) for "
                "10-year risk of cardiovascular disease. Not a medical device, not endorsed by anyone."
            ),
            "usageRequirements": (
                "Made for adults aged 30 to 79. Needs age, sex, total and HDL cholesterol, systolic "
                "pressure, eGFR, smoking status, diabetes, blood pressure medicine and statin, and body mass "
                "index for heart failure."
            ),
            "prefetch": dict(TEMPLATES),
        }
    ]
}


def create_vendor(now: Callable[[], datetime], *, allow_faults: bool = False) -> Starlette:
    """Build the app; `now` says when a prediction is made (aware, UTC)."""
    vendor = _Vendor(now, FaultSwitch())
    routes = [
        Route("/cds-services", vendor.discover, methods=["GET"]),
        Route("/cds-services/{service}", vendor.predict, methods=["POST"]),
        *scoring_routes(vendor.switch),
    ]
    if allow_faults:
        routes.append(Route("/demo/fault", vendor.switch.receive_order, methods=["POST"]))
    return Starlette(routes=routes)


@dataclass(frozen=True, slots=True)
class _Vendor:
    now: Callable[[], datetime]
    switch: FaultSwitch

    async def discover(self, _request: Request) -> Response:
        return JSONResponse(DISCOVERY)

    async def predict(self, request: Request) -> Response:
        if request.path_params["service"] != SERVICE_ID:
            return JSONResponse(complain("not-found", "there is no such service"), status_code=404)
        body = await request.body()
        if len(body) > MAX_BODY:
            return JSONResponse(complain("too-long", "the request is larger than 10 MB"), status_code=413)
        status, answer = answer_hook(body, self.now())
        return await self.switch.disturb(status, answer)


def answer_hook(body: bytes, at: datetime) -> tuple[int, dict[str, Any]]:
    """Answer one hook call as of `at`: HTTP status and body."""
    request = _decode(body)
    patient_id = mapping(request.get("context")).get("patientId")
    if request.get("hook") != HOOK:
        return 400, complain("invalid", f"this service answers the hook {HOOK}, as a JSON object")
    if not isinstance(patient_id, str) or not patient_id:
        return 400, complain("required", "context.patientId is missing")
    found = read_inputs(mapping(request.get("prefetch")), patient_id, at)
    if isinstance(found, Scorable):
        return 200, {"cards": [compose_card(found, risk(found.inputs), uuid.uuid4())]}
    return 412, refuse(found)


def _decode(body: bytes) -> Mapping[str, Any]:
    try:
        return mapping(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return {}


def utc_now() -> datetime:
    """Read the clock."""
    return datetime.now(UTC)


def clock_of(day: date | None) -> Callable[[], datetime]:
    """A clock that stands at noon of a day; the real one without a day."""
    if day is None:
        return utc_now
    noon = datetime.combine(day, time(12), UTC)
    return lambda: noon


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the vendor as a process."""
    parser = argparse.ArgumentParser(
        prog="python -m cds_wrapper.demo.vendor",
        description="Demonstration vendor: PREVENT, NEWS2 and a readmission model. Not a medical device.",
        epilog="example: python -m cds_wrapper.demo.vendor --port 8081",
    )
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--allow-faults", action="store_true", help="offer POST /demo/fault, to rehearse failures"
    )
    parser.add_argument(
        "--today", type=date.fromisoformat, help="score as of noon (UTC) of this day, YYYY-MM-DD"
    )
    chosen = parser.parse_args(arguments)
    vendor = create_vendor(clock_of(chosen.today), allow_faults=chosen.allow_faults)
    serve(vendor, chosen.host, chosen.port)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
