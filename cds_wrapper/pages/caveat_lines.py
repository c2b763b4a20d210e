"""The caveat behind a card's link, in the card's own approved words. Pure.

A link's key is a finding or a reason, never a patient: what is said here must hold for all who share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cds_wrapper.caveats.caveat import MISSING_AS_NORMAL, Side
from cds_wrapper.caveats.evidence import (
    Direction,
    Evidence,
    Grade,
    LocalResult,
    MeasuredLessWell,
)
from cds_wrapper.caveats.plan import Disposition
from cds_wrapper.caveats.policy import Caveat, CaveatReason, Reason, Scope, reasons_of, side_of
from cds_wrapper.caveats.wording import CaveatWords, choose_words
from cds_wrapper.cds_answer import VendorCard
from cds_wrapper.pages.published import hidden_in, may_say
from cds_wrapper.pages.small_cells import SMALLEST_COUNT
from cds_wrapper.services import ServiceDefinition
from cds_wrapper.vendors.base import ModelVersion, Prediction, VendorCall, VersionSource


@dataclass(frozen=True, slots=True)
class CaveatLines:
    """The caveat's sentence, what was checked here, since when a finding is known, and the reason.

    `reason` is None on the general page.
    """

    heading: str
    checked: str
    since: str
    reason: CaveatReason | None


def caveat_lines(service: ServiceDefinition, key: str) -> CaveatLines:
    """The words for a key; the general page, which every other key gives, has a heading without a caveat.

    A card without a score leads to the general page: a caveat about a score would be none of its own.
    """
    reason = _reason(service, key)
    checked = _checked(service)
    if reason is None:
        return CaveatLines(f"How {service.title} was checked", checked, "", None)
    words = _words(service, Caveat(reason.level, (reason,)))
    since = service.wording.terms.month(reason.since) if reason.since else ""
    return CaveatLines(words.lines[0], checked, since, reason)


def _reason(service: ServiceDefinition, key: str) -> CaveatReason | None:
    for finding in service.book.findings:
        if finding.id == key:
            return next(iter(reasons_of(finding, None)))
    for rule in service.book.contents.measured_less_well:
        if rule.id == key:
            return _of_measuring(rule)
    if key == MISSING_AS_NORMAL:
        return CaveatReason(
            Reason.MISSING_INPUT, Scope.PATIENT, direction=Direction.SCORES_TOO_LOW, side=Side.ANY
        )
    named = next((reason for reason in Reason if reason.value == key), None)
    return _of_kind(named, service) if named else None


def _of_measuring(rule: MeasuredLessWell) -> CaveatReason:
    """The reason that an input is measured less accurately in a group, on the side on which it matters."""
    direction = Direction(rule.direction) if rule.direction else None
    return CaveatReason(
        Reason.DOUBTFUL_INPUT,
        Scope.PATIENT,
        direction=direction,
        side=side_of(direction, None) if direction else None,
        attributes=tuple(rule.where),
        groups=tuple((name, levels[0]) for name, levels in rule.where.items() if len(levels) == 1),
        finding_id=rule.id,
        inputs=((rule.input, rule.input),),
        recheck=rule.recheck,
    )


def _of_kind(kind: Reason, service: ServiceDefinition) -> CaveatReason:
    """A reason without a finding; which attribute it is about stays unsaid, as for a hidden one."""
    match kind:
        case Reason.NOT_REPORTED | Reason.THIN_EVIDENCE:
            general = _general(service)
            for_everybody = general is not None and general.reason is kind
            return CaveatReason(kind, Scope.MODEL if for_everybody else Scope.PATIENT)
        case Reason.OUT_OF_SCOPE:
            return _of_rules(service)
        case _:
            return CaveatReason(kind, Scope.PATIENT)


def _of_rules(service: ServiceDefinition) -> CaveatReason:
    """The developer's rule, if there is but one and it may be said; else no more than that there is one."""
    rules, hidden = service.book.contents.out_of_scope, hidden_in(service.card, service.scheme)
    if len(rules) != 1 or not may_say(rules[0], service.scheme, hidden):
        return CaveatReason(Reason.OUT_OF_SCOPE, Scope.PATIENT, attributes=_NOBODYS)
    rule = rules[0]
    return CaveatReason(Reason.OUT_OF_SCOPE, Scope.PATIENT, attributes=tuple(rule.where), rule_say=rule.say)


_NOBODYS: Final = ("",)
"""An attribute nobody declared: it is never named."""


def _general(service: ServiceDefinition) -> CaveatReason | None:
    """What holds for every patient today; None once the score was checked here and holds up."""
    overall = overall_result(service)
    if overall and overall.grade is Grade.ADEQUATE and overall.holds_up:
        return None
    kind = Reason.THIN_EVIDENCE if overall or service.book.any_reported else Reason.NOT_REPORTED
    return CaveatReason(kind, Scope.MODEL)


def overall_result(service: ServiceDefinition) -> LocalResult | None:
    """This hospital's own result for everybody."""
    return next((result for result in service.book.contents.local if not result.where), None)


def _checked(service: ServiceDefinition) -> str:
    """Whether and when the score was checked here, in the card's words."""
    overall = overall_result(service)
    if overall is None or overall.n < SMALLEST_COUNT:
        return service.wording.lines.not_checked
    month = service.wording.terms.month(service.book.as_of)
    return service.wording.lines.checked.format(month=month, n=f"{overall.n:,}")


def _words(service: ServiceDefinition, caveat: Caveat) -> CaveatWords:
    """The words as the card has them."""
    book = service.book
    evidence = Evidence(book.edition, book.as_of, book.any_reported, local=book.contents.local)
    return choose_words(
        caveat,
        Disposition.ANNOTATE,
        _some_prediction(service),
        evidence,
        service.scheme,
        service.wording,
        service.words,
    )


def _some_prediction(service: ServiceDefinition) -> Prediction:
    """An answer with one card: words are chosen only for cards that are shown. Nothing in it is read."""
    model = ModelVersion(service.card.id, service.card.version, VersionSource.CONFIGURATION)
    return Prediction((VendorCard(),), None, None, None, model, VendorCall())
