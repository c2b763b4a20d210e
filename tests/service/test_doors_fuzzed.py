"""The running service under calls that nobody would write: bent bodies, stray bytes, odd headers.

Whatever comes, the answer is one that the OpenAPI document describes, never an error of ours, and neither it
nor the operator log repeats anything of the call. The seeds are every named case and every odd call we know.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.odd_requests import ODD
from tests.contract.openapi import unlike_document
from tests.service.doors import guarded_server, token_for
from tests.service.harness import ROOT
from tests.service.servers import Server

CANARY = "Quetzalcoatl"
PATH, FEEDBACK = "/cds-services/cvd-risk", "/cds-services/cvd-risk/feedback"
ENTRY = {"card": "c", "outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:00Z"}
CASES = sorted((ROOT / "fixtures" / "requests").glob("*.json"))
SEEDS = [*(path.read_bytes() for path in CASES), *(odd.body for odd in ODD.values())]
READABLE = [json.loads(path.read_bytes()) for path in CASES[:6]] + [{"feedback": [ENTRY, {**ENTRY}]}]
ALWAYS_THE_SAME = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# Every text in what is made up begins so, and is looked for wherever it must not be.
marked = st.text(max_size=12).map(lambda text: CANARY + text)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), marked, st.just(""), st.just([]))
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(marked, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory, vendor_base: str) -> Iterator[Server]:
    with guarded_server(tmp_path_factory.mktemp("fuzzed"), vendor_base) as running:
        yield running
        assert CANARY not in running.log() and "invocation_failed" not in running.log()


@pytest.fixture(scope="module")
def ehr(wrapped: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=wrapped.url, timeout=20) as client:
        yield client


def send(ehr: httpx.Client, path: str, body: bytes) -> httpx.Response:
    headers = {"authorization": token_for(path), "content-type": "application/json"}
    return ehr.post(path, content=body, headers=headers)


def check(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses
    assert unlike_document(answer) == []
    assert CANARY not in answer.text or answer.status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("path", [PATH, FEEDBACK])
def test_every_seed_is_answered_as_described(path: str, ehr: httpx.Client) -> None:
    for seed in SEEDS:
        check(send(ehr, path, seed), 200, 400)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every member and item."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A right body with some members replaced, taken away or added."""
    body = json.loads(json.dumps(draw(st.sampled_from(READABLE))))
    for _ in range(draw(st.integers(1, 4))):
        ways = list(places(body))
        if not ways:
            break
        *way, last = draw(st.sampled_from(ways))
        holder = body
        for key in way:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove":
            del holder[last]
        elif change == "add" and isinstance(holder, dict):
            holder[draw(marked)] = draw(values)
        else:
            holder[last] = draw(values)
    return json.dumps(body).encode()


@pytest.mark.slow
@settings(ALWAYS_THE_SAME, max_examples=200)
@given(body=bent(), path=st.sampled_from([PATH, FEEDBACK]))
def test_a_bent_body_is_answered_or_refused_without_repeating_it(
    body: bytes, path: str, ehr: httpx.Client
) -> None:
    check(send(ehr, path, body), 200, 400)


@pytest.mark.slow
@settings(ALWAYS_THE_SAME, max_examples=200)
@given(
    seed=st.sampled_from(SEEDS),
    at=st.integers(0, 5000),
    length=st.integers(0, 40),
    patch=st.one_of(st.binary(max_size=20), marked.map(lambda text: text.encode("utf-8", "replace"))),
    path=st.sampled_from([PATH, FEEDBACK]),
)
def test_stray_bytes_in_a_body_are_no_error_of_ours(
    seed: bytes, at: int, length: int, patch: bytes, path: str, ehr: httpx.Client
) -> None:
    place = at % (len(seed) + 1)
    check(send(ehr, path, seed[:place] + patch + seed[place + length :]), 200, 400)


NAMES = ["authorization", "content-type", "content-length", "transfer-encoding", "expect", "origin", "cookie"]
header = st.tuples(
    st.sampled_from([*NAMES, "x-forwarded-for", "accept", "content-encoding", "x-request-id"]),
    st.one_of(
        st.binary(max_size=30).filter(lambda raw: not set(raw) & set(b"\r\n")),
        marked.map(lambda text: "".join(text.split()).encode()),
        st.sampled_from(
            [b"application/json", b"chunked", b"100-continue", b"gzip", b"-1", b"1e3", b"Bearer x"]
        ),
    ),
)


def exchange(port: int, method: str, head: bytes, body: bytes) -> tuple[int, str, bytes]:
    """Send bytes, read one answer: its status, content type and body; a status of 0 is a closed door."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head + body)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    if not received:
        return 0, "", b""
    answer = http.client.HTTPResponse(_Received(received), method=method)  # type: ignore[arg-type]  # it only reads from it
    answer.begin()
    return answer.status, answer.headers.get("content-type", ""), answer.read()


class _Received:
    """What came, as `HTTPResponse` wants to read it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, *_arguments: object) -> io.BytesIO:
        return io.BytesIO(self._content)


@pytest.mark.slow
@settings(ALWAYS_THE_SAME, max_examples=200)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD", "DELETE", "TRACE", CANARY]),
    path=st.sampled_from(
        [PATH, FEEDBACK, "/cds-services", "/readyz", "/docs", f"{PATH}/{CANARY}", f"/%00{CANARY}"]
    ),
    headers=st.lists(header, max_size=4),
    body=st.sampled_from([b"", b"{}", SEEDS[0]]),
    signed=st.booleans(),
)
def test_odd_headers_and_methods_are_refused_without_repeating_them(
    method: str, path: str, headers: list[tuple[str, bytes]], body: bytes, signed: bool, wrapped: Server
) -> None:
    lines = [f"{method} {path} HTTP/1.1".encode(), b"host: cds.example", b"connection: close"]
    lines += [f"authorization: {token_for(path)}".encode()] if signed else []
    lines += [name.encode() + b": " + value for name, value in headers]
    if not {"content-length", "transfer-encoding"} & {name for name, _ in headers}:
        lines.append(f"content-length: {len(body)}".encode())
    status, kind, text = exchange(wrapped.port, method, b"\r\n".join(lines) + b"\r\n\r\n", body)
    assert status < 500 and CANARY.encode() not in text
    if status >= 400 and kind == "application/json" and method != "HEAD":
        assert json.loads(text)["resourceType"] == "OperationOutcome"
    elif status >= 400:
        assert kind in {"text/plain; charset=utf-8", "text/html; charset=utf-8", "application/json"}, (
            "the server's"
        )
