"""What can be said of a spool without using it: what it holds, and whether it would help at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cds_wrapper.errors import Mistake
from cds_wrapper.ledger.spool_folder import SETTING, survey


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """Pieces of work that wait for the ledger, their size in bytes, and when the oldest was written."""

    folder: Path
    records: int = 0
    size: int = 0
    oldest: datetime | None = None
    warnings: tuple[Mistake, ...] = ()

    def __str__(self) -> str:
        if not self.records:
            return f"Spool {self.folder}: empty"
        since = f", the oldest of {self.oldest:%Y-%m-%d %H:%M:%S} UTC" if self.oldest else ""
        return f"Spool {self.folder}: {self.records} waiting for the ledger ({self.size} bytes{since})"

    def plain(self) -> dict[str, object]:
        """The same for scripts."""
        oldest = self.oldest.isoformat() if self.oldest else None
        return {"records": self.records, "bytes": self.size, "oldest": oldest}


def report_on(ledger: Path, folder: Path) -> SpoolReport:
    """Look at the spool beside whoever uses it; a folder that is not there yet is empty."""
    warnings = _warnings(ledger, folder)
    if not folder.exists():
        return SpoolReport(folder, warnings=warnings)
    try:
        found = survey(folder)
    except OSError as error:
        problem = f"names {folder}, which cannot be read ({type(error).__name__})."
        return SpoolReport(folder, warnings=(*warnings, _warning(problem)))
    return SpoolReport(folder, found.records, found.size if found.records else 0, found.oldest, warnings)


def _warnings(ledger: Path, folder: Path) -> tuple[Mistake, ...]:
    if _device(ledger) != _device(folder):
        return ()
    problem = (
        f"names {folder}, on the ledger's own disk: when that is full or broken, both are. Name another one."
    )
    return (_warning(problem),)


def _warning(problem: str) -> Mistake:
    return Mistake("environment", None, None, SETTING, problem)


def _device(path: Path) -> int | None:
    """The device it is on, or will be: that of the nearest folder that is there."""
    for place in (path.absolute(), *path.absolute().parents):
        try:
            return place.stat().st_dev
        except OSError:
            continue
    return None
