"""The serving benchmark: rounds of load on each system in turn, each part a process of its own on loopback.

The systems take turns, so that whatever else the machine does meets them all alike; figures are comparisons
within a round.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from cds_wrapper.bench.calls import HookCall, write_calls
from cds_wrapper.bench.load import LoadResult
from cds_wrapper.bench.machine import Machine, this_machine
from cds_wrapper.bench.parts import NotMeasured, output_of, python
from cds_wrapper.bench.process_meter import resident_bytes
from cds_wrapper.bench.scored_calls import scored_calls
from cds_wrapper.bench.site_files import AUDIENCE, PATH
from cds_wrapper.bench.sync_meter import sync_times
from cds_wrapper.bench.systems import System, Systems, committed, start_systems, wait_until_quiet
from cds_wrapper.ledger.store import LedgerReader

ALONE = 1
TOGETHER = 32
MOST_SYSTEMS = 5
_LEAST_MILLISECONDS = 20
"""What a call takes at least with 32 of them under way, whatever the vendor takes."""
_IMPORT = (
    "import time; t = time.perf_counter(); import cds_wrapper.commands.serve; print(time.perf_counter() - t)"
)


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How long each measurement lasts, how often, against which vendor. Times in seconds, unless named."""

    rounds: int = 3
    seconds: float = 3.0
    vendor_milliseconds: float = 50.0
    seed: int = 1
    syncs: int = 200

    @property
    def warm_up(self) -> float:
        """Before every measurement: connections are made and what is cold gets warm."""
        return min(0.3, self.seconds)

    @property
    def first_warm_up(self) -> float:
        """Once for each system, before the first round."""
        return min(0.5, self.seconds)

    def most_calls(self, connections: int, seconds: float) -> int:
        """Calls that so many connections can make in a round with its warm-up, and so the tokens it takes."""
        per_second = connections * 1000 / max(self.vendor_milliseconds, _LEAST_MILLISECONDS)
        return connections + round(per_second * (self.warm_up + seconds))

    @property
    def steps(self) -> int:
        """How many times `step` is told something at most."""
        return (self.rounds * 2 + 1) * MOST_SYSTEMS


@dataclass(slots=True)
class ServingRun:
    """What was measured, as it was measured: by system and connections, a list with one item per round.

    `warm_ups` is what each system was given before the first round, `syncs` are seconds, one list per round,
    `commits` records and commits of each round at 32. `rows` and `lines` are the predictions that the ledger
    and the prediction stream hold at the end.
    """

    machine: Machine
    options: ServingOptions
    body_bytes: float
    patients: int
    systems: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    loads: dict[tuple[str, int], list[LoadResult]] = field(default_factory=dict)
    warm_ups: dict[str, list[LoadResult]] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    syncs: list[list[float]] = field(default_factory=list)
    commits: list[tuple[int, int]] = field(default_factory=list)
    import_seconds: list[float] = field(default_factory=list)
    resident_bytes: int = 0
    exit_code: int = 0
    rows: int = 0
    lines: int = 0

    def every_load(self, system: str) -> list[LoadResult]:
        """Everything a system was given, the warm-up too."""
        rounds = [self.loads.get((system, connections), []) for connections in (ALONE, TOGETHER)]
        return [*self.warm_ups[system], *rounds[0], *rounds[1]]

    def answers(self, system: str) -> int:
        """How many answers the load generator got from a system, warm-ups included."""
        return sum(load.answers for load in self.every_load(system))


def measure_serving(
    hooks: Path, folder: Path, options: ServingOptions, step: Callable[[str], None]
) -> ServingRun:
    """Everything, in `folder`, which must be empty; `step` is told what comes next.

    `NotMeasured` when a part fails, `ConfigurationRefused` when `hooks` is not the repository's.
    """
    calls = scored_calls()
    run = ServingRun(this_machine(folder), options, _mean_size(calls), len(calls))
    write_calls(calls, folder / "calls.json")
    with contextlib.ExitStack() as stack:
        systems = start_systems(stack, folder, hooks, folder / "calls.json", options.vendor_milliseconds)
        bench = _Serving(run, systems, folder, step)
        bench.describe()
        run.import_seconds = [_import_seconds(folder) for _ in range(options.rounds)]
        bench.warm_up()
        for number in range(options.rounds):
            run.syncs.append(sync_times(folder, options.syncs))
            for connections in (ALONE, TOGETHER):
                bench.one_round(connections, number)
        bench.finish()
    run.rows = returned_rows(folder / "wrapper" / "ledger.db")
    run.lines = lines_of(folder / "wrapper")
    return run


