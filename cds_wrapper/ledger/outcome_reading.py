"""What every form of outcome file shares: bytes, unpacked as they come, and moments in UTC."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import IO, Final, cast

from cds_wrapper.errors import UnreadableFile
from cds_wrapper.ledger.outcomes import Refused

OpenFile = Callable[[Path], IO[bytes]]
"""Opens a file for reading; a command hands in one that moves a progress bar."""

_PIECE: Final = 1 << 20


def open_file(path: Path) -> IO[bytes]:
    """The file's own bytes."""
    return path.open("rb")


@contextlib.contextmanager
def plain(path: Path, opens: OpenFile = open_file) -> Iterator[IO[bytes]]:
    """A file's content, unpacked as it is read where its name ends with `.gz`.

    What is no gzip file, or ends before its end, is an `UnreadableFile`: nothing says what its last lines
    would have been. The same for text that is no UTF-8.
    """
    try:
        with opens(path) as raw:
            # Whatever it reads from, a progress bar too, it reads in pieces.
            buffered = cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", raw), _PIECE))
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=buffered) as unpacked:
                    yield cast("IO[bytes]", unpacked)
            else:
                yield buffered
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UnreadableFile(f"{path.name} is no whole gzip file.") from None
    except UnicodeDecodeError:
        raise UnreadableFile(f"{path.name} is not UTF-8 throughout.") from None


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def moment_of(text: str) -> datetime | Refused | None:
    """A moment in UTC from an ISO 8601 date or time; a time without a zone is taken as UTC."""
    if not text:
        return None
    try:
        if len(text) == len("2026-07-01"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return Refused.BAD_TIME


def day_of(text: str) -> date | None:
    """The day (UTC) of such a moment; None where there is none."""
    at = moment_of(text)
    return at.date() if isinstance(at, datetime) else None
