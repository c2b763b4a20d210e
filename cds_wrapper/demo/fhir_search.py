"""FHIR R4 search over resources in memory: the few parameters a CDS Hooks prefetch uses, and no others.

A parameter or a value this server does not know is refused, never ignored: an ignored filter would
answer with more than was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cds_wrapper.demo.fhir_values import JSON, instant, items, mapping, taken_at, text

Matcher = Callable[[JSON, str], bool]
Parameters = Sequence[tuple[str, str]]

DEFAULT_COUNT: Final = 50
MAX_COUNT: Final = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request cannot be answered: status, FHIR issue code, one sentence without a value of it."""

    status: int
    code: str
    sentence: str


@dataclass(frozen=True, slots=True, repr=False)
class Matches:
    """One page of a search, with what is needed to write its links."""

    page: tuple[JSON, ...]
    total: int
    offset: int
    count: int

    @property
    def has_more(self) -> bool:
        return self.count > 0 and self.offset + self.count < self.total

    def __repr__(self) -> str:
        return f"Matches(total={self.total}, offset={self.offset}, count={self.count})"


def search(resources: Iterable[JSON], kind: str, parameters: Parameters) -> Matches | Problem:
    """Filter, sort and page the resources of one type."""
    matchers = _MATCHERS[kind]
    for name, value in parameters:
        problem = _problem(name, value, matchers, kind)
        if problem:
            return problem
    found = [
        one
        for one in resources
        if all(_any_of(matchers[name], one, value) for name, value in parameters if name in matchers)
    ]
    control = dict(parameters)
    ordered = _sorted(found, control.get("_sort", ""))
    count = min(int(control.get("_count", DEFAULT_COUNT)), MAX_COUNT)
    offset = int(control.get("_offset", 0))
    return Matches(tuple(ordered[offset : offset + count]), len(ordered), offset, count)


def _problem(name: str, value: str, matchers: Mapping[str, Matcher], kind: str) -> Problem | None:
    if name in matchers or name == "_format":
        return None
    if name in {"_count", "_offset"}:
        return None if re.fullmatch("[0-9]{1,9}", value) else _bad(f"{name} must be a whole number")
    if name == "_sort":
        known = all(part.removeprefix("-") in _SORT_KEYS for part in value.split(","))
        return None if known else _bad("_sort names something this server cannot sort by")
    return _bad(f"this server does not search {kind} by one of the parameters given")


def _bad(sentence: str) -> Problem:
    return Problem(400, "not-supported", sentence)


def _any_of(matcher: Matcher, resource: JSON, value: str) -> bool:
    """A comma means "or"; the same parameter given twice means "and"."""
    return any(matcher(resource, part) for part in value.split(","))


def _sorted(found: list[JSON], order: str) -> list[JSON]:
    for part in reversed([part for part in order.split(",") if part]):
        found = sorted(found, key=_SORT_KEYS[part.removeprefix("-")], reverse=part.startswith("-"))
    return found


def _date_key(resource: JSON) -> datetime:
    """The moment a resource is about: compared as a moment, since time zones differ within one record."""
    begun = mapping(resource.get("period")).get("start")
    recorded = instant(resource.get("recordedDate")) or instant(resource.get("authoredOn")) or instant(begun)
    return recorded or taken_at(resource)


def _name_of(resource: JSON) -> str:
    names = [mapping(name) for name in items(resource.get("name"))]
    first = names[0] if names else {}
    return " ".join([text(first.get("family")), *map(text, items(first.get("given")))]).lower()


_SORT_KEYS: Final[Mapping[str, Callable[[JSON], Any]]] = {
    "_id": lambda resource: text(resource.get("id")),
    "date": _date_key,
    "recorded-date": _date_key,
    "authoredon": _date_key,
    "name": _name_of,
    "family": _name_of,
    "birthdate": lambda resource: text(resource.get("birthDate")),
}


def _token(*path: str) -> Matcher:
    """Match `code`, `system|code`, `|code` or `system|` against a code, a Coding or a CodeableConcept."""

    def matches(resource: JSON, value: str) -> bool:
        system, bar, code = value.rpartition("|")
        return any(
            (not code or code == has_code) and (not bar or system == has_system)
            for has_system, has_code in _tokens(resource.get(path[0]))
        )

    return matches


def _tokens(value: object) -> Iterable[tuple[str, str]]:
    if isinstance(value, str):
        yield "", value
    for one in map(mapping, value if isinstance(value, list) else [value]):
        for coding in map(mapping, items(one.get("coding")) or [one]):
            yield text(coding.get("system")), text(coding.get("code"))


def _plain(name: str) -> Matcher:
    """Match a code whose system is fixed by FHIR: a system in front of it is read over."""
    return lambda resource, value: text(resource.get(name)) == value.rpartition("|")[2]


def _subject(resource: JSON, value: str) -> bool:
    return patient_of(resource) == value.rstrip("/").rsplit("/", 1)[-1]


def patient_of(resource: JSON) -> str:
    """The id of the patient a resource is about; "" for one that is about nobody."""
    return text(mapping(resource.get("subject")).get("reference")).rsplit("/", 1)[-1]


def _name(resource: JSON, value: str) -> bool:
    """Match the beginning of any part of a name, without regard to case."""
    for name in map(mapping, items(resource.get("name"))):
        parts = [text(name.get("family")), *map(text, items(name.get("given")))]
        words = [word for part in parts for word in (part, *part.replace("-", " ").split())]
        if any(word.lower().startswith(value.lower()) for word in words):
            return True
    return False


def _identifier(resource: JSON, value: str) -> bool:
    system, bar, number = value.rpartition("|")
    return any(
        text(one.get("value")) == number and (not bar or one.get("system") == system)
        for one in map(mapping, items(resource.get("identifier")))
    )


def _encounter(resource: JSON, value: str) -> bool:
    reference = text(mapping(resource.get("encounter")).get("reference"))
    return bool(reference) and reference.rsplit("/", 1)[-1] == value.rstrip("/").rsplit("/", 1)[-1]


_ABOUT_A_PATIENT: Final[Mapping[str, Matcher]] = {
    "_id": _plain("id"),
    "patient": _subject,
    "subject": _subject,
    "code": _token("code"),
    "category": _token("category"),
}
_MATCHERS: Final[Mapping[str, Mapping[str, Matcher]]] = {
    "Patient": {
        "_id": _plain("id"),
        "name": _name,
        "identifier": _identifier,
        "gender": _plain("gender"),
    },
    "Encounter": {
        **{name: _ABOUT_A_PATIENT[name] for name in ("_id", "patient", "subject")},
        "class": _token("class"),
        "status": _plain("status"),
    },
    "Observation": {**_ABOUT_A_PATIENT, "status": _plain("status"), "encounter": _encounter},
    "Condition": {
        **_ABOUT_A_PATIENT,
        "encounter": _encounter,
        "clinical-status": _token("clinicalStatus"),
        "verification-status": _token("verificationStatus"),
    },
    "MedicationRequest": {
        **{name: matcher for name, matcher in _ABOUT_A_PATIENT.items() if name != "code"},
        "code": _token("medicationCodeableConcept"),
        "status": _plain("status"),
        "intent": _plain("intent"),
    },
    "Practitioner": {"_id": _plain("id"), "name": _name},
}
TYPES: Final = tuple(_MATCHERS)
"""The resource types this server holds."""


def parameters_of(kind: str) -> tuple[str, ...]:
    """The search parameters of a type, for the CapabilityStatement."""
    return tuple(_MATCHERS[kind])
