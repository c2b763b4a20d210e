"""Who may call, end to end: the real application with `clients.yaml`, and an EHR that signs its calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.settings import Profile
from tests import fakes
from tests.ehr import EHR, ISSUER, NORTH, bearer, key_of, key_server, published, write_clients
from tests.service.harness import NOON, Wrapper, copy_hooks, request_of, wrapper
from tests.service.servers import demo_vendor, server

PUBLIC = "https://cds.example.org"
HERE = f"{PUBLIC}/cds-services/cvd-risk"
PATH = "/cds-services/cvd-risk"
BODY = json.dumps(request_of("white-55")).encode()
VENDOR = "http://127.0.0.1:9/cds-services/prevent"

EHR_NORTH = EHR(NOON)
EHR_SOUTH = EHR(NOON, key_of("ehr-2"), issuer="https://south.example/oauth2")
SOUTH = f"""
name: south
environment: test
issuer: {EHR_SOUTH.issuer}
keys: {{file: south.jwks.json}}
services: [cvd-risk]
"""
BY_CERTIFICATE = 'name: lab\nenvironment: test\ncertificate: "CN=lab,O=Hospital"'


def hooks_with(folder: Path, vendor_url: str, *entries: str, **rest: Any) -> Path:
    hooks = copy_hooks(folder, vendor_url)
    write_clients(hooks, *entries, **rest)
    (hooks / "south.jwks.json").write_bytes(published(key_of("ehr-2")))
    return hooks


async def call(running: Wrapper, token: str | None, path: str = PATH, **headers: str) -> Any:
    sent = {**(bearer(token) if token else {"content-type": "application/json"}), **headers}
    return await running.http.post(path, content=BODY, headers=sent)


def feedback_on(card: str) -> bytes:
    entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:00Z"}
    return json.dumps({"feedback": [entry]}).encode()


def reasons(running: Wrapper) -> list[str]:
    return [event["reason"] for event in running.events() if event["event"] == "request_refused"]


async def test_a_call_is_recorded_under_the_client_that_made_it(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, NORTH, SOUTH)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            assert (await call(running, EHR_NORTH.token(HERE, tenant="main"))).status_code == 200
            assert (await call(running, EHR_SOUTH.token(HERE))).status_code == 200
            rows = running.rows()
            line = next(event for event in running.events() if event["event"] == "invocation_completed")
            (loaded,) = [event for event in running.events() if event["event"] == "clients_loaded"]
            ready = (await running.http.get("/readyz")).json()
        assert not any("authorization" in head.lower() for head in vendor.heads)
    kept = [(row["client"], row["environment"], row["issuer"], row["tenant"]) for row in rows]
    assert kept == [
        ("north", "production", ISSUER, "main"),
        ("south", "test", EHR_SOUTH.issuer, None),
    ]
    assert all(0 < row["trust_ms"] <= row["total_ms"] for row in rows)
    assert (line["client"], line["environment"]) == ("north", "production") and line["trust_ms"] > 0
    assert loaded["clients"] == ["north", "south"] and ready["callers"] == "authenticated"


async def test_a_call_is_refused_before_a_byte_of_its_body_is_read(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, VENDOR, NORTH)
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Any:
        raise AssertionError("the body was asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"authorization", b"Bearer x")],
            "client": ("203.0.113.7", 4711),
            "server": ("cds.example", 80),
            "scheme": "http",
        }
        await running.app(scope, receive, send)
    assert sent[0]["status"] == 401


@pytest.mark.parametrize("path", ["/cds-services/cvd-risk-2", "/cds-services/sepsis/feedback"])
async def test_a_client_hears_the_same_of_services_it_may_not_call_and_of_none(
    path: str, tmp_path: Path
) -> None:
    hooks = hooks_with(tmp_path, VENDOR, NORTH, SOUTH)
    async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
        entitled_to_all = await call(running, EHR_NORTH.token(PUBLIC + path), path)
        entitled_to_one = await call(running, EHR_SOUTH.token(PUBLIC + path), path)
        assert reasons(running) == ["unknown_service", "not_entitled"]
    assert (entitled_to_all.status_code, entitled_to_one.status_code) == (404, 403)


async def test_a_service_that_is_not_there_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, VENDOR, NORTH, SOUTH.replace("[cvd-risk]", "[cvd-rsik]"))
    with pytest.raises(ConfigurationRefused, match=r"`cvd-rsik`, which is no service here.*`cvd-risk`"):
        async with wrapper(tmp_path, hooks):
            pass


async def test_discovery_lists_its_own_services_to_a_recognised_client_only(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, VENDOR, NORTH)
    async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
        assert (await running.http.get("/cds-services")).status_code == 401
        token = EHR_NORTH.token(f"{PUBLIC}/cds-services/")
        listed = (await running.http.get("/cds-services", headers=bearer(token))).json()
    assert [service["id"] for service in listed["services"]] == ["cvd-risk"]


async def test_discovery_can_be_open_while_calls_are_not(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, VENDOR, NORTH, discovery="open")
    async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
        assert (await running.http.get("/cds-services")).status_code == 200
        assert (await call(running, None)).status_code == 401


async def test_feedback_needs_a_token_and_takes_one_for_either_of_its_addresses(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, NORTH)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            body = feedback_on("0d9f2c9e-6a4b-4f6e-9c93-0d7f1f0d3f11")
            for audience, status in ((f"{HERE}/feedback", 200), (HERE, 200), (PUBLIC, 401)):
                headers = bearer(EHR_NORTH.token(audience))
                answer = await running.http.post(f"{PATH}/feedback", content=body, headers=headers)
                assert answer.status_code == status, audience


async def test_feedback_on_a_card_of_another_client_or_tenant_matches_nothing(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, NORTH, SOUTH)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            answer = await call(running, EHR_NORTH.token(HERE, tenant="main"))
            card = answer.json()["cards"][0]["uuid"]
            senders = [
                EHR_SOUTH.token(f"{HERE}/feedback"),
                EHR_NORTH.token(f"{HERE}/feedback", tenant="other"),
                EHR_NORTH.token(f"{HERE}/feedback", tenant="main"),
            ]
            for token in senders:
                sent = await running.http.post(
                    f"{PATH}/feedback", content=feedback_on(card), headers=bearer(token)
                )
                assert sent.status_code == 200
            rows = running.rows("feedback_v1")
    assert [(row["client"], row["tenant"], row["matched"]) for row in rows] == [
        ("south", None, 0),
        ("north", "other", 0),
        ("north", "main", 1),
    ]
    assert [row["prediction_id"] is None for row in rows] == [True, True, False]
    assert [row["user_key"] is None for row in rows[:2]] == [True, True]


async def test_a_used_token_is_remembered_over_a_restart(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, NORTH)
        token = EHR_NORTH.token(HERE)
        answers = []
        for _ in range(2):
            async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
                answers.append((await call(running, token)).status_code)
    assert answers == [200, 401]


async def test_keys_are_rotated_without_a_restart_and_an_unknown_one_is_fetched_once(tmp_path: Path) -> None:
    old, new = key_of("ehr-1"), key_of("ehr-1-new")
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor, key_server(b"") as keys:
        keys.status = 503
        entry = NORTH.replace("{file: ehr.jwks.json}", f'{{url: "{keys.url}"}}')
        hooks = hooks_with(tmp_path, vendor.url, entry)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            assert (await call(running, EHR_NORTH.token(HERE))).status_code == 401
            ring = running.app.state.doors.callers._ring
            ring._floor = 0.0  # as if half a minute had passed
            keys.status, keys.body = 200, published(old)
            assert (await call(running, EHR_NORTH.token(HERE))).status_code == 200
            keys.body = published(old, new)
            assert (await call(running, EHR(NOON, new).token(HERE))).status_code == 200
            ring._floor, asked = 30.0, keys.asked
            for _ in range(20):
                assert (await call(running, EHR(NOON, key_of("unknown")).token(HERE))).status_code == 401
            assert keys.asked == asked
            assert reasons(running) == ["keys_unavailable"] + ["unknown_key"] * 20
            told = [event for event in running.events() if event["event"].startswith("client_keys")]
    assert [(event["event"], event["client"]) for event in told] == [
        ("client_keys_unavailable", "north"),
        ("client_keys_read", "north"),
    ]


# Certificates that a proxy has checked ----------------------------------------------------------------------

PROXY = {"certificate_header": "x-client-subject", "proxies": "127.0.0.1, 10.0.0.0/8"}
FROM_ELSEWHERE = {"certificate_header": "x-client-subject", "proxies": "10.0.0.0/8"}
LAB = {"x-client-subject": "CN=lab,O=Hospital"}
BOTH = NORTH + 'certificate: "CN=north"\n'


@pytest.mark.parametrize(
    ("settings", "entry", "header", "token", "reason"),
    [
        (PROXY, BY_CERTIFICATE, "CN=lab,O=Hospital", False, None),
        (PROXY, BY_CERTIFICATE, "CN=lab", False, "no_token"),
        (PROXY, BY_CERTIFICATE, "CN=LAB,O=Hospital", False, "no_token"),
        (PROXY, BY_CERTIFICATE, "", False, "no_token"),
        (PROXY, BY_CERTIFICATE, None, False, "no_token"),
        (FROM_ELSEWHERE, BY_CERTIFICATE, "CN=lab,O=Hospital", False, "certificate_forged"),
        (FROM_ELSEWHERE, NORTH, "CN=lab,O=Hospital", True, "certificate_forged"),
        (PROXY, BOTH, "CN=north", True, None),
        (PROXY, BOTH, "CN=north", False, "no_token"),
        (PROXY, BOTH, "CN=lab,O=Hospital", True, "certificate_refused"),
        (PROXY, BOTH, None, True, "certificate_refused"),
        (PROXY, NORTH, "CN=anything", True, None),
    ],
)
async def test_a_certificate_counts_as_a_trusted_proxy_wrote_it(
    settings: dict[str, str], entry: str, header: str | None, token: bool, reason: str | None, tmp_path: Path
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, entry)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC, **settings) as running:
            shown = {} if header is None else {"X-Client-Subject": header}
            answer = await call(running, EHR_NORTH.token(HERE) if token else None, **shown)
            assert reasons(running) == ([reason] if reason else [])
            assert answer.status_code == (401 if reason else 200)
            assert len(running.rows()) == (0 if reason else 1)


async def test_two_certificates_in_one_call_are_a_forgery(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, VENDOR, BY_CERTIFICATE)
    async with wrapper(tmp_path, hooks, public_url=PUBLIC, **PROXY) as running:
        twice = [(b"x-client-subject", b"CN=lab,O=Hospital")] * 2
        answer = await running.http.post(PATH, content=BODY, headers=twice)
        assert answer.status_code == 401 and reasons(running) == ["certificate_forged"]


async def test_a_client_known_by_its_certificate_needs_a_proxy_that_says_it(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, VENDOR, BY_CERTIFICATE)
    with pytest.raises(ConfigurationRefused, match="CDS_WRAPPER_CERTIFICATE_HEADER and CDS_WRAPPER_PROXIES"):
        async with wrapper(tmp_path, hooks):
            pass


# What production needs --------------------------------------------------------------------------------------


async def test_production_names_everything_that_stands_against_it_at_once(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, VENDOR)
    with pytest.raises(ConfigurationRefused) as refused:
        async with wrapper(tmp_path, hooks, profile=Profile.PRODUCTION, pseudonym_keys=None):
            pass
    said = [f"{mistake.file} {mistake.key}" for mistake in refused.value.mistakes]
    assert said == [
        "clients.yaml ",
        "environment CDS_WRAPPER_PSEUDONYM_KEYS",
        "environment CDS_WRAPPER_PUBLIC_URL",
        "cvd-risk/service.yaml vendor.url",
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (SOUTH, "names no EHR of the environment `production`"),
        (NORTH.replace("{file: ehr.jwks.json}", "{url: http://ehr.example/keys}"), "is plain http"),
    ],
)
async def test_production_needs_a_production_client_and_keys_over_https(
    entry: str, problem: str, tmp_path: Path
) -> None:
    hooks = hooks_with(tmp_path, "https://vendor.example/x", entry)
    with pytest.raises(ConfigurationRefused, match=problem):
        async with wrapper(tmp_path, hooks, profile=Profile.PRODUCTION, public_url=PUBLIC):
            pass


async def test_production_starts_when_it_is_configured_safely(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, "https://127.0.0.1:9/x", NORTH)
    async with wrapper(tmp_path, hooks, profile=Profile.PRODUCTION, public_url=PUBLIC) as running:
        answer = await call(running, EHR_NORTH.token(HERE))
        assert answer.status_code == 200 and (await call(running, None)).status_code == 401
        (row,) = running.rows()
        started = {event["event"] for event in running.events()}
    assert (row["status"], row["environment"], row["client"]) == ("unreachable", "production", "north")
    assert not started & {"development_profile", "callers_not_authenticated"}


async def test_development_without_clients_serves_anybody_and_says_so(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, VENDOR)) as running:
        assert (await call(running, None)).status_code == 200
        ready = (await running.http.get("/readyz")).json()
        (row,) = running.rows()
        warned = {event["event"]: event["level"] for event in running.events()}
    assert warned["callers_not_authenticated"] == "warning" and ready["callers"] == "not_authenticated"
    assert (row["client"], row["issuer"], row["trust_ms"]) == ("development", None, None)


# The real server --------------------------------------------------------------------------------------------


@pytest.fixture
def answering_vendor() -> Iterator[str]:
    with demo_vendor() as base:
        yield f"{base}/cds-services/prevent"


def test_no_header_makes_the_server_believe_in_another_peer(tmp_path: Path, answering_vendor: str) -> None:
    """Behind a proxy on this machine a server may take the client's address from a header; not this one."""
    hooks = hooks_with(tmp_path, answering_vendor, BY_CERTIFICATE, NORTH)
    settings: dict[str, Any] = {
        "CDS_WRAPPER_PUBLIC_URL": PUBLIC,
        "CDS_WRAPPER_CERTIFICATE_HEADER": "x-client-subject",
        "CDS_WRAPPER_PROXIES": "10.1.2.3",
    }
    with server(tmp_path, hooks, **settings) as running:
        forged = {**LAB, "x-forwarded-for": "10.1.2.3", "content-type": "application/json"}
        answer = httpx.post(running.url + PATH, content=BODY, headers=forged, timeout=60)
        assert answer.status_code == 401
        token = EHR(datetime.now(UTC)).token(HERE)
        right = httpx.post(running.url + PATH, content=BODY, headers=bearer(token), timeout=60)
        assert right.status_code == 200
        assert (
            httpx.post(running.url + PATH, content=BODY, headers=bearer(token), timeout=60).status_code == 401
        )
    assert not [part for part in token.split(".") if part in running.log()]
    assert (tmp_path / "replay.db").exists()
