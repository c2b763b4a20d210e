"""Evidence by subgroup in a versioned book, and what of it speaks to one patient.

An edition of the book is made once, at load, and swapped whole; nothing statistical is computed while a
clinician waits. Every answer says what is there and what is not: a group that nobody reported, a group absent
from the training data, and a missing value that could matter are findings too. What follows from them is
`policy`'s affair.

This module is the room's door for facts; the others are read through it: `model_card` (what is said about the
model), `outside` (results from elsewhere), `local` (this hospital's own), `contents` (what an edition holds),
`silence` (what it leaves unsaid).
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache

import msgspec

from cds_wrapper.caveats.contents import BookContents, Question
from cds_wrapper.caveats.found import (
    DEFAULT_LIMITS,
    Direction,
    Figures,
    Finding,
    Limits,
    UnusableLimits,
)
from cds_wrapper.caveats.local import Grade, LocalEvidence, LocalResult, grade, local_results
from cds_wrapper.caveats.model_card import (
    Estimate,
    EvidenceSource,
    IntervalKind,
    MeasuredLessWell,
    Metric,
    ModelCard,
    ModelInput,
    OutOfScopeRule,
    State,
    Stated,
    TrainingGroup,
    Where,
)
from cds_wrapper.caveats.outside import (
    GroupKey,
    Seen,
    differing,
    outside_findings,
    usable_for_caution,
)
from cds_wrapper.caveats.silence import Silence, UnknownGroup
from cds_wrapper.patient.subgroups import PatientSubgroups, SubgroupScheme, is_missing
from cds_wrapper.vendors.base import NoPrediction, Prediction

__all__ = [
    "DEFAULT_LIMITS",
    "GENERAL",
    "BookContents",
    "Direction",
    "Estimate",
    "Evidence",
    "EvidenceBook",
    "EvidenceSource",
    "Figures",
    "Finding",
    "Grade",
    "IntervalKind",
    "Limits",
    "LocalEvidence",
    "LocalResult",
    "MeasuredLessWell",
    "Metric",
    "ModelCard",
    "ModelInput",
    "OutOfScopeRule",
    "Question",
    "Seen",
    "State",
    "Stated",
    "TrainingGroup",
    "UnknownGroup",
    "UnusableLimits",
    "Where",
    "build_book",
    "evidence_token",
    "grade",
    "usable_for_caution",
]

GENERAL = "general"
"""The key of a service's page when no finding and no reason has one of its own."""

MOST_ANSWERS = 1024
"""Answers one edition keeps at hand, one for each combination of groups it was asked about."""


@dataclass(frozen=True, slots=True, repr=False)
class Evidence:
    """What speaks to one patient, and what stays silent.

    `absent` are the groups of the patient that training is known to lack and nobody tested since,
    `unreported` (attribute, level) the groups without results although others of the attribute have some.
    `local` and what was found here are left out when the prediction came from another version of the model
    than the book is about.
    """

    edition: str
    as_of: date
    any_reported: bool
    findings: tuple[Finding, ...] = ()
    rules: tuple[OutOfScopeRule, ...] = ()
    absent: tuple[Where, ...] = ()
    unreported: tuple[tuple[str, str], ...] = ()
    unknown: tuple[UnknownGroup, ...] = ()
    local: tuple[LocalResult, ...] = ()
    measured_less_well: tuple[MeasuredLessWell, ...] = ()

    def __repr__(self) -> str:
        return f"Evidence(edition={self.edition!r})"

    @property
    def overall(self) -> LocalResult | None:
        """This hospital's result for everybody."""
        return next((result for result in self.local if not result.where), None)


@dataclass(frozen=True, slots=True)
class EvidenceBook:
    """One immutable edition of the evidence for one service; `edition` is its date and part of its digest.

    `digest` is the SHA-256 of what `to_json` gives, by which the ledger keeps it. An edition never changes,
    so an answer once found stays right; it is about groups, and holds nothing of the patient who was first.
    """

    contents: BookContents
    edition: str
    digest: str
    _silence: Silence = field(repr=False, compare=False)
    _answers: dict[Hashable, Evidence] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, contents: BookContents) -> EvidenceBook:
        """The edition with these contents."""
        return cls._named(contents, _encode(contents))

    @classmethod
    def _named(cls, contents: BookContents, kept: bytes) -> EvidenceBook:
        digest = hashlib.sha256(kept).hexdigest()
        return cls(
            contents=contents,
            edition=f"{contents.as_of.isoformat()}.{digest[:8]}",
            digest=f"sha256:{digest}",
            _silence=Silence.of(contents),
        )

    @property
    def service_id(self) -> str:
        """The service this edition is for."""
        return self.contents.question.service_id

    @property
    def as_of(self) -> date:
        """The day to which the age of evidence is counted."""
        return self.contents.as_of

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding of the edition, whoever it is about."""
        return self.contents.findings

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Every figure of the card, also those that are not reported."""
        return self.contents.estimates

    @property
    def any_reported(self) -> bool:
        """Whether anybody gives results by patient group at all."""
        return bool(self._silence.by_attribute)

    def to_json(self) -> bytes:
        """The edition as the ledger keeps it; `from_json` gives an equal one back."""
        return _encode(self.contents)

    @classmethod
    def from_json(cls, kept: bytes) -> EvidenceBook:
        """The edition that was kept, under the name it had; `msgspec.DecodeError` when it is none.

        An edition of an earlier release says less than one made today: its name is that of the bytes kept.
        """
        return cls._named(_decoder.decode(kept), kept)

    def about(self, subgroups: PatientSubgroups, prediction: Prediction | NoPrediction) -> Evidence:
        """What speaks to a patient of these groups and to this prediction."""
        same_version = prediction.model.version == self.contents.model_version
        question = (subgroups.groups, same_version)
        answer = self._answers.get(question)
        if answer is None:
            if len(self._answers) >= MOST_ANSWERS:
                self._answers.clear()
            answer = self._answers[question] = self._found(subgroups, same_version=same_version)
        return answer

    def _found(self, subgroups: PatientSubgroups, *, same_version: bool) -> Evidence:
        contents = self.contents
        return Evidence(
            edition=self.edition,
            as_of=contents.as_of,
            any_reported=self.any_reported,
            findings=tuple(
                finding
                for finding in contents.findings
                if (same_version or not finding.is_local)
                and subgroups.speaks(finding.where, finding.exclusive)
            ),
            rules=tuple(rule for rule in contents.out_of_scope if subgroups.speaks(rule.where)),
            absent=tuple(self._silence.absent(subgroups)),
            unreported=tuple(self._silence.unreported(subgroups)),
            unknown=tuple(self._silence.unknown(subgroups)),
            local=tuple(self._local(subgroups)) if same_version else (),
            measured_less_well=tuple(
                rule for rule in contents.measured_less_well if subgroups.speaks(rule.where)
            ),
        )

    def _local(self, subgroups: PatientSubgroups) -> Iterator[LocalResult]:
        return (result for result in self.contents.local if subgroups.speaks(result.where, result.exclusive))


