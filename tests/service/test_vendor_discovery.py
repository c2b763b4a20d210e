"""What a vendor's own list of services says, end to end: whatever it holds, and whenever it changes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from typer.testing import CliRunner, Result

from cds_wrapper import vendor_watch
from cds_wrapper.commands.table import build
from cds_wrapper.log import OperatorLog
from cds_wrapper.services import load_services
from cds_wrapper.signing import new_key, published_set, write_own_keys
from cds_wrapper.vendor_access import VendorAccess
from cds_wrapper.vendor_watch import VendorWatch
from tests import fakes
from tests.service.harness import Wrapper, copy_hooks, request_of, settings_for, wrapper
from tests.unit.ledger.streams import until

OURS = {"bmi": "Observation?patient={{context.patientId}}&code=http://loinc.org|39156-5&_sort=-date&_count=5"}
COVERAGE = "Coverage?patient={{context.patientId}}"


@dataclass
class Lister:
    """A vendor's list of services, which a test changes while it is served."""

    status: int = 200
    body: bytes = b""
    port: int = 0
    heads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lists(self, *entries: Any, **members: Any) -> None:
        self.body = (
            json.dumps({"services": list(entries), **members}).encode().replace(b"SPOILT", b"\xe2\x82")
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(self.body)}\r\n\r\n"
                writer.write(head.encode() + self.body)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def lister() -> AsyncIterator[Lister]:
    one = Lister()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


def entry(prefetch: Any = None, **members: Any) -> dict[str, Any]:
    usual = {"id": "prevent", "hook": "patient-view", "description": "x", "prefetch": prefetch or {}}
    return {**usual, **members}


def with_list(url: str, rest: str = "") -> dict[str, str]:
    lines = f"  discovery: {{url: {url}{rest}}}"
    return {"  protocol: cds-hooks": f"  protocol: cds-hooks\n{lines}"}


@contextlib.asynccontextmanager
async def started(
    folder: Path, one: Lister, rest: str = ", templates: join", **lines: str
) -> AsyncIterator[tuple[Wrapper, fakes.FakeVendor]]:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(folder, vendor.url, **with_list(one.url, rest), **lines)
        async with wrapper(folder, hooks) as running:
            yield running, vendor


def told(running: Wrapper, name: str) -> dict[str, Any]:
    (event,) = [event for event in running.events() if event["event"] == name]
    return event


async def published(running: Wrapper) -> dict[str, str]:
    (service,) = (await running.http.get("/cds-services")).json()["services"]
    prefetch: dict[str, str] = service["prefetch"]
    return prefetch


async def test_the_vendors_templates_join_ours_and_it_gets_its_own_keys_only(tmp_path: Path) -> None:
    async with lister() as one:
        one.lists(entry({**OURS, "coverage": COVERAGE}))
        async with started(tmp_path, one) as (running, vendor):
            listed = await published(running)
            body = request_of("white-55")
            body["prefetch"]["coverage"] = {"resourceType": "Bundle", "type": "searchset"}
            await running.call(body)
            read = told(running, "vendor_discovery_read")
    assert one.heads[0].startswith("GET /cds-services ")
    assert listed["coverage"] == COVERAGE and listed["patient"] == "Patient/{{context.patientId}}"
    assert set(vendor.asked[0]["prefetch"]) == {"bmi", "coverage"}, "and not the Patient it did not ask for"
    assert (read["shared"], read["additional"]) == (["bmi"], ["coverage"])


async def test_a_key_for_another_query_and_one_that_cannot_be_filled_are_refused_and_said(
    tmp_path: Path,
) -> None:
    templates = {
        "bmi": COVERAGE,
        "draft": "ServiceRequest/{{context.draftOrders.id}}",
        "coverage": COVERAGE,
        "chained": "Observation?subject.name={{context.patientId}}",
    }
    async with lister() as one:
        one.lists(entry({**templates, "Jane Doe": COVERAGE, "odd": 5}))
        async with started(tmp_path, one) as (running, vendor):
            listed = await published(running)
            await running.call(request_of("white-55"))
            read = told(running, "vendor_discovery_read")
    assert listed["bmi"] == OURS["bmi"] and not {"draft", "Jane Doe", "odd"} & set(listed)
    assert "prefetch" not in vendor.asked[0], "what came under `bmi` is not what the vendor asked for"
    assert (read["colliding"], read["unusable"], read["unreadable"]) == (["bmi"], ["draft"], 2)
    assert read["unusual"] == ["chained"], "not every EHR can answer it: worth a look, and listed"
    assert "Jane Doe" not in running.log.getvalue()


