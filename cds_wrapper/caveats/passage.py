"""What of a vendor's card may pass on one answer: what the site decided, and what this EHR understands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cds_wrapper.caveats.vendor_text import clean_line
from cds_wrapper.cds_client import GENERIC, ClientProfile
from cds_wrapper.json_values import prune

_ADDRESS: Final = re.compile(
    r"(https?)://([a-z0-9.-]+(?::\d{1,5})?)(?:[/?#][^\s\\<>\"`{}|^\x00-\x1f\x7f-\x9f]*)?",
    re.ASCII | re.IGNORECASE,
)
_USUAL_PORT: Final = {"https": ":443", "http": ":80"}


class ResourceJudge(Protocol):
    """Says why a FHIR resource may not go out; None when it may."""

    def __call__(self, resource: dict[str, Any]) -> str | None:
        """The reason, in words of ours that fit into the record."""
        ...


@dataclass(frozen=True, slots=True)
class CardPolicy:
    """What a site lets through from one service's vendor; by default nothing that acts or leads elsewhere.

    `link_hosts` are host names, with a port where it is not the usual one. `override_reasons` and `topic` are
    codings the site adds. `system_actions` are of the form `update/ServiceRequest`.
    """

    suggestions: bool = False
    link_hosts: frozenset[str] = frozenset()
    override_reasons: tuple[Mapping[str, str], ...] = ()
    topic: Mapping[str, str] | None = None
    system_actions: frozenset[str] = frozenset()

    @property
    def lets_actions_through(self) -> bool:
        """Whether anything that changes the chart can pass at all."""
        return self.suggestions or bool(self.system_actions)


HOLD: Final = CardPolicy()


@dataclass(frozen=True, slots=True)
class Passage:
    """What may pass on one answer.

    `profile` are the habits of the EHR that asked. With `https_only` (production) no plain http address is
    opened. Without a `judge` no resource passes.
    """

    policy: CardPolicy = HOLD
    profile: ClientProfile = GENERIC
    https_only: bool = False
    judge: ResourceJudge | None = None

    def opens(self, url: str) -> bool:
        """Whether a clinician may be led to this address: the site has listed its host, word for word."""
        found = _ADDRESS.fullmatch(url)
        return found is not None and self.lists(found[1], found[2])

    def lists(self, scheme: str, host: str) -> bool:
        """The same for the two parts of an address that decide."""
        scheme, host = scheme.lower(), host.lower()
        if scheme != "https" and (self.https_only or scheme != "http"):
            return False
        return host.removesuffix(_USUAL_PORT[scheme]) in self.policy.link_hosts


CLOSED: Final = Passage()


class Changes:
    """Collects what is changed on one card, as `what: why`, without any of the vendor's words."""

    def __init__(self, card: int) -> None:
        self._card = card
        self.found: list[str] = []

    def note(self, member: str, why: str) -> None:
        """Something was changed, held back or added."""
        self.found.append(f"cards[{self._card}].{member}: {why}")

    def line(self, member: str, text: str) -> str:
        """A vendor's text as one line; empty when nothing in it can be seen."""
        line = clean_line(text)
        if line != text:
            self.note(member, "cleaned")
        return line

    def pruned(self, member: str, value: Mapping[str, Any]) -> dict[str, Any] | None:
        """JSON of the vendor's without null and empty values; None when nothing is left."""
        kept: dict[str, Any] | None = prune(value)
        if value and kept != value:
            self.note(member, "empty values removed")
        return kept
