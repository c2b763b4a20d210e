"""`outcomes import --fhir`: outcomes out of a FHIR server, by searches for what changed since a day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from cds_wrapper import log
from cds_wrapper.ehr.access import FHIRAccess
from cds_wrapper.ehr.addresses import normal_address
from cds_wrapper.ehr.backend import backend_tokens
from cds_wrapper.ehr.clients import KnownClient, KnownClients
from cds_wrapper.ehr.search import Page, Search
from cds_wrapper.errors import UnreadableFile
from cds_wrapper.ledger.outcome_fhir import resource_row, searches
from cds_wrapper.ledger.outcome_keys import Keys
from cds_wrapper.ledger.outcomes import Row
from cds_wrapper.outbound import Outbound
from cds_wrapper.services.outcomes import Outcome
from cds_wrapper.settings import Settings

MOST_EMPTY: Final = 100
"""Pages in a row that bring nothing: a server may filter after it has cut its pages."""
MOST_PAGES: Final = 200_000
"""Pages of one search: at 500 resources each more than any hospital's year."""


@dataclass(frozen=True, slots=True)
class Door:
    """The configured text of a server, and what it is read with: None without a token, as when trying."""

    base: str
    access: FHIRAccess | None


def found_rows(
    door: Door, since: date, outcome: Outcome, keys: Keys, settings: Settings, now: datetime
) -> Iterator[tuple[int, Row]]:
    """What the searches found, numbered; one page is in memory at a time.

    `UnreadableFile` when the server does not answer to the end.
    """
    number = 0
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        search = runner.run(_opened(door, settings, stack))
        try:
            for query in searches(outcome, since):
                for page in _pages(runner, search, query):
                    for resource in page.resources:
                        if resource.get("resourceType") == "Patient":
                            keys.learn(resource)
                    for resource in page.resources:
                        number += 1
                        yield number, resource_row(resource, outcome, keys, now)
        finally:
            runner.run(stack.aclose())


def _pages(runner: asyncio.Runner, search: Search, query: str) -> Iterator[Page]:
    """Page by page; `UnreadableFile` where a server leads round in a circle, or on and on to nothing."""
    address: str | None = search.first(query)
    seen, empty = set[int](), 0
    while address is not None:
        if hash(address) in seen:
            raise UnreadableFile("The FHIR server's next page is one that was read before.")
        seen.add(hash(address))
        page = runner.run(search.page(address))
        empty = 0 if page.resources else empty + 1
        if empty > MOST_EMPTY or len(seen) > MOST_PAGES:
            raise UnreadableFile(f"The FHIR server names ever more pages ({len(seen)} were read).")
        yield page
        address = page.following


def door_of(server: str, clients: KnownClients | None, settings: Settings) -> tuple[Door, KnownClient | None]:
    """A server that may be read, and the client it is of; `UnreadableFile` says what has to be configured."""
    for one in clients.clients if clients else ():
        base = one.fhir.server(server) if one.fhir is not None and one.fhir.backend is not None else None
        if base is not None:
            return Door(base, one.fhir), one
    trying = settings.development_fhir
    if clients is None and trying is not None and normal_address(trying) == normal_address(server):
        return Door(trying, None), None
    raise UnreadableFile(
        "No entry of clients.yaml lists that FHIR server with a token of our own (`fhir.access: backend`)."
    )


async def _opened(door: Door, settings: Settings, stack: AsyncExitStack) -> Search:
    outbound = Outbound(str(settings.ca_bundle) if settings.ca_bundle else None)
    await outbound.open()
    stack.push_async_callback(outbound.close)
    if door.access is None or door.access.backend is None:
        return Search(door.base, outbound, None)
    tokens = backend_tokens("outcomes", door.access.backend, outbound, log.OperatorLog("outcomes"))
    stack.push_async_callback(tokens.close)
    return Search(door.base, outbound, tokens)
