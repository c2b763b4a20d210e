"""The ledger's benchmark: records alone, on this disk and on one whose syncs are free, beside plain SQLite.

Every measurement is a process of its own with a new ledger in a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec

from cds_wrapper.bench.appended import Appended
from cds_wrapper.bench.calls import write_calls
from cds_wrapper.bench.machine import Machine, this_machine
from cds_wrapper.bench.parts import output_of, python
from cds_wrapper.bench.scored_calls import scored_calls
from cds_wrapper.bench.site_files import prepare_site
from cds_wrapper.bench.sync_meter import sync_times
from cds_wrapper.ledger.store import LedgerReader

ALONE = 1
TOGETHER = 32
ALONE_SHARE = 20
"""One writer waits for a sync per record: a twentieth of the records takes about as long."""
SLOW_SHARE = 4
SLOWER_BY_MS = 4
NOBODY_LISTENS = 9
MEMORY = Path("/dev/shm")  # noqa: S108  where Linux keeps files in memory; a folder of our own is made in it

DISK = "this disk"
FAST = "fast disk"
SLOW = f"this disk, syncs {SLOWER_BY_MS} ms slower"
LEDGER = "ledger"
BATCHES = "plain SQLite, as many to a commit"
SINGLY = "plain SQLite, one to a commit"


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """How many records, how often; `syncs` is how many syncs the disk's own time is taken from."""

    rounds: int = 3
    records: int = 8000
    syncs: int = 200

    @property
    def steps(self) -> int:
        """How many times `step` is told something at most."""
        return self.rounds * 8


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of measurement: what writes, where, for how many callers at a time."""

    system: str
    place: str
    writers: int


@dataclass(slots=True)
class LedgerRun:
    """What was measured, by case, one item per round; what could not be, and records that were missing."""

    machine: Machine
    options: LedgerOptions
    results: dict[Case, list[Appended]] = field(default_factory=dict)
    syncs: list[list[float]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    mistakes: list[str] = field(default_factory=list)


def measure_ledger(
    hooks: Path, folder: Path, options: LedgerOptions, step: Callable[[str], None]
) -> LedgerRun:
    """Everything, in `folder`, which must be empty; `step` is told what comes next.

    `NotMeasured` when a part fails, `ConfigurationRefused` when `hooks` is not the repository's.
    """
    run = LedgerRun(this_machine(folder), options)
    write_calls(scored_calls(), folder / "calls.json")
    with _places(folder, run) as places:
        bench = _Ledger(run, hooks, folder / "calls.json", places, step)
        for number in range(options.rounds):
            run.syncs.append(sync_times(folder, options.syncs))
            bench.one_round(number)
    return run


@contextlib.contextmanager
def _places(folder: Path, run: LedgerRun) -> Iterator[Mapping[str, Path]]:
    """Where ledgers are made, by place; what this machine does not have is left out with its reason."""
    with contextlib.ExitStack() as stack:
        places = {DISK: folder}
        if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
            made = tempfile.TemporaryDirectory(prefix="cds-wrapper-bench-", dir=MEMORY)
            places[FAST] = Path(stack.enter_context(made))
        else:
            run.left_out[FAST] = f"{MEMORY} is not there or cannot be written"
        if why_no_slow_syncs() is None:
            places[SLOW] = folder
        else:
            run.left_out[SLOW] = str(why_no_slow_syncs())
        yield places


@cache
def why_no_slow_syncs() -> str | None:
    """Why syncs cannot be made slower here (`strace` does it), or None when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    command = ["strace", "-f", "-e", "trace=none", "true"]
    trial = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  a fixed command
    return None if trial.returncode == 0 else "this machine does not allow strace to trace a process"


@dataclass(frozen=True, slots=True)
class _Ledger:
    """One run's measurements; each result goes to its case."""

    run: LedgerRun
    hooks: Path
    calls: Path
    places: Mapping[str, Path]
    step: Callable[[str], None]

    def one_round(self, number: int) -> None:
        """Every case once; plain SQLite with as many records to a commit as the ledger had just before."""
        records = self.run.options.records
        few = max(1, records // ALONE_SHARE)
        for place in (DISK, FAST):
            if place in self.places:
                self._append(Case(LEDGER, place, ALONE), few, number)
                self._append(Case(LEDGER, place, TOGETHER), records, number)
        for place in (DISK, FAST):
            if place in self.places:
                ours = self.run.results[Case(LEDGER, place, TOGETHER)][-1]
                self._plainly(Case(BATCHES, place, TOGETHER), records, ours.records / ours.commits, number)
        self._plainly(Case(SINGLY, DISK, ALONE), few, 1, number)
        if SLOW in self.places:
            self._append(Case(LEDGER, SLOW, TOGETHER), max(TOGETHER, records // SLOW_SHARE), number)

    def _append(self, case: Case, records: int, number: int) -> None:
        module = "cds_wrapper.bench.append"
        command = python(module, calls=self.calls, writers=case.writers, records=records)
        with self._folder(case, number) as (folder, variables):
            result = self._result(case, [*_slowed(case), *command], folder, variables)
            rows = _rows(folder / "ledger.db")
            self.run.rows += rows
            if rows != result.written:
                told = f"{result.written} records were confirmed and the ledger holds {rows}."
                self.run.mistakes.append(f"{case.system}, {case.place}, {case.writers} at a time: {told}")

    def _plainly(self, case: Case, records: int, per_commit: float, number: int) -> None:
        batch = max(1, round(per_commit))
        with self._folder(case, number) as (folder, variables):
            database = folder / "plain.db"
            module = "cds_wrapper.bench.plain_sqlite"
            command = python(
                module, calls=self.calls, database=database, records=records, batch=max(1, batch)
            )
            self._result(case, command, folder, variables)

    @contextlib.contextmanager
    def _folder(self, case: Case, number: int) -> Iterator[tuple[Path, Mapping[str, str]]]:
        """A folder of its own with settings of its own; nobody asks the vendor they name."""
        self.step(f"{case.system}, {case.place}, {case.writers} at a time, round {number + 1}")
        with tempfile.TemporaryDirectory(prefix="case-", dir=self.places[case.place]) as made:
            yield Path(made), prepare_site(self.hooks, Path(made), NOBODY_LISTENS)

    def _result(self, case: Case, command: list[str], folder: Path, variables: Mapping[str, str]) -> Appended:
        printed = output_of("append", command, folder, variables, logs=self.calls.parent)
        result = msgspec.json.decode(printed, type=Appended)
        self.run.results.setdefault(case, []).append(result)
        return result


def _slowed(case: Case) -> list[str]:
    """A tracer in front of the command that holds back every sync, where the case asks for it."""
    if case.place != SLOW:
        return []
    syncs = "fdatasync,fsync"
    delay = f"inject={syncs}:delay_enter={SLOWER_BY_MS * 1000}"
    return ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={syncs}", "-e", delay]


def _rows(ledger: Path) -> int:
    return int(LedgerReader(ledger).rows("SELECT count(*) AS n FROM predictions_v1")[0]["n"])
