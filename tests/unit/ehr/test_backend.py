"""A token of our own from an authorisation server: asked for rightly, kept, renewed, and never by force."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jws import JWSRegistry

from cds_wrapper.ehr.access import BackendClient
from cds_wrapper.ehr.backend import as_client, backend_tokens
from cds_wrapper.log import OperatorLog
from cds_wrapper.outbound import Answer, Deadline, Outbound
from cds_wrapper.own_tokens import OwnToken, OwnTokens, read_token, token_request
from tests.ehr import Key, key_of, soon
from tests.fhir import TOKEN, Asked, FHIRServer, Says, fhir_server

NOW = 1_782_820_800
GRANTED = {"access_token": TOKEN, "token_type": "bearer", "expires_in": 300, "scope": "system/*.rs"}


def backend_at(url: str, key: Key | None = None) -> BackendClient:
    return BackendClient(url, "wrapper-1", "system/Patient.rs", key or key_of("own-1"))


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def asking(
    server: FHIRServer, clock: Clock | None = None
) -> AsyncIterator[tuple[OwnTokens, io.StringIO]]:
    outbound, lines = Outbound(), io.StringIO()
    await outbound.open()
    tokens = backend_tokens(
        "north", backend_at(f"{server.base}/token"), outbound, OperatorLog("t", lines), clock=clock or Clock()
    )
    try:
        yield tokens, lines
    finally:
        await tokens.close()
        await outbound.close()


def within(seconds: float = 5.0) -> Deadline:
    return Deadline.after(soon(seconds))


def told(lines: io.StringIO) -> list[tuple[str, str | None]]:
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [(event["event"], event.get("reason")) for event in events]


@pytest.mark.parametrize(("kind", "algorithm"), [("P-384", "ES384"), ("RSA2048", "RS384")])
def test_the_assertion_is_signed_for_one_use_within_five_minutes(kind: str, algorithm: str) -> None:
    key = key_of(f"own-{kind}", kind)
    client = as_client(backend_at("https://auth.example/token", key))
    form, other = token_request(client, NOW).form, token_request(client, NOW).form
    registry = JWSRegistry(algorithms=[algorithm])
    read = [jwt.decode(one["client_assertion"], key, registry=registry) for one in (form, other)]
    claims = dict(read[0].claims)
    assert claims.pop("jti") != read[1].claims["jti"]
    assert claims == {
        "iss": "wrapper-1",
        "sub": "wrapper-1",
        "aud": "https://auth.example/token",
        "iat": NOW,
        "exp": NOW + 300,
    }
    assert read[0].header == {"alg": algorithm, "kid": f"own-{kind}", "typ": "JWT"}
    assert {**form, "client_assertion": ""} == {
        "grant_type": "client_credentials",
        "scope": "system/Patient.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "",
    }


async def test_a_token_is_asked_for_once_by_however_many_calls_and_kept() -> None:
    async with fhir_server(Says(GRANTED, after=0.05)) as server, asking(server) as (tokens, lines):
        first = await asyncio.gather(*(tokens.token(within()) for _ in range(20)))
        assert set(first) == {TOKEN} and await tokens.token(within()) == TOKEN
        (asked,) = server.asked
    assert (asked.method, asked.target) == ("POST", "/fhir/token")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.form["grant_type"] == "client_credentials" and "authorization" not in asked.headers
    assert lines.getvalue() == ""


async def test_a_token_is_renewed_shortly_before_its_end_while_it_still_serves() -> None:
    given = iter(["first", "second", "third"])
    clock = Clock()

    def answering(_asked: Asked) -> Says:
        return Says({**GRANTED, "access_token": next(given)})

    async with fhir_server(answering) as server, asking(server, clock) as (tokens, _):
        assert await tokens.token(within()) == "first"
        clock.now += 269
        assert await tokens.token(within()) == "first" and len(server.asked) == 1
        clock.now += 2
        assert await tokens.token(within()) == "first", "it lives long enough for this call"
        async with asyncio.timeout(60):
            while await tokens.token(within()) != "second":
                await asyncio.sleep(0)
        clock.now += 298
        assert await tokens.token(within()) == "third", (
            "a token that could end during a call is not begun with"
        )


async def test_a_token_the_fhir_server_refuses_is_forgotten_and_another_ones_is_not() -> None:
    async with fhir_server(Says(GRANTED)) as server, asking(server) as (tokens, _):
        await tokens.token(within())
        tokens.forget("another")
        await tokens.token(within())
        assert len(server.asked) == 1
        tokens.forget(TOKEN)
        await tokens.token(within())
        assert len(server.asked) == 2


async def test_a_server_that_refuses_every_token_does_not_have_one_asked_for_by_every_call() -> None:
    given, clock = (f"token-{number}" for number in range(1000)), Clock()
    async with fhir_server(lambda _: Says({**GRANTED, "access_token": next(given)})) as server:
        async with asking(server, clock) as (tokens, _):
            for _ in range(20):
                tokens.forget(await tokens.token(within()) or "none")
            assert len(server.asked) == 2
            clock.now += 5.0
            tokens.forget(await tokens.token(within()) or "none")
            await tokens.token(within())
            assert len(server.asked) == 3


async def test_a_slow_server_holds_a_call_up_no_longer_than_its_time_and_serves_the_next_one() -> None:
    async with fhir_server(Says(GRANTED, after=0.3)) as server, asking(server) as (tokens, _):
        assert await tokens.token(within(0.05)) is None
        assert await tokens.token(within()) == TOKEN and len(server.asked) == 1


GARBAGE = [
    (Says({"error": "invalid_client"}, status=400), "http_400"),
    (Says({"error": TOKEN}, status=401), "http_401"),
    (Says(b"<html>", status=503), "http_503"),
    (Says(b"", status=302, headers={"location": "http://169.254.169.254/"}), "http_302"),
    (Says(b"<html>"), "no_token"),
    (Says([]), "no_token"),
    (Says({}), "no_token"),
    (Says({**GRANTED, "access_token": ""}), "no_token"),
    (Says({**GRANTED, "access_token": "a b"}), "no_token"),
    (Says({**GRANTED, "access_token": "a\r\nx: y"}), "no_token"),
    (Says({**GRANTED, "access_token": "é"}), "no_token"),
    (Says({**GRANTED, "access_token": 5}), "no_token"),
    (Says({**GRANTED, "access_token": "x" * 20_000}), "no_token"),
    (Says({**GRANTED, "token_type": "mac"}), "no_token"),
    (Says({**GRANTED, "expires_in": 0}), "no_token"),
    (Says({**GRANTED, "expires_in": -1}), "no_token"),
    (Says({**GRANTED, "expires_in": "soon"}), "no_token"),
    (Says({**GRANTED, "expires_in": "nan"}), "no_token"),
    (Says(b"[" * 100_000), "too_large"),
    (Says(b" " * 100_000), "too_large"),
]


@pytest.mark.parametrize(("says", "reason"), GARBAGE)
async def test_a_server_that_gives_no_token_is_said_and_not_asked_by_every_call(
    says: Says, reason: str
) -> None:
    clock = Clock()
    async with fhir_server(says) as server, asking(server, clock) as (tokens, lines):
        assert [await tokens.token(within()) for _ in range(3)] == [None] * 3
        assert len(server.asked) == 1
        clock.now += 6
        await tokens.token(within())
        assert len(server.asked) == 2
        server.answering = lambda _: Says(GRANTED)
        clock.now += 6
        assert await tokens.token(within()) == TOKEN
    assert told(lines) == [("fhir_token_unavailable", reason)] * 2 + [("fhir_token_read", None)]
    assert TOKEN not in lines.getvalue()


async def test_a_server_that_is_not_there_is_said() -> None:
    async with fhir_server(Says(GRANTED)) as server:
        pass
    async with asking(server) as (tokens, lines):
        assert await tokens.token(within()) is None
    assert told(lines) == [("fhir_token_unavailable", "refused_connection")]


@pytest.mark.parametrize(
    ("expires_in", "lives"),
    [(300, 300.0), ("300", 300.0), (10**12, 3600.0), (1.5, 1.5), (None, 60.0)],
)
def test_how_long_a_token_is_kept(expires_in: Any, lives: float) -> None:
    document = {name: value for name, value in GRANTED.items() if name != "expires_in"}
    if expires_in is not None:
        document["expires_in"] = expires_in
    token = read_token(Answer(200, json.dumps(document).encode()), 10.0)
    assert isinstance(token, OwnToken) and token.until == 10 + lives and token.renew_at < token.until
    assert TOKEN not in repr(token)
