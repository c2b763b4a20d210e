"""A FHIR Patient -> coded demographic attributes as they were at one moment, each a value or a reason.

Pure: bytes and a moment in, values out. Whatever the bytes hold, every attribute the site collects comes
back, and nothing is raised: a record without demographics says why it has none.

This module is the room's door; the others are read through it: `attributes` (what is recorded), `rules`
(what the site decided), `reading` (the tolerant reader), `codes` (tables), `age`, `race`, `background`.
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
    sex,
    tribal_affiliation,
)
from cds_wrapper.patient.race import race_and_ethnicity
from cds_wrapper.patient.reading import NoPatient, RecordedPatient, lacking, read_patient
from cds_wrapper.patient.rules import (
    AGE_BAND,
    ATTRIBUTES,
    DEFAULT_BANDS,
    DEPRIVATION_QUINTILE,
    ETHNICITY,
    INTERPRETER_NEEDED,
    LANGUAGE,
    RACE,
    RACE_ETHNICITY,
    SEX,
    TRIBAL_AFFILIATION,
    AgeBands,
    DemographicRules,
    DeprivationTable,
    RaceEthnicityScheme,
    RaceProfile,
    SexSource,
    UnusableRule,
)

__all__ = [
    "AGE_BAND",
    "ATTRIBUTES",
    "DEFAULT_BANDS",
    "OLDEST_AGE_KEPT",
    "RACE_ETHNICITY",
    "AgeBands",
    "AgeSpan",
    "Attribute",
    "DemographicRules",
    "Demographics",
    "DeprivationTable",
    "Missing",
    "NoPatient",
    "PatientView",
    "RaceEthnicityScheme",
    "RaceProfile",
    "SexSource",
    "UnusableRule",
    "describe",
]

PatientView = bytes | NoPatient
"""The patient's own Patient resource as it came, or why there is none."""


def describe(patient: PatientView, on: datetime, rules: DemographicRules) -> Demographics:
    """Every attribute the site collects, as the Patient says at the hook's time.

    `on` is the moment of the hook, in the clinic's time zone if that is known: ages count by its day.
    """
    recorded = read_patient(patient) if isinstance(patient, bytes) else patient
    if isinstance(recorded, NoPatient):
        return _nothing(recorded, rules)
    return _described(recorded, on.date(), rules)


_READERS: Mapping[str, Callable[[RecordedPatient, DemographicRules], Attribute]] = {
    SEX: sex,
    LANGUAGE: language,
    INTERPRETER_NEEDED: interpreter_needed,
    TRIBAL_AFFILIATION: tribal_affiliation,
}


def _described(patient: RecordedPatient, on: date, rules: DemographicRules) -> Demographics:
    found = {name: reader(patient, rules) for name, reader in _READERS.items() if name in rules.collect}
    age = None
    if AGE_BAND in rules.collect:
        found[AGE_BAND], age = age_band(patient, on, rules)
    if DEPRIVATION_QUINTILE in rules.collect:
        found[DEPRIVATION_QUINTILE] = deprivation_quintile(patient, on, rules)
    if not {RACE, ETHNICITY, RACE_ETHNICITY}.isdisjoint(rules.collect):
        both = race_and_ethnicity(patient, rules)
        found |= {RACE: both.race, ETHNICITY: both.ethnicity, RACE_ETHNICITY: both.race_ethnicity}
    return Demographics(MappingProxyType({name: found[name] for name in rules.collect}), age)


def _nothing(why: NoPatient, rules: DemographicRules) -> Demographics:
    reason, flag = _why(why)
    attributes = {name: lacking(reason, rules.scheme(name), dq=(flag,)) for name in rules.collect}
    return Demographics(MappingProxyType(attributes))


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
