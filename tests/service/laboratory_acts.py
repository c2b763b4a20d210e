"""What the laboratory's vendors do when they are told to: over a real socket, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.service.laboratory_adapters import PLANTED, RIGHT, Adapter, Said, answer_of


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection with one question on it; `gave_up` is set once the wrapper has closed its end."""

    adapter: Adapter
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    question: bytes
    gave_up: asyncio.Event

    async def send(self, *parts: bytes) -> None:
        """Send each part by itself."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def until_given_up(self) -> None:
        """Return when the wrapper has closed the connection."""
        with contextlib.suppress(ConnectionError):
            await self.reader.read()
        self.writer.close()
        self.gave_up.set()

    async def is_given_up_within(self, seconds: float) -> bool:
        """Wait for the next byte to be due, or for the end of the connection."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.read()
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


Act = Callable[[Wire], Awaitable[None]]


def message(body: bytes, status: int = 200, kind: str = "application/json", more: str = "") -> bytes:
    """An answer of HTTP/1.1."""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{more}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass(frozen=True, slots=True)
class Says:
    """Answer by the protocol."""

    said: Said

    async def __call__(self, wire: Wire) -> None:
        """Over HTTP; a callable returns the same."""
        await wire.send(message(answer_of(wire.adapter, self.said)))


def says(said: Said = RIGHT) -> Says:
    """Answer by the protocol: rightly, unless told otherwise."""
    return Says(said)


@dataclass(frozen=True, slots=True)
class Does:
    """What only a callable does, by its name in `laboratory_model`."""

    deed: str


Deed = Act | Does


def sends(body: bytes, status: int = 200, kind: str = "application/json", more: str = "") -> Act:
    """Answer with whatever bytes."""

    async def act(wire: Wire) -> None:
        await wire.send(message(body, status, kind, more))

    return act


def is_silent(*before: bytes) -> Act:
    """Send the beginning of an answer, or nothing, and keep the connection."""

    async def act(wire: Wire) -> None:
        await wire.send(*before)
        await wire.until_given_up()

    return act


async def says_half_and_stays(wire: Wire) -> None:
    """Send half of a right answer and keep the connection."""
    whole = message(answer_of(wire.adapter, RIGHT))
    await is_silent(whole[:-20])(wire)


def drips(start: bytes, then: bytes = b"a") -> Act:
    """Send a start and then byte after byte without end."""

    async def act(wire: Wire) -> None:
        await wire.send(start)
        while not await wire.is_given_up_within(0.02):
            with contextlib.suppress(ConnectionError):
                await wire.send(then)
        wire.writer.close()
        wire.gave_up.set()

    return act


def closes_after(*parts: bytes) -> Act:
    """Send some bytes, or none, and close."""

    async def act(wire: Wire) -> None:
        await wire.send(*parts)
        wire.writer.close()

    return act


def resets_after(*parts: bytes) -> Act:
    """Send some bytes, or none, and reset the connection once they have been taken."""

    async def act(wire: Wire) -> None:
        await wire.send(*parts)
        await _until_taken(wire.writer)
        at_once = struct.pack("ii", 1, 0)
        wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        wire.writer.transport.abort()

    return act


async def _until_taken(writer: asyncio.StreamWriter) -> None:
    """A reset overtakes what its peer has not read yet: leave that to the peer's loop, which is ours."""
    for _ in range(20):
        await asyncio.sleep(0)
    assert writer.transport.get_write_buffer_size() == 0


async def echoes(wire: Wire) -> None:
    """Refuse by a 400 that repeats the question, patient and all."""
    await sends(
        b'{"detail": "' + PLANTED.encode() + b'", "input": ' + (wire.question or b"null") + b"}", 400
    )(wire)


async def says_as_text(wire: Wire) -> None:
    """Give a right answer under a wrong content type."""
    await wire.send(message(answer_of(wire.adapter, RIGHT), kind="text/html"))


async def says_packed(wire: Wire) -> None:
    """Give a right answer, compressed."""
    packed = gzip.compress(answer_of(wire.adapter, RIGHT))
    await wire.send(message(packed, more="content-encoding: gzip\r\n"))


async def stops_in_the_middle(wire: Wire) -> None:
    """Give JSON that ends too soon, under a length that is right."""
    await wire.send(message(answer_of(wire.adapter, RIGHT)[:-9]))


async def sends_without_end(wire: Wire) -> None:
    """Send more and more, without a length."""
    await wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while not wire.writer.is_closing() and not wire.reader.at_eof():
            await wire.send(b" " * 65536)
    wire.writer.close()


BOMB = gzip.compress(b" " * 100_000_000)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
PAGE = f"<html><h1>Sign in, {PLANTED}</h1></html>".encode()
PROBLEM = json.dumps({"detail": PLANTED}).encode()
DEEP = b'{"cards": ' * 60_000
