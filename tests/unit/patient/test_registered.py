"""What is said of many patients in the same words is read once; of each patient the same is said as ever."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.bench.scored_calls import scored_calls
from cds_wrapper.cds import read_request
from cds_wrapper.patient.demographics import DemographicRules, Demographics, describe
from cds_wrapper.patient.reading import RecordedPatient, read_patient

ON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PATIENTS = [read_request(call.body, ON).prefetch["patient"] for call in scored_calls()]
RULES = DemographicRules()


def anew(patient: bytes) -> Demographics:
    """As somebody says who remembers nothing."""
    return describe(patient, ON, replace(RULES))


def registered(patient: bytes) -> bytes:
    read = read_patient(patient)
    assert isinstance(read, RecordedPatient)
    return read.registered


def changed(patient: bytes, **members: Any) -> bytes:
    return json.dumps({**json.loads(patient), **members}).encode()


def test_what_was_read_of_others_changes_nothing_for_a_patient() -> None:
    for _ in range(2):
        for patient in PATIENTS:
            assert describe(patient, ON, RULES) == anew(patient)


def test_patients_of_whom_the_same_is_said_are_read_once() -> None:
    rules = replace(RULES)
    one = changed(PATIENTS[0], id="x", birthDate="1990-02-03", name=[{"family": "One"}])
    other = changed(PATIENTS[0], id="y", birthDate="1951-02-03", name=[{"family": "Other"}], address=[])
    ages = {describe(patient, ON, rules)["age_band"].value for patient in (one, other)}
    assert len(ages) == 2 and len(rules.remembered) == 1


MORE: list[dict[str, Any]] = [
    {"gender": "male"},
    {"gender": "female"},
    {"gender": None},
    {"_gender": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}]}},
    {"communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}}]},
    {"communication": "es"},
    {"extension": []},
    {"extension": 5},
]


@given(st.lists(st.sampled_from(MORE), min_size=1, max_size=12), st.sampled_from(PATIENTS))
def test_whatever_is_said_otherwise_is_read_anew(members: list[dict[str, Any]], patient: bytes) -> None:
    for one in members:
        other = changed(patient, **one)
        assert describe(other, ON, RULES) == anew(other)


def test_nothing_that_is_remembered_holds_what_the_patient_s_resource_holds() -> None:
    rules = replace(RULES)
    describe(PATIENTS[0], ON, rules)
    (question,) = rules.remembered.questions()
    assert isinstance(question, bytes) and len(question) == 16
    assert question == registered(PATIENTS[0]) != registered(changed(PATIENTS[0], gender="other"))
