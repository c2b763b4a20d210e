"""Evidence by subgroup in a versioned book, and what of it speaks to one patient.

An edition of the book is made once, at load, and swapped whole; nothing statistical is computed while a
clinician waits. Every answer says what is there and what is not: a group that nobody reported, a group absent
from the training data, and a missing value that could matter are findings too. What follows from them is
`policy`'s affair.

This module is the room's door for facts; the others are read through it: `model_card` (what is said about the
model), `outside` (results from elsewhere), `local` (this hospital's own).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import msgspec

from cds_wrapper.caveats.local import Grade, LocalResult, grade, local_results
from cds_wrapper.caveats.model_card import (
    Estimate,
    EvidenceSource,
    IntervalKind,
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
    DEFAULT_LIMITS,
    Direction,
    Figures,
    Limits,
    OutsideFinding,
    UnusableLimits,
    outside_findings,
    usable_for_caution,
)
from cds_wrapper.patient.subgroups import MISSING, PatientSubgroups, SubgroupScheme
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
    "Grade",
    "IntervalKind",
    "Limits",
    "LocalResult",
    "Metric",
    "ModelCard",
    "ModelInput",
    "OutOfScopeRule",
    "OutsideFinding",
    "Question",
    "State",
    "Stated",
    "TrainingGroup",
    "UnknownGroup",
    "UnusableLimits",
    "Where",
    "build_book",
    "evidence_token",
    "grade",
]

GENERAL = "general"
"""The key of a service's page when no finding and no reason has one of its own."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a service asks of evidence: figures for its outcome within its horizon, at its thresholds.

    `horizon` is an ISO 8601 duration as written (`P10Y`).
    """

    service_id: str
    outcome: str
    horizon: str
    thresholds: tuple[float, ...] = ()

    def concerns(self, row: Estimate) -> bool:
        """Whether a figure is about this outcome and horizon."""
        same_outcome = row.outcome.strip().casefold() == self.outcome.strip().casefold()
        return same_outcome and row.horizon == self.horizon

    def hears(self, row: Estimate) -> bool:
        """Whether a figure is given at all, and not at somebody else's threshold."""
        at_ours = not row.metric.needs_threshold or row.threshold in self.thresholds
        return row.state is State.REPORTED and at_ours


@dataclass(frozen=True, slots=True)
class BookContents:
    """Everything an edition holds, as it is kept in the ledger.

    `known_levels` are the groups anybody has named, by attribute: what a missing value could have been.
    `usable` are the ids of the figures that could make a finding.
    """

    question: Question
    model_id: str
    model_version: str
    card_digest: str
    as_of: date
    signed: bool
    known_levels: Mapping[str, tuple[str, ...]]
    estimates: tuple[Estimate, ...]
    usable: tuple[str, ...]
    findings: tuple[OutsideFinding, ...]
    local: tuple[LocalResult, ...]
    out_of_scope: tuple[OutOfScopeRule, ...]
    absent_from_training: tuple[TrainingGroup, ...]


@dataclass(frozen=True, slots=True)
class UnknownGroup:
    """An attribute without a value for this patient, although the value could change what is said.

    `finding` means that some group of it has a finding, a rule against it or was absent from training;
    `gap` that some group of it has no results while others have.
    """

    attribute: str
    finding: bool
    gap: bool


@dataclass(frozen=True, slots=True, repr=False)
class Evidence:
    """What speaks to one patient, and what stays silent.

    `absent` are the groups of the patient that training is known to lack and nobody tested since,
    `unreported` (attribute, level) the groups without results although others of the attribute have some.
    `local` is empty when the prediction came from another version of the model than the book is about.
    """

    edition: str
    as_of: date
    any_reported: bool
    findings: tuple[OutsideFinding, ...] = ()
    rules: tuple[OutOfScopeRule, ...] = ()
    absent: tuple[Where, ...] = ()
    unreported: tuple[tuple[str, str], ...] = ()
    unknown: tuple[UnknownGroup, ...] = ()
    local: tuple[LocalResult, ...] = ()

    def __repr__(self) -> str:
        return f"Evidence(edition={self.edition!r})"

    @property
    def overall(self) -> LocalResult | None:
        """This hospital's result for everybody."""
        return next((result for result in self.local if not result.where), None)


