"""A search of a FHIR server, page by page, with a token of our own: for what is read in bulk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from cds_wrapper.ehr.addresses import page_address
from cds_wrapper.ehr.answers import failed
from cds_wrapper.ehr.pages import next_link, page_of
from cds_wrapper.errors import OutboundTrouble, UnreadableFile
from cds_wrapper.outbound import Deadline, Outbound
from cds_wrapper.own_tokens import OwnTokens

PATIENCE: Final = timedelta(seconds=60)
"""How long one page may take: a server may have to look through years."""

LARGEST_PAGE: Final = 64 << 20
_OK: Final = 200


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """The resources of one page, what was included beside them too, and where the next one is."""

    resources: tuple[Mapping[str, Any], ...]
    following: str | None

    def __repr__(self) -> str:
        return f"Page({len(self.resources)} resources)"


class Search:
    """The way to one server; without tokens it is asked without one, as a server for trying may be."""

    def __init__(self, base: str, outbound: Outbound, tokens: OwnTokens | None) -> None:
        self._base, self._outbound, self._tokens = base.rstrip("/"), outbound, tokens

    def first(self, query: str) -> str:
        """The address of a search's first page."""
        return f"{self._base}/{query}"

    async def page(self, address: str) -> Page:
        """One page; `UnreadableFile` when it cannot be had, for half a search is no search."""
        until = Deadline.after(PATIENCE)
        headers = {"accept": "application/fhir+json"}
        if self._tokens is not None:
            token = await self._tokens.token(until)
            if token is None:
                raise UnreadableFile("The authorisation server of the FHIR server gave no token.")
            headers["authorization"] = f"Bearer {token}"
        try:
            answer = await self._outbound.get(address, until, LARGEST_PAGE, headers)
        except OutboundTrouble as trouble:
            raise UnreadableFile(f"The FHIR server did not answer usably ({trouble.kind.value}).") from None
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
