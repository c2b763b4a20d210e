"""The spool on the disk: lines are appended and synced by one thread, read and removed by another.

Whatever goes wrong in writing, the segment is cut back to its last durable line and never appended to again:
a file whose sync has failed once may say that it is durable when it is not. So no segment holds anything
behind a failure, and the next attempt begins a new one.

Lines behind `end` are not there for the reader, since their sync may not have returned. Reading moves
nothing; `drained` does, once what was read is durable elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cds_wrapper.ledger import spool_folder
from cds_wrapper.ledger.spool_folder import Position
from cds_wrapper.ledger.spool_lines import Draft, SpooledLine, read_line, written

SEGMENT_BYTES = 16 * 1024 * 1024
"""Size from which a segment is not appended to any more, so that what is drained can be removed."""

_CHUNK_BYTES = 8 * 1024 * 1024


@dataclass(slots=True, repr=False)
class Chunk:
    """Lines as they were read, and what was wrong on the way; `after` is where the next chunk begins.

    `missing` counts lines that should be there, `out_of_place` those that stand where another one did.
    """

    after: Position
    generation: int
    lines: list[SpooledLine] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)
    missing: int = 0
    out_of_place: int = 0

    @property
    def count(self) -> int:
        """How many lines were looked at."""
        return len(self.lines) + len(self.damaged)

    @property
    def lost(self) -> int:
        """Records that were durable once and do not reach the ledger."""
        return len(self.damaged) + self.missing

    def follow(self, raw: bytes, place: tuple[int, int]) -> None:
        """Take the next line."""
        line = read_line(raw)
        before = self.after
        if line is None:
            self.damaged.append(raw)
            self.after = Position(*place, before.number + 1, "")
            return
        self.lines.append(line)
        gap = line.number - before.number - 1
        if gap < 0:
            self.missing = max(0, self.missing - 1)  # it was taken for missing when its place came
            self.out_of_place += 1
        elif gap > 0:
            self.missing += gap
        elif before.check and line.previous != before.check:
            self.out_of_place += 1  # another line stands where the one before it was
        is_next = gap >= 0
        self.after = Position(*place, max(line.number, before.number), line.check if is_next else "")


class Spool:
    """One folder, used by one process: one thread writes (`open` to `probe`), another reads and removes.

    Everything raises `OSError` when the disk does not do what it is asked, but for `prepare`.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.is_open = False
        self.at = self.end = Position(0, 0, 0, "")
        self.oldest: datetime | None = None
        self._segment_bytes = segment_bytes
        self._sizes: dict[int, int] = {}
        self._lock = threading.Lock()
        self._generation = 0
        self._held: int | None = None
        self._open: int | None = None
        self._segment = 0
        self._saved = self.at

    def prepare(self) -> None:
        """Make the folder; `ConfigurationRefused` if that cannot be, or if another process uses it.

        A folder that is there and cannot be written at the moment is no reason to refuse.
        """
        spool_folder.prepare(self.folder)
        with contextlib.suppress(OSError):
            self.open()

    def open(self) -> None:
        """Take the folder and look at what it holds; the lock is kept until `close`."""
        self.close()
        held = spool_folder.lock(self.folder)
        try:
            found = spool_folder.survey(self.folder)
        except OSError:
            os.close(held)
            raise
        with self._lock:
            self._held = held
            self._generation += 1
            self.at, self.end, self.oldest = found.at, found.end, found.oldest
            self._saved = found.at
            self._sizes = dict(found.sizes)
            self.is_open = True
        with contextlib.suppress(OSError):  # read-only, perhaps: it can still be read
            self._remove_drained()

    def close(self) -> None:
        """Let go of the folder."""
        self._seal()
        self.is_open = False
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    @property
    def size(self) -> int:
        """Bytes of lines that are not known to be in the ledger."""
        with self._lock:
            behind = [size for number, size in self._sizes.items() if number > self.at.segment]
            return sum(behind) + max(0, self._sizes.get(self.at.segment, 0) - self.at.offset)

    # Writing ----------------------------------------------------------------------------------------------

    def append(self, drafts: Sequence[Draft]) -> Position:
        """Write lines and sync them; the end behind them. After `OSError` none of them will be read."""
        if self._open is not None and not self._is_still_there(self._open):
            self._seal()
        descriptor = self._open if self._open is not None else self._begin()
        size = self._sizes[self._segment]
        lines, check = written(drafts, self.end.number, self.end.check)
        content = b"".join(lines)
        try:
            spool_folder.write_all(descriptor, content)
            spool_folder.sync(descriptor)
        except OSError:
            self._cut_back(descriptor, size)
            raise
        with self._lock:
            if self.oldest is None:
                self.oldest = drafts[0].recorded_at
            self._sizes[self._segment] = size = size + len(content)
            self.end = Position(self._segment, size, self.end.number + len(lines), check)
        if size >= self._segment_bytes:
            self._seal()
        return self.end

    def _begin(self) -> int:
        """Make a new segment. Never one that another process, or a failure, has left behind."""
        self._check_folder()
        number = max(self.at.segment, self.end.segment, *self._sizes, 0) + 1
        path = spool_folder.segment_path(self.folder, number)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        with self._lock:
            self._open, self._segment, self._sizes[number] = descriptor, number, 0
        try:
            spool_folder.sync_folder(self.folder)
        except OSError:
            self._cut_back(descriptor, 0)
            raise
        return descriptor

    def _check_folder(self) -> None:
        """Close a folder that is not there any more; it may be opened again when it is."""
        if not self._is_still_held():
            self.close()
            raise FileNotFoundError("the spool's folder was removed or replaced")

    def _is_still_held(self) -> bool:
        return self._held is not None and spool_folder.is_the_lock_of(self.folder, self._held)

    def _is_removed(self, path: Path) -> bool:
        """Whether a segment was removed from a folder that is there; a folder may be away and come back."""
        return self._is_still_held() and not path.exists() and self._is_still_held()

    def _is_still_there(self, descriptor: int) -> bool:
        """Whether the path still leads to the segment that is open: nobody reads a removed one."""
        opened = os.fstat(descriptor)
        try:
            found = spool_folder.segment_path(self.folder, self._segment).stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)

    def _cut_back(self, descriptor: int, size: int) -> None:
        """Take back what was begun. If even that fails it stays unread: nothing behind `end` is looked at."""
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        self._seal()
        if not size:  # or every attempt on a full disk would leave an empty file
            with contextlib.suppress(OSError):
                self._remove([self._segment])

    def _seal(self) -> None:
        """Append no more to the segment that is open."""
        with self._lock:
            descriptor, self._open = self._open, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # what counts was synced before
                os.close(descriptor)

    def retire(self) -> None:
        """Remove the open segment if all of it is in the ledger: health data stays no longer than it must."""
        if self._saved.place >= self.end.place:
            self._seal()
            self._remove_drained()

    def probe(self) -> None:
        """Find out whether lines could be appended."""
        self._check_folder()
        spool_folder.probe(self.folder)

    # Reading ----------------------------------------------------------------------------------------------

    def read(self, most: int, until: Position) -> Chunk:
        """At most `most` lines from the cursor on, none behind `until`."""
        with self._lock:
            chunk = Chunk(self.at, self._generation)
            sizes = {
                number: size
                for number, size in sorted(self._sizes.items())
                if self.at.segment <= number <= until.segment
            }
        for segment, size in sizes.items():
            begin = chunk.after.offset if segment == chunk.after.segment else 0
            end = until.offset if segment == until.segment else size
            if not self._read_segment(chunk, segment, (begin, end), most):
                return chunk
        chunk.missing += max(0, until.number - chunk.after.number)
        chunk.after = until
        return chunk

    def _read_segment(self, chunk: Chunk, segment: int, between: tuple[int, int], most: int) -> bool:
        """Read on in one segment; false when the chunk is full before its end."""
        path, (begin, _) = spool_folder.segment_path(self.folder, segment), between
        try:
            for raw, offset in spool_folder.lines_of(path, *between):
                chunk.follow(raw, (segment, offset))
                if chunk.count >= most or offset - begin > _CHUNK_BYTES:
                    return False
        except FileNotFoundError:
            if not self._is_removed(path):
                raise
        return True  # the lines of a removed one will be found missing

    def drained(self, chunk: Chunk) -> None:
        """What the chunk holds is durable in the ledger: remember it, and remove what is needed no more."""
        spool_folder.set_aside(self.folder, chunk.damaged)
        with self._lock:
            if chunk.generation != self._generation:
                return  # the folder was replaced meanwhile
            self.at = chunk.after
            if self.at.place >= self.end.place:
                self.oldest = None
            elif chunk.lines:
                self.oldest = chunk.lines[-1].recorded_at
        try:
            self._save()
        except OSError:
            # A disk so full that it takes no cursor gets room first: the lines are in the ledger.
            self._remove(number for number in list(self._sizes) if number < self.at.segment)
            self._save()
        self._remove_drained()

    def _save(self) -> None:
        spool_folder.save_cursor(self.folder, self.at)
        self._saved = self.at

    def _remove_drained(self) -> None:
        with self._lock:
            is_behind = {
                number
                for number, size in self._sizes.items()
                if (number, size) <= self._saved.place and (self._open is None or number != self._segment)
            }
        self._remove(is_behind)

    def _remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            spool_folder.segment_path(self.folder, number).unlink(missing_ok=True)
            with self._lock:
                self._sizes.pop(number, None)
