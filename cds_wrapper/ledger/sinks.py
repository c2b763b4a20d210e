"""Where the lines of the prediction stream go: a file that rotates, or a socket.

A sink takes whole lines, in order, and says how many it has taken; what it has not taken it has not begun to
keep. It raises `OSError` when it can take none at the moment, and can be tried again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import stat
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

SOCKET_PATIENCE = timedelta(seconds=5)
"""How long a receiver may take none of what it is sent before it counts as gone."""

_CONNECT_PATIENCE = timedelta(seconds=1)


class NotSynced(OSError):
    """What was taken since the last `sync` may be lost; a later one would succeed and prove nothing."""


class Sink(Protocol):
    """What the stream needs of the place it writes to; used by one thread."""

    @property
    def name(self) -> str:
        """How the operator log names it."""
        ...

    def write(self, lines: Sequence[bytes]) -> int:
        """Take some of these lines, one at least; how many. `OSError` when none can be taken.

        `NotSynced` when lines that were taken before are in doubt.
        """
        ...

    def sync(self) -> None:
        """Return when what was taken outlives a power cut, as far as the sink can; else `NotSynced`."""
        ...

    def close(self) -> None:
        """Let go of it; the next `write` opens it again."""
        ...


class FileSink:
    """A file of lines, mode 0600, written by one process and rotated by size.

    A full file is renamed to `NAME.1`, the one before it to `NAME.2` and so on up to `keep`; older ones are
    deleted. Somebody else may rename or delete the file at any time: a new one is made.
    """

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._descriptor: int | None = None
        self._identity = (0, 0)
        self._is_torn = False

    @property
    def name(self) -> str:
        """The file's path."""
        return f"the file {self.path}"

    def write(self, lines: Sequence[bytes]) -> int:
        """As `Sink.write`: as many as fit into the file that is there."""
        descriptor, size = self._ready()
        taken = self._fitting(lines, self._max_bytes - size)
        if not taken and size:
            self._rotate()
            descriptor, size = self._ready()
            taken = self._fitting(lines, self._max_bytes)
        taken = max(taken, 1)
        self._append(descriptor, size, b"".join(lines[:taken]))
        return taken

    @staticmethod
    def _fitting(lines: Sequence[bytes], room: int) -> int:
        for count, line in enumerate(lines):
            room -= len(line)
            if room < 0:
                return count
        return len(lines)

    def _append(self, descriptor: int, size: int, content: bytes) -> None:
        """All of it or nothing: half a batch would be written again, and half a line breaks the next."""
        left = memoryview(b"\n" + content if self._is_torn else content)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError:
            self._is_torn = not _is_cut_back(descriptor, size)
            raise
        self._is_torn = False

    def sync(self) -> None:
        """As `Sink.sync`."""
        if self._descriptor is None:
            return
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self.close()
            raise NotSynced(error.errno, "the file could not be synced") from None

    def close(self) -> None:
        """As `Sink.close`."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _ready(self) -> tuple[int, int]:
        """The open file and its size; opened again when the path leads to another file or to none."""
        if self._descriptor is None or not self._is_still_there():
            self._let_go()
            self._descriptor = self._opened()
            self._is_torn = False
        found = os.fstat(self._descriptor)
        self._identity = (found.st_dev, found.st_ino)
        return self._descriptor, found.st_size

    def _is_still_there(self) -> bool:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def _let_go(self) -> None:
        """The cursor's next sync is of the new file, so what stands in the old one must be safe before."""
        self.sync()
        self.close()

    def _opened(self) -> int:
        # Not blocking: a pipe at that path would wait for its reader.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, 0o600)
        try:
            self._make_ours(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _make_ours(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "no file")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EBUSY, "another process writes it") from None
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)
        if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
            os.write(descriptor, b"\n")  # a kill tore the last line: it alone is broken
        _sync_folder(self.path.parent)

    def _rotate(self) -> None:
        self._let_go()
        for number in range(self._keep, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._numbered(number - 1).replace(self._numbered(number))
        extra = self._keep + 1
        while self._numbered(extra).exists():  # more were kept by an earlier setting
            self._numbered(extra).unlink()
            extra += 1

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path


def _is_cut_back(descriptor: int, size: int) -> bool:
    """Whether the file ends where it ended before; somebody else may have emptied it."""
    with contextlib.suppress(OSError):
        if os.fstat(descriptor).st_size > size:
            os.ftruncate(descriptor, size)
        return True
    return False


def _sync_folder(folder: Path) -> None:
    """A new file's name must outlive a power cut as its lines do."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SocketSink:
    """A stream socket, `unix:///PATH` or `tcp://HOST:PORT`; a connection begins with a whole line.

    Taken is what the kernel has taken: lines on their way to a receiver that goes down are lost to it, and
    the export writes them again.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    @property
    def name(self) -> str:
        """The address."""
        return self._address

    def write(self, lines: Sequence[bytes]) -> int:
        """As `Sink.write`: all of them."""
        try:
            if self._socket is None:
                self._socket = _connected(self._address)
            _refuse_closed(self._socket)
            rest = memoryview(b"".join(lines))
            while (
                rest
            ):  # `sendall` would give a receiver that is only slow the patience meant for one that hangs
                rest = rest[self._socket.send(rest) :]
        except OSError:
            self.close()
            raise
        return len(lines)

    def sync(self) -> None:
        """The kernel has the lines, and nothing more can be asked of it."""

    def close(self) -> None:
        """As `Sink.close`."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()


def _connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        place = (parts.hostname, parts.port)
        connection = socket.create_connection(place, _CONNECT_PATIENCE.total_seconds())
    else:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_CONNECT_PATIENCE.total_seconds())
        try:
            connection.connect(parts.path)
        except BaseException:
            connection.close()
            raise
    connection.settimeout(SOCKET_PATIENCE.total_seconds())
    return connection


def _refuse_closed(connection: socket.socket) -> None:
    """Sending to a receiver that has hung up succeeds once, and the lines are gone."""
    watch = select.poll()
    watch.register(connection, select.POLLIN)
    if watch.poll(0) and connection.recv(1, socket.MSG_PEEK) == b"":
        raise ConnectionResetError(errno.ECONNRESET, "the receiver has hung up")
