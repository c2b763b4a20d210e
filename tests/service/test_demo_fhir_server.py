"""The demonstration FHIR server over HTTP: reads, searches, pages, refusals."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from cds_wrapper.demo.fhir_server import Renewed, create_fhir_server, population_at
from cds_wrapper.demo.inpatients import INPATIENT_CASES
from cds_wrapper.demo.population import FIXTURE_DAY, SIZE, populate
from cds_wrapper.demo.prevent_inputs import TEMPLATES
from cds_wrapper.demo.requests import build_request, fill_templates, patient_view_context
from cds_wrapper.demo.store import Store

STORE = Store(populate(FIXTURE_DAY).resources)
BASE = "http://127.0.0.1:8082"


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[httpx.AsyncClient]:
    app = create_fhir_server(STORE, FIXTURE_DAY)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield client


async def get(path: str, status: int = 200) -> Any:
    async with server() as client:
        answer = await client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/fhir+json")
    return answer.json()


async def test_it_says_what_it_can_do() -> None:
    statement = await get("/metadata")
    CapabilityStatement.model_validate(statement)
    assert statement["fhirVersion"] == "4.0.1"
    assert {one["type"] for one in statement["rest"][0]["resource"]} >= {
        "Patient",
        "Observation",
        "Condition",
    }


async def test_a_resource_is_read() -> None:
    assert (await get("/Patient/black-35"))["id"] == "black-35"
    assert (await get("/Observation/black-35-hdl"))["valueQuantity"]["value"] == 38


async def test_a_search_is_a_valid_bundle_newest_first() -> None:
    bundle = await get("/Observation?patient=black-35&code=http://loinc.org|2093-3&_sort=-date")
    Bundle.model_validate(bundle)
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == [
        "black-35-cholesterol",
        "black-35-cholesterol-old",
    ]


async def test_every_patient_is_reached_by_following_the_pages() -> None:
    found: list[str] = []
    path: str | None = "/Patient?_sort=name&_count=50"
    while path is not None:
        bundle = await get(path)
        found += [entry["resource"]["id"] for entry in bundle["entry"]]
        path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    assert len(found) == len(set(found)) == bundle["total"] == SIZE + len(INPATIENT_CASES)


async def test_over_http_the_prefetch_is_the_one_of_the_fixtures() -> None:
    expected = build_request(STORE, TEMPLATES, "asian-60", "i", BASE)["prefetch"]
    queries = fill_templates(TEMPLATES, patient_view_context("asian-60"))
    assert {key: await get(f"/{query}") for key, query in queries.items()} == expected


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/Patient/nobody", 404),
        ("/Basic/1", 404),
        ("/Basic", 404),
        ("/Patient?shoe-size=9", 400),
        ("/Patient/black-35/_history/1", 404),
        ("/", 404),
    ],
)
async def test_what_it_does_not_know_is_an_operation_outcome(path: str, status: int) -> None:
    OperationOutcome.model_validate(await get(path, status))


async def test_bedside_values_stay_recent_however_long_it_runs() -> None:
    now = datetime(2026, 6, 30, 12, tzinfo=UTC)
    clock = [now]
    renewed = Renewed(population_at, lambda: clock[0])
    app = create_fhir_server(renewed, FIXTURE_DAY)
    taken = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        for hours in (0, 0.9, 30):
            clock[0] = now + timedelta(hours=hours)
            pulse = (await client.get("/Observation/ward-low-67-bedside-pulse")).json()
            taken.append(clock[0] - datetime.fromisoformat(pulse["effectiveDateTime"]))
    assert taken == [timedelta(minutes=40), timedelta(minutes=94), timedelta(minutes=40)]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_it_is_read_only(method: str) -> None:
    async with server() as client:
        answer = await client.request(method, "/Patient/black-35")
    assert answer.status_code == 405
    OperationOutcome.model_validate(answer.json())


@pytest.mark.parametrize(
    ("shown", "status"),
    [(None, 401), ("Bearer other", 401), ("Basic demo", 401), ("Bearer demo", 200)],
)
async def test_it_can_ask_for_a_token(shown: str | None, status: int) -> None:
    app = create_fhir_server(STORE, FIXTURE_DAY, "demo")
    headers = {"authorization": shown} if shown else {}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=BASE, headers=headers
    ) as client:
        for path in ("/Patient/black-35", "/Observation?patient=black-35"):
            answer = await client.get(path)
            assert answer.status_code == status
            if status == 401:
                OperationOutcome.model_validate(answer.json())
        assert (await client.get("/metadata")).status_code == 200
