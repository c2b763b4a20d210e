"""Disability, as the patient answered the six survey questions; no diagnosis ever stands in for an answer.

The questions are those of the American Community Survey (HHS, Affordable Care Act, section 4302), each with a
LOINC code of its own. US Core files them under the category `disability-status`, which also holds other
things: the category alone says nothing, the question does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from cds_wrapper.patient.attributes import Attribute, Missing
from cds_wrapper.patient.beside import ILLEGIBLE, BesideView, NoResource, found_in, no_attribute, value_of
from cds_wrapper.patient.codes import SNOMED_CT
from cds_wrapper.patient.reading import (
    Statement,
    known,
    lacking,
    most_telling,
    null_reasons,
    objects,
    raw_code,
    statement_of,
    statement_of_concept,
)
from cds_wrapper.patient.rules import DISABILITY, DemographicRules

LOINC = "http://loinc.org"
QUESTIONS: Mapping[str, str] = {
    "69856-3": "hearing",
    "69857-1": "seeing",
    "69858-9": "remembering or deciding",
    "69859-7": "walking or climbing stairs",
    "69860-5": "dressing or bathing",
    "69861-3": "errands alone",
}
"""LOINC code -> what the question is about."""

_LOINC_SYSTEMS = frozenset({LOINC, "urn:oid:2.16.840.1.113883.6.1"})
_ANSWERS: Mapping[tuple[str, str], str] = {
    (LOINC, "LA33-6"): "yes",
    (LOINC, "LA32-8"): "no",
    (SNOMED_CT, "373066001"): "yes",
    (SNOMED_CT, "373067005"): "no",
    ("http://terminology.hl7.org/CodeSystem/v2-0136", "Y"): "yes",
    ("http://terminology.hl7.org/CodeSystem/v2-0136", "N"): "no",
}
_WITHDRAWN = ("entered-in-error", "cancelled")
_SOURCE = "Observation.value"
_NULL = msgspec.Raw(b"null")


class _Observation(msgspec.Struct):
    status: msgspec.Raw = _NULL
    code: msgspec.Raw = _NULL
    effective_date_time: msgspec.Raw = msgspec.field(name="effectiveDateTime", default=_NULL)
    effective_instant: msgspec.Raw = msgspec.field(name="effectiveInstant", default=_NULL)
    effective_period: msgspec.Raw = msgspec.field(name="effectivePeriod", default=_NULL)
    issued: msgspec.Raw = _NULL
    value_concept: msgspec.Raw = msgspec.field(name="valueCodeableConcept", default=_NULL)
    value_boolean: msgspec.Raw = msgspec.field(name="valueBoolean", default=_NULL)
    value_string: msgspec.Raw = msgspec.field(name="valueString", default=_NULL)
    data_absent_reason: msgspec.Raw = msgspec.field(name="dataAbsentReason", default=_NULL)
    component: msgspec.Raw = _NULL


_observation = msgspec.json.Decoder(_Observation)


@dataclass(frozen=True, slots=True, repr=False)
class _Answer:
    """One answer to one question, or why there is none; `at` is when it was given, in UTC, oldest unknown."""

    question: str
    at: datetime
    said: str | Missing
    raw: str


def disability(view: BesideView, on: datetime, rules: DemographicRules) -> Attribute:
    """`any_yes`, `all_no` when every question that was asked was answered so, else missing.

    The latest answer to each question counts; what was recorded after the moment of the call does not.
    """
    scheme = rules.scheme(DISABILITY)
    found = found_in(view, "Observation")
    if isinstance(found, NoResource):
        return no_attribute(found, "disability", scheme)
    read = [_read(resource) for resource in found.resources]
    degraded = found.degraded or None in read
    moment = on.astimezone(UTC) if on.tzinfo else on.replace(tzinfo=UTC)
    answers = (answer for fields in read if fields for answer in _answers(fields))
    latest = _latest(answer for answer in answers if answer.at <= moment)
    raw = tuple(answer.raw for answer in latest)
    dq = ["degraded"] if degraded else []
    if not latest:
        return lacking(Missing.INVALID if degraded else Missing.ABSENT, scheme, dq=[*dq, "not_asked"])
    if len(latest) < len(QUESTIONS):
        dq.append("not_every_question_asked")
    if any(answer.said == "yes" for answer in latest):
        return known("any_yes", raw, _SOURCE, dq, scheme)
    reasons = [answer.said for answer in latest if isinstance(answer.said, Missing)]
    if reasons:
        return lacking(most_telling(reasons) or Missing.ABSENT, scheme, raw=raw, source=_SOURCE, dq=dq)
    if found.truncated or degraded:
        dq += ["truncated"] if found.truncated else []
        return lacking(Missing.IMPRECISE, scheme, raw=raw, source=_SOURCE, dq=dq)
    return known("all_no", raw, _SOURCE, dq, scheme)


def _latest(answers: Iterator[_Answer]) -> list[_Answer]:
    """Of each question the latest answer; a yes before a no of the same moment, any answer before none.

    To decline today does not unsay what was answered before.
    """
    best: dict[str, _Answer] = {}
    for answer in answers:
        other = best.get(answer.question)
        if other is None or _rank(answer) > _rank(other):
            best[answer.question] = answer
    return [best[question] for question in QUESTIONS if question in best]


def _rank(answer: _Answer) -> tuple[bool, datetime, bool]:
    return isinstance(answer.said, str), answer.at, answer.said == "yes"


def _read(resource: bytes) -> _Observation | None:
    try:
        return _observation.decode(resource)
    except (ValueError, RecursionError):
        return None


def _answers(fields: _Observation) -> Iterator[_Answer]:
    """The answer of an Observation about one question, or those of its components about several."""
    if value_of(fields.status) in _WITHDRAWN:
        return
    at = _moment(fields)
    question = _question(value_of(fields.code))
    if question is not None:
        values = {
            "valueCodeableConcept": value_of(fields.value_concept),
            "valueBoolean": value_of(fields.value_boolean),
            "valueString": value_of(fields.value_string),
        }
        yield _answer(question, at, values, value_of(fields.data_absent_reason))
    for component in objects(value_of(fields.component)):
        question = _question(component.get("code"))
        if question is not None:
            yield _answer(question, at, component, component.get("dataAbsentReason"))


def _question(code: object) -> str | None:
    codes = statement_of_concept(code).codes
    asked = (one.code for one in codes if one.system in _LOINC_SYSTEMS)
    return next((code for code in asked if code in QUESTIONS), None)


def _answer(question: str, at: datetime, values: Mapping[str, Any], absent: object) -> _Answer:
    given = {name: value for name, value in values.items() if name.startswith("value") and value is not None}
    said = statement_of([given]) or Statement()
    coded = [(_ANSWERS.get((code.system, code.code)), code.code) for code in said.codes]
    heard = next(((answer, code) for answer, code in coded if answer is not None), None)
    if heard is None and said.booleans:
        heard = ("yes", "true") if said.booleans[0] else ("no", "false")
    if heard is not None:
        return _Answer(question, at, heard[0], raw_code(LOINC, f"{question}={heard[1]}"))
    return _Answer(question, at, _why_missing(said, given, absent), raw_code(LOINC, question))


def _why_missing(said: Statement, given: Mapping[str, Any], absent: object) -> Missing:
    reasons = [*null_reasons(said), *null_reasons(statement_of_concept(absent))]
    if reasons:
        return most_telling(reasons) or Missing.UNKNOWN
    if said.codes or said.degraded or ILLEGIBLE in given.values():
        return Missing.INVALID
    return Missing.TEXT_ONLY if said.texts else Missing.ABSENT


_OLDEST = datetime.min.replace(tzinfo=UTC)


def _moment(fields: _Observation) -> datetime:
    period = value_of(fields.effective_period)
    ended = (period.get("end"), period.get("start")) if isinstance(period, dict) else ()
    told = (value_of(fields.effective_date_time), value_of(fields.effective_instant), *ended)
    moments = (_parsed(one) for one in (*told, value_of(fields.issued)))
    return next((moment for moment in moments if moment is not None), _OLDEST)


def _parsed(told: object) -> datetime | None:
    """A FHIR dateTime in UTC; a partial one counts from its beginning, one without a zone as UTC."""
    if not isinstance(told, str):
        return None
    whole = told + "-01-01"[(len(told) - 4) :] if len(told) in (4, 7) else told
    try:
        moment = datetime.fromisoformat(whole)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
