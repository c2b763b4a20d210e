"""A FHIR server and an authorisation server on loopback: real HTTP, and whatever answers a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from cds_wrapper.ehr.access import AccessMode, BackendClient, FHIRAccess

TOKEN = "Quetzaltoken"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Says:
    """An answer: a document or raw bytes, a status, more headers; `after` seconds, `every` for a drip."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    every: float = 0.0

    @property
    def content(self) -> bytes:
        """The bytes that go out."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answering = Callable[[Asked], Says]


@dataclass
class FHIRServer:
    """Keeps what it was asked; answers nothing before `wait_for` questions were there at once."""

    answering: Answering
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    together: int = 0
    most_together: int = 0
    wait_for: int = 1

    @property
    def base(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}/fhir"

    @property
    def targets(self) -> list[str]:
        """What was asked for, path and query."""
        return [asked.target for asked in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other on a connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._once(reader, writer)
        writer.close()

    async def _once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = first.split(" ")
        self.asked.append(Asked(method, target, headers, body))
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            while self.most_together < self.wait_for:
                await asyncio.sleep(0.001)
            await _write(writer, self.answering(self.asked[-1]))
        finally:
            self.together -= 1


async def _write(writer: asyncio.StreamWriter, says: Says) -> None:
    await asyncio.sleep(says.after)
    content = says.content
    head = {"content-type": "application/fhir+json", **says.headers, "content-length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    writer.write(f"HTTP/1.1 {says.status} X\r\n{lines}\r\n".encode())
    for piece in [content] if not says.every else [content[at : at + 1] for at in range(len(content))]:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(says.every)


@contextlib.asynccontextmanager
async def fhir_server(answering: Answering | Says) -> AsyncIterator[FHIRServer]:
    """A server on a free port of 127.0.0.1 until the block ends."""
    server = FHIRServer(answering if callable(answering) else lambda _: answering)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def access(
    *servers: str,
    mode: AccessMode = AccessMode.TOKEN,
    within: float = 5.0,
    most_pages: int = 5,
    backend: BackendClient | None = None,
) -> FHIRAccess:
    """What a client's entry says, with time enough unless a test is about time."""
    return FHIRAccess(servers, mode, most_pages, timedelta(seconds=within), backend)


def searchset(*resources: Any, following: str | None = None, **members: Any) -> dict[str, Any]:
    """A page of results, with the address of the next one."""
    link = {"link": [{"relation": "next", "url": following}]} if following else {}
    entries = {"entry": [{"resource": one} for one in resources]} if resources else {}
    return {"resourceType": "Bundle", "type": "searchset", **link, **entries, **members}


def outcome(code: str = "processing", severity: str = "error") -> dict[str, Any]:
    """An OperationOutcome with one issue."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}


def authorization(token: str = TOKEN, expires_in: object = 300) -> dict[str, Any]:
    """The member `fhirAuthorization` of a call."""
    return {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": expires_in,
        "scope": "patient/Patient.read",
        "subject": "cds-wrapper",
    }
