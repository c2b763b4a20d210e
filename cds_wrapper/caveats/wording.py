"""Which of the approved words a card says.

At most two reasons are said, the strongest first, and a short form only where a reason is specific to this
patient and matters for this score. Replaying a record chooses the same words again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import assert_never

import msgspec

from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, CaveatReason, Disposition, Reason, Scope
from cds_wrapper.caveats.evidence import Evidence, ModelCard
from cds_wrapper.caveats.inputs import listed
from cds_wrapper.caveats.moments import Clock
from cds_wrapper.caveats.orders import Standing
from cds_wrapper.caveats.reason_words import Said, put_into_words, wording_id
from cds_wrapper.caveats.texts import (
    WORDING_IDS,
    CardText,
    Lines,
    OwnCard,
    ServiceWords,
    Text,
    UnusableWording,
    Wording,
    WordingMistake,
    fill,
    never_said,
)
from cds_wrapper.caveats.vendor_text import SUMMARY_LIMIT, clean_line, cut, units
from cds_wrapper.patient.subgroups import Display, SubgroupScheme
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status

__all__ = [
    "WORDING_IDS",
    "CardText",
    "CaveatWords",
    "OwnCard",
    "ServiceWords",
    "Text",
    "UnusableWording",
    "Wording",
    "WordingMistake",
    "choose_words",
    "longest_values",
    "never_said",
    "own_words",
    "standing_card",
    "wording_id",
]

MOST_REASONS = 2
"""Reasons on one card; the others stand behind the link."""

_SMALLEST_COUNT = 11
_LONGEST_VERSION = 40


@dataclass(frozen=True, slots=True, repr=False)
class CaveatWords:
    """Everything we say on the cards of one answer, filled and ready.

    `wording_ids` are the texts used. `lines` are the caveats, `short` goes into the summary. `replacement`
    (summary, detail) stands in for all vendor cards; `fallback` for a single one that cannot be shown,
    when none is left. `title` is the service's name.
    """

    wording_ids: tuple[str, ...]
    lines: tuple[str, ...]
    short: str | None
    evidence_line: str | None
    ai_line: str | None
    link_label: str
    title: str
    replacement: tuple[str, str] | None
    fallback: tuple[str, str]

    def __repr__(self) -> str:
        return f"CaveatWords({', '.join(self.wording_ids)})"

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the words, to compare a replay with the record."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def choose_words(
    caveat: Caveat,
    disposition: Disposition,
    prediction: Prediction | NoPrediction,
    evidence: Evidence,
    scheme: SubgroupScheme,
    wording: Wording,
    service: ServiceWords,
    standing: Standing | None = None,
) -> CaveatWords:
    """The words for one answer, from what its record and the kept files hold."""
    if standing is not None:
        return _while_it_stands(standing, wording, service)
    own = _own_card(disposition, prediction, service)
    if own is not None or not (isinstance(prediction, Prediction) and prediction.cards):
        return _without_score(own, prediction, wording, service)
    said = _said(caveat, scheme, wording, service)
    return CaveatWords(
        wording_ids=tuple(one.id for one in said),
        lines=tuple(one.line for one in said),
        short=next((one.short for one in said if one.short), None),
        evidence_line=_evidence_line(caveat, evidence, wording),
        ai_line=_ai_line(prediction, wording, service),
        link_label=wording.lines.link,
        title=service.title,
        replacement=None,
        fallback=own_words(OwnCard.NO_RESULT, wording, service),
    )


def standing_card(standing: Standing) -> OwnCard | None:
    """The card that tells of an order; None when nobody is told (any more)."""
    if not standing.card_is_due:
        return None
    return OwnCard.STOPPED if standing.disposition is Disposition.STOP else OwnCard.PAUSED


def own_words(
    card: OwnCard,
    wording: Wording,
    service: ServiceWords,
    missing: tuple[str, ...] = (),
    since: date | None = None,
    score_at: datetime | None = None,
) -> tuple[str, str]:
    """Summary and detail of a card of our own; a title too long for the summary is cut, our words never.

    `since` is the day of the order that a card tells of, `score_at` the time of a score that is too old.
    """
    text = wording.cards[card]
    clock = Clock(wording.terms, service.zone)
    values = {
        **({"date": wording.terms.day(since)} if since else {}),
        "title": service.title,
        "contact": service.contact,
        "input": missing[0] if missing else wording.terms.input,
        "inputs": listed(missing, wording.terms),
        "time": clock.moment(score_at) if score_at else "",
        "limit": clock.span(service.oldest_score) if service.oldest_score else "",
    }
    room = SUMMARY_LIMIT - units(fill(text.summary, {**values, "title": ""}))
    summary = fill(text.summary, {**values, "title": cut(service.title, max(2, room))})
    return cut(summary), fill(text.detail, values)


def longest_values(service: ServiceWords, scheme: SubgroupScheme, card: ModelCard) -> Mapping[str, str]:
    """The longest value of each placeholder that a service's own files decide, for `Wording.mistakes`."""
    labels = (
        label
        for policy in scheme.attributes.values()
        if policy.display is Display.SHOW
        for label in policy.labels.values()
    )
    values = {
        "who": _longest(labels),
        "rule": _longest(rule.say for rule in card.out_of_scope),
        "outcome": service.outcome,
        "title": service.title,
        "contact": service.contact,
    }
    return {name: value for name, value in values.items() if value}


def _longest(values: Iterable[str]) -> str:
    return max(values, key=lambda value: (len(value.split()), len(value)), default="")


