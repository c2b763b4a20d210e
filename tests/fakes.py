"""A vendor on loopback that does to a caller whatever real vendors have been seen to do.

It speaks real HTTP over a real socket; only its answers are chosen by the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.contract import wire

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]

DEFAULT_CARD = {
    "uuid": "0d9f2c9e-6a4b-4f6e-9c93-0d7f1f0d3f11",
    "summary": "10-year cardiovascular risk 3.1 %",
    "indicator": "info",
    "detail": "Estimated from the chart.",
    "source": {"label": "Demonstration model"},
    "extension": {"org.example.prevent": {"probability": 0.031, "version": "2023.1"}},
}


def card_answer(score: object = 0.031, version: str = "2023.1", **members: Any) -> dict[str, Any]:
    """An answer with one card whose extension holds score and version."""
    extension = {"org.example.prevent": {"probability": score, "version": version}}
    return {"cards": [{**DEFAULT_CARD, "extension": extension, **members}]}


@dataclass
class FakeVendor:
    """Counts and keeps what it was asked; answers as `behaviour` says."""

    behaviour: Behaviour
    port: int = 0
    scheme: str = "http"
    asked: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where its one service answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}/cds-services/prevent"

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other on a connection until the peer closes it."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (
                        int(line.split(":")[1])
                        for line in head.splitlines()
                        if line.lower().startswith("content-length")
                    ),
                    0,
                )
                body = await reader.readexactly(length)
                self.heads.append(head)
                self.bodies.append(body)
                self.asked.append(json.loads(body) if body else {})
                await self.behaviour(writer)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def running(
    behaviour: Behaviour, *, strict: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FakeVendor]:
    """A vendor that listens on a free port of 127.0.0.1 until the block ends.

    A strict one fails its test when it was sent anything that is no hook call and no feedback of CDS Hooks
    2.0.1.
    """
    vendor = FakeVendor(behaviour, scheme="https" if tls else "http")
    server = await asyncio.start_server(vendor.serve_connection, "127.0.0.1", 0, ssl=tls)
    vendor.port = server.sockets[0].getsockname()[1]
    try:
        yield vendor
    finally:
        server.close()
    assert not strict or [wrong for body in vendor.bodies for wrong in wire.question(body)] == []


def answers(
    document: object | None = None,
    *,
    status: int = 200,
    body: bytes | None = None,
    kind: str = "application/json",
) -> Behaviour:
    """Answer with a document (or raw bytes) and a status."""
    content = json.dumps(document).encode() if body is None else body

    async def behave(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)

    return behave


def says_nothing_for(seconds: float) -> Behaviour:
    """Read the question and stay silent."""

    async def behave(_writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)

    return behave


def stops_in_the_middle() -> Behaviour:
    """Promise a thousand bytes, send some and close."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"cards": ['
        )
        await writer.drain()
        writer.close()

    return behave


def closes_at_once() -> Behaviour:
    """Close without a byte."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.close()

    return behave


def drips(every: float) -> Behaviour:
    """Send a correct answer one byte at a time."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        content = json.dumps(card_answer()).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        writer.write(head.encode())
        for byte in content:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every)

    return behave
