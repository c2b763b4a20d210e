"""Limits of the doors: calls at one time for each client, depth of a body, length of a feedback batch."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import fakes
from tests.ehr import EHR, NORTH, bearer, key_of, published, write_clients
from tests.service.harness import NOON, Wrapper, copy_hooks, request_of, wrapper

PUBLIC = "https://cds.example.org"
SERVICE = "/cds-services/cvd-risk"
BODY = json.dumps(request_of("white-55")).encode()
JSON = {"content-type": "application/json"}
VENDOR = "http://127.0.0.1:9/x"
EHR_NORTH = EHR(NOON)
EHR_SOUTH = EHR(NOON, key_of("ehr-2"), issuer="https://south.example/oauth2")
SOUTH = f"name: south\nenvironment: test\nissuer: {EHR_SOUTH.issuer}\nkeys: {{file: south.jwks.json}}\n"
DEEP = 100_000


def hooks_with(folder: Path, vendor_url: str, *entries: str) -> Path:
    hooks = copy_hooks(folder, vendor_url)
    write_clients(hooks, *entries)
    (hooks / "south.jwks.json").write_bytes(published(key_of("ehr-2")))
    return hooks


class Gate:
    """A vendor that answers once it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = 0

    async def behave(self, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        await self.open.wait()
        await fakes.answers(fakes.card_answer())(writer)

    async def reached(self, calls: int) -> None:
        async with asyncio.timeout(60):
            while self.asked < calls:
                await asyncio.sleep(0.01)


async def post(running: Wrapper, ehr: EHR, path: str = SERVICE, body: bytes = BODY) -> httpx.Response:
    return await running.http.post(path, content=body, headers=bearer(ehr.token(PUBLIC + path)))


async def test_a_client_that_floods_is_told_to_wait_and_takes_no_place_from_another(tmp_path: Path) -> None:
    gate = Gate()
    async with fakes.running(gate.behave) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, NORTH + "most_at_once: 2\n", SOUTH)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            served = [asyncio.create_task(post(running, EHR_NORTH)) for _ in range(2)]
            await gate.reached(2)
            too_many = [await post(running, EHR_NORTH) for _ in range(3)]
            too_many.append(await post(running, EHR_NORTH, f"{SERVICE}/feedback", b'{"feedback": []}'))
            other = asyncio.create_task(post(running, EHR_SOUTH))
            await gate.reached(3)
            ready = (await running.http.get("/readyz")).json()
            gate.open.set()
            answers = [await call for call in (*served, other)]
            again = await post(running, EHR_NORTH)
            after = (await running.http.get("/readyz")).json()
            refused = [event for event in running.events() if event["event"] == "request_refused"]
            rows = running.rows()
    assert [answer.status_code for answer in too_many] == [429] * 4
    assert all(answer.headers["retry-after"] == "1" for answer in too_many)
    assert too_many[0].json()["issue"][0]["code"] == "throttled"
    assert [answer.status_code for answer in (*answers, again)] == [200] * 4
    assert ready["in_flight"] == {"north": 2, "south": 1} and ready["refused"] == {"too_many": 4}
    assert after["in_flight"] == {} and len(rows) == 4
    assert {(event["reason"], event["client"], event["http_status"]) for event in refused} == {
        ("too_many", "north", 429)
    }


async def test_a_place_is_given_back_however_the_call_ends(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, VENDOR, NORTH + "most_at_once: 1\n")
    async with wrapper(tmp_path, hooks, public_url=PUBLIC, max_body_bytes=10_000) as running:
        for body, status in ((b"{", 400), (b" " * 10_001, 413), (b'{"hook": "x"}', 400), (b"{", 400)):
            assert (await post(running, EHR_NORTH, body=body)).status_code == status
        assert (await post(running, EHR_NORTH, "/cds-services/sepsis")).status_code == 404
        assert (await running.http.get("/readyz")).json()["in_flight"] == {}


async def test_whoever_only_names_a_client_takes_none_of_its_places(tmp_path: Path) -> None:
    gate = Gate()
    forged = EHR(NOON, key_of("attacker"))
    async with fakes.running(gate.behave) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, NORTH + "most_at_once: 1\n")
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            flood = [post(running, forged) for _ in range(10)]
            assert {answer.status_code for answer in await asyncio.gather(*flood)} == {401}
            gate.open.set()
            assert (await post(running, EHR_NORTH)).status_code == 200


def nested(pair: bytes, depth: int = DEEP, close: bool = True) -> bytes:
    opening, closing = pair[:-1], pair[-1:]
    return opening * depth + (b"1" + closing * depth if close else b"")


def call_with(member: str, value: bytes) -> bytes:
    body = json.dumps({**request_of("white-55"), member: "HERE"}).encode()
    return body.replace(b'"HERE"', value)


@pytest.mark.parametrize(
    "body",
    [
        nested(b"[]"),
        nested(b'{"a":}'),
        nested(b"[]", close=False),
        call_with("prefetch", b'{"patient": ' + nested(b"[]") + b"}"),
        call_with("context", b'{"patientId": "p", "x": ' + nested(b'{"a":}') + b"}"),
        call_with("extension", nested(b'{"a":}')),
        call_with("unknown", nested(b"[]")),
        b'{"feedback": [' + nested(b"[]") + b"]}",
    ],
    ids=["array", "object", "open", "prefetch", "context", "extension", "unknown", "feedback"],
)
async def test_a_body_nested_without_end_is_refused_at_once(body: bytes, tmp_path: Path) -> None:
    path = f"{SERVICE}/feedback" if b'"feedback"' in body[:20] else SERVICE
    async with wrapper(tmp_path, copy_hooks(tmp_path, VENDOR)) as running:
        answer = await running.http.post(path, content=body, headers=JSON)
        assert running.rows() == []
    assert answer.status_code == 400
    assert "nested too deeply" in answer.text or "another shape" in answer.text


@pytest.mark.parametrize("depth", [20, 65, 200, 900])
async def test_whatever_the_decoder_takes_is_answered_and_never_an_error_of_ours(
    depth: int, tmp_path: Path
) -> None:
    deep = json.loads(nested(b'{"a":}', depth))
    body = request_of("white-55")
    body["prefetch"]["lipids"] = {"resourceType": "Bundle", "entry": [{"resource": deep}]}
    body["context"]["extra"] = body["extension"] = {"org.example": deep}
    entry = {"card": "x", "outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:00Z"}
    odd: list[Any] = [
        {**entry, "card": "w", "overrideReason": {"extension": deep}},
        {**entry, "card": "y", "overrideReasons": deep},
        {**entry, "card": "z", "extension": deep},
    ]
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            assert (await running.call(body)).status_code == 200
            feedback = await running.http.post(
                f"{SERVICE}/feedback", json={"feedback": [entry, *odd]}, headers=JSON
            )
            kept = running.rows("feedback_v1")
    assert feedback.status_code == 200
    assert len(kept) == (4 if depth < 60 else 1), "an entry deeper than anything sensible is not read"


async def test_five_hundred_entries_of_feedback_are_one_batch(tmp_path: Path) -> None:
    entries = [
        {"card": f"card-{number}", "outcome": "accepted", "outcomeTimestamp": "2026-06-30T12:00:00Z"}
        for number in range(500)
    ]
    async with wrapper(tmp_path, copy_hooks(tmp_path, VENDOR)) as running:
        answer = await running.http.post(f"{SERVICE}/feedback", json={"feedback": entries})
        assert answer.status_code == 200 and len(running.rows("feedback_v1")) == 500
