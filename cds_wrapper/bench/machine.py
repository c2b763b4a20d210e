"""The machine a measurement was made on: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """Cores this process may use, Python, kernel, and the file system the ledger lies on."""

    cores: int
    python: str
    kernel: str
    file_system: str

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    def sentence(self) -> str:
        """One line for people."""
        return (
            f"{self.cores} cores, Python {self.python}, {self.kernel}, ledger on {self.file_system},"
            f" load of the last minute {os.getloadavg()[0]:.1f}"
        )


def this_machine(folder: Path) -> Machine:
    """What this machine is, for a ledger in `folder`."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
        kernel=f"{platform.system()} {platform.release()}",
        file_system=file_system_of(folder, MOUNTS.read_text(encoding="utf-8")),
    )


def file_system_of(folder: Path, mounts: str) -> str:
    """The kind of file system a folder lies on (`ext4`, `tmpfs`), from the kernel's list of mounts."""
    place = str(folder.resolve())
    found = [
        (len(point), kind) for point, kind in map(_mount, mounts.splitlines()) if _lies_below(place, point)
    ]
    # Of several mounts on one point the last one is on top.
    longest = max((length for length, _ in found), default=0)
    return next((kind for length, kind in reversed(found) if length == longest), "unknown")


def _mount(line: str) -> tuple[str, str]:
    """Mount point and kind of one line (proc(5), "mountinfo"); a blank in a path is written as octal 040."""
    front, _, back = line.partition(" - ")
    return front.split()[4].replace("\\040", " "), back.split()[0]


def _lies_below(place: str, point: str) -> bool:
    return point == "/" or place == point or place.startswith(f"{point}/")