def build_book(
    card: ModelCard,
    scheme: SubgroupScheme,
    question: Question,
    approved_cards: frozenset[str],
    as_of: date,
    limits: Limits = DEFAULT_LIMITS,
    groups: Mapping[str, Sequence[str]] | None = None,
    local: LocalEvidence | None = None,
) -> EvidenceBook:
    """What a service's model card says, and what a review of this hospital found, judged as of a day.

    `approved_cards` are the digests the response plan lists: a listed card's findings are signed. `groups`
    are those the site tells apart, by attribute: a missing value could be one that no card mentions. `local`
    about another model version, outcome, horizon or threshold is not used.
    """
    signed = card.digest in approved_cards
    concerned = [row for row in card.estimates if question.hears(row) and question.concerns(row)]
    here = local if local and question.is_answered_by(local, card.id, card.version) else None
    today = max(as_of, here.as_of) if here else as_of
    results = here.results if here else local_results(concerned, limits)
    seen = _seen(results)
    outside = outside_findings(
        concerned,
        today,
        signed=signed,
        limits=limits,
        seen=seen,
        standing=here.standing if here else (),
    )
    differ = {levels for _, levels in differing(concerned, today, seen, limits)}
    return EvidenceBook.of(
        BookContents(
            question=question,
            model_id=card.id,
            model_version=card.version,
            card_digest=card.digest,
            as_of=today,
            signed=signed,
            known_levels=_known_levels(card, scheme, groups or {}),
            estimates=card.estimates,
            usable=tuple(row.id for row in concerned if usable_for_caution(row, limits)),
            findings=(*(here.findings if here else ()), *(replace(one, since=as_of) for one in outside)),
            local=tuple(replace(one, differs=one.group[1] in differ) for one in results),
            out_of_scope=card.out_of_scope,
            absent_from_training=tuple(
                group for group in card.training if _is_absent(group, results, limits)
            ),
            measured_less_well=card.measured_less_well,
            here=here,
            gathered=as_of if here else None,
        )
    )


def _seen(results: Iterable[LocalResult]) -> dict[GroupKey, Seen]:
    """What was seen here by group; where races were counted in one way only, that stands for the other."""
    found = {result.group: result.seen for result in results if result.seen}
    return {(not exclusive, levels): seen for (exclusive, levels), seen in found.items()} | found


def _is_absent(group: TrainingGroup, results: Iterable[LocalResult], limits: Limits) -> bool:
    """Whether training is known to lack a group: nobody of it, or far fewer than among patients here."""
    if group.nobody or group.state is not State.REPORTED or group.share is None:
        return group.nobody
    shares = (one.share for one in results if one.where == group.where and one.share is not None)
    return any(group.share < limits.represented_share * share for share in shares)


@lru_cache(maxsize=1024)
def evidence_token(edition: str, key: str) -> str:
    """The last part of an evidence page's address, from the edition and a finding's id or a reason.

    Never made from a patient or the name of a group: two patients with one finding share it.
    """
    return hashlib.sha256(f"{edition}|{key}".encode()).hexdigest()[:16]


def _known_levels(
    card: ModelCard, scheme: SubgroupScheme, groups: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """What a value could be, by attribute: the site's own groups, those with a label, those on the card."""
    found = {
        name: dict.fromkeys((*groups.get(name, ()), *policy.labels))
        for name, policy in scheme.attributes.items()
    }
    for where in _all_groups(card):
        for name, named in where.items():
            found.setdefault(name, {}).update(dict.fromkeys(named))
    return {name: tuple(level for level in named if not is_missing(level)) for name, named in found.items()}


def _all_groups(card: ModelCard) -> Iterable[Where]:
    sources: Sequence[Sequence[Estimate | TrainingGroup | OutOfScopeRule | MeasuredLessWell]]
    sources = (card.estimates, card.training, card.out_of_scope, card.measured_less_well)
    return (item.where for source in sources for item in source)


def _encode(contents: BookContents) -> bytes:
    return msgspec.json.encode(contents, order="deterministic")


_decoder = msgspec.json.Decoder(BookContents)
