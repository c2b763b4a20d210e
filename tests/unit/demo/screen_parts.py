"""The parts around the demonstration's screen as small real servers on loopback, and a record to show.

The FHIR server and the vendor are the demonstration's own. The wrapper is a fake that speaks CDS Hooks: it
keeps what it was asked and answers with a card of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cds_wrapper.demo.ehr import Surroundings
from cds_wrapper.demo.fhir_server import create_fhir_server
from cds_wrapper.demo.population import populate
from cds_wrapper.demo.queries import QUERIES, SERVICES
from cds_wrapper.demo.screen import screen_routes
from cds_wrapper.demo.store import Store
from cds_wrapper.demo.vendor import create_vendor
from cds_wrapper.ledger.columns import COLUMNS

CARD: Mapping[str, Any] = {
    "uuid": "7a1c1a52-7e8f-5d0c-9f0a-111111111111",
    "summary": "10-year cardiovascular risk 3.1 % – true risk may be higher for this patient",
    "indicator": "warning",
    "detail": "**This score has been too low for similar patients.** <script>alert(1)</script>\n\n"
    "- one\n- two\n\n"
    "[odd](javascript:alert(1)) [paper](https://doi.org/10.1/x)",
    "source": {"label": "Demonstration model", "url": "https://doi.org/10.1161/CIRCULATIONAHA.123.067626"},
    "links": [
        {
            "label": "How far it was tested",
            "url": "http://127.0.0.1:8080/evidence/cvd-risk/e/t",
            "type": "absolute",
        },
        {"label": "Odd", "url": "javascript:alert(2)", "type": "absolute"},
    ],
}

SENT = {"source": "prefetch", "read_at": "2026-06-30T12:00:00.000Z"}
ATTRIBUTE: Mapping[str, Any] = {
    "members": [],
    "raw_codes": [],
    "source": None,
    "dq": [],
    "scheme": None,
    "missing": None,
    "value": None,
}


def a_record(hook_instance: str, **changes: object) -> dict[str, Any]:
    """A row of `predictions_v1` as the ledger reads it, for a call with that hook instance."""
    row: dict[str, Any] = dict.fromkeys(column.name for column in COLUMNS)
    return row | {
        "prediction_id": "01890000-0000-7000-8000-000000000001",
        "sequence": 12,
        "hook_instance": hook_instance,
        "status": "answered",
        "score": 0.030777,
        "score_kind": "probability",
        "threshold": 0.075,
        "flagged": False,
        "band": "low",
        "model_id": "prevent-base",
        "model_version": "2023.1",
        "model_version_source": "response",
        "demographics": {
            "age_band": {**ATTRIBUTE, "value": "30-39", "members": ["30-39"]},
            "race": {**ATTRIBUTE, "missing": "declined", "dq": ["conflicting_codes"]},
            "race_ethnicity": {**ATTRIBUTE, "value": "multiple", "members": ["black", "white"]},
        },
        "inputs": {"patient": {"state": "present", **SENT}, "lipids": {"state": "empty", **SENT}},
        "caveat_level": "reduced",
        "caveat_reasons": ["known_gap:scores_too_low:any", "group_unknown"],
        "caveat_scope": "patient",
        "caveat_in_summary": True,
        "wording_ids": ["G5"],
        "wording_version": "1",
        "evidence_edition": "2026-06-30.0123abcd",
        "disposition": "annotate",
        "delivery": "sent",
        "http_status": 200,
        "cards_returned": [CARD["uuid"]],
        "changes_made": [],
        "plan_version": "1",
        "patient_key": "p1:0123456789abcdef",
        "patient_fhir_key": "p1:fedcba9876543210",
        "user_key": "u1:0123456789abcdef",
        "user_kind": "Practitioner",
        "key_id": "demo1",
        "vendor_ms": 34.2,
        "decide_ms": 1.25,
        "total_ms": 41.0,
        "budget_ms": 500.0,
        **changes,
    }


@dataclass
class FakeWrapper:
    """Speaks CDS Hooks to the screen; keeps what it was asked.

    `late` is how often a record is looked for before it is there.
    """

    cards: list[Mapping[str, Any]] = field(default_factory=lambda: [CARD])
    status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    changes: dict[str, object] = field(default_factory=dict)
    vendor_switched: list[bool] = field(default_factory=list)
    late: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/cds-services", self.discover),
                Route("/cds-services/{service}", self.invoke, methods=["POST"]),
            ]
        )

    async def discover(self, _request: Request) -> Response:
        services = [
            {"id": SERVICES[hook], "hook": hook, "description": "x", "prefetch": dict(queries)}
            for hook, queries in QUERIES.items()
        ]
        return JSONResponse({"services": services})

    async def invoke(self, request: Request) -> Response:
        self.services.append(request.path_params["service"])
        self.asked.append(await request.json())
        return JSONResponse({"cards": self.cards}, status_code=self.status)

    async def find_record(self, hook_instance: str) -> dict[str, Any] | None:
        if self.late:
            self.late -= 1
            return None
        known = any(one["hookInstance"] == hook_instance for one in self.asked)
        return a_record(hook_instance, **self.changes) if known else None

    async def switch_vendor(self, on: bool) -> bool:
        self.vendor_switched.append(on)
        return True


@dataclass(frozen=True)
class Stage:
    """The screen in a browser's hands, with the fake behind it."""

    browser: httpx.AsyncClient
    wrapper: FakeWrapper
    vendor_url: str

    async def open(self, patient: str, **fields: str) -> str:
        answer = await self.browser.post("/", data={"patient": patient, **fields})
        assert answer.status_code == 200
        return answer.text


@contextlib.asynccontextmanager
async def the_stage() -> AsyncIterator[Stage]:
    """FHIR server, vendor and fake wrapper on loopback, the screen over ASGI."""
    today = datetime.now(UTC).date()
    wrapper = FakeWrapper()
    async with (
        served(create_fhir_server(Store(populate(today).resources), date(2026, 1, 1))) as fhir,
        served(create_vendor(lambda: datetime.now(UTC), allow_faults=True)) as vendor,
        served(wrapper.app()) as front,
    ):
        around = Surroundings(
            fhir_url=fhir,
            wrapper_url=front,
            vendor_url=vendor,
            find_record=wrapper.find_record,
            switch_vendor=wrapper.switch_vendor,
        )
        transport = httpx.ASGITransport(Starlette(routes=screen_routes(around)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as browser:
            yield Stage(browser, wrapper, vendor)


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """An application on a free port of loopback, for as long as the block lasts; yields its address."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([door]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        door.close()
