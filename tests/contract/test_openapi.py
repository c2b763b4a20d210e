"""The OpenAPI document is true: what it describes is what the doors do, and nothing they do is left out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_wrapper import routes
from cds_wrapper.cds_client import TrustedClient
from cds_wrapper.ehr.clients import MOST_AT_ONCE
from cds_wrapper.in_flight import CallsInFlight
from tests import fakes
from tests.contract import wire
from tests.contract.odd_requests import ODD
from tests.contract.openapi import DOCUMENT, OPERATIONS, misfits, unlike_document
from tests.durability import without_spool
from tests.ehr import EHR, NORTH, bearer, key_of, published, write_clients
from tests.service.harness import NOON, ROOT, SILENCE, Wrapper, copy_hooks, request_of, wrapper
from tests.service.test_ledger_gone import remove_ledger
from tests.service.test_vendor_access import JWKS, NEW, RSA, signing_with

CASES = sorted(path.stem for path in (ROOT / "fixtures" / "requests").glob("*.json"))
PUBLIC = "https://cds.example.org"
DISCOVERY, SERVICE = "/cds-services", "/cds-services/{service_id}"
FEEDBACK = f"{SERVICE}/feedback"
NOWHERE = "http://127.0.0.1:9/x"
ENTRY = {"card": "c", "outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:00Z"}
STORABLE = json.dumps({"feedback": [ENTRY]}).encode()
EHR_NORTH = EHR(NOON)
EHR_SOUTH = EHR(NOON, key_of("ehr-2"), issuer="https://south.example/oauth2")
SOUTH = f"""
name: south
environment: test
issuer: {EHR_SOUTH.issuer}
keys: {{file: south.jwks.json}}
services: [cvd-risk]
"""
JSON = {"content-type": "application/json"}


PAGES = [
    DISCOVERY,
    "/livez",
    "/readyz",
    "/evidence/cvd-risk",
    "/evidence/cvd-risk/model",
    "/evidence/cvd-risk/e/t",
    "/evidence/none",
    "/evidence-style/pages.css",
    "/openapi.json",
    "/docs",
]


def schema_of(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


# Its examples -----------------------------------------------------------------------------------------------

KINDS = {
    "Discovery": "discovery",
    "CDSResponse": "response",
    "HookCall": "request",
    "Feedback": "feedback",
    "OperationOutcome": "outcome",
}


def examples() -> list[tuple[str, Any]]:
    """Every example with the shape it stands for."""
    contents = [
        content
        for operation in OPERATIONS.values()
        for part in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in part.get("content", {}).values()
    ]
    return [(one["schema"]["$ref"].rsplit("/", 1)[1], one["example"]) for one in contents if "example" in one]


def test_every_example_is_cds_hooks_and_fits_what_the_document_says() -> None:
    found = examples()
    assert {name for name, _ in found} >= {"Discovery", "CDSResponse", "HookCall", "Feedback"}
    for name, example in found:
        assert wire.misfits(KINDS[name], example) == [], name
        assert misfits(schema_of(name), example) == [], name


def test_everybody_in_the_examples_is_invented() -> None:
    (call,) = [example for name, example in examples() if name == "HookCall"]
    assert call["prefetch"]["patient"]["name"][0]["family"] == "Example"
    assert call["fhirServer"].startswith("https://ehr.example.org/")


# What is answered -------------------------------------------------------------------------------------------


async def test_every_answer_to_a_named_case_fits(tmp_path: Path, vendor_url: str) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        answers = [await running.call(request_of(case)) for case in CASES]
        pages = [await running.http.get(path) for path in PAGES]
    assert [found for answer in [*answers, *pages] for found in unlike_document(answer)] == []


async def test_what_is_taken_is_what_the_document_says(tmp_path: Path) -> None:
    """A body that fits the described shape is never a 400, but for another hook; one that does not is one."""
    wrong = []
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            for name, odd in ODD.items():
                fits = _fits("HookCall", odd.body)
                answer = await running.call(odd.body)
                if fits is not (answer.status_code == 200) and not name.endswith(_ANOTHER_HOOK):
                    wrong.append(name)
    assert wrong == []


async def test_the_key_set_is_what_the_document_says(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, NOWHERE, **signing_with(tmp_path, NEW, RSA))
    async with wrapper(tmp_path, hooks) as running:
        answer = await running.http.get(JWKS)
    assert len(answer.json()["keys"]) == 2 and unlike_document(answer) == []


_ANOTHER_HOOK = ("another hook", "a hook in capitals")
NOT_STORABLE: list[Any] = [
    None,
    5,
    [],
    {},
    {**ENTRY, "card": " "},
    {**ENTRY, "outcome": "ignored"},
    {"card": "c"},
]
BATCHES: list[Any] = [
    {"feedback": []},
    {"feedback": [ENTRY]},
    {"feedback": [None, 5, ENTRY]},
    {"feedback": [{**ENTRY, "overrideReasons": {"reason": 5}}]},
    {"feedback": NOT_STORABLE},
    *({"feedback": [one]} for one in NOT_STORABLE),
    {"feedback": [ENTRY] * 1001},
    {"feedback": {}},
    {"feedback": None},
    {},
    [],
]


async def test_what_is_taken_as_feedback_is_what_the_document_says(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        for batch in BATCHES:
            answer = await running.http.post("/cds-services/cvd-risk/feedback", json=batch)
            assert _fits("Feedback", json.dumps(batch).encode()) is (answer.status_code == 200), batch
            assert unlike_document(answer) == []


def _fits(name: str, body: bytes) -> bool:
    try:
        document = json.loads(body.decode(), parse_constant=_no_such_number)
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return misfits(schema_of(name), document) == []


def _no_such_number(name: str) -> None:
    raise ValueError(name)


# Every status it names --------------------------------------------------------------------------------------

Provoke = Callable[[Wrapper, pytest.MonkeyPatch], Awaitable[httpx.Response]]


def signed(path: str, ehr: EHR = EHR_NORTH) -> dict[str, str]:
    return bearer(ehr.token(f"{PUBLIC}{path}"))


def sends(
    path: str,
    content: bytes,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    ehr: EHR | None = EHR_NORTH,
) -> Provoke:
    async def provoke(running: Wrapper, _patch: pytest.MonkeyPatch) -> httpx.Response:
        right = signed(path, ehr) if ehr else JSON
        return await running.http.request(method, path, content=content, headers={**right, **(headers or {})})

    return provoke


def with_patch(name: str, value: object, path: str, content: Any) -> Provoke:
    async def provoke(running: Wrapper, patch: pytest.MonkeyPatch) -> httpx.Response:
        patch.setattr(routes, name, value)
        content_now = content() if callable(content) else content
        return await running.http.post(path, content=content_now, headers=signed(path))

    return provoke


async def fail(*_arguments: object) -> None:
    raise ZeroDivisionError("planted")


def breaks(path: str, content: bytes, method: str = "POST") -> Provoke:
    async def provoke(running: Wrapper, patch: pytest.MonkeyPatch) -> httpx.Response:
        patch.setattr(type(running.app.state.doors), "_caller", fail)
        return await running.http.request(method, path, content=content, headers=signed(path))

    return provoke


def full(path: str, content: bytes) -> Provoke:
    async def provoke(running: Wrapper, _patch: pytest.MonkeyPatch) -> httpx.Response:
        with contextlib.ExitStack() as others:
            for _ in range(MOST_AT_ONCE):
                client = TrustedClient("north", None, None, "production")
                others.enter_context(running.app.state.doors.in_flight.one_of(client, "cvd-risk"))
            return await running.http.post(path, content=content, headers=signed(path))

    return provoke


def overwhelmed(path: str, content: bytes) -> Provoke:
    async def provoke(running: Wrapper, patch: pytest.MonkeyPatch) -> httpx.Response:
        patch.setattr(running.app.state.doors, "in_flight", CallsInFlight(0))
        return await running.http.post(path, content=content, headers=signed(path))

    return provoke


async def ledger_is_away(running: Wrapper, patch: pytest.MonkeyPatch) -> httpx.Response:
    patch.setattr(routes, "FEEDBACK_WAIT", routes.FEEDBACK_WAIT / 10)
    remove_ledger(running.folder)
    without_spool(running.folder)
    path = "/cds-services/cvd-risk/feedback"
    await running.http.post(path, content=STORABLE, headers=signed(path))
    return await running.http.post(path, content=STORABLE, headers=signed(path))


async def stalling() -> Any:
    yield b"{"
    await asyncio.sleep(30)


CALL = json.dumps(request_of("white-55")).encode()
AT, OF, ON = "/cds-services/cvd-risk", "/cds-services/cvd-risk/feedback", "/cds-services"
LATE = routes.BODY_WITHIN / 100
HUGE, TEXT = b" " * 300_000, {"content-type": "text/plain"}
OTHERS = "/cds-services/sepsis"

PROVOKED: dict[tuple[str, int], Provoke] = {
    (DISCOVERY, 200): sends(ON, b"", "GET"),
    (DISCOVERY, 401): sends(ON, b"", "GET", ehr=None),
    (DISCOVERY, 405): sends(ON, b"{}", "PUT"),
    (DISCOVERY, 500): breaks(ON, b"", "GET"),
    (SERVICE, 200): sends(AT, CALL),
    (SERVICE, 400): sends(AT, b"{"),
    (SERVICE, 401): sends(AT, CALL, ehr=None),
    (SERVICE, 403): sends(OTHERS, CALL, ehr=EHR_SOUTH),
    (SERVICE, 404): sends("/cds-services/none", CALL),
    (SERVICE, 405): sends(AT, b"", "GET"),
    (SERVICE, 408): with_patch("BODY_WITHIN", LATE, AT, stalling),
    (SERVICE, 412): sends(AT, CALL),
    (SERVICE, 413): sends(AT, HUGE),
    (SERVICE, 415): sends(AT, CALL, headers=TEXT),
    (SERVICE, 429): full(AT, CALL),
    (SERVICE, 503): overwhelmed(AT, CALL),
    (SERVICE, 500): breaks(AT, CALL),
    (SERVICE, 502): sends(AT, CALL),
    (SERVICE, 504): sends(AT, CALL),
    (FEEDBACK, 200): sends(OF, STORABLE),
    (FEEDBACK, 400): sends(OF, b"{}"),
    (FEEDBACK, 401): sends(OF, STORABLE, ehr=None),
    (FEEDBACK, 403): sends(f"{OTHERS}/feedback", STORABLE, ehr=EHR_SOUTH),
    (FEEDBACK, 404): sends("/cds-services/none/feedback", STORABLE),
    (FEEDBACK, 405): sends(OF, b"", "GET"),
    (FEEDBACK, 408): with_patch("BODY_WITHIN", LATE, OF, stalling),
    (FEEDBACK, 413): sends(OF, HUGE),
    (FEEDBACK, 415): sends(OF, STORABLE, headers=TEXT),
    (FEEDBACK, 429): full(OF, STORABLE),
    (FEEDBACK, 500): breaks(OF, STORABLE),
    (FEEDBACK, 503): ledger_is_away,
}
LATE_VENDOR = 504
VENDORS: dict[tuple[str, int], fakes.Behaviour] = {
    (SERVICE, 412): fakes.answers({}, status=412),
    (SERVICE, 502): fakes.answers({}, status=500),
    (SERVICE, LATE_VENDOR): fakes.says_nothing_for(60),
}


def test_every_status_of_the_cds_hooks_doors_is_provoked_below() -> None:
    described = {
        (path, int(status))
        for path in (DISCOVERY, SERVICE, FEEDBACK)
        for operation in DOCUMENT["paths"][path].values()
        for status in operation["responses"]
    }
    assert described == set(PROVOKED)


@pytest.mark.parametrize(("path", "status"), PROVOKED, ids=[f"{path} {code}" for path, code in PROVOKED])
async def test_the_status_is_met_and_looks_as_described(
    path: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaviour = VENDORS.get((path, status), fakes.answers(fakes.card_answer()))
    async with fakes.running(behaviour) as vendor:
        failing = {"on_vendor_failure: card": "on_vendor_failure: error"}
        late = SILENCE if status == LATE_VENDOR else {}
        hooks = copy_hooks(tmp_path, vendor.url, **failing, **late)
        write_clients(hooks, NORTH, SOUTH)
        (hooks / "south.jwks.json").write_bytes(published(EHR_SOUTH.key))
        async with wrapper(tmp_path, hooks, public_url=PUBLIC, max_body_bytes=200_000) as running:
            answer = await PROVOKED[path, status](running, monkeypatch)
    assert answer.status_code == status
    assert unlike_document(answer) == []
