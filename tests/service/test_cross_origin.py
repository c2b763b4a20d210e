"""CORS and its attacks: which pages in a browser may call, with what, and what everybody else is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.settings import Profile
from tests import fakes
from tests.ehr import EHR, NORTH, bearer, key_of, published, write_clients
from tests.service.harness import NOON, Wrapper, copy_hooks, request_of, wrapper

PUBLIC = "https://cds.example.org"
PATHS = ["/cds-services", "/cds-services/cvd-risk", "/cds-services/cvd-risk/feedback"]
SERVICE = "/cds-services/cvd-risk"
BODY = json.dumps(request_of("white-55")).encode()
PAGE = "https://ehr.example.org"
OTHER = "https://south.example:8443"
VENDOR = "http://127.0.0.1:9/x"
EHR_NORTH = EHR(NOON)
EHR_SOUTH = EHR(NOON, key_of("ehr-2"), issuer="https://south.example/oauth2")
LISTED = NORTH + f'origins: ["{PAGE}"]\n'
SOUTH = (
    f"name: south\nenvironment: test\nissuer: {EHR_SOUTH.issuer}\nkeys: {{file: south.jwks.json}}\n"
    f'origins: ["{OTHER}"]\n'
)
ALLOWED = "access-control-allow-origin"


def hooks_with(folder: Path, vendor_url: str, *entries: str) -> Path:
    hooks = copy_hooks(folder, vendor_url)
    write_clients(hooks, *entries)
    (hooks / "south.jwks.json").write_bytes(published(key_of("ehr-2")))
    return hooks


async def ask(running: Wrapper, path: str, origin: str | None, **headers: str) -> httpx.Response:
    """The question a browser asks before it calls."""
    method = "GET" if path == PATHS[0] else "POST"
    asked = {
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type",
    }
    shown = {**asked, **({"origin": origin} if origin is not None else {}), **headers}
    return await running.http.options(path, headers=shown)


def cors(answer: httpx.Response) -> list[str]:
    return sorted(name for name in answer.headers if name.startswith("access-control"))


@pytest.mark.parametrize("path", PATHS)
async def test_a_listed_page_is_told_what_it_may_send_without_a_token(path: str, tmp_path: Path) -> None:
    async with wrapper(tmp_path, hooks_with(tmp_path, VENDOR, LISTED), public_url=PUBLIC) as running:
        answer = await ask(running, path, PAGE)
    assert answer.status_code == 204 and answer.content == b""
    assert {name: value for name, value in answer.headers.items() if name.startswith("access-")} == {
        ALLOWED: PAGE,
        "access-control-allow-methods": "GET" if path == PATHS[0] else "POST",
        "access-control-allow-headers": "authorization, content-type",
        "access-control-max-age": "600",
    }
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "*",
        "https://evil.example",
        "http://ehr.example.org",
        "https://ehr.example.org:8443",
        "https://ehr.example.org:443",
        "https://ehr.example.org/",
        "https://ehr.example.org.evil.example",
        "https://evil-ehr.example.org",
        "https://ehr.example.org@evil.example",
        "https://sub.ehr.example.org",
        "https://EHR.example.org",
        "HTTPS://ehr.example.org",
        "https://ehr.example.org https://evil.example",
        "https://ehr.example.org, https://evil.example",
        "https://ehrxexample.org",
        "https://xn--ehr-example.org",
    ],
)
async def test_no_other_origin_is_told_anything(origin: str, tmp_path: Path) -> None:
    async with wrapper(tmp_path, hooks_with(tmp_path, VENDOR, LISTED, SOUTH), public_url=PUBLIC) as running:
        question = await ask(running, SERVICE, origin)
        headers = {**bearer(EHR_NORTH.token(PUBLIC + SERVICE)), "origin": origin}
        answer = await running.http.post(SERVICE, content=BODY, headers=headers)
        ready = (await running.http.get("/readyz")).json()
    assert question.status_code == 403 and cors(question) == []
    assert answer.status_code == 200 and cors(answer) == [] and answer.headers["vary"] == "Origin"
    assert ready["refused"] == {"origin_refused": 1}


async def test_two_origins_in_one_call_are_none(tmp_path: Path) -> None:
    async with wrapper(tmp_path, hooks_with(tmp_path, VENDOR, LISTED), public_url=PUBLIC) as running:
        twice = [("origin", PAGE), ("origin", PAGE), ("access-control-request-method", "POST")]
        assert (await running.http.options(SERVICE, headers=twice)).status_code == 403


async def test_what_a_listed_page_is_answered_it_may_read_refusals_too(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, VENDOR, LISTED)
    async with wrapper(tmp_path, hooks, public_url=PUBLIC, max_body_bytes=20_000) as running:

        async def post(path: str, content: bytes, **headers: str) -> httpx.Response:
            shown = {**bearer(EHR_NORTH.token(PUBLIC + path)), "origin": PAGE, **headers}
            return await running.http.post(path, content=content, headers=shown)

        listed = bearer(EHR_NORTH.token(f"{PUBLIC}/cds-services"))
        answers = [
            await running.http.get("/cds-services", headers={**listed, "origin": PAGE}),
            await post(SERVICE, BODY),
            await post(f"{SERVICE}/feedback", b'{"feedback": []}'),
            await post(SERVICE, b"{"),
            await post(SERVICE, BODY, authorization="Bearer x"),
            await post("/cds-services/sepsis", BODY),
            await running.http.get(SERVICE, headers={"origin": PAGE}),
            await post(SERVICE, b" " * 20_001),
            await post(SERVICE, b"x", **{"content-type": "text/plain"}),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 401, 404, 405, 413, 415]
    for answer in answers:
        assert cors(answer) == [ALLOWED] and answer.headers[ALLOWED] == PAGE
        assert answer.headers["vary"] == "Origin"


async def test_even_an_error_of_our_own_can_be_read_by_its_page(tmp_path: Path) -> None:
    async with wrapper(tmp_path, hooks_with(tmp_path, VENDOR, LISTED), public_url=PUBLIC) as running:
        running.app.state.doors.in_flight = None
        headers = {**bearer(EHR_NORTH.token(PUBLIC + SERVICE)), "origin": PAGE}
        answer = await running.http.post(SERVICE, content=BODY, headers=headers)
    assert answer.status_code == 500 and answer.headers[ALLOWED] == PAGE


async def test_a_page_does_not_read_what_was_answered_to_another_client(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, LISTED, SOUTH)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            for ehr, origin, may_read in (
                (EHR_NORTH, PAGE, True),
                (EHR_NORTH, OTHER, False),
                (EHR_SOUTH, OTHER, True),
                (EHR_SOUTH, PAGE, False),
            ):
                headers = {**bearer(ehr.token(PUBLIC + SERVICE)), "origin": origin}
                answer = await running.http.post(SERVICE, content=BODY, headers=headers)
                assert answer.status_code == 200 and (ALLOWED in answer.headers) is may_read


async def test_a_question_tells_nothing_of_services_or_methods(tmp_path: Path) -> None:
    async with wrapper(tmp_path, hooks_with(tmp_path, VENDOR, LISTED), public_url=PUBLIC) as running:
        here, nowhere = [await ask(running, f"/cds-services/{name}", PAGE) for name in ("cvd-risk", "sepsis")]
        wrong = await ask(running, SERVICE, PAGE, **{"access-control-request-method": "DELETE"})
        bare = await running.http.options(SERVICE, headers={"origin": PAGE})
    assert here.status_code == nowhere.status_code == 204 and here.headers == nowhere.headers
    assert (wrong.status_code, bare.status_code) == (405, 405)
    assert wrong.headers["allow"] == bare.headers["allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/evidence/cvd-risk", "/nowhere", "/cds-servicesx"])
async def test_nothing_else_is_open_to_pages(path: str, tmp_path: Path) -> None:
    async with wrapper(tmp_path, hooks_with(tmp_path, VENDOR, LISTED), public_url=PUBLIC) as running:
        question = await ask(running, path, PAGE)
        answer = await running.http.get(path, headers={"origin": PAGE})
    assert question.status_code in (404, 405) and cors(question) == [] and cors(answer) == []


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_said_of_origins_where_none_is_listed(path: str, tmp_path: Path) -> None:
    async with wrapper(tmp_path, hooks_with(tmp_path, VENDOR, NORTH), public_url=PUBLIC) as running:
        question = await ask(running, path, PAGE)
        answer = await running.http.post(SERVICE, content=BODY, headers={"origin": PAGE})
    assert question.status_code == 405 and answer.status_code == 401
    assert cors(question) == cors(answer) == [] and "vary" not in answer.headers


async def test_a_sandbox_can_be_tried_in_development_when_it_is_named(tmp_path: Path) -> None:
    origins = "https://sandbox.cds-hooks.org, http://localhost:8080"
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url), origins=origins) as running:
            for origin in origins.split(", "):
                assert (await ask(running, SERVICE, origin)).headers[ALLOWED] == origin
                headers = {"content-type": "application/json", "origin": origin}
                answer = await running.http.post(SERVICE, content=BODY, headers=headers)
                assert answer.status_code == 200 and answer.headers[ALLOWED] == origin
            assert (await ask(running, SERVICE, PAGE)).status_code == 403


async def test_development_names_no_page_by_itself(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, VENDOR)) as running:
        assert (await ask(running, SERVICE, "https://sandbox.cds-hooks.org")).status_code == 405


@pytest.mark.parametrize(
    ("entries", "rest"),
    [([NORTH], {}), ([], {"profile": Profile.PRODUCTION}), ([NORTH], {"profile": Profile.PRODUCTION})],
)
async def test_the_setting_is_for_development_without_clients_only(
    entries: list[str], rest: dict[str, Any], tmp_path: Path
) -> None:
    hooks = hooks_with(tmp_path, VENDOR, *entries) if entries else copy_hooks(tmp_path, VENDOR)
    with pytest.raises(ConfigurationRefused, match="CDS_WRAPPER_ORIGINS` is for development without"):
        async with wrapper(tmp_path, hooks, origins=PAGE, **rest):
            pass
