"""Key sets from an EHR's own endpoint: fetched ahead, rotated, kept while it is down, no stampede."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest

from cds_wrapper.ehr.clients import KeyAddress, KnownClient
from cds_wrapper.ehr.keys import LARGEST_KEY_SET, KeyRing
from cds_wrapper.log import OperatorLog
from cds_wrapper.outbound import Outbound
from tests.ehr import ISSUER, key_of, key_server, key_set, published

ONE, TWO = key_of("one"), key_of("two")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class Clock:
    """A clock that a test moves."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Ring:
    """A ring with one client, its clock and its log."""

    ring: KeyRing
    client: KnownClient
    clock: Clock
    stream: StringIO = field(repr=False)

    def names(self) -> set[str] | None:
        keys = self.ring.of(self.client)
        return None if keys is None else set(keys.names)

    async def renewed(self) -> set[str] | None:
        keys = await self.ring.renewed(self.client)
        return None if keys is None else set(keys.names)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@contextlib.asynccontextmanager
async def ring(
    url: str, *, refresh: timedelta = HOUR, floor: float = 30, wait: float = 5, open_it: bool = True
) -> AsyncIterator[Ring]:
    outbound = Outbound()
    await outbound.open()
    client = KnownClient("north", "production", ISSUER, keys=KeyAddress(url, refresh, DAY))
    stream, clock = StringIO(), Clock()
    made = KeyRing(
        [client],
        outbound,
        OperatorLog("test-0", stream),
        floor=timedelta(seconds=floor),
        wait=timedelta(seconds=wait),
        clock=clock,
    )
    if open_it:
        await made.open()
    try:
        yield Ring(made, client, clock, stream)
    finally:
        await made.close()
        await outbound.close()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail when it does not within ten seconds."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_set_is_there_once_the_ring_is_open() -> None:
    async with key_server(published(ONE)) as server, ring(server.url) as opened:
        assert opened.names() == {"one"} and server.asked == 1
        assert opened.events() == []


async def test_keys_from_a_file_need_no_network() -> None:
    outbound = Outbound()
    client = KnownClient("north", "production", ISSUER, keys=key_set(ONE))
    made = KeyRing([client], outbound, OperatorLog("test-0", StringIO()))
    await made.open()
    assert made.of(client) is client.keys and await made.renewed(client) is client.keys
    await made.close()


async def test_a_key_nobody_has_seen_is_fetched_at_once_but_not_again_before_the_floor() -> None:
    async with key_server(published(ONE)) as server, ring(server.url) as opened:
        server.body = published(ONE, TWO)
        assert await opened.renewed() == {"one"} and server.asked == 1
        opened.clock.at += 30
        assert await opened.renewed() == {"one", "two"} and server.asked == 2
        for _ in range(100):
            await opened.renewed()
        assert server.asked == 2


async def test_calls_that_come_together_share_one_fetch() -> None:
    async with key_server(published(ONE)) as server, ring(server.url, open_it=False) as opened:
        found = await asyncio.gather(*(opened.renewed() for _ in range(50)))
        assert found == [{"one"}] * 50 and server.asked == 1


async def test_no_call_waits_for_a_slow_endpoint_and_the_fetch_goes_on() -> None:
    async with key_server(published(ONE)) as server, ring(server.url, wait=0.02, open_it=False) as opened:
        server.open.clear()
        found = await asyncio.gather(*(opened.renewed() for _ in range(20)))
        assert found == [None] * 20
        server.open.set()
        await until(lambda: opened.names() == {"one"})
        assert server.asked == 1


async def test_a_withdrawn_key_stops_working_though_nobody_calls() -> None:
    async with key_server(published(ONE, TWO)) as server:
        async with ring(server.url, refresh=timedelta(0), floor=0.01) as opened:
            assert opened.names() == {"one", "two"}
            server.body = published(TWO)
            opened.clock.at += 1
            await until(lambda: opened.names() == {"two"})


async def test_a_set_that_became_empty_trusts_nobody_and_is_said() -> None:
    async with key_server(published(ONE)) as server, ring(server.url) as opened:
        server.body = b'{"keys": []}'
        opened.clock.at += 30
        assert await opened.renewed() == set()
        (event,) = opened.events()
        assert (event["event"], event["keys"], event["client"]) == ("client_keys_read", 0, "north")


async def test_a_private_key_that_an_ehr_publishes_is_not_used_and_is_said() -> None:
    leaked = {**ONE.as_dict(private=True), "kid": "leaked"}
    async with key_server(published(TWO, leaked)) as server, ring(server.url) as opened:
        assert opened.names() == {"two"}
        (event,) = opened.events()
        assert (event["event"], event["private"]) == ("client_keys_read", 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": 503}, "http_503"),
        ({"status": 302, "head": "location: http://127.0.0.1:1/keys\r\n"}, "http_302"),
        ({"status": 204, "body": b""}, "http_204"),
        ({"body": b"<html>canary</html>"}, "unreadable"),
        ({"body": b'{"keys": "canary"}'}, "unreadable"),
        ({"body": b'{"keys": [' + b" " * LARGEST_KEY_SET + b"]}"}, "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_the_last_good_set_stays_when_no_good_one_comes(change: dict[str, Any], reason: str) -> None:
    async with key_server(published(ONE)) as server, ring(server.url) as opened:
        for name, value in change.items():
            setattr(server, name, value)
        opened.clock.at += 3600
        assert await opened.renewed() == {"one"}
        (event,) = opened.events()
        assert (event["event"], event["reason"], event["client"], event["level"]) == (
            "client_keys_unavailable",
            reason,
            "north",
            "warning",
        )
        assert event["keys_age_seconds"] == 3600 and "canary" not in str(event)


async def test_the_last_good_set_does_not_stay_for_ever() -> None:
    async with key_server(published(ONE)) as server, ring(server.url) as opened:
        server.status = 500
        opened.clock.at += (HOUR + DAY).total_seconds()
        assert opened.names() == {"one"}
        opened.clock.at += 1
        assert opened.names() is None
        server.status = 200
        assert await opened.renewed() == {"one"}


async def test_an_endpoint_that_is_not_there_stops_nobodys_start_and_is_tried_again() -> None:
    async with key_server(published(ONE)) as server:
        url = server.url
        server.status = 500
        async with ring(url, floor=0.01) as opened:
            assert opened.names() is None
            server.status = 200
            opened.clock.at += 1
            await until(lambda: opened.names() == {"one"})
            await until(lambda: opened.events()[-1]["event"] == "client_keys_read")


async def test_nothing_listening_is_told_without_an_address() -> None:
    async with ring("http://127.0.0.1:9/keys-canary") as opened:
        assert opened.names() is None
        assert (
            opened.events()[0]["reason"] == "refused_connection" and "canary" not in opened.stream.getvalue()
        )


async def test_closing_stops_a_fetch_that_is_under_way() -> None:
    async with key_server(published(ONE)) as server:
        server.open.clear()
        async with ring(server.url, wait=0.01, open_it=False) as opened:
            assert await opened.renewed() is None
        assert opened.names() is None
        server.open.set()
