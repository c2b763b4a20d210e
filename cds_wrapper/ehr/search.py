"""A search of a FHIR server, page by page, with a token of our own: for what is read in bulk.

A server that is busy (429, 503) is asked for the same page a few times more, after the time that it names.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from cds_wrapper.ehr.addresses import page_address
from cds_wrapper.ehr.answers import failed
from cds_wrapper.ehr.pages import next_link, page_of
from cds_wrapper.errors import OutboundTrouble, UnreadableFile
from cds_wrapper.outbound import Answer, Deadline, Outbound
from cds_wrapper.own_tokens import OwnTokens

PATIENCE: Final = timedelta(seconds=60)
"""How long one page may take: a server may have to look through years."""

LARGEST_PAGE: Final = 64 << 20
MOST_ASKED: Final = 5
"""How often a server that is busy is asked for one page."""

FIRST_WAIT: Final = timedelta(seconds=1)
"""Before the second time, where the server names none; doubled before each further one."""

LONGEST_WAIT: Final = timedelta(minutes=2)
"""A server that wants to be left alone for longer is: the import ends, and the next one goes on."""

MOST_WAITING: Final = timedelta(minutes=30)
"""All waits of one search run, whatever the number of its pages."""

_OK: Final = 200
_BUSY: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """The resources of one page, what was included beside them too, and where the next one is."""

    resources: tuple[Mapping[str, Any], ...]
    following: str | None

    def __repr__(self) -> str:
        return f"Page({len(self.resources)} resources)"


class Search:
    """The way to one server; without tokens it is asked without one, as a server for trying may be.

    `pause` waits so many seconds before a busy server is asked again.
    """

    def __init__(
        self,
        base: str,
        outbound: Outbound,
        tokens: OwnTokens | None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._base, self._outbound, self._tokens, self._pause = base.rstrip("/"), outbound, tokens, pause
        self._waited = timedelta()

    def first(self, query: str) -> str:
        """The address of a search's first page."""
        return f"{self._base}/{query}"

    async def page(self, address: str) -> Page:
        """One page; `UnreadableFile` when it cannot be had, for half a search is no search."""
        for asked in range(1, MOST_ASKED + 1):
            answer = await self._asked(address)
            if answer.status not in _BUSY:
                return self._page_of(answer, address)
            wait = wait_after(asked, answer.retry_after, datetime.now(UTC), random.random())  # noqa: S311  it spreads waits
            # A spread of a second is ours, and no reason to give up on what the server told.
            if asked == MOST_ASKED or wait > LONGEST_WAIT + FIRST_WAIT or self._waited + wait > MOST_WAITING:
                break
            self._waited += wait
            await self._pause(wait.total_seconds())
        problem = f"The FHIR server is busy ({answer.status}, asked {asked} times for one page)"
        raise UnreadableFile(f"{problem}: import again later.")

    async def _asked(self, address: str) -> Answer:
        until = Deadline.after(PATIENCE)
        headers = {"accept": "application/fhir+json"}
        if self._tokens is not None:
            token = await self._tokens.token(until)
            if token is None:
                raise UnreadableFile("The authorisation server of the FHIR server gave no token.")
            headers["authorization"] = f"Bearer {token}"
        try:
            return await self._outbound.get(address, until, LARGEST_PAGE, headers)
        except OutboundTrouble as trouble:
            raise UnreadableFile(f"The FHIR server did not answer usably ({trouble.kind.value}).") from None

    def _page_of(self, answer: Answer, address: str) -> Page:
        bundle = page_of(answer.body)
        if answer.status != _OK or bundle is None or failed(answer, is_search=True) is not None:
            raise UnreadableFile(f"The FHIR server did not answer a search with a page ({answer.status}).")
        if _lacks_results(bundle):
            raise UnreadableFile("The FHIR server says of a page that its results are not whole.")
        link = next_link(bundle)
        following = page_address(link, self._base) if link is not None else None
        if link is not None and following in {None, address}:
            raise UnreadableFile("The FHIR server's next page is not on that server, or is the same again.")
        return Page(tuple(_resources(bundle)), following)


def wait_after(asked: int, told: str | None, now: datetime, draw: float) -> timedelta:
    """How long to wait after so many questions: what `Retry-After` tells (RFC 9110), else ever longer.

    `draw` from 0 to 1 spreads the waits of those who were turned away together; it is never sooner than told.
    """
    least = _told(told, now)
    if least is None:
        return FIRST_WAIT * (2.0 ** (asked - 1) * (0.5 + draw))
    return least + FIRST_WAIT * draw


def _told(told: str | None, now: datetime) -> timedelta | None:
    """Seconds or a date; None where it is neither."""
    if told is None:
        return None
    if told.isascii() and told.isdigit():
        return timedelta(seconds=min(int(told[:9]), _A_DAY))
    try:
        at = parsedate_to_datetime(told)
    except (ValueError, OverflowError):
        return None
    return max(timedelta(), (at if at.tzinfo else at.replace(tzinfo=UTC)) - now)


_A_DAY: Final = 86_400
_FAILED: Final = frozenset({"error", "fatal"})


def _lacks_results(bundle: Mapping[str, Any]) -> bool:
    """Whether an OperationOutcome among the entries tells of an error: what is left out would be no event."""
    told = [one for one in _entries(bundle) if one.get("resourceType") == "OperationOutcome"]
    issues = [issue for one in told if isinstance(one.get("issue"), list) for issue in one["issue"]]
    return any(isinstance(one, dict) and str(one.get("severity")) in _FAILED for one in issues)


def _resources(bundle: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in _entries(bundle) if one.get("resourceType") != "OperationOutcome"]


def _entries(bundle: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the entries hold; what has not the shape of one is passed over."""
    entries = bundle.get("entry")
    listed = entries if isinstance(entries, list) else []
    found = [one.get("resource") for one in listed if isinstance(one, dict)]
    return [one for one in found if isinstance(one, dict)]
