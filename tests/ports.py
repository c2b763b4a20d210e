"""Ports for servers that a test starts as processes of their own, and waiting until they answer."""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
import subprocess
import time
from typing import Any
from urllib.parse import urlsplit

# Below those that the kernel gives to outgoing connections: nobody takes one between the look and the start.
_FIRST, _BEHIND = 20_000, 32_000
_given: set[int] = set()

STARTED_WITHIN_SECONDS = 180.0
"""On a machine that is busy with everything else; a program that ends is noticed at once."""


def free_port(neighbours: int = 0) -> int:
    """A port that nobody listens on, free `neighbours` behind it included; none is given twice by a process.

    Chosen by chance, so that test processes beside each other do not meet.
    """
    while True:
        first = _FIRST + secrets.randbelow(_BEHIND - _FIRST - neighbours)
        ports = set(range(first, first + neighbours + 1))
        if not ports & _given and all(_is_free(port) for port in ports):
            _given.update(ports)
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def status_of(url: str) -> int | None:
    """The status of a GET, None when nobody answers; without what a whole HTTP client costs to make."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    with contextlib.closing(connection):
        try:
            connection.request("GET", parts.path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def wait_until_answers(url: str, process: subprocess.Popen[Any]) -> None:
    """Return when `url` answers 200; fail when the process ends or takes far too long."""
    deadline = time.monotonic() + STARTED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the process ended with {process.returncode}"
        if status_of(url) == 200:
            return
        time.sleep(0.05)
    raise AssertionError(f"{url} did not answer within {STARTED_WITHIN_SECONDS} s")
