"""What the hospital decided about a service, in sentences, from its response plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, assert_never

from cds_wrapper.caveats.orders import Order, Ordered
from cds_wrapper.caveats.plan import NEVER, Disposition, OnError
from cds_wrapper.caveats.policy import CaveatLevel
from cds_wrapper.services import ServiceDefinition


@dataclass(frozen=True, slots=True)
class Decision:
    """When something is the case, what happens to the card."""

    when: str
    then: str


_WHEN: Final[Mapping[CaveatLevel, str]] = {
    CaveatLevel.SUPPORTED: "The score has been shown to work for patients like this one",
    CaveatLevel.LIMITED: "Results are few, old, or not from here",
    CaveatLevel.NOT_ASSESSED: "A detail needed to look results up is not on file",
    CaveatLevel.NOT_VALIDATED: "There are no results for patients like this one",
    CaveatLevel.REDUCED: "The score is known to work less well, or is not meant for patients like this one",
}


def decisions_of(service: ServiceDefinition) -> list[Decision]:
    """The plan's table: each case with its response."""
    return list(_decisions(service))


def ordered(service: ServiceDefinition, order: Order | None) -> str | None:
    """What is in force by order, since when, by which role; why is the hospital's own. None for nothing."""
    if order is None or order.decision is Ordered.LIVE:
        return None
    since = f"Since {service.wording.terms.day(order.since.date())}, by order of the {order.by}"
    if order.decision is Ordered.STOP:
        return f"{since}, this tool is switched off: {_then(Disposition.STOP)}."
    return f"{since}, this tool is paused: {_then(Disposition.SHADOW)}."


def _decisions(service: ServiceDefinition) -> Iterator[Decision]:
    plan = service.plan
    for level, when in _WHEN.items():
        standing = Disposition.SHOW if level is CaveatLevel.SUPPORTED else Disposition.ANNOTATE
        yield Decision(when, _then(plan.respond.get(level, standing)))
    versions = ", ".join(sorted(plan.approved_versions))
    yield Decision(
        f"The vendor uses another version of the model than {versions}",
        _then(Disposition.SHADOW) + " until the board has approved it",
    )
    if plan.live_since != date.min:
        yield Decision(_before(service), _then(Disposition.SHADOW) + ", and no card says so")
    yield Decision("The model gives no answer", "a card says so; silence would look like low risk")
    yield Decision("The record of a score cannot be written", "the score is not shown, and a card says so")
    yield Decision("The program itself fails", _on_error(plan.on_error))


def _before(service: ServiceDefinition) -> str:
    since = service.plan.live_since
    if since == NEVER:
        return "The score has not been released to clinicians yet"
    return f"The day is before {service.wording.terms.day(since)}, when the score is first shown"


def _then(disposition: Disposition) -> str:
    match disposition:
        case Disposition.SHOW:
            return "the card is shown as it came"
        case Disposition.ANNOTATE:
            return "the card is shown with the caveat on it"
        case Disposition.LOWER_URGENCY:
            return "the card is shown with the caveat, at lower urgency"
        case Disposition.WITHHOLD:
            return "the score is not shown, and a card says so"
        case Disposition.SHADOW:
            return "the score is calculated and recorded, but not shown"
        case Disposition.STOP:
            return "the model is not asked"
        case _:
            assert_never(disposition)


def _on_error(answer: OnError) -> str:
    match answer:
        case OnError.CARD:
            return "a card says that there is no result"
        case OnError.EMPTY:
            return "no card is shown"
        case OnError.ERROR:
            return "the EHR is told of an error"
        case _:
            assert_never(answer)
