"""What a serving run says: the table, the figures and their verdicts, whether a record is missing. Pure."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cds_wrapper.bench.figures import FIGURE_HEAD, Bound, Figure
from cds_wrapper.bench.load import LoadResult
from cds_wrapper.bench.serving import ALONE, TOGETHER, ServingRun
from cds_wrapper.bench.spread import Spread, paired, percentile
from cds_wrapper.bench.systems import AIOHTTP, HTTPX, VENDOR, WRAPPER
from cds_wrapper.bench.text_table import text_table

HEAD = ("system", "at a time", "p50 ms", "p95 ms", "p99 ms", "answers/s", "CPU us each", "rounds", "answers")


@dataclass(frozen=True, slots=True)
class SystemRow:
    """One system under one kind of load: the spread over its rounds; times in ms, processor time in us."""

    system: str
    connections: int
    p50: Spread
    p95: Spread
    p99: Spread
    per_second: Spread
    cpu_us: Spread
    measured: int

    @classmethod
    def of(cls, system: str, connections: int, loads: Sequence[LoadResult], pid: int) -> SystemRow:
        """Gather the rounds of one system whose process is `pid`."""
        p50, p95, p99 = (Spread.of(latency(load, share) for load in loads) for share in (0.5, 0.95, 0.99))
        return cls(
            system,
            connections,
            p50,
            p95,
            p99,
            per_second=Spread.of(len(load.latencies_us) / load.seconds for load in loads),
            cpu_us=Spread.of(cpu_us(load, pid) for load in loads),
            measured=sum(len(load.latencies_us) for load in loads),
        )

    def cells(self) -> tuple[str, ...]:
        """For the table: medians, and how far the rounds' processor times lie apart."""
        return (
            self.system,
            str(self.connections),
            *(f"{spread.median:.2f}" for spread in (self.p50, self.p95, self.p99)),
            f"{self.per_second.median:,.0f}",
            f"{self.cpu_us.median:,.0f}",
            f"{self.cpu_us.lowest:,.0f} to {self.cpu_us.highest:,.0f}",
            f"{self.measured:,}",
        )

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def latency(load: LoadResult, share: float) -> float:
    """A percentile of one round in ms."""
    return percentile(load.latencies_us, share) / 1000


def cpu_us(load: LoadResult, pid: int) -> float:
    """Processor time of a process per answer of one round, in us."""
    return load.cpu[pid] / len(load.latencies_us) * 1e6


def rows(run: ServingRun) -> list[SystemRow]:
    """One row per system and kind of load."""
    return [
        SystemRow.of(system, connections, run.loads[system, connections], run.pids[system])
        for connections in (ALONE, TOGETHER)
        for system in run.systems
    ]


# Figures ----------------------------------------------------------------------------------------------------


def figures(run: ServingRun) -> list[Figure]:
    """The figures of the serving path, in the order of the design."""
    return [
        _beyond_the_disk(run, "added p50, one at a time, beyond the sync", 0.5, 3.0),
        _beyond_the_disk(run, "added p99, one at a time, beyond the sync", 0.99, 6.0),
        _cpu_ratio(run, "CPU of a request to Starlette + aiohttp", AIOHTTP, 3.0),
        _cpu_ratio(run, "CPU of a request to Starlette + aiohttp, stretch", AIOHTTP, 2.2),
        _cpu_ratio(run, "CPU of a request to FastAPI + httpx", HTTPX, 0.333, 3),
        _cpu_ratio(run, "CPU of a request to FastAPI + httpx, stretch", HTTPX, 0.25, 3),
        Figure("CPU of a request, 32 at a time", Bound.AT_MOST, 650, "us", _cpu(run, WRAPPER), 0),
        Figure("import of the serving process", Bound.AT_MOST, 1, "s", Spread.of(run.import_seconds)),
        Figure(
            "resident memory after the load",
            Bound.AT_MOST,
            120,
            "MiB",
            Spread.of([run.resident_bytes / 2**20]),
            1,
        ),
    ]


def added(run: ServingRun, share: float, connections: int) -> list[float]:
    """What the wrapper adds to the vendor alone at a percentile, in ms, by round."""
    pairs = zip(run.loads[WRAPPER, connections], run.loads[VENDOR, connections], strict=True)
    return [latency(ours, share) - latency(vendors, share) for ours, vendors in pairs]


def sync_ms(run: ServingRun, share: float) -> list[float]:
    """The disk's own time for one sync at a percentile, in ms, by round."""
    return [percentile(times, share) * 1000 for times in run.syncs]


def _beyond_the_disk(run: ServingRun, name: str, share: float, target: float) -> Figure:
    left = paired(operator.sub, added(run, share, ALONE), sync_ms(run, share))
    return Figure(name, Bound.AT_MOST, target, "ms", left)


def _cpu_ratio(run: ServingRun, name: str, system: str, target: float, places: int = 2) -> Figure:
    ratio = paired(operator.truediv, _cpu_rounds(run, WRAPPER), _cpu_rounds(run, system))
    return Figure(name, Bound.AT_MOST, target, "", ratio, places)


def _cpu(run: ServingRun, system: str) -> Spread:
    return Spread.of(_cpu_rounds(run, system))


def _cpu_rounds(run: ServingRun, system: str) -> list[float]:
    return [cpu_us(load, run.pids[system]) for load in run.loads[system, TOGETHER]]


