"""What a ledger run says: the table, the figures and their verdicts, whether a record is missing. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cds_wrapper.bench.appended import Appended
from cds_wrapper.bench.figures import FIGURE_HEAD, Bound, Figure
from cds_wrapper.bench.ledger import (
    ALONE,
    BATCHES,
    DISK,
    FAST,
    LEDGER,
    SINGLY,
    SLOW,
    TOGETHER,
    Case,
    LedgerRun,
)
from cds_wrapper.bench.spread import Spread, paired, percentile
from cds_wrapper.bench.text_table import text_table

HEAD = (
    "what writes",
    "where",
    "at a time",
    "records/s",
    "rounds",
    "wait p50 ms",
    "wait p99 ms",
    "a commit",
    "CPU us: entry",
    "the rest",
)


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case: the spread over its rounds. Waits in ms; None where nobody waits for a single record."""

    case: Case
    per_second: Spread
    wait_p50: Spread | None
    wait_p99: Spread | None
    records_per_commit: Spread
    making_us: Spread
    append_us: Spread

    @classmethod
    def of(cls, case: Case, results: Sequence[Appended]) -> CaseRow:
        """Gather the rounds of one case."""
        has_waits = all(result.waits_us for result in results)
        return cls(
            case,
            per_second=_spread(results, rate),
            wait_p50=_spread(results, lambda one: wait_ms(one, 0.5)) if has_waits else None,
            wait_p99=_spread(results, lambda one: wait_ms(one, 0.99)) if has_waits else None,
            records_per_commit=_spread(results, lambda one: one.records / one.commits),
            making_us=_spread(results, lambda one: one.making_us),
            append_us=_spread(results, lambda one: one.append_us),
        )

    def cells(self) -> tuple[str, ...]:
        """For the table: medians, and how far the rounds' rates lie apart."""
        return (
            self.case.system,
            self.case.place,
            str(self.case.writers),
            f"{self.per_second.median:,.0f}",
            f"{self.per_second.lowest:,.0f} to {self.per_second.highest:,.0f}",
            *(f"{wait.median:.2f}" if wait else "-" for wait in (self.wait_p50, self.wait_p99)),
            f"{self.records_per_commit.median:.1f}",
            f"{self.making_us.median:.0f}",
            f"{self.append_us.median:.0f}",
        )

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _spread(results: Sequence[Appended], of: Callable[[Appended], float]) -> Spread:
    return Spread.of(of(result) for result in results)


def rate(result: Appended) -> float:
    """Durable records per second."""
    return result.records / result.seconds


def wait_ms(result: Appended, share: float) -> float:
    """How long a caller waited for its record, a percentile in ms."""
    return percentile(result.waits_us, share) / 1000


def rows(run: LedgerRun) -> list[CaseRow]:
    """One row per case, in the order they were measured."""
    return [CaseRow.of(case, results) for case, results in run.results.items()]


# Figures ----------------------------------------------------------------------------------------------------


def figures(run: LedgerRun) -> list[Figure]:
    """The figures of durable records, in the order of the design."""
    return [
        _figure(run, "records/s, 32 at a time, fast disk", FAST, Bound.AT_LEAST, 20_000, rate),
        _figure(run, "wait p99, 32 at a time, fast disk", FAST, Bound.AT_MOST, 5, _wait_p99),
        _figure(run, "records/s, 32 at a time, syncs 4 ms slower", SLOW, Bound.AT_LEAST, 2_500, rate),
    ]


def _figure(
    run: LedgerRun, name: str, place: str, bound: Bound, target: float, of: Callable[[Appended], float]
) -> Figure:
    results = run.results.get(Case(LEDGER, place, TOGETHER))
    measured = _spread(results, of) if results else None
    unit, places = ("/s", 0) if of is rate else ("ms", 2)
    return Figure(name, bound, target, unit, measured, places, run.left_out.get(place, ""))


def _wait_p99(result: Appended) -> float:
    return wait_ms(result, 0.99)


def ratios(run: LedgerRun) -> dict[str, Spread]:
    """How fast the ledger is on this disk at 32 writers, as multiples of plain SQLite in the same round."""
    ours = _rates(run, Case(LEDGER, DISK, TOGETHER))
    return {
        BATCHES: paired(operator.truediv, ours, _rates(run, Case(BATCHES, DISK, TOGETHER))),
        SINGLY: paired(operator.truediv, ours, _rates(run, Case(SINGLY, DISK, ALONE))),
    }


def _rates(run: LedgerRun, case: Case) -> list[float]:
    return [rate(result) for result in run.results[case]]


# Output -----------------------------------------------------------------------------------------------------


def text(run: LedgerRun) -> str:
    """The whole report for people."""
    parts = [
        "\n".join(_circumstances(run)),
        text_table(HEAD, [row.cells() for row in rows(run)], left=2),
        "\n".join(_beside_the_table(run)),
        text_table(FIGURE_HEAD, [figure.cells() for figure in figures(run)]),
        "\n".join(run.mistakes) or f"{run.rows:,} records were confirmed and found: none is missing.",
    ]
    return "\n\n".join(parts)


def _circumstances(run: LedgerRun) -> Iterator[str]:
    yield f"Machine: {run.machine.sentence()}."
    p50, p99 = (Spread.of(sync_ms(run, share)).median for share in (0.5, 0.99))
    yield f"Disk: one page written and synced takes {p50:.2f} ms (p50), {p99:.2f} ms (p99)."
    yield f"`{FAST}` is memory: what is left of a record's time when a sync costs nothing."
    yield from (f"Left out: {name}, since {why}." for name, why in run.left_out.items())


def _beside_the_table(run: LedgerRun) -> Iterator[str]:
    yield "CPU us: processor time per record, to make its entry and for the rest, chain and stream included."
    for name, ratio in ratios(run).items():
        yield (
            f"Beside {name}: {ratio.median:.2f} times as many records per second"
            f" ({ratio.lowest:.2f} to {ratio.highest:.2f})."
        )


def sync_ms(run: LedgerRun, share: float) -> list[float]:
    """The disk's own time for one sync at a percentile, in ms, by round."""
    return [percentile(times, share) * 1000 for times in run.syncs]


def document(run: LedgerRun) -> Mapping[str, Any]:
    """The whole report for scripts."""
    return {
        "bench": "ledger",
        "machine": run.machine.plain(),
        "options": asdict(run.options),
        "sync_ms": {
            name: Spread.of(sync_ms(run, share)).plain() for name, share in (("p50", 0.5), ("p99", 0.99))
        },
        "cases": [row.plain() for row in rows(run)],
        "left_out": run.left_out,
        "ratios": {name: ratio.plain() for name, ratio in ratios(run).items()},
        "figures": [figure.plain() for figure in figures(run)],
        "records": run.rows,
        "mistakes": run.mistakes,
    }