def _said(
    caveat: Caveat, scheme: SubgroupScheme, wording: Wording, service: ServiceWords
) -> tuple[Said, ...]:
    """The strongest reasons in words, the same sentence once.

    That nothing was checked here yet is said by the evidence line too: it needs no sentence of its own beside
    a reason about this patient.
    """
    every = caveat.reasons
    telling = [reason for reason in every if not _merely_unchecked(reason)] or every
    said: dict[str, Said] = {}
    for reason in telling:
        one = put_into_words(reason, scheme, wording, service)
        said.setdefault(one.line, one)
    return tuple(said.values())[:MOST_REASONS]


def _merely_unchecked(reason: CaveatReason) -> bool:
    return reason.scope is Scope.MODEL and reason.reason in {Reason.THIN_EVIDENCE, Reason.NOT_REPORTED}


def _evidence_line(caveat: Caveat, evidence: Evidence, wording: Wording) -> str:
    lines, terms = wording.lines, wording.terms
    month = terms.month(evidence.as_of)
    match caveat.level:
        case CaveatLevel.SUPPORTED:
            return fill(lines.supported, {"month": month, "who": terms.anyone})
        case CaveatLevel.NOT_VALIDATED:
            return lines.no_local_results
        case CaveatLevel.LIMITED | CaveatLevel.NOT_ASSESSED:
            return _checked(evidence, month, lines)
        case CaveatLevel.REDUCED:
            return f"{_checked(evidence, month, lines)} {_known(caveat, evidence, wording)}"
        case _:
            assert_never(caveat.level)


def _known(caveat: Caveat, evidence: Evidence, wording: Wording) -> str:
    """Since when it is known, if a reason has a date: a developer's rule has none."""
    lines, terms = wording.lines, wording.terms
    dates = [
        reason.since for reason in caveat.reasons if reason.level is CaveatLevel.REDUCED and reason.since
    ]
    if not dates and lines.plan_link is not None:
        return lines.plan_link
    return fill(lines.known_since, {"month": terms.month(min(dates, default=evidence.as_of))})


def _checked(evidence: Evidence, month: str, lines: Lines) -> str:
    overall = evidence.overall
    if overall is None or overall.n < _SMALLEST_COUNT:
        return lines.not_checked
    return fill(lines.checked, {"month": month, "n": f"{_two_digits(overall.n):,}"})


def _two_digits(n: int) -> int:
    """A count rounded down to two digits: 1,234 becomes 1,200."""
    unit = int(10 ** max(0, len(str(n)) - 2))
    return n // unit * unit


def _ai_line(prediction: Prediction, wording: Wording, service: ServiceWords) -> str:
    version = cut(clean_line(prediction.model.version), _LONGEST_VERSION)
    return fill(
        wording.lines.ai, {"model": service.model_name, "version": version, "developer": service.developer}
    )


def _own_card(
    disposition: Disposition, prediction: Prediction | NoPrediction, service: ServiceWords
) -> OwnCard | None:
    """The card that stands in for the vendor's, if one does; no vendor card, nothing to replace.

    In shadow one stands there all the same: if it came only with a card of the vendor's, it would tell whom
    the score had something to say about.
    """
    if isinstance(prediction, NoPrediction):
        return _failure_card(prediction, service)
    if not prediction.cards and disposition < Disposition.SHADOW:
        return None
    match disposition:
        case Disposition.SHOW | Disposition.ANNOTATE | Disposition.LOWER_URGENCY:
            return None
        case Disposition.WITHHOLD:
            return OwnCard.WITHHELD
        case Disposition.SHADOW | Disposition.STOP:
            return OwnCard.PAUSED
        case _:
            assert_never(disposition)


def _failure_card(prediction: NoPrediction, service: ServiceWords) -> OwnCard:
    if prediction.status is Status.STALE and prediction.score_at and service.oldest_score:
        return OwnCard.STALE
    # With a reason and no input named the vendor was not asked: nothing that is recorded in the chart later
    # would change that.
    lacks_an_input = prediction.status is Status.MISSING_INPUT and (
        prediction.reason is None or bool(prediction.missing_inputs)
    )
    return OwnCard.NOT_CALCULATED if lacks_an_input else OwnCard.NO_RESULT


def _while_it_stands(standing: Standing, wording: Wording, service: ServiceWords) -> CaveatWords:
    """The same words for every patient, whatever the vendor said, if it was asked at all."""
    card = standing_card(standing)
    text = own_words(card, wording, service, since=standing.since) if card else None
    return _in_its_stead(card, text, wording, service)


def _without_score(
    own: OwnCard | None, prediction: Prediction | NoPrediction, wording: Wording, service: ServiceWords
) -> CaveatWords:
    missing: tuple[str, ...] = ()
    score_at = None
    if isinstance(prediction, NoPrediction):
        missing, score_at = prediction.missing_inputs, prediction.score_at
    text = own_words(own, wording, service, missing, score_at=score_at) if own else None
    return _in_its_stead(own, text, wording, service)


def _in_its_stead(
    own: OwnCard | None, text: tuple[str, str] | None, wording: Wording, service: ServiceWords
) -> CaveatWords:
    return CaveatWords(
        wording_ids=(own.value,) if own else (),
        lines=(),
        short=None,
        evidence_line=None,
        ai_line=None,
        link_label=wording.lines.link,
        title=service.title,
        replacement=text,
        fallback=own_words(OwnCard.NO_RESULT, wording, service),
    )