async def test_to_compare_changes_nothing(tmp_path: Path) -> None:
    async with lister() as one:
        one.lists(entry({"coverage": COVERAGE}))
        async with started(tmp_path, one, "") as (running, vendor):
            listed = await published(running)
            await running.call(request_of("white-55"))
            read = told(running, "vendor_discovery_read")
    assert "coverage" not in listed and set(vendor.asked[0]["prefetch"]) >= {"patient", "bmi"}
    assert read["additional"] == ["coverage"] and "patient" in read["unasked"]


SPOILT = entry({"spoilt": "SPOILT"}, id="spoilt")
TWICE = [entry({"wrong": COVERAGE}, hook="order-sign"), entry({"coverage": COVERAGE})]
LISTS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("members nobody knows", [entry({"coverage": COVERAGE}, x={"y": [None]})], {"extension": {"a": 1}}),
    ("versions", [entry({"coverage": COVERAGE}, version="3.0.0", hookVersion="1.0")], {}),
    ("one id for two hooks", TWICE, {}),
    ("another order", TWICE[::-1], {}),
    ("entries that are none", [5, None, {"id": 7}, {}, entry({"coverage": COVERAGE})], {}),
    ("the same twice", [TWICE[1], entry({"other": COVERAGE})], {}),
    ("half a character", [SPOILT, entry({"coverage": COVERAGE})], {}),
    ("others", [entry(id="sepsis"), entry({"coverage": COVERAGE})], {}),
]


@pytest.mark.parametrize(("name", "entries", "members"), LISTS, ids=[row[0] for row in LISTS])
async def test_whatever_else_stands_in_the_list_the_service_is_found(
    name: str, entries: list[Any], members: dict[str, Any], tmp_path: Path
) -> None:
    async with lister() as one:
        one.lists(*entries, **members)
        async with started(tmp_path, one) as (running, _):
            assert "coverage" in await published(running)


TROUBLE: list[tuple[int, bytes, str]] = [
    (200, b"<html>Sorry, Jane Doe</html>", "not_a_list"),
    (200, b"[]", "not_a_list"),
    (200, b'{"services": {}}', "not_a_list"),
    (200, b'{"services": ' + b"[" * 100_000, "not_a_list"),
    (200, b"\xff", "not_a_list"),
    (200, b'{"services": []}', "no_such_service"),
    (200, b'{"services": [{"id": "prevent", "hook": "order-sign"}]}', "other_hook"),
    (200, b" " * 1_000_001, "too_large"),
    (401, b"", "http_401"),
    (302, b"", "http_302"),
    (500, b"", "http_500"),
]


@pytest.mark.parametrize(("status", "body", "reason"), TROUBLE)
async def test_a_list_that_cannot_be_used_is_named_by_its_kind_and_stops_nothing(
    status: int, body: bytes, reason: str, tmp_path: Path
) -> None:
    async with lister() as one:
        one.status, one.body = status, body
        async with started(tmp_path, one) as (running, vendor):
            assert (await running.call(request_of("white-55"))).status_code == 200
            assert told(running, "vendor_discovery_unavailable")["reason"] == reason
            assert "Jane Doe" not in running.log.getvalue()
    assert set(vendor.asked[0]["prefetch"]) == set(request_of("white-55")["prefetch"]), "the file still holds"


async def test_a_vendor_that_is_away_stops_nobodys_start(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, "http://127.0.0.1:9/cds-services/prevent", **with_list("http://127.0.0.1:9"))
    async with wrapper(tmp_path, hooks) as running:
        assert (await running.http.get("/readyz")).status_code == 200
        assert told(running, "vendor_discovery_unavailable")["reason"] == "refused_connection"


