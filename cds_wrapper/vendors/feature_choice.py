"""Which resource an input is read from: of the right type and code, in force, newest. Pure.

What names another patient came no further than `ehr.fhir`; what is about a fetus or a device is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cds_wrapper.vendors.feature_dates import dated
from cds_wrapper.vendors.feature_resources import Concept, Resource, Sketch, concept_of
from cds_wrapper.vendors.feature_rules import JSON, Kind, Rule
from cds_wrapper.vendors.features import InputSource

CODE_ELEMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "MedicationRequest": ("medicationCodeableConcept",),
    "MedicationStatement": ("medicationCodeableConcept",),
    "MedicationAdministration": ("medicationCodeableConcept",),
    "MedicationDispense": ("medicationCodeableConcept",),
    "Immunization": ("vaccineCode",),
    "Encounter": ("class", "type"),
    "Coverage": ("type",),
    "EpisodeOfCare": ("type",),
    "CarePlan": ("category",),
    "DocumentReference": ("type",),
    "Appointment": ("serviceType", "appointmentType"),
}
"""Resource type -> the elements whose codes say what it is, where that is not `code`."""

UNCODED: Final[frozenset[str]] = frozenset({"Patient"})
"""Types that are what they are, without a code."""

_CLINICAL: Final = frozenset({"Condition", "AllergyIntolerance"})
_NEVER: Final = frozenset(
    {"entered-in-error", "cancelled", "not-done", "nullified", "rejected", "draft", "refuted", "differential"}
)
_FINAL: Final = frozenset({"final", "amended", "corrected", "appended"})
USUAL_STATUSES: Final[Mapping[str, frozenset[str]]] = {
    "Observation": _FINAL,
    "DiagnosticReport": _FINAL,
    "Condition": frozenset({"active", "recurrence", "relapse"}),
    "AllergyIntolerance": frozenset({"active"}),
    "Encounter": frozenset({"arrived", "triaged", "in-progress", "onleave", "finished"}),
    "MedicationRequest": frozenset({"active"}),
    "MedicationStatement": frozenset({"active"}),
    "MedicationAdministration": frozenset({"in-progress", "completed"}),
    "MedicationDispense": frozenset({"completed"}),
    "Procedure": frozenset({"in-progress", "completed"}),
    "Immunization": frozenset({"completed"}),
}
"""Resource type -> the statuses that count unless the file says otherwise; of others all but `_NEVER`."""

_SYSTEMS: Final = {
    "urn:oid:2.16.840.1.113883.6.1": "http://loinc.org",
    "urn:oid:2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "urn:oid:2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "urn:oid:2.16.840.1.113883.6.3": "http://hl7.org/fhir/sid/icd-10",
    "urn:oid:2.16.840.1.113883.6.103": "http://hl7.org/fhir/sid/icd-9-cm",
    "urn:oid:2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "https://loinc.org": "http://loinc.org",
    "https://snomed.info/sct": "http://snomed.info/sct",
}
AHEAD: Final = timedelta(days=1)
"""How far a date may lie after the call: clocks and time zones differ by less."""


@dataclass(frozen=True, slots=True, repr=False)
class Wanted:
    """What the inputs of one prefetch key look for: codes, beginnings of codes, whole types."""

    codes: Mapping[tuple[str, str], str]
    beginnings: tuple[str, ...]
    types: frozenset[str]

    @classmethod
    def by(cls, rules: Iterable[Rule]) -> Wanted:
        """What these inputs look for."""
        asked = list(rules)
        lists = [rule.codes for rule in asked if rule.codes is not None]
        return cls(
            {_halves(code): code for one in lists for code in one.exact},
            tuple(dict.fromkeys(start for one in lists for start in one.beginnings)),
            frozenset(rule.type for rule in asked if rule.codes is None),
        )


def _halves(code: str) -> tuple[str, str]:
    system, _, bare = code.rpartition("|")
    return system, bare


_WHOLE: Final = -1


class Candidate(NamedTuple):
    """A resource that carries a wanted code, and the number of the component that does (-1: none, itself)."""

    resource: Resource
    part: int
    code: str | None
    source: InputSource

    @property
    def is_part(self) -> bool:
        """Whether it is a component."""
        return self.part != _WHOLE

    @property
    def element(self) -> JSON:
        """The resource or the component."""
        return self.resource.part(self.part) if self.is_part else self.resource.whole

    def __repr__(self) -> str:
        return "Candidate(...)"


class Shelf:
    """The resources of one prefetch key by type and code; put there once, however many inputs look."""

    __slots__ = ("_by_code", "_by_type", "_source", "_uncoded", "_wanted")

    def __init__(self, resources: Iterable[Resource], source: InputSource, wanted: Wanted) -> None:
        self._source = source
        self._wanted = wanted
        self._by_type: dict[str, list[Candidate]] = {}
        self._by_code: dict[tuple[str, str], list[Candidate]] = {}
        self._uncoded: set[str] = set()
        for resource in resources:
            self._put(resource)

    def _put(self, resource: Resource) -> None:
        sketch = resource.sketch
        kind = sketch.resourceType
        if sketch.focus or (
            sketch.subject is not None and _is_about_something_else(sketch.subject.reference)
        ):
            return
        if kind in self._wanted.types:
            self._by_type.setdefault(kind, []).append(Candidate(resource, _WHOLE, None, self._source))
        concept = sketch.code if kind == "Observation" else _concept(resource, kind)
        if concept is None or not self._shelve(resource, concept, kind, _WHOLE):
            self._uncoded.add(kind)
        for number, part in enumerate(sketch.component):
            if part.code is not None:
                self._shelve(resource, part.code, kind, number)

    def _shelve(self, resource: Resource, concept: Concept, kind: str, part: int) -> bool:
        """Put it under every wanted code; whether there is any code at all."""
        coded = False
        for coding in concept.coding:
            system, bare = coding.system, coding.code
            if system is not None and bare is not None:
                coded = True
                code = self._wanted.codes.get((_SYSTEMS.get(system, system), bare)) or self._begun(
                    system, bare
                )
                if code is not None:
                    candidate = Candidate(resource, part, code, self._source)
                    self._by_code.setdefault((kind, code), []).append(candidate)
        return coded

    def _begun(self, system: str, bare: str) -> str | None:
        """The code, where an input looks for all that begin as it does."""
        if not self._wanted.beginnings:
            return None
        code = f"{_SYSTEMS.get(system, system)}|{bare}"
        return code if code.startswith(self._wanted.beginnings) else None

    def candidates(self, rule: Rule) -> Iterator[tuple[int, Candidate]]:
        """What has the type and a code that the rule asks for, with the rank of that code."""
        if rule.codes is None:
            yield from ((0, candidate) for candidate in self._by_type.get(rule.type, ()))
            return
        for code, rank in rule.codes.exact.items():
            for candidate in self._by_code.get((rule.type, code), ()):
                yield rank, candidate
        for start, rank in rule.codes.beginnings.items():
            for (kind, code), found in self._by_code.items():
                if kind == rule.type and code.startswith(start):
                    yield from ((rank, candidate) for candidate in found)

    def holds_uncoded(self, resource_type: str) -> bool:
        """Whether a resource of that type says only in words, or elsewhere, what it is."""
        return resource_type in self._uncoded


def _concept(resource: Resource, kind: str) -> Concept | None:
    """The codes that say what a resource is."""
    sketch = resource.sketch
    names = CODE_ELEMENTS.get(kind)
    if names is None:
        return sketch.code
    if len(names) == 1 and names[0] in _SKETCHED:
        found: Concept | None = getattr(sketch, names[0])
        return found
    return concept_of([resource.whole.get(name) for name in names])


_SKETCHED: Final = frozenset(Sketch.__struct_fields__)


def codes_of(value: object) -> Iterator[str]:
    """Every `system|code` of a Coding, a CodeableConcept or a list of them, whatever shape it came in."""
    for coding in concept_of(value).coding:
        if coding.system is not None and coding.code is not None:
            yield f"{_SYSTEMS.get(coding.system, coding.system)}|{coding.code}"


class Match(NamedTuple):
    """A candidate that counts: its code's rank and its moment, None when it is undated."""

    candidate: Candidate
    rank: int
    at: datetime | None

    def __repr__(self) -> str:
        return "Match(...)"


