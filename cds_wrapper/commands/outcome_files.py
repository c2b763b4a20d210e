"""What `outcomes import` does with one file: its form, its rows, the bar, and the list of refused rows."""

from __future__ import annotations

import enum
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, TextIO

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cds_wrapper.errors import UnreadableFile
from cds_wrapper.ledger.outcome_fhir import fhir_rows, learn_patients
from cds_wrapper.ledger.outcome_keys import Keys
from cds_wrapper.ledger.outcome_reading import OpenFile, digest_of
from cds_wrapper.ledger.outcome_tables import csv_rows
from cds_wrapper.ledger.outcomes import Refused, Row
from cds_wrapper.services.outcomes import Outcome


class Form(enum.Enum):
    """What a file is; without it, its name tells."""

    CSV = "csv"
    PARQUET = "parquet"
    FHIR = "fhir"


_BY_NAME: Final = {
    ".csv": Form.CSV,
    ".parquet": Form.PARQUET,
    ".ndjson": Form.FHIR,
    ".jsonl": Form.FHIR,
}


def form_of(path: Path, form: Form | None) -> Form:
    """What a file is, by what was said or by its name; `UnreadableFile` when neither tells."""
    names = [suffix for suffix in path.suffixes if suffix != ".gz"]
    found = form or _BY_NAME.get(names[-1].lower() if names else "")
    if found is None:
        raise UnreadableFile(f"{path.name} does not tell by its name what it is: say so with --format.")
    return found


@dataclass(frozen=True, slots=True)
class Source:
    """One file with the digest of its bytes."""

    path: Path
    form: Form
    digest: str


class Bar:
    """A progress bar by bytes on a terminal, and nothing elsewhere."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def opens(self, what: str) -> OpenFile:
        """Opens files whose reading moves the bar."""

        def opened(path: Path) -> IO[bytes]:
            task = self._progress.add_task(f"{what} {path.name}", total=path.stat().st_size)
            return self._progress.wrap_file(path.open("rb"), task_id=task)

        return opened

    def counts(self, what: str) -> Any:
        """Counts where nobody knows how many there will be."""
        task = self._progress.add_task(what, total=None)
        return lambda rows: self._progress.advance(task, rows)


def sources_of(paths: Sequence[Path], form: Form | None) -> list[Source]:
    """The files with their forms and digests."""
    return [Source(path, form_of(path, form), digest_of(path)) for path in paths]


def read_by(outcome: Outcome, sources: Sequence[Source], keys: Keys, bar: Bar) -> str:
    """Learn the Patients of all files, and give a digest of what files are read with: the keys by number."""
    patients = [
        one.digest
        for one in sources
        if one.form is Form.FHIR and learn_patients(one.path, keys, bar.opens("patients in"))
    ]
    number = keys.pseudonyms.number
    told = msgspec.json.encode((outcome, sorted(patients), number), order="deterministic")
    return hashlib.sha256(told).hexdigest()


def rows_of(
    source: Source, outcome: Outcome, keys: Keys, now: datetime, opens: OpenFile
) -> Iterator[tuple[int, Row]]:
    """The rows of a file, by the declaration; `UnreadableFile` when it has none for such a file."""
    if source.form is Form.FHIR:
        return fhir_rows(source.path, outcome, keys, now, opens)
    if outcome.table is None:
        problem = f"`{outcome.name}` declares no `columns`, so {source.path.name} cannot be read."
        raise UnreadableFile(problem)
    if source.form is Form.CSV:
        return csv_rows(source.path, outcome.table, keys, now, opens)
    from cds_wrapper.ledger.outcome_parquet import parquet_rows  # noqa: PLC0415  half a second for Parquet alone

    return parquet_rows(source.path, outcome.table, keys, now, opens)


class Rejects:
    """The list of refused rows, made when the first one comes: file, line and reason, and no content."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        self._file: TextIO | None = None
        self._at = datetime.now(UTC).isoformat(timespec="seconds")

    def add(self, name: str, line: int, why: Refused) -> None:
        """Note one; it is written before its batch is durable, for the next try does not see it again."""
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            descriptor = os.open(self._path, flags, 0o600)
            os.fchmod(descriptor, 0o600)
            opened = os.fdopen(descriptor, "a", buffering=1, encoding="utf-8")
            self._file = self._stack.enter_context(opened)
        told = {"at": self._at, "file": name, "line": line, "reason": why.value}
        self._file.write(json.dumps(told) + "\n")