@dataclass(frozen=True, slots=True)
class EvidenceBook:
    """One immutable edition of the evidence for one service; `edition` is its date and part of its digest.

    `digest` is the SHA-256 of what `to_json` gives, by which the ledger keeps it.
    """

    contents: BookContents
    edition: str
    digest: str
    _by_attribute: Mapping[str, tuple[_Coverage, ...]] = field(repr=False, compare=False)
    _usable: tuple[Estimate, ...] = field(repr=False, compare=False)

    @classmethod
    def of(cls, contents: BookContents) -> EvidenceBook:
        """The edition with these contents."""
        digest = hashlib.sha256(_encode(contents)).hexdigest()
        return cls(
            contents=contents,
            edition=f"{contents.as_of.isoformat()}.{digest[:8]}",
            digest=f"sha256:{digest}",
            _by_attribute=_covered(row for row in contents.estimates if contents.question.hears(row)),
            _usable=tuple(row for row in contents.estimates if row.id in contents.usable),
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
    def findings(self) -> tuple[OutsideFinding, ...]:
        """Every finding of the edition, whoever it is about."""
        return self.contents.findings

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Every figure of the card, also those that are not reported."""
        return self.contents.estimates

    @property
    def any_reported(self) -> bool:
        """Whether anybody gives results by patient group at all."""
        return bool(self._by_attribute)

    def to_json(self) -> bytes:
        """The edition as the ledger keeps it; `from_json` gives an equal one back."""
        return _encode(self.contents)

    @classmethod
    def from_json(cls, kept: bytes) -> EvidenceBook:
        """The edition that was kept; `msgspec.DecodeError` when it is none."""
        return cls.of(_decoder.decode(kept))

    def about(self, subgroups: PatientSubgroups, prediction: Prediction | NoPrediction) -> Evidence:
        """What speaks to a patient of these groups and to this prediction."""
        contents = self.contents
        same_version = prediction.model.version == contents.model_version
        return Evidence(
            edition=self.edition,
            as_of=contents.as_of,
            any_reported=self.any_reported,
            findings=tuple(f for f in contents.findings if subgroups.speaks(f.where, f.exclusive)),
            rules=tuple(rule for rule in contents.out_of_scope if subgroups.speaks(rule.where)),
            absent=tuple(self._absent(subgroups)),
            unreported=tuple(self._unreported(subgroups)),
            unknown=tuple(self._unknown(subgroups)),
            local=tuple(self._local(subgroups)) if same_version else (),
        )

    def _local(self, subgroups: PatientSubgroups) -> Iterator[LocalResult]:
        return (result for result in self.contents.local if subgroups.speaks(result.where, result.exclusive))

    def _absent(self, subgroups: PatientSubgroups) -> Iterator[Where]:
        for group in self.contents.absent_from_training:
            if subgroups.speaks(group.where) and not self._tested_since(group.where, subgroups):
                yield group.where

    def _tested_since(self, where: Where, subgroups: PatientSubgroups) -> bool:
        tested = (row for row in self._usable if where.keys() <= row.where.keys())
        return any(subgroups.speaks(row.where, row.exclusive) for row in tested)

    def _unreported(self, subgroups: PatientSubgroups) -> Iterator[tuple[str, str]]:
        """Groups without results although siblings have some, for this patient's other groups.

        A group the card itself puts out of scope is not asked for a second time.
        """
        advised_against = {
            name for rule in self.contents.out_of_scope if subgroups.speaks(rule.where) for name in rule.where
        }
        for attribute, rows in self._by_attribute.items():
            declared = attribute in subgroups.levels
            if not declared or attribute in subgroups.missing or attribute in advised_against:
                continue
            siblings = [row for row in rows if subgroups.speaks(row.others, row.exclusive)]
            if siblings and not any(subgroups.speaks(row.own, row.exclusive) for row in siblings):
                yield attribute, subgroups.levels[attribute]

    def _unknown(self, subgroups: PatientSubgroups) -> Iterator[UnknownGroup]:
        for attribute in subgroups.missing:
            finding, gap = self._worse(attribute, subgroups), self._gap(attribute, subgroups)
            if finding or gap:
                yield UnknownGroup(attribute, finding, gap)

    def _worse(self, attribute: str, subgroups: PatientSubgroups) -> bool:
        """Whether some value of a missing attribute would bring a finding, a rule or an absence with it."""
        contents = self.contents
        wheres = (
            *((finding.where, finding.exclusive) for finding in contents.findings),
            *((rule.where, False) for rule in contents.out_of_scope),
            *((group.where, False) for group in contents.absent_from_training),
        )
        return any(
            attribute in where and _possible(_without(where, attribute), subgroups, exclusive)
            for where, exclusive in wheres
        )

    def _gap(self, attribute: str, subgroups: PatientSubgroups) -> bool:
        """Whether some known value of a missing attribute has no results while another has."""
        rows = self._by_attribute.get(attribute, ())
        heard = [row.own[attribute] for row in rows if _possible(row.others, subgroups, row.exclusive)]
        known = self.contents.known_levels.get(attribute, ())
        return bool(heard) and not set(known).issubset(level for levels in heard for level in levels)


@dataclass(frozen=True, slots=True)
class _Coverage:
    """One reported figure as seen from one of its attributes: that key, and all the others."""

    own: Where
    others: Where
    exclusive: bool


def _covered(rows: Iterable[Estimate]) -> dict[str, tuple[_Coverage, ...]]:
    found: dict[str, list[_Coverage]] = {}
    for row in rows:
        for name, levels in row.where.items():
            seen = _Coverage({name: levels}, _without(row.where, name), row.exclusive)
            found.setdefault(name, []).append(seen)
    return {name: tuple(seen) for name, seen in found.items()}


def build_book(
    card: ModelCard,
    scheme: SubgroupScheme,
    question: Question,
    approved_cards: frozenset[str],
    as_of: date,
    limits: Limits = DEFAULT_LIMITS,
) -> EvidenceBook:
    """The edition a service starts with: what its model card says, judged as of a day.

    `approved_cards` are the digests the response plan lists: a listed card's findings are signed.
    """
    signed = card.digest in approved_cards
    concerned = [row for row in card.estimates if question.hears(row) and question.concerns(row)]
    return EvidenceBook.of(
        BookContents(
            question=question,
            model_id=card.id,
            model_version=card.version,
            card_digest=card.digest,
            as_of=as_of,
            signed=signed,
            known_levels=_known_levels(card, scheme),
            estimates=card.estimates,
            usable=tuple(row.id for row in concerned if usable_for_caution(row, limits)),
            findings=outside_findings(concerned, as_of, signed=signed, limits=limits),
            local=local_results(concerned, limits),
            out_of_scope=card.out_of_scope,
            absent_from_training=tuple(group for group in card.training if group.nobody),
        )
    )


def evidence_token(edition: str, key: str) -> str:
    """The last part of an evidence page's address, from the edition and a finding's id or a reason.

    Never made from a patient or the name of a group: two patients with one finding share it.
    """
    return hashlib.sha256(f"{edition}|{key}".encode()).hexdigest()[:16]


def _without(where: Where, attribute: str) -> Where:
    return {name: levels for name, levels in where.items() if name != attribute}


def _possible(where: Where, subgroups: PatientSubgroups, exclusive: bool) -> bool:
    """Whether a group could be the patient's: every key holds or is missing."""
    if not subgroups.missing.keys().isdisjoint(where):
        where = {name: levels for name, levels in where.items() if name not in subgroups.missing}
    return subgroups.speaks(where, exclusive)


def _known_levels(card: ModelCard, scheme: SubgroupScheme) -> dict[str, tuple[str, ...]]:
    found = {name: dict.fromkeys(policy.labels) for name, policy in scheme.attributes.items()}
    for where in _all_groups(card):
        for name, named in where.items():
            found.setdefault(name, {}).update(dict.fromkeys(named))
    return {name: tuple(level for level in named if not _is_missing(level)) for name, named in found.items()}


def _all_groups(card: ModelCard) -> Iterable[Where]:
    sources: Sequence[Sequence[Estimate | TrainingGroup | OutOfScopeRule]]
    sources = (card.estimates, card.training, card.out_of_scope)
    return (item.where for source in sources for item in source)


def _is_missing(level: str) -> bool:
    return level.partition(":")[0] == MISSING


def _encode(contents: BookContents) -> bytes:
    return msgspec.json.encode(contents, order="deterministic")


_decoder = msgspec.json.Decoder(BookContents)
