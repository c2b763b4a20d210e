"""Reads what vendors say of their own services: at the start, and then again and again beside the requests.

A vendor that does not answer stops nobody's start; one that changes its mind is told to the operator, and
what the EHRs are asked for changes only when the service is started again.
"""

from __future__ import annotations

import asyncio
import io
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Final

from cds_wrapper import log
from cds_wrapper.errors import OutboundTrouble
from cds_wrapper.log import vendor_events
from cds_wrapper.outbound import Deadline, Outbound
from cds_wrapper.services import ServiceCatalog, ServiceDefinition
from cds_wrapper.services.definitions import VendorOffer
from cds_wrapper.services.discovered import Comparison, compare, joined
from cds_wrapper.settings import Settings
from cds_wrapper.signing import Credential
from cds_wrapper.vendor_access import VendorAccess, open_access, pool_for
from cds_wrapper.vendors.discovery import LARGEST_LIST, NoOffer, Offer, read_offer
from cds_wrapper.vendors.peer import NO_TOKEN

READ_WITHIN: Final = timedelta(seconds=5)
START_WITHIN: Final = timedelta(seconds=3)


@dataclass(slots=True)
class _Watched:
    """One service, where its vendor is asked, what was heard of it last and what is in force of it."""

    service: ServiceDefinition
    offer: VendorOffer
    pool: Outbound
    credential: Credential | None
    heard: Offer | None = None
    trouble: str | None = None


class VendorWatch:
    """The lists of all vendors; open it in the event loop that serves."""

    def __init__(
        self,
        catalog: ServiceCatalog,
        access: VendorAccess,
        settings: Settings,
        lines: log.OperatorLog,
        every: timedelta | None = None,
    ) -> None:
        """`every` replaces the time that the files give between two looks."""
        self._watched = [
            _Watched(service, service.vendor.offer, pool_for(service, settings), access.of(service))
            for service in catalog
            if service.vendor.offer is not None
        ]
        self._log = lines
        self._every = every
        self._rounds: list[asyncio.Task[None]] = []
        self._is_closing = False

    async def open(self, within: timedelta = START_WITHIN) -> None:
        """Ask every vendor once; one that takes longer is asked again later and stops nobody's start."""
        for one in self._watched:
            await one.pool.open()
        firsts = [asyncio.create_task(self._look(one)) for one in self._watched]
        if firsts:
            await asyncio.wait(firsts, timeout=within.total_seconds())
        self._rounds = [
            asyncio.create_task(self._go_on(one, first))
            for one, first in zip(self._watched, firsts, strict=True)
        ]

    def joined(self, catalog: ServiceCatalog) -> ServiceCatalog:
        """The services with their vendors' templates among their own, where the files say so."""
        heard = {
            (one.service.id, one.service.hook): one.heard
            for one in self._watched
            if one.offer.joins and one.heard is not None
        }
        services = tuple(
            joined(service, offer.templates) if (offer := heard.get((service.id, service.hook))) else service
            for service in catalog
        )
        return replace(catalog, services=services)

    async def close(self) -> None:
        """Stop asking."""
        self._is_closing = True
        for task in self._rounds:
            task.cancel()
        await asyncio.gather(*self._rounds, return_exceptions=True)
        for one in self._watched:
            await one.pool.close()

    async def _go_on(self, one: _Watched, first: asyncio.Task[None]) -> None:
        try:
            await first
            await self._look_again(one)
        finally:
            if not self._is_closing:
                self._tell_trouble(one, "ended")  # an error of our own: restart the service, it goes on then

    async def _look_again(self, one: _Watched) -> None:
        every = self._every or one.offer.every
        while True:
            await asyncio.sleep(every.total_seconds())
            await self._look(one)

    async def _look(self, one: _Watched) -> None:
        """Read the list once and say what is new about it; the same is said once."""
        read = await read_list(one.service, one.pool, one.credential)
        if isinstance(read, str):
            self._tell_trouble(one, read)
            return
        is_first = one.heard is None and not self._rounds
        is_news = read != one.heard
        is_over = one.trouble is not None
        one.heard, one.trouble = read, None
        if is_news and not is_first:
            self._tell(vendor_events.VENDOR_DISCOVERY_CHANGED, one, read)
        elif is_first or is_over:
            self._tell(vendor_events.VENDOR_DISCOVERY_READ, one, read)

    def _tell_trouble(self, one: _Watched, reason: str) -> None:
        """Once for each kind of trouble, until it is over."""
        if reason != one.trouble:
            one.trouble = reason
            self._log.emit(
                vendor_events.VENDOR_DISCOVERY_UNAVAILABLE, service_id=one.service.id, reason=reason
            )

    def _tell(self, event: log.Event, one: _Watched, read: Offer) -> None:
        """Keys only: a key is of a form that holds no words."""
        found = compare(one.service, read.templates)
        self._log.emit(
            event,
            service_id=one.service.id,
            joins=one.offer.joins,
            shared=list(found.shared),
            additional=list(found.additional),
            colliding=list(found.colliding),
            unusable=list(found.unusable),
            unusual=list(found.unusual),
            unasked=list(found.unasked),
            unreadable=read.unreadable,
        )


