"""The real server and heads of requests that are too large, or never end."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import httpx

from cds_wrapper.commands.bounded_head import LONGEST_HEAD_BYTES
from tests.service.harness import copy_hooks
from tests.service.servers import server


def what_is_said(port: int, *parts: bytes) -> bytes:
    """Whatever the server answers to these bytes before it closes the connection."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=8) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                said += chunk
    return said


def test_a_head_without_end_is_cut_off_and_others_are_served(tmp_path: Path) -> None:
    line = b"POST /cds-services/cvd-risk HTTP/1.1\r\nhost: x\r\n"
    with server(tmp_path, copy_hooks(tmp_path, "http://127.0.0.1:9/x")) as running:
        endless = [b"x-filler: " + b"a" * 60_000] + [b"a" * 60_000] * 40
        many = [b"x-filler-%d: b\r\n" % number * 1000 for number in range(200)]
        for parts in (endless, many, [b"GET /" + b"a" * 60_000, *[b"a" * 60_000] * 40]):
            said = what_is_said(running.port, line if parts[0].startswith(b"x") else b"", *parts)
            # Whoever still sends when the door closes may be cut off before it can read the answer.
            assert said == b"" or b" 431 " in said.splitlines()[0] or b" 400 " in said.splitlines()[0]
        usual = {"x-filler": "a" * (LONGEST_HEAD_BYTES // 8)}
        assert httpx.get(f"{running.url}/livez", headers=usual, timeout=60).status_code == 200
        with httpx.Client() as kept_open:
            statuses = [
                kept_open.get(f"{running.url}/livez", headers=usual, timeout=60).status_code
                for _ in range(30)
            ]
    assert statuses == [200] * 30, "the heads of one connection are not added up"
