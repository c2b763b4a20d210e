"""A connection on which a message does not come to its end, or grows by what is neither head nor body."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from cds_wrapper.commands import bounded_head
from cds_wrapper.commands.bounded_head import LONGEST_HEAD_BYTES, BoundedHead

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
SOON = 30


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200 once the body has come."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def connected(app: Any = echo) -> AsyncIterator[Streams]:
    config = uvicorn.Config(app, http=BoundedHead, log_config=None, lifespan="off")
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedHead(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SOON):
        return await reader.readuntil(b"\r\n\r\n")


async def end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SOON):
        return await reader.read()


@pytest.mark.parametrize("sent", [b"", b"POST", HEAD, HEAD + b"x-half: "])
async def test_a_head_that_stops_coming_closes_the_connection(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_head, "HEAD_WITHIN_SECONDS", 0.1)
    async with connected() as (reader, writer):
        writer.write(sent)
        assert await end(reader) == b""


async def test_the_second_head_of_a_connection_is_waited_for_no_longer_than_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_head, "HEAD_WITHIN_SECONDS", 0.1)
    async with connected() as (reader, writer):
        writer.write(HEAD + b"\r\n{}")
        assert b" 200 " in await answer(reader)
        writer.write(HEAD)
        assert await end(reader) == b""


async def test_a_body_may_come_later_and_a_connection_may_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_head, "HEAD_WITHIN_SECONDS", 0.1)
    async with connected() as (reader, writer):
        for _ in range(2):
            writer.write(HEAD + b"\r\n")
            await asyncio.sleep(0.3)
            writer.write(b"{}")
            assert b" 200 " in await answer(reader)
            await asyncio.sleep(0.3)


async def test_a_head_that_grows_is_refused_and_the_heads_of_one_connection_are_not_added_up() -> None:
    filler = b"x-filler: " + b"a" * (LONGEST_HEAD_BYTES // 3)
    async with connected() as (reader, writer):
        for _ in range(5):
            writer.write(HEAD + filler)
            await asyncio.sleep(0.01)
            writer.write(b"\r\n\r\n{}")
            assert b" 200 " in await answer(reader)
        writer.write(HEAD)
        for _ in range(8):
            writer.write(filler)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0.01)
        with contextlib.suppress(ConnectionError):
            said = await end(reader)
            assert said.startswith(b"HTTP/1.1 431 ")
        assert reader.at_eof() or reader.exception() is not None


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


async def test_fields_behind_a_body_are_not_taken_for_fields_of_the_head() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        seen.extend(scope["headers"])

    async with connected(app) as (reader, writer):
        for _ in range(2):  # the second head of a connection is a head again
            writer.write(CHUNKED + b"2\r\n{}\r\n0\r\nx-client-certificate: forged\r\n\r\n")
            assert b" 200 " in await answer(reader)
    assert seen == [(b"host", b"x"), (b"transfer-encoding", b"chunked")] * 2


@pytest.mark.parametrize(
    "endless",
    [b"a: b\r\n" * 1_000, b"a: " + b"b" * 6_000, b"b" * 6_000],
    ids=["many fields", "long fields", "one name without end"],
)
async def test_what_stands_behind_a_body_is_bounded_whoever_reads_it(endless: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(CHUNKED + b"2\r\n{}\r\n0\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(2 * LONGEST_HEAD_BYTES // len(endless)):
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0.005)
            assert await end(reader) == b"", "no answer to what is no request"
        assert reader.at_eof() or reader.exception() is not None


async def test_a_large_body_is_not_counted_nor_what_comes_before_the_next_head() -> None:
    size = 3 * LONGEST_HEAD_BYTES
    async with connected() as (reader, writer):
        for _ in range(3):
            writer.write(CHUNKED)
            for _ in range(30):
                writer.write(b"%x\r\n%b\r\n" % (size // 30, b" " * (size // 30)))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            assert b" 200 " in await answer(reader)


@pytest.mark.parametrize("body", [b"", b"2\r\n{", b"2\r\n{}\r\n0\r\na: b\r\n"])
async def test_a_body_that_stops_coming_closes_the_connection_though_it_was_answered(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_head, "REST_WITHIN_SECONDS", 0.3)

    async def refusing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with connected(refusing) as (reader, writer):
        writer.write(CHUNKED)
        assert b" 401 " in await answer(reader)
        writer.write(body)
        assert await end(reader) == b""