@dataclass(frozen=True, slots=True)
class _Serving:
    """The systems that run, and where their measurements go."""

    run: ServingRun
    systems: Systems
    folder: Path
    step: Callable[[str], None]

    def describe(self) -> None:
        self.run.systems = tuple(system.name for system in self.systems.all)
        self.run.left_out = dict(self.systems.left_out)
        self.run.pids = {system.name: system.part.pid for system in self.systems.all}

    def warm_up(self) -> None:
        """One at a time first: what is cold would be too slow for 32 calls at once."""
        options = self.run.options
        for system in self.systems.all:
            self.step(f"{system.name}, warm-up")
            self.run.warm_ups[system.name] = [
                self._load(system, connections, options.first_warm_up, options.seed)
                for connections in (ALONE, TOGETHER)
            ]

    def one_round(self, connections: int, number: int) -> None:
        """Load on each system in turn, another one first in every round."""
        turn = number % len(self.systems.all)
        options = self.run.options
        for system in (*self.systems.all[turn:], *self.systems.all[:turn]):
            self.step(f"{system.name}, {connections} at a time, round {number + 1}")
            before = committed(self.systems.wrapper)
            result = self._load(system, connections, options.seconds, options.seed + number)
            self.run.loads.setdefault((system.name, connections), []).append(result)
            if system is self.systems.wrapper and connections == TOGETHER:
                after = committed(self.systems.wrapper)
                self.run.commits.append((after[0] - before[0], after[1] - before[1]))

    def _load(self, system: System, connections: int, seconds: float, seed: int) -> LoadResult:
        command = python(
            "cds_wrapper.bench.load",
            port=system.port,
            path=PATH,
            calls=self.folder / "calls.json",
            connections=connections,
            seconds=seconds,
            warm_up=self.run.options.warm_up,
            seed=seed,
            marker=system.marker,
        )
        if system.signing_key is not None:
            tokens = self.run.options.most_calls(connections, seconds)
            command += [f"--signing-key={system.signing_key}", f"--audience={AUDIENCE}", f"--tokens={tokens}"]
        watched = {system.part.pid, self.systems.vendor.part.pid}
        command += [f"--process={pid}" for pid in watched]
        result = msgspec.json.decode(output_of("load", command, self.folder), type=LoadResult)
        if not result.latencies_us:
            why = ", ".join(result.wrong) or "the time was too short"
            raise NotMeasured(f"No answer came from the system `{system.name}`: {why}.")
        return result

    def finish(self) -> None:
        """What can only be known at the end: memory after the load, and how the wrapper stops."""
        wrapper = self.systems.wrapper
        wait_until_quiet(wrapper)
        self.run.resident_bytes = resident_bytes(wrapper.part.pid)
        self.run.exit_code = wrapper.part.stop()


def _mean_size(calls: tuple[HookCall, ...]) -> float:
    return sum(len(call.body) for call in calls) / len(calls)


def _import_seconds(folder: Path) -> float:
    """How long a fresh interpreter takes to import what `serve` needs."""
    return float(output_of("import", [sys.executable, "-c", _IMPORT], folder))


def returned_rows(ledger: Path) -> int:
    """How many predictions a ledger holds whose answers were returned; the others say that they were not."""
    query = "SELECT count(*) AS n FROM predictions_v1 WHERE delivery <> 'not_returned'"
    return int(LedgerReader(ledger).rows(query)[0]["n"])


def lines_of(folder: Path) -> int:
    """How many predictions the stream's files in a folder hold, rotated ones included."""
    files = [path for path in folder.glob("predictions.jsonl*") if path.suffix != ".cursor"]
    return sum(path.read_bytes().count(b'"schema":"prediction.v1"') for path in files)
