"""Reviews that kill themselves (SIGKILL) in the middle, at places that are named; each a process of its own.

The libraries are loaded and the figures counted once, before the processes part: each goes through the
command from its beginning, and meets the same figures as the one before.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any

from cds_wrapper.commands import review as command
from cds_wrapper.ledger.outcome_file import copied, folder_beside
from cds_wrapper.monitoring import review as monitoring
from cds_wrapper.monitoring.reviewed import Reviewed
from cds_wrapper.services import examine_services
from tests.service.harness import ROOT
from tests.unit.commands.loop import AS_OF, SERVICE, environment
from tests.unit.ledger.export_killed import killing


@dataclass(frozen=True)
class Place:
    """Before the call that comes after so many of a function of this module, it dies."""

    module: str
    function: str
    calls: int


EXAMINED = examine_services(ROOT / "hooks")
"""The hospital's files, read once."""

PLACES = (
    Place("cds_wrapper.ledger.episode_store", "_row", 500),
    Place("cds_wrapper.ledger.parquet", "write", 0),
    Place("cds_wrapper.ledger.parquet", "write", 3),
    Place("cds_wrapper.ledger.parquet", "keep", 0),
    Place("cds_wrapper.ledger.parquet", "keep", 4),
    Place("cds_wrapper.monitoring.review", "record_review", 0),
    Place("cds_wrapper.ledger.editions", "_keep", 0),
    Place("cds_wrapper.ledger.editions", "_add", 0),
    Place("cds_wrapper.ledger.editions", "_add", 2),
    Place("cds_wrapper.ledger.editions", "_keep", 2),
    Place("cds_wrapper.ledger.editions", "_edition", 0),
    Place("cds_wrapper.ledger.followed", "_copied", 1),
)
"""In the order of a review. The last one is behind its transaction, in that of a further ledger."""


def looked(ledger: Path, folder: Path) -> Reviewed:
    """What a review of this ledger finds, without anything being written to it."""
    folder.mkdir()
    copied(ledger.with_name("ledger-outcomes.db"), folder / "outcomes.db")
    return monitoring.review(monitoring.Place(ledger, folder_beside(ledger), trial=folder), SERVICE, AS_OF)


def die(place: Place, done: Reviewed, further: Path) -> None:
    """Run the command, which does not come back."""
    module: Any = importlib.import_module(place.module)
    setattr(module, place.function, killing(getattr(module, place.function), place.calls))
    for name, counted in {"looked_at": done, "parquet_source": contextlib.nullcontext()}.items():
        setattr(monitoring, name, lambda *_, counted=counted: counted)
    setattr(command, "examine_services", lambda _: EXAMINED)  # noqa: B010  for this process
    command.command([SERVICE.id], datetime.combine(AS_OF, time()), also=[further])


def main(ledger: Path, further: Path) -> int:
    """Each place once, one after the other; how many of them did not kill."""
    os.environ.update(environment(ledger))
    done, survived = looked(ledger, ledger.with_name("looked")), 0
    for place in PLACES:
        child = os.fork()
        if child == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what it says is for nobody
            die(place, done, further)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            survived += 1
            sys.stderr.write(f"survived: {place}\n")
        sys.stdout.write(f"{place.function}\n")
        sys.stdout.flush()
        sys.stdin.readline()  # until what it left has been looked at
    return survived


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
