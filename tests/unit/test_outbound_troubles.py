"""What can go wrong on the way to a peer: each kind by its own name, and nothing is ever sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cds_wrapper.errors import OutboundTrouble, Trouble
from cds_wrapper.outbound import AGAIN_AFTER, Answer, Deadline, Outbound
from cds_wrapper.vendors.base import Status
from cds_wrapper.vendors.peer import called
from tests import fakes
from tests.certificates import Authority

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Pause = Callable[[float], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
WHOLE = HEAD + b"content-length: 2\r\n\r\n{}"


class Peer:
    """Counts connections and questions; says what it was told to, then closes or resets."""

    def __init__(self, *says: bytes, resets: bool = False, reads: bool = True) -> None:
        self.says, self.resets, self.reads = says, resets, reads
        self.connections = self.questions = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.reads:
            await reader.readuntil(b"\r\n\r\n{}")
            self.questions += 1
        for part in self.says:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)  # so that the parts arrive one by one
        if self.resets:
            without_waiting = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, without_waiting)
            writer.transport.abort()
        writer.close()


@contextlib.asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def pool(ca: Path | None = None, pause: Pause = asyncio.sleep) -> AsyncIterator[Outbound]:
    outbound = Outbound(str(ca) if ca else None, pause=pause)
    await outbound.open()
    try:
        yield outbound
    finally:
        await outbound.close()


async def ask(outbound: Outbound, url: str, seconds: float = 3.0) -> Answer | OutboundTrouble:
    try:
        return await outbound.post_json(url, b"{}", Deadline.after(timedelta(seconds=seconds)), 1000)
    except OutboundTrouble as trouble:
        return trouble


BROKEN = [
    (Peer(), Trouble.CLOSED_EARLY),
    (Peer(reads=False), Trouble.CLOSED_EARLY),
    (Peer(b"HTTP/1.1 200 O"), Trouble.CLOSED_EARLY),
    (Peer(resets=True), Trouble.RESET),
    (Peer(HEAD + b"content-length: 100\r\n\r\n{"), Trouble.CUT_OFF),
    (Peer(HEAD + b"content-length: 100\r\n\r\n{", resets=True), Trouble.CUT_OFF),
    (Peer(HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nab"), Trouble.CUT_OFF),
    (Peer(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\nab"), Trouble.NOT_HTTP),
    (Peer(HEAD + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd"), Trouble.NOT_HTTP),
    (Peer(HEAD + b"x-long: " + b"a" * 100_000 + b"\r\n\r\n"), Trouble.NOT_HTTP),
    (Peer(b"HTTP/1.1 2000 OK\r\n\r\n"), Trouble.NOT_HTTP),
    (Peer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), Trouble.NOT_HTTP),
    (Peer(HEAD + b"content-length: 5000\r\n\r\n{}"), Trouble.TOO_LARGE),
    (Peer(HEAD + b"\r\n", b"x" * 900, b"x" * 900), Trouble.TOO_LARGE),
]


@pytest.mark.parametrize(
    ("peer", "kind"), BROKEN, ids=[f"{i}-{kind.value}" for i, (_, kind) in enumerate(BROKEN)]
)
async def test_what_broke_off_has_a_name_of_its_own_and_was_sent_once(peer: Peer, kind: Trouble) -> None:
    async with listening(peer) as port, pool() as outbound:
        trouble = await ask(outbound, f"http://127.0.0.1:{port}/")
    assert isinstance(trouble, OutboundTrouble) and (trouble.kind, trouble.attempts) == (kind, 1)
    assert (peer.connections, peer.questions) == (1, int(peer.reads))
    assert called(kind).status is Status.UNREADABLE and called(kind).reason == kind.value


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\n", HEAD, WHOLE[:-1]], ids=["nothing", "line", "head", "most"]
)
async def test_whoever_stops_in_the_middle_and_stays_has_timed_out(said: bytes) -> None:
    let_go = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(said)
        await let_go.wait()
        writer.close()

    async with listening(serve) as port, pool() as outbound:
        trouble = await ask(outbound, f"http://127.0.0.1:{port}/", 0.2)
        let_go.set()
    assert isinstance(trouble, OutboundTrouble) and (trouble.kind, trouble.attempts) == (Trouble.TIMED_OUT, 1)
    assert called(trouble.kind).status is Status.TIMED_OUT


# No connection ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:9/", Trouble.REFUSED_CONNECTION),
        ("https://127.0.0.1:9/", Trouble.REFUSED_CONNECTION),
        ("http://model.invalid/", Trouble.DNS),
    ],
)
async def test_where_no_connection_could_be_made_another_is_tried_and_no_third(
    url: str, kind: Trouble
) -> None:
    async with pool() as outbound:
        trouble = await ask(outbound, url)
    assert isinstance(trouble, OutboundTrouble) and (trouble.kind, trouble.attempts) == (kind, 2)
    assert (called(kind).status, called(kind).reason) == (Status.UNREACHABLE, kind.value)


async def test_a_peer_that_is_there_at_the_second_attempt_is_asked_once() -> None:
    peer = Peer(WHOLE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    servers = []

    async def meanwhile(_seconds: float) -> None:
        servers.append(await asyncio.start_server(peer, "127.0.0.1", port))

    async with pool(pause=meanwhile) as outbound:
        answer = await ask(outbound, f"http://127.0.0.1:{port}/")
    for server in servers:
        server.close()
    assert isinstance(answer, Answer) and (answer.status, answer.attempts, peer.questions) == (200, 2, 1)


async def test_no_second_attempt_begins_when_there_is_no_time_for_it() -> None:
    async with pool() as outbound:
        trouble = await ask(outbound, "http://127.0.0.1:9/", AGAIN_AFTER.total_seconds() / 2)
    assert isinstance(trouble, OutboundTrouble) and trouble.attempts == 1


async def test_a_peer_that_lets_nobody_in_is_told_from_one_that_is_slow() -> None:
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # whoever waits in the queue of a listener that never accepts
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        async with pool() as outbound:
            trouble = await ask(outbound, f"http://127.0.0.1:{full.getsockname()[1]}/", 0.4)
    assert isinstance(trouble, OutboundTrouble)
    assert (trouble.kind, trouble.attempts) == (Trouble.CONNECT_TIMED_OUT, 2)
    assert called(trouble.kind).status is Status.UNREACHABLE


@pytest.mark.parametrize("fault", ["another authority", "another name", "no TLS at all"])
async def test_a_peer_that_does_not_prove_who_it_is_is_sent_nothing(fault: str, tmp_path: Path) -> None:
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    issuer, name = (others if fault == "another authority" else ours), "127.0.0.1"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issuer.issue("127.0.0.2" if fault == "another name" else name))
    peer = (
        Peer(b"HTTP/1.1 400 This is plain HTTP\r\n\r\n", reads=False)
        if fault == "no TLS at all"
        else Peer(WHOLE)
    )
    tls = None if fault == "no TLS at all" else context
    async with listening(peer, tls) as port, pool(ours.certificate) as outbound:
        trouble = await ask(outbound, f"https://{name}:{port}/")
    assert isinstance(trouble, OutboundTrouble) and trouble.kind is Trouble.TLS
    assert trouble.attempts == 1 and peer.questions == 0, "a certificate is the same at a second look"
    assert (called(Trouble.TLS).status, called(Trouble.TLS).reason) == (Status.UNREACHABLE, "tls")


# Kept connections -------------------------------------------------------------------------------------------


async def test_a_kept_connection_that_dies_under_a_question_costs_it_and_it_is_not_sent_again() -> None:
    """The client library repeats a GET by itself; a POST may have been read, and is never repeated."""
    questions = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal questions
        for says in (WHOLE, b""):
            await reader.readuntil(b"\r\n\r\n{}")
            questions += 1
            writer.write(says)
        writer.close()

    async with listening(serve) as port, pool() as outbound:
        url = f"http://127.0.0.1:{port}/"
        first, second = await ask(outbound, url), await ask(outbound, url)
        assert isinstance(first, Answer) and isinstance(second, OutboundTrouble)
        assert (second.kind, second.attempts, questions) == (Trouble.CLOSED_EARLY, 1, 2)


async def test_a_get_that_finds_nobody_is_tried_once_more_and_counted() -> None:
    async with pool() as outbound:
        with pytest.raises(OutboundTrouble) as raised:
            await outbound.get_json("http://127.0.0.1:9/", Deadline.after(timedelta(seconds=3)), 1000)
    assert (raised.value.kind, raised.value.attempts) == (Trouble.REFUSED_CONNECTION, 2)


async def test_a_kept_connection_that_the_peer_has_closed_is_not_used_again() -> None:
    peer = Peer(WHOLE)
    async with listening(peer) as port, pool() as outbound:
        for _ in range(3):
            answer = await ask(outbound, f"http://127.0.0.1:{port}/")
            assert isinstance(answer, Answer) and answer.status == 200
            await asyncio.sleep(0.05)  # its end arrives meanwhile
    assert peer.questions == peer.connections == 3


async def test_every_kind_of_trouble_has_a_status_in_the_record() -> None:
    assert {called(kind).status for kind in Trouble} == {
        Status.TIMED_OUT,
        Status.UNREACHABLE,
        Status.UNREADABLE,
    }


async def test_a_call_beyond_the_pools_size_waits_for_no_longer_than_its_own_time() -> None:
    outbound = Outbound(connections=1)
    await outbound.open()
    async with fakes.running(fakes.says_nothing_for(2), strict=False) as peer:
        long, short = await asyncio.gather(ask(outbound, peer.url, 0.6), ask(outbound, peer.url, 0.2))
    await outbound.close()
    assert isinstance(long, OutboundTrouble) and isinstance(short, OutboundTrouble)
    assert len(peer.asked) == 1


@pytest.mark.parametrize(("resets", "kind"), [(False, Trouble.CLOSED_EARLY), (True, Trouble.RESET)])
async def test_a_score_that_is_read_is_asked_for_once_too(resets: bool, kind: Trouble) -> None:
    """The library would send a GET again whose connection ended before anything came."""
    questions = 0

    async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal questions
        await reader.readuntil(b"\r\n\r\n")
        questions += 1
        if resets:
            without_waiting = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, without_waiting)
            writer.transport.abort()
        writer.close()

    outbound = Outbound()
    await outbound.open()
    async with listening(ends) as port:
        with pytest.raises(OutboundTrouble) as trouble:
            await outbound.get_json(f"http://127.0.0.1:{port}/", Deadline.after(timedelta(seconds=5)), 100)
    await outbound.close()
    assert (questions, trouble.value.kind, trouble.value.attempts) == (1, kind, 1)