async def test_the_list_is_asked_for_with_a_token_made_out_to_its_address(tmp_path: Path) -> None:
    key = new_key("ES384", datetime(2027, 3, 4, tzinfo=UTC))
    file = tmp_path / "vendor-keys.json"
    write_own_keys(file, [key])
    signed = {"  url: ": f"  authentication: {{kind: jwt, key: {file}}}\n  url: "}
    async with lister() as one:
        one.lists(entry({"coverage": COVERAGE}))
        async with started(tmp_path, one, **signed):
            (line,) = [text for text in one.heads[0].splitlines() if text.lower().startswith("authorization")]
    keys = KeySet.import_key_set(json.loads(published_set([key])))
    claims = jwt.decode(line.split()[2], keys, algorithms=["ES384"]).claims
    assert claims["aud"] == f"{one.url}/cds-services"


@contextlib.asynccontextmanager
async def watching(folder: Path, one: Lister) -> AsyncIterator[tuple[VendorWatch, Callable[[], list[Any]]]]:
    """A watch that looks every few milliseconds, and what it tells."""
    hooks = copy_hooks(folder, "http://127.0.0.1:9/cds-services/prevent", **with_list(one.url))
    stream = io.StringIO()
    watch = VendorWatch(
        load_services(hooks),
        VendorAccess(),
        settings_for(folder, hooks),
        OperatorLog("test-0", stream),
        timedelta(milliseconds=5),
    )
    await watch.open()
    try:
        yield watch, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        await watch.close()


async def test_what_changes_while_we_run_is_told_once_and_taken_at_the_next_start(tmp_path: Path) -> None:
    async with lister() as one:
        one.lists(entry({"coverage": COVERAGE}))
        async with watching(tmp_path, one) as (_, events):
            one.status = 503
            await until(lambda: len(events()) == 2)
            one.status = 200
            one.lists(entry({"coverage": COVERAGE, "more": COVERAGE}))
            await until(lambda: len(events()) == 3)
            looks = len(one.heads)
            await until(lambda: len(one.heads) > looks + 3)
            names = [(event["event"], event.get("reason")) for event in events()]
    assert names == [
        ("vendor_discovery_read", None),
        ("vendor_discovery_unavailable", "http_503"),
        ("vendor_discovery_changed", None),
    ]


async def test_a_list_that_is_back_as_it_was_is_said(tmp_path: Path) -> None:
    async with lister() as one:
        one.lists(entry({"coverage": COVERAGE}))
        async with watching(tmp_path, one) as (_, events):
            one.status = 503
            await until(lambda: len(events()) == 2)
            one.status = 200
            await until(lambda: len(events()) == 3)
    assert [event["event"] for event in events()][1:] == [
        "vendor_discovery_unavailable",
        "vendor_discovery_read",
    ]


async def test_a_watch_that_ends_of_itself_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug of ours")

    async with lister() as one:
        one.lists(entry({"coverage": COVERAGE}))
        async with watching(tmp_path, one) as (_, events):
            monkeypatch.setattr(vendor_watch, "read_offer", broken)
            await until(lambda: len(events()) == 2)
    assert events()[1]["event"] == "vendor_discovery_unavailable" and events()[1]["reason"] == "ended"


async def test_check_asks_the_vendors_only_when_it_is_told_to_and_says_what_is_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(*arguments: str) -> Result:
        command = ["check", "--hooks", str(hooks), *arguments]
        return await asyncio.to_thread(CliRunner().invoke, build(["check"]), command)

    monkeypatch.setenv("CDS_WRAPPER_PROFILE", "development")
    monkeypatch.setenv("CDS_WRAPPER_LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")
    async with lister() as one:
        one.lists(entry({**OURS, "coverage": COVERAGE}))
        hooks = copy_hooks(tmp_path, "http://127.0.0.1:9/cds-services/prevent", **with_list(one.url))
        plain = await check()
        assert (plain.exit_code, one.heads) == (0, [])
        probed = await check("--probe")
        (found,) = json.loads((await check("--probe", "--json")).output)["vendors"]
        one.status = 401
        refused = await check("--probe")
    assert probed.exit_code == 0 and "not in service.yaml: coverage" in probed.output
    assert (found["asks_for"], found["shared"], found["additional"]) == (
        ["bmi", "coverage"],
        ["bmi"],
        ["coverage"],
    )
    assert (refused.exit_code, "http_401" in refused.output) == (5, True)
