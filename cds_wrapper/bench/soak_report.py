"""What a soak says: memory and descriptors after every tenth, three accounts and whether they agree. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from cds_wrapper.bench.soak import SoakRun, Tenth, Totals
from cds_wrapper.bench.spread import percentile
from cds_wrapper.bench.text_table import text_table

HEAD = ("after", "answers/s", "p50 ms", "p99 ms", "memory MB", "open", "of them connections", "other vendor")
MB = 1024 * 1024
SETTLED = 2
"""From this tenth on memory and descriptors are compared: before it connections and caches are made."""


def p99_ms(tenth: Tenth) -> float:
    """Of the measured service."""
    return percentile(tenth.load.steady.latencies_us, 0.99) / 1000


def ratio(run: SoakRun) -> float | None:
    """The p99 while the other vendor hangs, over that while it answers; medians of the tenths."""
    hung = [p99_ms(tenth) for tenth in run.tenths if tenth.hung]
    answered = [p99_ms(tenth) for tenth in run.tenths if not tenth.hung]
    return statistics.median(hung) / statistics.median(answered) if hung and answered else None


def growth(run: SoakRun) -> tuple[float, int]:
    """By how much memory (a share) and open descriptors grew from the second tenth to the last."""
    first, last = run.tenths[SETTLED - 1], run.tenths[-1]
    return last.resident_bytes / first.resident_bytes - 1, last.descriptors - first.descriptors


def disagreements(run: SoakRun) -> tuple[str, ...]:
    """Everything that does not agree to the last call, in words; none when all is well."""
    wrong = [f"{count} answers: {what}" for what, count in sorted(run.wrong.items())]
    if run.totals is None:
        return (*wrong, "there are no totals")
    return (*wrong, *_unequal(run.totals), *([f"exit code {run.exit_code}"] if run.exit_code else []))


def _unequal(totals: Totals) -> Iterator[str]:
    for one, value, other, same in (
        ("answers heard", totals.answers, "requests_total", totals.requests),
        (
            "answers that say they were not recorded",
            totals.withheld,
            "unrecorded_answers_total",
            totals.unrecorded,
        ),
        ("recorded answers", totals.answers - totals.withheld, "predictions_total", totals.predictions),
        ("predictions_total", totals.predictions, "rows whose answer was returned", totals.returned_rows),
        ("records_total", totals.records, "rows in the ledger", totals.rows),
        ("records_lost_total", totals.lost, "what may be lost", 0),
        ("records left in the spool", totals.spooled, "what may be left", 0),
    ):
        if value != same:
            yield f"{one} {value}, {other} {same}"


def document(run: SoakRun) -> dict[str, Any]:
    """For scripts."""
    memory, descriptors = growth(run)
    return {
        "machine": run.machine.plain(),
        "options": asdict(run.options),
        "tenths": [_plain(tenth) for tenth in run.tenths],
        "totals": asdict(run.totals) if run.totals else None,
        "memory_growth": memory,
        "descriptor_growth": descriptors,
        "p99_ratio": ratio(run),
        "longest_scrape_ms": _longest_scrape(run),
        "mistakes": list(disagreements(run)),
    }


def _plain(tenth: Tenth) -> dict[str, Any]:
    return {
        "answers": tenth.load.steady.answers,
        "beside": tenth.load.beside.answers,
        "seconds": tenth.load.seconds,
        "p99_ms": p99_ms(tenth),
        "resident_bytes": tenth.resident_bytes,
        "descriptors": tenth.descriptors,
        "connections": tenth.connections,
        "hung": tenth.hung,
    }


def _longest_scrape(run: SoakRun) -> float | None:
    return max((took for tenth in run.tenths for took in tenth.load.scrapes_ms), default=None)


def text(run: SoakRun) -> str:
    """For people."""
    memory, descriptors = growth(run)
    compared = ratio(run)
    longest = _longest_scrape(run)
    lines = [
        run.machine.sentence(),
        "",
        text_table(HEAD, [_cells(run, number) for number in range(len(run.tenths))]),
        "",
        f"From the second tenth to the last: memory {memory:+.1%}, open descriptors {descriptors:+d}.",
        *([f"Longest scrape of /metrics under load: {longest:.0f} ms."] if longest is not None else []),
        *(
            [f"p99 with the other vendor hanging / answering: {compared:.2f}."]
            if compared is not None
            else []
        ),
        "",
        *(_accounts(run.totals) if run.totals else ()),
        "",
        *(disagreements(run) or ("All accounts agree to the last call.",)),
    ]
    return "\n".join(lines)


def _cells(run: SoakRun, number: int) -> tuple[str, ...]:
    tenth = run.tenths[number]
    steady = tenth.load.steady
    return (
        f"{sum(one.load.steady.answers for one in run.tenths[: number + 1]):,}",
        f"{steady.answers / tenth.load.seconds:,.0f}",
        f"{percentile(steady.latencies_us, 0.5) / 1000:.1f}",
        f"{p99_ms(tenth):.1f}",
        f"{tenth.resident_bytes / MB:.1f}",
        str(tenth.descriptors),
        str(tenth.connections),
        ("hangs" if tenth.hung else "answers") if run.options.hanging else "none",
    )


def _accounts(totals: Totals) -> Iterator[str]:
    yield f"load generator: {totals.answers:,} answers, {totals.withheld:,} of them not recorded"
    yield (
        f"/metrics: {totals.requests:,} requests, {totals.predictions:,} predictions,"
        f" {totals.records:,} records, {totals.unrecorded:,} unrecorded, {totals.lost:,} lost"
    )
    yield f"ledger: {totals.rows:,} rows, {totals.returned_rows:,} of them with their answer returned"
