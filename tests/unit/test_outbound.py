"""The one way out: the deadline holds, and every foreign exception is translated."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta

import aiohttp
import httpx
import pytest

from cds_wrapper.errors import OutboundTrouble, Trouble
from cds_wrapper.outbound import Deadline, Outbound, translate
from tests import fakes
from tests.ehr import key_server
from tests.fhir import Says, fhir_server


def exceptions_of_aiohttp() -> list[type[BaseException]]:
    found = {
        value for value in vars(aiohttp).values() if inspect.isclass(value) and issubclass(value, Exception)
    }
    waiting = list(found)
    while waiting:
        for child in waiting.pop().__subclasses__():
            if child not in found and child.__module__.startswith("aiohttp.client"):
                found.add(child)
                waiting.append(child)
    return sorted(found, key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in exceptions_of_aiohttp()
        if issubclass(kind, (aiohttp.ClientError, OSError)) and not issubclass(kind, Warning)
    ],
    ids=lambda kind: kind.__qualname__,
)
def test_every_exception_of_the_client_library_is_translated(kind: type[BaseException]) -> None:
    assert translate(kind.__new__(kind)) in Trouble


def exceptions_of_httpx() -> list[type[BaseException]]:
    found = {value for value in vars(httpx).values() if inspect.isclass(value)}
    return sorted(
        (kind for kind in found if issubclass(kind, (httpx.HTTPError, httpx.InvalidURL))),
        key=lambda kind: kind.__qualname__,
    )


@pytest.mark.parametrize("kind", exceptions_of_httpx(), ids=lambda kind: kind.__qualname__)
def test_every_exception_of_the_reading_library_is_translated(kind: type[BaseException]) -> None:
    assert translate(kind.__new__(kind)) in Trouble


async def test_a_document_is_read_whole_or_not_at_all() -> None:
    outbound = Outbound()
    await outbound.open()
    deadline = Deadline.after(timedelta(seconds=30))
    async with key_server(b'{"keys": []}') as server:
        answer = await outbound.get(server.url, deadline, 100)
        assert (answer.status, answer.body) == (200, b'{"keys": []}')
        with pytest.raises(OutboundTrouble) as trouble:
            await outbound.get(server.url, deadline, 5)
        assert trouble.value.kind is Trouble.TOO_LARGE
        server.status, server.head = 307, f"location: {server.url}/elsewhere\r\n"
        assert (await outbound.get(server.url, deadline, 100)).status == 307 and server.asked == 3
        server.open.clear()
        with pytest.raises(OutboundTrouble) as trouble:
            await outbound.get(server.url, Deadline.after(timedelta(seconds=0.05)), 100)
        assert trouble.value.kind is Trouble.TIMED_OUT
        server.open.set()
    await outbound.close()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:9/p1", Trouble.REFUSED_CONNECTION),
        ("https://127.0.0.1:9/p1", Trouble.REFUSED_CONNECTION),
        ("http://p1.invalid/", Trouble.DNS),
        ("http://[p1", Trouble.DNS),
        ("p1", Trouble.UNREACHABLE),
    ],
)
async def test_a_document_that_cannot_be_had_is_told_without_its_address(url: str, kind: Trouble) -> None:
    outbound = Outbound()
    await outbound.open()
    with pytest.raises(OutboundTrouble) as trouble:
        await outbound.get(url, Deadline.after(timedelta(seconds=30)), 100)
    await outbound.close()
    assert trouble.value.kind is kind and "p1" not in str(trouble.value)


@pytest.mark.parametrize("cookie", ["session=Quetzal; Path=/", "\u00e9=1"], ids=["one", "that none can send"])
async def test_what_one_answer_sets_travels_with_no_later_question(cookie: str) -> None:
    outbound = Outbound()
    await outbound.open()
    async with fhir_server(Says({}, headers={"set-cookie": cookie})) as server:
        for _ in range(2):
            await outbound.get(server.base, Deadline.after(timedelta(seconds=30)), 100)
            await outbound.post_form(server.base, {"a": "b"}, Deadline.after(timedelta(seconds=30)), 100)
            await outbound.post_json(server.base, b"{}", Deadline.after(timedelta(seconds=30)), 100)
    await outbound.close()
    assert len(server.asked) == 6 and not [asked for asked in server.asked if "cookie" in asked.headers]


async def test_a_status_line_in_no_known_alphabet_is_trouble_like_any_other() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 \xff\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    outbound = Outbound()
    await outbound.open()
    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(OutboundTrouble) as trouble:
            await outbound.get(f"http://127.0.0.1:{port}/", Deadline.after(timedelta(seconds=30)), 100)
    await outbound.close()
    assert trouble.value.kind is Trouble.NOT_HTTP


def test_what_is_not_foreign_trouble_is_not_swallowed() -> None:
    with pytest.raises(AssertionError):
        translate(KeyError("a bug of ours"))


async def test_no_time_left_means_no_call() -> None:
    outbound = Outbound()
    await outbound.open()
    async with fakes.running(fakes.answers({})) as peer:
        with pytest.raises(OutboundTrouble) as trouble:
            await outbound.post_json(peer.url, b"{}", Deadline.after(timedelta(0)), 1000)
    await outbound.close()
    assert (trouble.value.kind, trouble.value.attempts, peer.asked) == (Trouble.TIMED_OUT, 0, [])


async def test_reading_ends_at_the_calls_own_deadline_and_at_no_other() -> None:
    outbound = Outbound()
    await outbound.open()
    assert outbound._reads is not None
    assert outbound._reads.timeout == httpx.Timeout(None)
    await outbound.close()


async def test_an_answer_without_a_declared_length_is_capped_as_it_comes() -> None:
    async def endless(writer: object) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + b"x" * 5000)  # type: ignore[attr-defined]  # a StreamWriter
        writer.close()  # type: ignore[attr-defined]  # the same

    outbound = Outbound()
    await outbound.open()
    async with fakes.running(endless, strict=False) as peer:
        with pytest.raises(OutboundTrouble) as trouble:
            await outbound.post_json(peer.url, b"{}", Deadline.after(timedelta(seconds=30)), 1000)
    await outbound.close()
    assert trouble.value.kind is Trouble.TOO_LARGE


async def test_no_redirect_is_followed_and_no_error_holds_the_address() -> None:
    outbound = Outbound()
    await outbound.open()
    async with fakes.running(fakes.answers(status=307, body=b""), strict=False) as peer:
        answer = await outbound.post_json(peer.url, b"{}", Deadline.after(timedelta(seconds=30)), 1000)
        assert answer.status == 307 and len(peer.asked) == 1
    with pytest.raises(OutboundTrouble) as trouble:
        await outbound.post_json(
            "http://127.0.0.1:9/Patient/p1", b"{}", Deadline.after(timedelta(seconds=30)), 1000
        )
    await outbound.close()
    assert "p1" not in str(trouble.value)
