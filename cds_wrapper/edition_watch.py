"""Looks at the ledger for published evidence, about once a second, and puts it in force without a pause.

Reading and building happen in a thread; the event loop keeps the new edition, then swaps it whole. A request
goes on with the edition it met.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

from cds_wrapper import log
from cds_wrapper.caveats.evidence import EvidenceBook, LocalEvidence
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.edition_values import Published
from cds_wrapper.ledger.editions import kept_in, published_in
from cds_wrapper.ledger.store import Ledger
from cds_wrapper.log import edition_events
from cds_wrapper.runtime import ServicesInForce
from cds_wrapper.services import ServiceDefinition

LOOK_EVERY: Final = timedelta(seconds=1)
KEEP_WITHIN: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a published edition cannot be used here, in one sentence without patient data."""

    problem: str


def edition_of(
    published: Published, service: ServiceDefinition, kept: bytes | None
) -> EvidenceBook | Rejected:
    """The edition that this process's files and the published evidence make. Pure."""
    if kept is None:
        return Rejected("the evidence it names is not in the ledger, or is not what its digest says")
    try:
        local = LocalEvidence.from_json(kept)
    except (msgspec.DecodeError, RecursionError):
        return Rejected("the evidence it names cannot be read: was it written by a later version?")
    if not service.book.contents.question.is_answered_by(local, service.card.id, service.card.version):
        about = f"{local.model_id} {local.model_version}, {local.outcome} within {local.horizon}"
        return Rejected(f"it is about {about}, and not about what this process serves")
    return service.edition_with(local)


class EditionWatch:
    """Keeps in force what was published last, and the last good one while a later one cannot be used."""

    def __init__(
        self,
        ledger: Path,
        services: ServicesInForce,
        lines: log.OperatorLog,
        read: Callable[[Path], Mapping[str, Sequence[Published]]] = published_in,
        every: timedelta = LOOK_EVERY,
    ) -> None:
        self._ledger = ledger
        self._services = services
        self._lines = lines
        self._read = read
        self._every = every
        self._seen: dict[str, str] = {}
        self._is_readable = True
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Look once, so that the first request meets what was published before; it is kept with the files."""
        for published, book in await asyncio.to_thread(self._new):
            self._services.catalog = self._services.catalog.with_book(book)
            self._tell(published, book)

    def start(self, keeper: Ledger) -> None:
        """Go on looking; `keeper` keeps each edition before it is put in force."""
        self._watching = asyncio.create_task(self._watch(keeper))

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self, keeper: Ledger) -> None:
        while True:
            await asyncio.sleep(self._every.total_seconds())
            for published, book in await asyncio.to_thread(self._new):
                try:
                    await self._services.publish(book, keeper, KEEP_WITHIN)
                except LedgerUnavailable as error:
                    self._seen.pop(published.subject.service_id, None)  # tried again at the next look
                    self._reject(published, error.sentence)
                else:
                    self._tell(published, book)

    def _new(self) -> list[tuple[Published, EvidenceBook]]:
        """The editions that are new to this process and can be used, at most one for each service."""
        try:
            read = self._read(self._ledger)
            usable = []
            for service_id, published in read.items():
                services = self._services.catalog.of(service_id)
                if services and self._seen.get(service_id) != published[0].edition_id:
                    self._seen[service_id] = published[0].edition_id
                    usable += self._last_good(services[0], published)
        except LedgerUnavailable as error:
            self._cannot_read(error.sentence)
            return []
        self._can_read()
        return usable

    def _last_good(
        self, service: ServiceDefinition, published: Sequence[Published]
    ) -> list[tuple[Published, EvidenceBook]]:
        """The latest that can be used, unless it is in force already; those after it are told of."""
        for one in published:
            book = edition_of(one, service, kept_in(self._ledger, one.local_digest))
            if not isinstance(book, Rejected):
                return [(one, book)] if book.digest != service.book.digest else []
            self._reject(one, book.problem)
        return []

    def _cannot_read(self, problem: str) -> None:
        if self._is_readable:
            self._is_readable = False
            self._lines.emit(edition_events.EVIDENCE_UNREADABLE, problem=problem)

    def _can_read(self) -> None:
        if not self._is_readable:
            self._is_readable = True
            self._lines.emit(edition_events.EVIDENCE_READABLE)

    def _reject(self, published: Published, problem: str) -> None:
        self._lines.emit(
            edition_events.EVIDENCE_REJECTED,
            service_id=published.subject.service_id,
            edition_id=published.edition_id,
            edition=published.edition,
            problem=problem,
        )

    def _tell(self, published: Published, book: EvidenceBook) -> None:
        self._lines.emit(
            edition_events.EVIDENCE_SWAPPED,
            service_id=published.subject.service_id,
            edition=book.edition,
            digest=book.digest,
            as_of=book.as_of.isoformat(),
            edition_id=published.edition_id,
            findings=len(book.findings),
        )
