"""A connection on which a head does not come to its end, or grows without one."""

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
async def connected() -> AsyncIterator[Streams]:
    config = uvicorn.Config(echo, http=BoundedHead, log_config=None, lifespan="off")
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