def matches(shelves: Sequence[Shelf], rule: Rule, now: datetime) -> list[Match]:
    """What counts, the best first: dated before undated, newest first (or by the file's order of codes).

    Of several with one moment: the one with the code that is listed first, then a correction before what it
    corrects, a whole resource before a part of one, and the one that came first.
    """
    latest = now + AHEAD
    found = []
    for shelf in shelves:
        for rank, candidate in shelf.candidates(rule):
            if counts(candidate.resource, rule):
                at = dated(candidate.resource, rule.type)
                if at is None or at <= latest:
                    found.append(Match(candidate, rank, at))
    if len(found) > 1:
        found.sort(key=_moment_of, reverse=True)
        if _moment_of(found[0]) == _moment_of(found[1]):
            found.sort(key=_order_of_one_moment)
            found.sort(key=_moment_of, reverse=True)
        if rule.first_code_first:
            found.sort(key=_rank_of)
    return found


def _moment_of(one: Match) -> datetime:
    return one.at or _LONG_AGO


def _rank_of(one: Match) -> int:
    return one.rank


def _order_of_one_moment(one: Match) -> tuple[int, bool, int, int]:
    candidate = one.candidate
    corrected = candidate.resource.sketch.status in _CORRECTED
    return one.rank, not corrected, candidate.part, candidate.resource.place


