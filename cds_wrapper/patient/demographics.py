"""A FHIR Patient and what came beside it -> coded demographics at one moment, each a value or a reason.

Pure: bytes and a moment in, values out. Whatever the bytes hold, every attribute the site collects comes
back, and nothing is raised: a record without demographics says why it has none.

This module is the room's door; the others are read through it: `attributes` (what is recorded), `rules`
(what the site decided), `reading` (the tolerant reader), `codes` (tables), `age`, `race`, `background`; and
for what stands outside the Patient `beside` (its reader), `coverage`, `disability`, `encounter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import assert_never

from cds_wrapper.patient.age import age_band
from cds_wrapper.patient.attributes import OLDEST_AGE_KEPT, AgeSpan, Attribute, Demographics, Missing
from cds_wrapper.patient.background import (
    deprivation_quintile,
    interpreter_needed,
    language,
    rurality,
    sex,
    tribal_affiliation,
)
from cds_wrapper.patient.beside import (
    FAILED_BESIDE,
    NOTHING_BESIDE,
    Beside,
    BesideKeys,
    BesideView,
    NoResource,
)
from cds_wrapper.patient.coverage import payer
from cds_wrapper.patient.disability import disability
from cds_wrapper.patient.encounter import (
    NOWHERE,
    Place,
    PlaceRules,
    interpreter_of_either,
    own_encounter,
    place_of,
)
from cds_wrapper.patient.race import race_and_ethnicity
from cds_wrapper.patient.reading import NoPatient, RecordedPatient, lacking, read_patient
from cds_wrapper.patient.rules import (
    AGE_BAND,
    ATTRIBUTES,
    DEFAULT_BANDS,
    DEPRIVATION_QUINTILE,
    DISABILITY,
    ETHNICITY,
    INTERPRETER_NEEDED,
    LANGUAGE,
    PAYER,
    RACE,
    RACE_ETHNICITY,
    RURALITY,
    SEX,
    TRIBAL_AFFILIATION,
    AgeBands,
    DemographicRules,
    DeprivationTable,
    InterpreterSource,
    PayerElement,
    PayerTable,
    RaceEthnicityScheme,
    RaceProfile,
    RuralityTable,
    SexSource,
    UnusableRule,
)

__all__ = [
    "AGE_BAND",
    "ATTRIBUTES",
    "DEFAULT_BANDS",
    "FAILED_BESIDE",
    "NOTHING_BESIDE",
    "NOWHERE",
    "OLDEST_AGE_KEPT",
    "RACE_ETHNICITY",
    "AgeBands",
    "AgeSpan",
    "Attribute",
    "Beside",
    "BesideKeys",
    "BesideView",
    "DemographicRules",
    "Demographics",
    "DeprivationTable",
    "InterpreterSource",
    "Missing",
    "NoPatient",
    "NoResource",
    "PatientView",
    "PayerElement",
    "PayerTable",
    "Place",
    "PlaceRules",
    "RaceEthnicityScheme",
    "RaceProfile",
    "RuralityTable",
    "SexSource",
    "UnusableRule",
    "describe",
    "own_encounter",
    "place_of",
]

PatientView = bytes | NoPatient
"""The patient's own Patient resource as it came, or why there is none."""


def describe(
    patient: PatientView, on: datetime, rules: DemographicRules, beside: Beside = NOTHING_BESIDE
) -> Demographics:
    """Every attribute the site collects, as the Patient and what came beside it say at the hook's time.

    `on` is the moment of the hook, in the clinic's time zone if that is known: ages count by its day.
    """
    recorded = read_patient(patient) if isinstance(patient, bytes) else patient
    if isinstance(recorded, NoPatient):
        found, age = _nothing(recorded, rules), None
    else:
        found, age = _described(recorded, on.date(), rules)
    if rules.beside_patient:
        found |= _beside(found, on, rules, beside)
    return Demographics(MappingProxyType({name: found[name] for name in rules.collect}), age)


_READERS: Mapping[str, Callable[[RecordedPatient, DemographicRules], Attribute]] = {
    SEX: sex,
    LANGUAGE: language,
    INTERPRETER_NEEDED: interpreter_needed,
    TRIBAL_AFFILIATION: tribal_affiliation,
}


def _described(
    patient: RecordedPatient, on: date, rules: DemographicRules
) -> tuple[dict[str, Attribute], AgeSpan | None]:
    # Most of it is said of many patients in the same words, and is read only once.
    found = dict(rules.remembered.of(patient.registered, lambda: _registered(patient, rules)))
    age = None
    if AGE_BAND in rules.collect:
        found[AGE_BAND], age = age_band(patient, on, rules)
    if DEPRIVATION_QUINTILE in rules.collect:
        found[DEPRIVATION_QUINTILE] = deprivation_quintile(patient, on, rules)
    if RURALITY in rules.collect:
        found[RURALITY] = rurality(patient, on, rules)
    return found, age


def _registered(patient: RecordedPatient, rules: DemographicRules) -> dict[str, Attribute]:
    """The attributes that depend on nothing but what `RecordedPatient.registered` is a digest of."""
    found = {name: reader(patient, rules) for name, reader in _READERS.items() if name in rules.collect}
    if not {RACE, ETHNICITY, RACE_ETHNICITY}.isdisjoint(rules.collect):
        both = race_and_ethnicity(patient, rules)
        found |= {RACE: both.race, ETHNICITY: both.ethnicity, RACE_ETHNICITY: both.race_ethnicity}
    return found


def _beside(
    found: Mapping[str, Attribute], on: datetime, rules: DemographicRules, beside: Beside
) -> dict[str, Attribute]:
    """What no Patient holds, whether or not there is one; and the interpreter, whom either may ask for."""
    more: dict[str, Attribute] = {}
    if PAYER in rules.collect:
        more[PAYER] = payer(beside.coverage, on.date(), rules)
    if DISABILITY in rules.collect:
        more[DISABILITY] = disability(beside.disability, on, rules)
    if rules.interpreter_at_encounter:
        own = found[INTERPRETER_NEEDED]
        more[INTERPRETER_NEEDED] = interpreter_of_either(own, beside.encounter, rules)
    return more


def _nothing(why: NoPatient, rules: DemographicRules) -> dict[str, Attribute]:
    reason, flag = _why(why)
    return {name: lacking(reason, rules.scheme(name), dq=(flag,)) for name in rules.collect}


def _why(why: NoPatient) -> tuple[Missing, str]:
    match why:
        case NoPatient.ABSENT:
            return Missing.NOT_FETCHED, "patient_not_sent"
        case NoPatient.EMPTY:
            return Missing.ABSENT, "patient_empty"
        case NoPatient.ERROR:
            return Missing.FETCH_FAILED, "patient_error"
        case NoPatient.UNREADABLE:
            return Missing.FETCH_FAILED, "patient_unreadable"
        case NoPatient.OTHER_PATIENT:
            return Missing.FETCH_FAILED, "other_patient"
        case NoPatient.NOT_A_PATIENT:
            return Missing.INVALID, "not_a_patient"
        case _:
            assert_never(why)
