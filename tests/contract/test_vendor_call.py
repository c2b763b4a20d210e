"""The wrapper as a client of the vendor: what it is sent, and what it never is."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests import fakes
from tests.service.harness import copy_hooks, request_of, wrapper

TOKEN = "Quetzaltoken"
EHRS_JWT = "Quetzaljwt.eyJ.sig"
AUTHORIZATION = {
    "access_token": TOKEN,
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": f"user/{TOKEN}",
    "subject": TOKEN,
}
ONLY_LIPIDS = {"  protocol: cds-hooks": "  prefetch: [lipids]\n  protocol: cds-hooks"}


@contextlib.asynccontextmanager
async def fhir_server() -> AsyncIterator[tuple[str, list[str]]]:
    """An address that counts who connects to it."""
    connected: list[str] = []

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append("somebody")
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir", connected


async def asked_with(folder: Path, *bodies: Any, **replacements: str) -> fakes.FakeVendor:
    """The fake vendor after the wrapper was called with these bodies."""
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(folder, copy_hooks(folder, vendor.url, **replacements)) as running:
            for body in bodies:
                assert (await running.call(body)).status_code == 200
    return vendor


async def test_the_vendor_is_posted_json_in_utf_8(tmp_path: Path) -> None:
    body = request_of("white-55")
    body["prefetch"]["patient"]["name"] = [{"text": "Ångström 患者 👩‍⚕️"}]
    vendor = await asked_with(tmp_path, body)
    head = vendor.heads[0].lower()
    assert head.startswith("post /cds-services/prevent ") and "content-type: application/json" in head
    assert vendor.asked[0]["prefetch"]["patient"]["name"] == [{"text": "Ångström 患者 👩‍⚕️"}]


async def test_each_question_has_an_unguessable_id_of_its_own(tmp_path: Path) -> None:
    body = request_of("white-55")
    vendor = await asked_with(tmp_path, *[body] * 20)
    ids = {asked["hookInstance"] for asked in vendor.asked}
    assert len(ids) == 20 and body["hookInstance"] not in ids
    assert {UUID(one).version for one in ids} == {4}, "122 bits from the system's random source"


async def test_nothing_but_the_hook_the_context_and_the_prefetch_reaches_the_vendor(tmp_path: Path) -> None:
    body = request_of("white-55")
    body |= {"fhirServer": "https://ehr.example/fhir", "fhirAuthorization": AUTHORIZATION}
    body |= {"extension": {"com.example.staff": "1"}, "user": "Practitioner/1"}
    vendor = await asked_with(tmp_path, body)
    assert set(vendor.asked[0]) == {"hook", "hookInstance", "context", "prefetch"}


async def test_any_of_the_keys_may_be_missing(tmp_path: Path) -> None:
    body = request_of("white-55")
    keys = sorted(body["prefetch"])
    subsets = [set(chosen) for size in range(len(keys) + 1) for chosen in itertools.combinations(keys, size)]
    calls = [{**body, "prefetch": {key: body["prefetch"][key] for key in chosen}} for chosen in subsets]
    vendor = await asked_with(tmp_path, *calls)
    assert len(subsets) == 2 ** len(keys) == 256
    assert [set(asked.get("prefetch", {})) for asked in vendor.asked] == subsets


async def test_the_vendor_gets_only_the_keys_it_asked_for_and_not_the_patient(tmp_path: Path) -> None:
    body = request_of("white-55")
    body["prefetch"]["surprise"] = {"resourceType": "Practitioner"}
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **ONLY_LIPIDS)) as running:
            await running.call(body)
            (row,) = running.rows()
    assert set(vendor.asked[0]["prefetch"]) == {"lipids"}
    assert row["race"] == "white", "the Patient is read all the same, for the record and the caveat"


async def test_a_value_reaches_the_vendor_byte_for_byte(tmp_path: Path) -> None:
    value = b'{"resourceType":"Bundle",  "z":1.10,"a":[ ],"big":12345678901234567890,"e":1E+2, "u":"\\u00e9"}'
    context = b'{"patientId":"p1","userId":"Practitioner/1"}'
    body = b'{"hook":"patient-view","hookInstance":"i","context":%b,"prefetch":{"lipids":%b}}'
    vendor = await asked_with(tmp_path, body % (context, value))
    assert b'"lipids":' + value in vendor.bodies[0]


async def test_a_null_goes_on_as_null_and_what_did_not_come_does_not(tmp_path: Path) -> None:
    body = request_of("white-55")
    body["prefetch"] = {"lipids": None}
    vendor = await asked_with(tmp_path, body)
    assert vendor.asked[0]["prefetch"] == {"lipids": None}


async def test_no_answer_is_given_twice(tmp_path: Path) -> None:
    """The same call again is a question again; its card holds the new answer."""
    scores = iter([0.031, 0.131])

    async def behave(writer: asyncio.StreamWriter) -> None:
        await fakes.answers(fakes.card_answer(score=next(scores)))(writer)

    async with fakes.running(behave) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            cards = [(await running.call(request_of("white-55"))).json()["cards"][0] for _ in range(2)]
            rows = running.rows()
    assert [row["score"] for row in rows] == [0.031, 0.131] and len(vendor.asked) == 2
    assert cards[0]["uuid"] != cards[1]["uuid"]


async def test_another_hook_asks_the_vendor_nothing(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            answer = await running.call({**request_of("white-55"), "hook": "order-sign"})
    assert (answer.status_code, vendor.asked) == (400, [])


@pytest.mark.parametrize("sent", ["all", "nothing"])
async def test_no_server_that_a_caller_names_is_ever_called(sent: str, tmp_path: Path) -> None:
    body = request_of("white-55")
    if sent == "nothing":
        body["prefetch"] = {}
    async with fhir_server() as (address, connected):
        body |= {"fhirServer": address, "fhirAuthorization": AUTHORIZATION}
        await asked_with(tmp_path, body)
    assert connected == []


async def test_neither_the_access_token_nor_the_callers_own_is_kept_logged_or_passed_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    body = {
        **request_of("white-55"),
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": AUTHORIZATION,
    }
    headers = {"content-type": "application/json", "authorization": f"Bearer {EHRS_JWT}"}
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            path = "/cds-services/cvd-risk"
            good = await running.http.post(path, content=json.dumps(body), headers=headers)
            bad = await running.http.post(path, content=json.dumps(body)[:-5], headers=headers)
            rows = str(running.rows())
    files = b"".join(file.read_bytes() for file in tmp_path.glob("**/*") if file.is_file()).decode("latin-1")
    told = [good.text, bad.text, rows, files, running.log.getvalue(), caplog.text, *capfd.readouterr()]
    passed_on = [*vendor.heads, *map(bytes.decode, vendor.bodies)]
    assert (good.status_code, bad.status_code) == (200, 400)
    assert not [text for text in told + passed_on if TOKEN in text or EHRS_JWT in text]


async def test_a_site_that_wants_errors_says_412_when_the_vendor_lacks_an_input(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers({}, status=412)) as vendor:
        plan = {"on_vendor_failure: card": "on_vendor_failure: error"}
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **plan)) as running:
            answer = await running.call(request_of("white-55"))
            (row,) = running.rows()
    assert (answer.status_code, row["http_status"], row["status"]) == (412, 412, "missing_input")
