"""An EHR for tests: it has keys, publishes them and signs tokens, rightly or as an attacker would.

Every key is made at run time; none is in the repository.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, RSAKey

from cds_wrapper.ehr.clients import KnownClient, KnownClients
from cds_wrapper.ehr.key_sets import REGISTRY, KeySet, read_key_set

ISSUER = "https://ehr.example/oauth2"
Key = ECKey | RSAKey

_numbers = itertools.count(1)


def encoded(value: object) -> str:
    """base64url of bytes, text, or JSON."""
    if not isinstance(value, bytes | str):
        value = json.dumps(value)
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@cache
def key_of(kid: str, kind: str = "P-384") -> Key:
    """A private key of that name: a curve, or `RSA` with a number of bits. The same name, the same key."""
    if kind.startswith("RSA"):
        return RSAKey.generate_key(int(kind[3:] or 2048), {"kid": kid})
    return ECKey.generate_key(kind, {"kid": kid})


def public(key: Key, **members: Any) -> dict[str, Any]:
    """The public part as it stands in a key set; a member given as None is left out."""
    whole = {**key.as_dict(private=False), **members}
    return {name: value for name, value in whole.items() if value is not None}


def published(*keys: Key | dict[str, Any]) -> bytes:
    """A key set."""
    return json.dumps({"keys": [key if isinstance(key, dict) else public(key) for key in keys]}).encode()


def signed(header: object, payload: object, key: Key, algorithm: str) -> str:
    """A token with whatever stands in it, and a signature that is right for it."""
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(REGISTRY.get_alg(algorithm).sign(text.encode(), key))}"


@dataclass(frozen=True)
class EHR:
    """Signs for one issuer with one key, as the specification says; every member can be changed."""

    now: datetime
    key: Key = field(default_factory=lambda: key_of("ehr-1"))
    algorithm: str = "ES384"
    issuer: str = ISSUER

    def header(self, **members: Any) -> dict[str, Any]:
        """The header of a right token; a member given as None is left out."""
        whole = {"alg": self.algorithm, "kid": self.key.kid, "typ": "JWT", **members}
        return {name: value for name, value in whole.items() if value is not None}

    def claims(self, audience: object, **members: Any) -> dict[str, Any]:
        """The claims of a right token for an address; a member given as None is left out."""
        issued = int(self.now.timestamp())
        ends = issued + 300
        right = {
            "iss": self.issuer,
            "aud": audience,
            "iat": issued,
            "exp": ends,
            "jti": f"id-{next(_numbers)}",
        }
        return {name: value for name, value in {**right, **members}.items() if value is not None}

    def token(self, audience: object, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A signed token for an address."""
        return signed(
            self.header(**(header or {})), self.claims(audience, **claims), self.key, self.algorithm
        )


def bearer(token: str) -> dict[str, str]:
    """The headers of a call with this token."""
    return {"authorization": f"Bearer {token}", "content-type": "application/json"}


def known(*clients: KnownClient, open_discovery: bool = False) -> KnownClients:
    """The table a door asks."""
    return KnownClients(clients, open_discovery, "sha256:0")


def key_set(*keys: Key | dict[str, Any]) -> KeySet:
    """The usable part of a published set."""
    return read_key_set(published(*keys))


def write_clients(hooks: Path, *entries: str, keys: bytes | None = None, discovery: str = "token") -> Path:
    """A `clients.yaml` with these entries, and `ehr.jwks.json` beside it; gives its path."""
    text = f"discovery: {discovery}\nclients:\n" + "".join(
        "  - " + entry.strip("\n").replace("\n", "\n    ") + "\n" for entry in entries
    )
    (hooks / "clients.yaml").write_text(text)
    (hooks / "ehr.jwks.json").write_bytes(published(key_of("ehr-1")) if keys is None else keys)
    return hooks / "clients.yaml"


NORTH = f"""
name: north
environment: production
issuer: {ISSUER}
keys: {{file: ehr.jwks.json}}
"""
"""The entry of an EHR whose keys stand in `ehr.jwks.json`."""


@dataclass
class KeyServer:
    """Publishes a key set on loopback; what it answers can be changed, held back and counted."""

    body: bytes = b'{"keys": []}'
    status: int = 200
    head: str = ""
    port: int = 0
    asked: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where the set is."""
        return f"http://127.0.0.1:{self.port}/keys"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other, once the gate is open."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.asked += 1
                await self.open.wait()
                length = f"content-length: {len(self.body)}\r\n"
                writer.write(f"HTTP/1.1 {self.status} X\r\n{self.head}{length}\r\n".encode() + self.body)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def key_server(body: bytes) -> AsyncIterator[KeyServer]:
    """A key server on a free port of 127.0.0.1, its gate open, until the block ends."""
    server = KeyServer(body)
    server.open.set()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def soon(seconds: float = 5) -> timedelta:
    """How long a test waits for what must happen."""
    return timedelta(seconds=seconds)