async def read_list(service: ServiceDefinition, pool: Outbound, credential: Credential | None) -> Offer | str:
    """What the vendor's list says of a service, or in a word why it says nothing."""
    offer = service.vendor.offer
    if offer is None:
        return "not_configured"
    headers = await credential.headers(offer.url, READ_WITHIN) if credential else None
    if credential is not None and headers is None:
        return NO_TOKEN
    try:
        answer = await pool.get(offer.url, Deadline.after(READ_WITHIN), LARGEST_LIST, headers)
    except OutboundTrouble as trouble:
        return trouble.kind.value
    if answer.status != 200:
        return f"http_{answer.status}"
    read = read_offer(answer.body, offer.service, service.vendor.hook)
    return read.value if isinstance(read, NoOffer) else read


@dataclass(frozen=True, slots=True)
class Probe:
    """What a vendor was found to offer for one service, for people: a sentence, and the same for scripts."""

    service_id: str
    reason: str | None
    asks_for: tuple[str, ...] = ()
    found: Comparison = field(default_factory=Comparison)

    def __str__(self) -> str:
        if self.reason is not None:
            return f"Vendor of {self.service_id}: its list of services says nothing of it ({self.reason})."
        found = self.found
        parts = {
            "asks for": self.asks_for,
            "covered": found.shared,
            "not in service.yaml": found.additional,
            "another query under the same key": found.colliding,
            "not to be filled by this hook": found.unusable,
            "more than every EHR can answer": found.unusual,
            "sent without being asked for": found.unasked,
        }
        said = "; ".join(f"{what}: {', '.join(keys)}" for what, keys in parts.items() if keys)
        return f"Vendor of {self.service_id}: {said or 'asks for nothing'}."

    def plain(self) -> dict[str, object]:
        """The same for scripts."""
        return {
            "service": self.service_id,
            "reason": self.reason,
            "asks_for": list(self.asks_for),
            **{name: list(keys) for name, keys in asdict(self.found).items()},
        }


async def probe(catalog: ServiceCatalog, access: VendorAccess, settings: Settings) -> tuple[Probe, ...]:
    """Ask every vendor that has a list once, over the network; for `check`."""
    asked = ServiceCatalog(tuple(service for service in catalog if service.vendor.offer))
    async with AsyncExitStack() as stack:
        lines = log.OperatorLog("check", io.StringIO())  # what would be logged is said by the probe
        access = await open_access(access, asked, settings, lines, stack)
        return tuple([await _probe(service, access, settings) for service in asked])


async def _probe(service: ServiceDefinition, access: VendorAccess, settings: Settings) -> Probe:
    pool = pool_for(service, settings)
    await pool.open()
    try:
        read = await read_list(service, pool, access.of(service))
    finally:
        await pool.close()
    if isinstance(read, str):
        return Probe(service.id, read)
    return Probe(service.id, None, tuple(read.templates), compare(service, read.templates))
