"""What is counted as calls go by; cheap enough to be done for every one of them.

A recorded call is counted from its record, in the same place as the operator's line of it, so that record,
log and metric cannot disagree.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from cds_wrapper.cds import Reading
from cds_wrapper.ledger.columns import DEMOGRAPHIC_COLUMNS
from cds_wrapper.ledger.entries import LedgerEntry, picker
from cds_wrapper.ledger.values import Plain
from cds_wrapper.ledger.work import Committed
from cds_wrapper.metrics import table
from cds_wrapper.metrics.samples import Counts, Distribution, Look, Sample
from cds_wrapper.metrics.table import METRICS, OTHER, Kind, Metric

_STAGES: Final = ("trust", "fhir", "vendor", "decide", "ledger")
_MISSING: Final = "missing:"
_ATTRIBUTES: Final = tuple(column.name for column in DEMOGRAPHIC_COLUMNS)
_OF_SERVICES: Final = (table.BUDGET_EXCEEDED, table.ABANDONED, table.UNRECORDED, table.FEEDBACK_UNMATCHED)
_outcome_of = picker("service_id", "status", "disposition", "caveat_level")
_returned_as = picker("caveat_in_summary", "delivery")
_spent_on = picker("trust_ms", "fhir_ms", "vendor_ms", "decide_ms", "budget_ms", "vendor_attempts")
_attributes_of = picker(*_ATTRIBUTES)


class _Times:
    """How long one service's calls took."""

    __slots__ = ("overhead", "stages", "vendor", "whole")

    def __init__(self) -> None:
        self.whole = Distribution(table.REQUEST_DURATION.bounds)
        self.overhead = Distribution(table.OVERHEAD.bounds)
        self.vendor = Distribution(table.VENDOR_DURATION.bounds)
        self.stages = tuple(Distribution(table.STAGE_DURATION.bounds) for _ in _STAGES)

    def samples(self, service: str) -> Iterator[Sample]:
        yield table.REQUEST_DURATION, (service,), self.whole
        yield table.OVERHEAD, (service,), self.overhead
        yield table.VENDOR_DURATION, (service,), self.vendor
        for stage, times in zip(_STAGES, self.stages, strict=True):
            yield table.STAGE_DURATION, (service, stage), times


class Metrics:
    """The counts of one process, and what is to be looked at beside them when somebody scrapes.

    Counts are made in the event loop, but for `committed`, which the ledger's thread calls.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells seconds since 1970."""
        self._clock = clock
        self._counts: Mapping[Metric, Counts] = {
            metric: Counter() for metric in METRICS.values() if metric.kind is Kind.COUNTER
        }
        self._times: dict[str, _Times] = {}
        self._last: dict[str, float] = {}
        self._append = Distribution(table.LEDGER_APPEND.bounds)
        self._batch = Distribution(table.LEDGER_BATCH.bounds)
        self._looks: list[Look] = []

    def expect(self, services: Iterable[str], clients: Iterable[str]) -> None:
        """Begin at 0 what an alarm is raised for: a count that begins at 1 never rose."""
        for client in clients:
            self.count(table.STRIPPED, client, by=0)
            self.count(table.MISMATCH, client, by=0)
        for service in services:
            self._times.setdefault(service, _Times())
            for metric in _OF_SERVICES:
                self.count(metric, service, by=0)
            for status in ("answered", "no_cards"):
                self.count(table.PREDICTIONS, service, OTHER, status, by=0)

    def look_at(self, look: Look) -> None:
        """Ask this at every scrape too."""
        self._looks.append(look)

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Add to a counter; `labels` are values in its order, from configuration or a closed list."""
        self._counts[metric][labels] += by

    def answered(self, service: str, hook: str, client: str, code: int) -> None:
        """A hook call has its answer."""
        self._counts[table.REQUESTS][service, hook, client, str(code)] += 1

    def recorded(
        self, entry: LedgerEntry, version: str, cards: int, ledger_ms: float, total_ms: float
    ) -> None:
        """A call's record is durable; `version` is the model's as the plan names it, or `other`.

        `cards` went back. `ledger_ms` is the wait for the record, `total_ms` all of the call's time, in
        milliseconds.
        """
        counts = self._counts
        service, status, disposition, level = map(str, entry.taken(_outcome_of))
        in_summary, delivery = entry.taken(_returned_as)
        counts[table.PREDICTIONS][service, version, status] += 1
        counts[table.CARDS][service, disposition.lower()] += cards
        if in_summary is not None:
            counts[table.CAVEATS][service, level, "true" if in_summary else "false"] += 1
        if delivery == "abandoned":
            counts[table.ABANDONED][service,] += 1
        for attribute, value in zip(_ATTRIBUTES, entry.taken(_attributes_of), strict=True):
            if value is not None and (text := str(value)).startswith(_MISSING):
                counts[table.DEMOGRAPHICS_MISSING][service, attribute, text.removeprefix(_MISSING)] += 1
        self._time(service, status, entry, ledger_ms, total_ms)

    def _time(self, service: str, status: str, entry: LedgerEntry, ledger_ms: float, total_ms: float) -> None:
        times = self._times.get(service)
        if times is None:
            times = self._times[service] = _Times()
        trust, fhir, vendor, decide, budget, attempts = map(_number, entry.taken(_spent_on))
        for stage, spent in zip(times.stages, (trust, fhir, vendor, decide, ledger_ms), strict=True):
            stage.add(spent / 1000)
        times.whole.add(total_ms / 1000)
        times.overhead.add((total_ms - vendor - fhir) / 1000)
        if attempts:
            times.vendor.add(vendor / 1000)
            self._counts[table.VENDOR_REQUESTS][service, status] += 1
        if total_ms > budget:
            self._counts[table.BUDGET_EXCEEDED][service,] += 1
        self._last[service] = self._clock()

    def read(self, client: str, reading: Reading) -> None:
        """What was looked for on an EHR's FHIR server."""
        for key in reading.read_at.keys() | reading.troubles.keys():
            self._counts[table.FHIR_READS][client, _outcome(reading.troubles.get(key))] += 1

    def committed(self, batch: Iterable[Committed]) -> None:
        """Predictions have come into the ledger; called by its thread."""
        records = 0
        for one in batch:
            records += 1
            outcome = "returned" if one.in_time else "late"
            self._counts[table.RECORDS][str(one.entry["service_id"]), outcome] += 1
            self._append.add(one.receipt.waited.total_seconds())
        self._batch.add(records)

    def samples(self) -> Iterator[Sample]:
        """Everything there is to tell at this moment."""
        for metric, counts in self._counts.items():
            for labels, count in list(counts.items()):
                yield metric, labels, count
        for service, times in self._times.items():
            yield from times.samples(service)
        for service, moment in self._last.items():
            yield table.LAST_REQUEST, (service,), moment
        yield table.LEDGER_APPEND, (), self._append
        yield table.LEDGER_BATCH, (), self._batch
        for look in self._looks:
            yield from look()


def _number(value: Plain) -> float:
    return float(value or 0.0)


def _outcome(trouble: str | None) -> str:
    """A trouble's name; of a status only its class, since the number is the other side's."""
    if trouble is None:
        return "read"
    return f"{trouble[:6]}xx" if trouble.startswith("http_") else trouble