_CORRECTED: Final = frozenset({"corrected", "amended"})
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


MOST_JUDGED: Final = 200
"""Resources that a criterion is asked about for one input: each takes 0.2 ms of the loop."""


def has_criterion(rule: Rule) -> bool:
    """Whether its FHIRPath says which resources count, and not where a value stands."""
    return rule.path is not None and rule.kind in (Kind.PRESENCE, Kind.COUNT)


def meets(candidate: Candidate, rule: Rule, now: datetime) -> bool:
    """Whether it meets the criterion of an input that asks for no value; one that trips is not met."""
    if rule.path is None:
        return True
    found = rule.path(candidate.element, candidate.resource.whole, now)
    return isinstance(found, list) and bool(found) and found != [False]


def counts(resource: Resource, rule: Rule) -> bool:
    """Whether a resource is in force."""
    sketch = resource.sketch
    if sketch.doNotPerform is True:
        return False
    if rule.type in _CLINICAL:
        return _is_current(resource, rule)
    allowed = rule.statuses or USUAL_STATUSES.get(rule.type)
    if allowed is not None:
        return sketch.status in allowed
    return sketch.status not in _NEVER


def _is_about_something_else(reference: str | None) -> bool:
    """Whether it is about a device, a place or a group."""
    if reference is None or "Patient/" in reference or reference.startswith(("urn:", "#")):
        return False
    return "/" in reference


def _is_current(resource: Resource, rule: Rule) -> bool:
    """Of a condition: not refuted and not over; one without a clinical status was diagnosed."""
    sketch = resource.sketch
    if _NEVER & _plain_codes(sketch.verificationStatus):
        return False
    clinical = _plain_codes(sketch.clinicalStatus)
    if not clinical:
        return rule.statuses is None and not any(name.startswith("abatement") for name in resource.whole)
    return bool(clinical & (rule.statuses or USUAL_STATUSES[rule.type]))


def _plain_codes(concept: Concept | None) -> set[str]:
    return {coding.code for coding in concept.coding if coding.code} if concept else set()
