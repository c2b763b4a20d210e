"""Evidence -> how far a score may be relied on for one patient, and why.

Levels are decided here and in the closed table of `caveat`, and nowhere else. Ignorance weighs less than a
finding: only core attributes make a caveat for want of results, and what nobody has checked for anybody is
said once, for the model as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never

from cds_wrapper.caveats.caveat import (
    MISSING_AS_NORMAL,
    Caveat,
    CaveatLevel,
    CaveatReason,
    Disposition,
    Reason,
    Scope,
    Side,
)
from cds_wrapper.caveats.evidence import (
    GENERAL,
    Direction,
    Evidence,
    EvidenceBook,
    Finding,
    Grade,
    LocalResult,
    Where,
    evidence_token,
)
from cds_wrapper.caveats.model_inputs import NO_PERSONAL_INPUTS, PersonalInputs, is_called
from cds_wrapper.patient.subgroups import SubgroupScheme
from cds_wrapper.vendors.base import NoPrediction, Prediction
from cds_wrapper.vendors.features import NO_FEATURES, Features, IfMissing, Input

__all__ = [
    "Caveat",
    "CaveatLevel",
    "CaveatPolicy",
    "CaveatReason",
    "Disposition",
    "Reason",
    "Scope",
    "Side",
    "key_of",
    "reasons_of",
    "side_of",
]

_Results: TypeAlias = Mapping[frozenset[str], LocalResult]


@dataclass(frozen=True, slots=True)
class CaveatPolicy:
    """Weighs evidence for one service; `scheme` says which attributes are core and which crossings count.

    `personal` are the inputs that describe the person, which no card names.
    """

    scheme: SubgroupScheme
    personal: PersonalInputs = NO_PERSONAL_INPUTS
    _crossings: frozenset[frozenset[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_crossings", frozenset(frozenset(parts) for parts in self.scheme.crossings))

    def weigh(
        self, evidence: Evidence, prediction: Prediction | NoPrediction, features: Features = NO_FEATURES
    ) -> Caveat:
        """The level and its reasons; the same whatever became of the vendor's answer."""
        results, flagged = self._results(evidence), _flagged(prediction)
        found = [*self._reasons(evidence, flagged, results)]
        if features.inputs:
            found += self._of_inputs(evidence, flagged, features)
        reasons = sorted(found, key=_in_order)
        return Caveat(CaveatLevel.worst(reason.level for reason in reasons), tuple(reasons))

    def _results(self, evidence: Evidence) -> _Results:
        """This hospital's results that count: everybody, single attributes, declared crossings.

        Of several that speak to a patient of several races, the one that holds up least counts.
        """
        best_first = sorted(evidence.local, key=lambda result: (result.holds_up, result.grade), reverse=True)
        results = {result.attributes: result for result in best_first}
        return {a: result for a, result in results.items() if len(a) < 2 or a in self._crossings}

    def _reasons(self, evidence: Evidence, flagged: bool | None, results: _Results) -> Iterator[CaveatReason]:
        adequate = [attributes for attributes, result in results.items() if result.grade is Grade.ADEQUATE]
        for finding in evidence.findings:
            if not _is_answered(finding, adequate):
                yield from reasons_of(finding, flagged)
        for rule in evidence.rules:
            yield _about(Reason.OUT_OF_SCOPE, rule.where, rule_say=rule.say)
        yield from self._untested(evidence, results)
        yield from self._unknown(evidence, results)
        yield from self._thin(evidence, results)

    def _untested(self, evidence: Evidence, results: _Results) -> Iterator[CaveatReason]:
        """Groups nobody built on or reported, as long as this hospital has no more than a thin result."""
        told = [attributes for attributes, result in results.items() if result.grade >= Grade.PARTIAL]
        for where in evidence.absent:
            if not _decided_here(where, told):
                yield _about(Reason.NOT_REPRESENTED, where)
        for attribute, level in evidence.unreported:
            where = {attribute: (level,)}
            if self._is_core(attribute) and not _decided_here(where, told):
                yield _about(Reason.NOT_REPORTED, where)

    def _unknown(self, evidence: Evidence, results: _Results) -> Iterator[CaveatReason]:
        """At most one reason for all missing attributes: a value could change the card, and is not known."""
        attributes = tuple(
            unknown.attribute
            for unknown in evidence.unknown
            if (unknown.finding or self._is_core(unknown.attribute))
            and not _is_adequate(results.get(frozenset({unknown.attribute})))
        )
        if attributes:
            yield CaveatReason(Reason.GROUP_UNKNOWN, Scope.PATIENT, attributes=attributes)

    def _thin(self, evidence: Evidence, results: _Results) -> Iterator[CaveatReason]:
        """What this hospital has not checked enough: once for everybody, by core group only after that."""
        if not _is_adequate(results.get(_EVERYBODY)):
            yield CaveatReason(
                Reason.THIN_EVIDENCE if evidence.any_reported else Reason.NOT_REPORTED, Scope.MODEL
            )
            return
        if not _holds_up(results.get(_EVERYBODY)):
            yield CaveatReason(Reason.THIN_EVIDENCE, Scope.MODEL)
        for attributes in self._groups_to_check(results):
            if not _holds_up(results.get(attributes)):
                yield CaveatReason(Reason.THIN_EVIDENCE, Scope.PATIENT, attributes=tuple(sorted(attributes)))

    def _groups_to_check(self, results: _Results) -> list[frozenset[str]]:
        """The core attributes, those of an adequate crossing replaced by the crossing."""
        crossings = [a for a, result in results.items() if len(a) > 1 and result.grade is Grade.ADEQUATE]
        replaced = frozenset().union(*crossings)
        core = (name for name, policy in self.scheme.attributes.items() if policy.core)
        return [*(frozenset({name}) for name in core if name not in replaced), *crossings]

    def _of_inputs(
        self, evidence: Evidence, flagged: bool | None, features: Features
    ) -> Iterator[CaveatReason]:
        """What the score was calculated without, and what it was calculated from that is in doubt."""
        for kind, direction in _WITHOUT.items():
            without = [one for one in features.missing if one.if_missing is kind]
            if without:
                yield self._about_inputs(Reason.MISSING_INPUT, without, direction, flagged)
        if features.doubtful:
            yield self._about_inputs(Reason.DOUBTFUL_INPUT, features.doubtful, None, flagged)
        for rule in evidence.measured_less_well:
            used = [one for one in features.inputs if one.value is not None and is_called(rule.input, one)]
            if used:
                direction = Direction(rule.direction) if rule.direction else None
                reason = self._about_inputs(Reason.DOUBTFUL_INPUT, used, direction, flagged)
                yield replace(
                    reason,
                    attributes=tuple(rule.where),
                    groups=_named(rule.where),
                    finding_id=rule.id,
                    recheck=rule.recheck,
                )

    def _about_inputs(
        self, reason: Reason, inputs: Sequence[Input], direction: Direction | None, flagged: bool | None
    ) -> CaveatReason:
        names = (one.name for one in inputs)
        return CaveatReason(
            reason,
            Scope.PATIENT,
            direction=direction,
            side=side_of(direction, flagged) if direction else None,
            inputs=tuple(zip(names, self.personal.labels(inputs), strict=True)),
        )

    def _is_core(self, attribute: str) -> bool:
        policy = self.scheme.attributes.get(attribute)
        return policy is not None and policy.core


