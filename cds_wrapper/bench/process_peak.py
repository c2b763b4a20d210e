"""The most memory that this process has held."""

from __future__ import annotations

from pathlib import Path


def peak_mib() -> float:
    """Peak resident memory in MiB, of this program alone: a parent's memory does not count, as in rusage."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kib) / 1024
