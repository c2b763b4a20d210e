"""Age and sex from a FHIR Patient, as the demonstration vendor reads them: nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from cds_wrapper.demo import codes
from cds_wrapper.demo.fhir_values import JSON, BirthDate, birth_date, items, mapping, text
from cds_wrapper.demo.prevent import Range, Sex
from cds_wrapper.demo.refusals import Input, Refusal, Refusals, Why, missing, outside, refusals_in

SCORED_AGES: Final = Range(18, 110, "years")
"""Wider than the model's own 30 to 79: vendors in the wild extrapolate, and so does the demonstration."""


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """Sex, and age in completed years; `precision` is that of the birth date: day, month or year."""

    sex: Sex
    age: int
    precision: str

    def __repr__(self) -> str:
        return f"Person(precision={self.precision!r})"


def read_person(value: object, patient_id: str, on: date) -> Person | Refusals:
    """Read a Patient; another patient's resource counts as none."""
    patient = mapping(value)
    if patient.get("resourceType") != "Patient" or patient.get("id") != patient_id:
        return missing(Input.AGE), missing(Input.SEX)
    sex = _sex(patient)
    born = _born(patient, on)
    if isinstance(sex, Refusal) or isinstance(born, Refusal):
        return refusals_in(born, sex)
    return Person(sex, born.age_on(on), born.precision)


def _born(patient: JSON, on: date) -> BirthDate | Refusal:
    born = birth_date(patient.get("birthDate"))
    if born is None:
        return missing(Input.AGE)
    return born if SCORED_AGES.holds(born.age_on(on)) else outside(Input.AGE, SCORED_AGES)


# What each code says; None is "recorded as something else". Codes for "unknown" say nothing: not here.
_SEX_CODES: Final[Mapping[str, Sex | None]] = {
    "248152002": Sex.FEMALE,
    "248153007": Sex.MALE,
    "F": Sex.FEMALE,
    "M": Sex.MALE,
    "female": Sex.FEMALE,
    "male": Sex.MALE,
    "OTH": None,
    "other": None,
}


def _sex(patient: JSON) -> Sex | Refusal:
    """Take the first source that says something; "other" cannot be scored, and nothing fills it in."""
    for written in (*_sex_extensions(patient), text(patient.get("gender"))):
        if written in _SEX_CODES:
            reason = "sex: recorded as other; the equations know female and male only"
            return _SEX_CODES[written] or Refusal(Input.SEX, Why.UNUSABLE, reason)
    return missing(Input.SEX)


def _sex_extensions(patient: JSON) -> Iterator[str]:
    found = [mapping(extension) for extension in items(patient.get("extension"))]
    for name in ("us-core-individual-sex", "us-core-sex", "us-core-birthsex"):
        for extension in found:
            if extension.get("url") == f"{codes.US_CORE}/{name}":
                coding = mapping(extension.get("valueCoding"))
                yield text(coding.get("code")) or text(extension.get("valueCode"))