# What a model does without an input -> which way its score errs then.
_WITHOUT: Mapping[IfMissing, Direction | None] = {
    IfMissing.OMITTED: None,
    IfMissing.COUNTED_AS_NORMAL: Direction.SCORES_TOO_LOW,
}
_EVERYBODY: frozenset[str] = frozenset()
_REASON_ORDER = {reason: rank for rank, reason in enumerate(Reason)}
_DIRECTION_ORDER = {direction: rank for rank, direction in enumerate((*Direction, None))}


def key_of(book: EvidenceBook, token: str) -> str:
    """The finding or reason whose page has this token; the service's general page for any other token."""
    keys = (
        *(finding.id for finding in book.findings),
        *(rule.id for rule in book.contents.measured_less_well),
        *(reason.value for reason in Reason),
        MISSING_AS_NORMAL,
    )
    return next((key for key in keys if evidence_token(book.edition, key) == token), GENERAL)


def _flagged(prediction: Prediction | NoPrediction) -> bool | None:
    return prediction.flagged if isinstance(prediction, Prediction) else None


def _in_order(reason: CaveatReason) -> tuple[int, int, bool, bool, bool, str]:
    """The order of the approved texts: by reason and direction, what matters for this score first."""
    direction = reason.direction
    return (
        _REASON_ORDER[reason.reason],
        _DIRECTION_ORDER[direction],
        not reason.matters,
        reason.scope is Scope.MODEL,
        reason.external,
        ",".join(reason.attributes),
    )


def reasons_of(finding: Finding, flagged: bool | None) -> Iterator[CaveatReason]:
    """What a finding says of a score on that side of the threshold; None where there is no threshold."""
    yield CaveatReason(
        Reason.KNOWN_GAP if finding.signed else Reason.UNDER_REVIEW,
        Scope.PATIENT if finding.where else Scope.MODEL,
        direction=finding.direction,
        side=side_of(finding.direction, flagged) if finding.direction else None,
        attributes=tuple(finding.where),
        groups=_named(finding.where),
        finding_id=finding.id,
        figures=finding.figures,
        external=not finding.is_local,
        since=finding.since,
    )
    if finding.label_mismatch:
        scope = Scope.PATIENT if finding.where else Scope.MODEL
        yield CaveatReason(
            Reason.LABEL_MISMATCH, scope, attributes=tuple(finding.where), groups=_named(finding.where)
        )


def _about(reason: Reason, where: Where, rule_say: str | None = None) -> CaveatReason:
    return CaveatReason(
        reason, Scope.PATIENT, attributes=tuple(where), groups=_named(where), rule_say=rule_say
    )


def _named(where: Where) -> tuple[tuple[str, str], ...]:
    """The groups of a finding or rule, if each has one name; a list of bands has none."""
    if any(len(levels) != 1 for levels in where.values()):
        return ()
    return tuple((name, levels[0]) for name, levels in where.items())


def side_of(direction: Direction, flagged: bool | None) -> Side:
    """On which side this score lies, as far as the direction asks; without a threshold, the cautious one."""
    match direction:
        case Direction.SCORES_TOO_LOW:
            return Side.ANY
        case Direction.FALSE_ALARMS_MORE:
            return Side.LOW if flagged is False else Side.HIGH
        case Direction.MISSES_MORE | Direction.SCORES_TOO_HIGH:
            return Side.HIGH if flagged else Side.LOW
        case _:
            assert_never(direction)


def _is_answered(finding: Finding, adequate: Collection[frozenset[str]]) -> bool:
    """Whether adequate results here stand in place of a finding.

    One from elsewhere gives way to results about its group or a crossing of it. One found here stands; but an
    adequate crossing replaces its parents for its patients, and so what was found about a parent.
    """
    if finding.is_local:
        return bool(finding.where) and any(finding.where.keys() < own for own in adequate)
    return _decided_here(finding.where, adequate)


def _decided_here(where: Where, attributes: Collection[frozenset[str]]) -> bool:
    """Whether this hospital's own result for the group, or for a crossing it is part of, stands instead."""
    if not where:
        return _EVERYBODY in attributes
    return any(where.keys() <= own for own in attributes)


def _is_adequate(result: LocalResult | None) -> bool:
    return result is not None and result.grade is Grade.ADEQUATE


def _holds_up(result: LocalResult | None) -> bool:
    return result is not None and result.holds_up
