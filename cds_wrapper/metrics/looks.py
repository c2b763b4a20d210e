"""What is looked at when somebody scrapes: state that is kept elsewhere and copied nowhere."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from cds_wrapper import __version__
from cds_wrapper.again import Again
from cds_wrapper.caveats.orders import Ordered
from cds_wrapper.ledger.work import LedgerHealth
from cds_wrapper.metrics import table
from cds_wrapper.metrics.samples import Look, Sample
from cds_wrapper.vendors.guard import Guarded

LOOK_AT_SPACE_EVERY: Final = timedelta(seconds=10)


def of_ledger(health: Callable[[], LedgerHealth]) -> Look:
    """The ledger's own account of itself."""

    def look() -> Iterator[Sample]:
        now = health()
        yield table.LEDGER_AVAILABLE, (), now.ledger_available
        yield table.SPOOL_AVAILABLE, (), now.spool_available
        yield table.LEDGER_QUEUE, (), now.queue_depth
        yield table.SPOOL_RECORDS, (), now.spool_records
        yield table.RECORDS_LOST, (), now.lost_total
        if now.spool_oldest is not None:
            yield table.SPOOL_OLDEST, (), now.spool_oldest.timestamp()

    return look


def of_calls(in_flight: Callable[[], Mapping[str, int]]) -> Look:
    """Calls being served, by service."""

    def look() -> Iterator[Sample]:
        for service, calls in in_flight().items():
            yield table.IN_FLIGHT, (service,), calls

    return look


def of_services(states: Callable[[], Mapping[str, Ordered]]) -> Look:
    """What each service is by the orders in force in this process."""

    def look() -> Iterator[Sample]:
        for service, state in states().items():
            yield table.SERVICE_STATE, (service,), _STATES[state]

    return look


_STATES: Final = {Ordered.STOP: 0, Ordered.SHADOW: 1, Ordered.LIVE: 2}


def of_vendors(vendors: Collection[Guarded]) -> Look:
    """Each service's vendor; of a service with several hooks the calls together, and the worst state."""

    def look() -> Iterator[Sample]:
        calls: Counter[str] = Counter()
        states: dict[str, int] = {}
        for vendor in vendors:
            service = vendor.service[0]
            calls[service] += vendor.in_flight
            states[service] = max(states.get(service, 0), vendor.circuit_state)
        for service, state in states.items():
            yield table.VENDOR_CIRCUIT, (service,), state
            yield table.VENDOR_IN_FLIGHT, (service,), calls[service]

    return look


def of_stream(lag_rows: Callable[[], int]) -> Look:
    """How far the prediction stream is behind."""

    def look() -> Iterator[Sample]:
        yield table.STREAM_LAG, (), lag_rows()

    return look


def of_files(digest: Callable[[], str]) -> Look:
    """The version and the hospital's files in force."""

    def look() -> Iterator[Sample]:
        yield table.BUILD, (__version__,), 1
        yield table.CONFIGURATION, (digest(),), 1

    return look


def of_editions(editions: Callable[[], Iterable[tuple[str, str]]]) -> Look:
    """The day of each service's evidence: an edition is named by it (`2027-03-01.5f0c6a7d`)."""

    def look() -> Iterator[Sample]:
        for service, edition in dict(editions()).items():
            day = date.fromisoformat(edition.partition(".")[0])
            yield table.EVIDENCE_PUBLISHED, (service,), datetime.combine(day, time(), UTC).timestamp()

    return look


def of_expiries(expiries: Mapping[str, datetime]) -> Look:
    """When what we show to others ends, by peer."""

    def look() -> Iterator[Sample]:
        for peer, ends in expiries.items():
            yield table.KEY_EXPIRY, (peer,), ends.timestamp()

    return look


class Space:
    """Room on the ledger's disk, asked for by a thread of its own: a disk that hangs holds up only that."""

    def __init__(self, folder: Path, every: timedelta = LOOK_AT_SPACE_EVERY) -> None:
        """`folder` lies on the disk in question."""
        self._folder = folder
        self._free: int | None = None
        self.looking = Again(self._watch, every, "ledger-space")

    def _watch(self) -> None:
        self._free = _free_bytes(self._folder)

    def look(self) -> Iterator[Sample]:
        """What was found last; nothing when it could not be found out."""
        if self._free is not None:
            yield table.LEDGER_FREE, (), self._free


def _free_bytes(folder: Path) -> int | None:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize
