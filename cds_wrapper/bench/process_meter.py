"""What another process costs: processor time and memory, read from the kernel without disturbing it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import time
from pathlib import Path

_C = ctypes.CDLL(None, use_errno=True)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system, all its threads, ended ones too.

    From its own clock (clock_getcpuclockid(3)), which counts nanoseconds; the ticks of /proc/<pid>/stat are
    10 ms long. `ProcessLookupError` when there is no such process.
    """
    clock = ctypes.c_int()
    error = _C.clock_getcpuclockid(ctypes.c_int(pid), ctypes.byref(clock))
    if error:
        raise OSError(error, os.strerror(error))
    return time.clock_gettime(clock.value)


def open_descriptors(pid: int) -> tuple[int, int]:
    """How many files and connections a process has open, and how many of them are connections."""
    folder = Path(f"/proc/{pid}/fd")
    kinds = []
    for one in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            kinds.append(one.readlink().name.partition(":")[0])
    return len(kinds), kinds.count("socket")


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in main memory now."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