# Whether all is right ---------------------------------------------------------------------------------------


def mistakes(run: ServingRun) -> list[str]:
    """What must never be: a wrong answer, an answer without a record, a wrapper that did not stop cleanly.

    An answer that says that it was not recorded is none of these, and no measure of anything: see `withheld`.
    """
    found = [f"{system}: {count} answers were wrong ({what})." for system, what, count in _wrong(run)]
    answers = run.answers(WRAPPER) - withheld(run)
    if run.rows != answers:
        found.append(
            f"The wrapper gave {answers} answers as recorded and its ledger holds {run.rows} of them."
        )
    if run.lines < run.rows:
        found.append(f"The ledger holds {run.rows} records and the prediction stream {run.lines} lines.")
    if run.exit_code:
        found.append(f"The wrapper ended with {run.exit_code} when it was asked to stop.")
    return found


def _wrong(run: ServingRun) -> Iterator[tuple[str, str, int]]:
    for system in run.systems:
        wrong = sum((Counter(load.wrong) for load in run.every_load(system)), Counter[str]())
        yield from ((system, what, count) for what, count in wrong.items())


def unmarked(run: ServingRun) -> int:
    """How many of the wrapper's answers were truthful cards without a score."""
    return sum(load.unmarked for load in run.every_load(WRAPPER))


def withheld(run: ServingRun) -> int:
    """How many of them said that they were not recorded in time."""
    return sum(load.withheld for load in run.every_load(WRAPPER))


# Output -----------------------------------------------------------------------------------------------------


def text(run: ServingRun) -> str:
    """The whole report for people."""
    parts = [
        "\n".join(_circumstances(run)),
        text_table(HEAD, [row.cells() for row in rows(run)]),
        "\n".join(_beside_the_table(run)),
        text_table(FIGURE_HEAD, [figure.cells() for figure in figures(run)]),
        "\n".join(mistakes(run))
        or f"{run.rows:,} records for {run.answers(WRAPPER) - withheld(run):,} answers: none is missing.",
    ]
    return "\n\n".join(parts)


def _circumstances(run: ServingRun) -> Iterator[str]:
    options = run.options
    yield f"Machine: {run.machine.sentence()}."
    yield (
        f"Load: {run.patients} synthetic patients, {run.body_bytes / 1024:.1f} KiB a call; a vendor that"
        f" takes {options.vendor_milliseconds:g} ms; {options.rounds} rounds of {options.seconds:g} s each."
    )
    p50, p99 = (_ms(sync_ms(run, share)) for share in (0.5, 0.99))
    yield f"Disk: one page written and synced takes {p50} (p50), {p99} (p99); a record needs one sync."
    yield from (f"Left out: {name}, since {why}." for name, why in run.left_out.items())


def _beside_the_table(run: ServingRun) -> Iterator[str]:
    for connections in (ALONE, TOGETHER):
        p50, p99 = (_ms(added(run, share, connections)) for share in (0.5, 0.99))
        yield f"Added to the vendor alone, {connections} at a time, sync included: {p50} (p50), {p99} (p99)."
    per_commit = [records / commits for records, commits in run.commits if commits]
    if per_commit:
        yield f"Records per commit, {TOGETHER} at a time: {Spread.of(per_commit).median:.1f}."
    yield (
        f"Busiest beside it: load generator {_busiest(run, lambda _: 0):.0%} of a core,"
        f" vendor {_busiest(run, lambda _: run.pids[VENDOR]):.0%}."
    )
    if unmarked(run):
        yield (
            f"{unmarked(run)} answers of the wrapper were cards without a score, of which {withheld(run)} say"
            " that they were not recorded in time: this machine was too busy for the service's time budget."
        )


def _ms(values: Sequence[float]) -> str:
    return f"{Spread.of(values).median:.2f} ms"


def _busiest(run: ServingRun, process: Callable[[str], int]) -> float:
    """The largest share of a core that a helper of the benchmark took in any round."""
    shares = [
        load.cpu[process(system)] / load.seconds for (system, _), loads in run.loads.items() for load in loads
    ]
    return max(shares)


def document(run: ServingRun) -> Mapping[str, Any]:
    """The whole report for scripts."""
    return {
        "bench": "serving",
        "machine": run.machine.plain(),
        "options": asdict(run.options),
        "body_bytes": run.body_bytes,
        "patients": run.patients,
        "sync_ms": {
            "p50": Spread.of(sync_ms(run, 0.5)).plain(),
            "p99": Spread.of(sync_ms(run, 0.99)).plain(),
        },
        "systems": [row.plain() for row in rows(run)],
        "left_out": run.left_out,
        "added_ms": {
            str(ALONE): _percentiles(lambda share: added(run, share, ALONE)),
            str(TOGETHER): _percentiles(lambda share: added(run, share, TOGETHER)),
        },
        "records_per_commit": [records / commits for records, commits in run.commits if commits],
        "figures": [figure.plain() for figure in figures(run)],
        "answers": run.answers(WRAPPER),
        "records": run.rows,
        "stream_lines": run.lines,
        "without_score": unmarked(run),
        "withheld": withheld(run),
        "mistakes": mistakes(run),
    }


def _percentiles(of: Callable[[float], Sequence[float]]) -> dict[str, Any]:
    return {name: Spread.of(of(share)).plain() for name, share in (("p50", 0.5), ("p99", 0.99))}
