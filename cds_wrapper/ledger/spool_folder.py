"""The spool's folder: its lock, its segments, the cursor that says how far they were moved to the ledger.

    spool/lock             held by the one process that uses the folder
    spool/00000001.jsonl   a segment: lines that were appended and synced, never changed
    spool/cursor.json      up to where the segments are in the ledger; replaced as a whole
    spool/damaged.jsonl    lines that are not what was written, for people to look at

Functions raise `OSError`; nothing here knows of threads or of the ledger.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.ledger.spool_lines import SpooledLine, read_line

SETTING: Final = "CDS_WRAPPER_SPOOL"
_SEGMENT = re.compile(r"\d{8}\.jsonl")
_CURSOR, _LOCK, _PROBE, _DAMAGED = "cursor.json", "lock", "probe", "damaged.jsonl"

# macOS has no fdatasync.
sync: Final = getattr(os, "fdatasync", os.fsync)


class Position(NamedTuple):
    """A place between two lines: segment, bytes before it there, number and check of the last line before it.

    The check is empty when that line was damaged, so that nothing can be said about the one that follows it.
    """

    segment: int
    offset: int
    number: int
    check: str

    @property
    def place(self) -> tuple[int, int]:
        """What positions are compared by."""
        return self.segment, self.offset


@dataclass(frozen=True, slots=True)
class Survey:
    """What a folder holds: the size of each segment, where reading goes on, where it ends at present."""

    sizes: Mapping[int, int]
    at: Position
    end: Position
    oldest: datetime | None

    @property
    def records(self) -> int:
        """Pieces of work that are not known to be in the ledger."""
        return max(0, self.end.number - self.at.number)

    @property
    def size(self) -> int:
        """Bytes of segments that are not known to be in the ledger."""
        return sum(self.sizes.values()) - (self.at.offset if self.at.segment in self.sizes else 0)


def refused(problem: str) -> ConfigurationRefused:
    """The error that says, in one sentence, what is wrong with the folder the setting names."""
    return ConfigurationRefused((Mistake("environment", None, None, SETTING, problem),))


def prepare(folder: Path) -> None:
    """Make sure that there is a folder, readable by nobody else; else `ConfigurationRefused`."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise refused(f"names {folder}, which is no folder.") from None
    except OSError as error:
        problem = (
            f"names {folder}, which cannot be created ({type(error).__name__}): create the folder above it."
        )
        raise refused(problem) from None


def lock(folder: Path) -> int:
    """A descriptor that holds the folder for this process; `ConfigurationRefused` when another one has it."""
    descriptor = _opened_lock(folder / _LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise refused(
            f"names {folder}, which another process is using: stop it, or name another folder."
        ) from None
    except OSError:  # a file system without locks; it is tried again, and each try would keep a descriptor
        os.close(descriptor)
        raise
    with contextlib.suppress(OSError):
        folder.chmod(0o700)  # ours, as we know by now
    return descriptor


def _opened_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return os.open(path, os.O_RDONLY)  # a read-only file system can still be locked on, and be read


def is_the_lock_of(folder: Path, descriptor: int) -> bool:
    """Whether the folder is still the one that was locked: lines in a removed one would reach nobody."""
    try:
        found, held = (folder / _LOCK).stat(), os.fstat(descriptor)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def probe(folder: Path) -> None:
    """Write and sync a few bytes, to find out whether writing works."""
    descriptor = os.open(folder / _PROBE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, b"written to see whether it works\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make new names in it durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def segment_path(folder: Path, number: int) -> Path:
    """Where a segment stands."""
    return folder / f"{number:08}.jsonl"


# The cursor -------------------------------------------------------------------------------------------------


class _Cursor(msgspec.Struct):
    form: str
    segment: int
    offset: int
    number: int
    check: str


_FORM = "spool-cursor.v1"


def read_cursor(folder: Path) -> Position | None:
    """What was saved last; None when there is nothing that can be read: a second look costs no second row."""
    try:
        found = msgspec.json.decode((folder / _CURSOR).read_bytes(), type=_Cursor)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    if found.form != _FORM or min(found.segment, found.offset, found.number) < 0:
        return None
    return Position(found.segment, found.offset, found.number, found.check)


def save_cursor(folder: Path, at: Position) -> None:
    """Replace the cursor; durable on return, so that segments before it can be removed."""
    made = folder / f"{_CURSOR}.new"
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, msgspec.json.encode(_Cursor(_FORM, *at)) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    made.replace(folder / _CURSOR)
    sync_folder(folder)


def set_aside(folder: Path, lines: Sequence[bytes]) -> None:
    """Keep lines that cannot be read, durably: they may still tell a person something."""
    if not lines:
        return
    descriptor = os.open(folder / _DAMAGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        write_all(descriptor, b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(folder)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it; a disk that is nearly full takes a part first."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


# What is there ----------------------------------------------------------------------------------------------


def lines_of(path: Path, begin: int, end: int) -> Iterator[tuple[bytes, int]]:
    """The whole lines between two offsets, each with the offset behind it.

    What has no newline was torn off by a kill or a full disk: nobody was told that it is durable.
    """
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end:
            raw = file.readline(end - begin)
            begin += len(raw)
            if not raw.endswith(b"\n"):
                return
            yield raw, begin


def survey(folder: Path) -> Survey:
    """Look at the whole folder; only the last segment with a line in it is read through."""
    paths = {int(path.stem): path for path in sorted(folder.iterdir()) if _SEGMENT.fullmatch(path.name)}
    sizes = {number: path.stat().st_size for number, path in paths.items()}
    cursor = _believed(read_cursor(folder), paths, sizes)
    at = cursor or Position(min(paths, default=0), 0, 0, "")
    ahead = {number: path for number, path in paths.items() if (number, sizes[number]) > at.place}
    first = next((line for _, line in _walk(ahead, sizes, at) if line), None)
    if cursor is None and first is not None:
        at = at._replace(number=first.number - 1)
    end = _end(ahead, sizes, at)
    return Survey(sizes, at, end, first.recorded_at if first else None)


def _believed(
    cursor: Position | None, paths: Mapping[int, Path], sizes: Mapping[int, int]
) -> Position | None:
    """The cursor, if it fits the segments that are there; else all of them are looked at again.

    A segment before the cursor would have been removed, and a cursor stands behind a whole line. One that is
    wrong (a folder put together from two backups, say) would leave out lines that the ledger does not hold.
    """
    if cursor is None or any(number < cursor.segment for number in paths):
        return None
    if cursor.segment not in paths or cursor.offset == 0:
        return cursor
    if cursor.offset > sizes[cursor.segment]:
        return None
    with paths[cursor.segment].open("rb") as file:
        file.seek(cursor.offset - 1)
        return cursor if file.read(1) == b"\n" else None


def _walk(
    paths: Mapping[int, Path], sizes: Mapping[int, int], at: Position
) -> Iterator[tuple[int, SpooledLine | None]]:
    for number, path in paths.items():
        begin = at.offset if number == at.segment else 0
        for raw, _ in lines_of(path, begin, sizes[number]):
            yield number, read_line(raw)


def _end(paths: Mapping[int, Path], sizes: Mapping[int, int], at: Position) -> Position:
    """The end of the last segment, with number and check of the last line there is."""
    number, check, is_found = at.number, at.check, False
    for segment in sorted(paths, reverse=True):
        for _, line in _walk({segment: paths[segment]}, sizes, at):
            number, check = (line.number, line.check) if line else (number + 1, "")
            is_found = True
        if is_found:
            break
    last = max(paths, default=None)
    return at if last is None else Position(last, sizes[last], number, check)
