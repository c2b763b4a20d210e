"""The stream's file when its disk is full: a write is whole or nothing, and no line is broken by it."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds_wrapper.ledger.sinks import FileSink, SocketSink

LINES = [b"%03d " % number + b"x" * 95 + b"\n" for number in range(10)]
"""A hundred bytes each."""


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow beyond that, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_does_not_fit_on_the_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    sink = FileSink(path, 100_000, 2)
    assert sink.write(LINES) == 10
    with no_file_larger_than(1_250), pytest.raises(OSError, match="File too large"):
        sink.write(LINES)
    full = path.read_bytes()
    assert sink.write(LINES[:3]) == 3
    sink.close()

    assert full == b"".join(LINES)
    assert path.read_bytes() == b"".join([*LINES, *LINES[:3]])


def test_what_cannot_be_cut_off_again_breaks_only_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    sink = FileSink(path, 100_000, 2)
    sink.write(LINES)
    sink.close()
    with path.open("ab") as file:
        file.write(b"half a li")

    sink.write(LINES[:1])
    sink.close()

    assert path.read_bytes().splitlines(keepends=True) == [*LINES, b"half a li\n", LINES[0]]


def test_a_sink_takes_only_what_fits_and_rotates_before_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    sink = FileSink(path, 450, 5)
    taken = [sink.write(LINES), sink.write(LINES[4:]), sink.write(LINES[8:])]
    sink.close()

    assert taken == [4, 4, 2]
    assert [len(one.read_bytes()) for one in (path, path.with_name("stream.jsonl.1"))] == [200, 400]


def test_a_receiver_that_has_hung_up_is_not_sent_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sink = SocketSink(f"tcp://127.0.0.1:{listening.getsockname()[1]}")
        sink.write(LINES[:1])
        accepted, _ = listening.accept()
        accepted.close()
        with pytest.raises(ConnectionResetError):
            sink.write(LINES[1:2])
        assert sink.write(LINES[2:3]) == 1
        again, _ = listening.accept()
        with again:
            assert again.recv(1000) == LINES[2]
    sink.close()
