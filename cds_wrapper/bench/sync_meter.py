"""How long this disk takes to make one page durable: the part of a record's wait that no program can save."""

from __future__ import annotations

import os
import time
from pathlib import Path

PAGE = bytes(4096)


def sync_times(folder: Path, count: int) -> list[float]:
    """Seconds of each of `count` times writing a page at a file's end and syncing it, one after the other.

    The file is made in `folder` and taken away again. Like a write-ahead log between two check points it
    grows with every page, so the file system has its own bookkeeping to write as well.
    """
    place = folder / "sync-meter"
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        return [_one(descriptor) for _ in range(count)]
    finally:
        os.close(descriptor)
        place.unlink()


def _one(descriptor: int) -> float:
    started = time.perf_counter()
    os.write(descriptor, PAGE)
    os.fdatasync(descriptor)
    return time.perf_counter() - started
