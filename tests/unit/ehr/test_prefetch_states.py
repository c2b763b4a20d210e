"""Which prefetch keys hold this patient's data, and what became of the others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.cds import Prefetch, read_request
from cds_wrapper.cds import PrefetchState as State
from cds_wrapper.ehr.fhir import beside_of, carries_test_label, sort_prefetch
from cds_wrapper.patient.demographics import NOTHING_BESIDE, BesideKeys, NoResource

TEMPLATES = {
    "patient": "Patient/{{context.patientId}}",
    "lipids": "Observation?patient={{context.patientId}}",
}


def sort(**prefetch: Any) -> Prefetch:
    body = {"hook": "patient-view", "hookInstance": "i", "context": {"patientId": "p1"}, "prefetch": prefetch}
    return sort_prefetch(read_request(json.dumps(body).encode(), datetime.now(UTC)), TEMPLATES, "patient")


def bundle(*resources: Any, **members: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "entry": [{"resource": item} for item in resources], **members}


def about(reference: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "subject": {"reference": reference}}


def outcome(severity: str) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity}]}


def about_in(kind: str, member: str) -> dict[str, Any]:
    return {"resourceType": kind, member: {"reference": "Patient/p2"}}


OF_P2 = about("Patient/p2")
BOTH = {**about("Group/g"), "patient": {"reference": "Patient/p2"}}
GROUP = {**about("Group/g"), "patient": {"reference": "Patient/p1"}}
APPOINTMENT = {"resourceType": "Appointment", "participant": [{"actor": {"reference": "Patient/p2"}}]}
MANY = {"resourceType": "Account", "subject": [{"reference": "Patient/p1"}, {"reference": "Patient/p2"}]}

CASES = [
    ("the EHR looked and has nothing", None, State.EMPTY, True),
    ("a search without entries", {"resourceType": "Bundle", "total": 0}, State.EMPTY, True),
    ("a search that warns of no results", bundle(outcome("warning")), State.EMPTY, True),
    ("a search that failed", bundle(outcome("error")), State.ERROR, False),
    ("a read that failed", outcome("fatal"), State.ERROR, False),
    ("results for the patient", bundle(about("Patient/p1")), State.PRESENT, True),
    (
        "results with an absolute reference",
        bundle(about("https://ehr.example/fhir/Patient/p1")),
        State.PRESENT,
        True,
    ),
    ("a versioned reference", bundle(about("Patient/p1/_history/3")), State.PRESENT, True),
    ("results and a warning", bundle(about("Patient/p1"), outcome("warning")), State.PRESENT, True),
    (
        "one result of another patient",
        bundle(about("Patient/p1"), about("Patient/p2")),
        State.OTHER_PATIENT,
        False,
    ),
    (
        "another patient, absolute",
        bundle(about("https://ehr.example/Patient/p2")),
        State.OTHER_PATIENT,
        False,
    ),
    ("a reference that names nobody", bundle(about("urn:uuid:1")), State.PRESENT, True),
    ("another patient's coverage", bundle(about_in("Coverage", "beneficiary")), State.OTHER_PATIENT, False),
    ("another patient's task", about_in("Task", "for"), State.OTHER_PATIENT, False),
    ("another subject beside this patient", BOTH, State.OTHER_PATIENT, False),
    ("another patient's appointment", APPOINTMENT, State.OTHER_PATIENT, False),
    ("another patient in a Bundle in a Bundle", bundle(bundle(OF_P2)), State.OTHER_PATIENT, False),
    ("a group as subject of this patient", GROUP, State.PRESENT, True),
    ("several subjects, one of another patient", MANY, State.OTHER_PATIENT, False),
    ("another patient's Patient", {"resourceType": "Patient", "id": "p2"}, State.OTHER_PATIENT, False),
    (
        "a Patient of odd shape",
        {"resourceType": "Patient", "id": "p1", "subject": "x"},
        State.PRESENT,
        True,
    ),
    (
        "another patient in an odd shape",
        {"resourceType": "Patient", "id": "p2", "subject": 5},
        State.OTHER_PATIENT,
        False,
    ),
    (
        "another patient in a draft-era wrapper",
        {"resource": {"resourceType": "Patient", "id": "p2"}},
        State.OTHER_PATIENT,
        False,
    ),
    (
        "a draft-era wrapper",
        {"response": {}, "resource": {"resourceType": "Patient", "id": "p1"}},
        State.UNREADABLE,
        False,
    ),
    ("text instead of a resource", "none", State.UNREADABLE, False),
]


@pytest.mark.parametrize(
    ("value", "state", "forwarded"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_state_of_a_key(value: Any, state: State, forwarded: bool) -> None:
    prefetch = sort(lipids=value)
    assert prefetch.states["lipids"] is state
    assert ("lipids" in prefetch.values) is forwarded


def test_a_key_that_did_not_come_is_absent_and_one_nobody_asked_for_goes_nowhere() -> None:
    prefetch = sort(surprise={"resourceType": "Patient", "id": "p1"})
    assert prefetch.states == {"patient": State.ABSENT, "lipids": State.ABSENT}
    assert prefetch.values == {}


def test_the_patients_own_resource_is_kept_and_another_patients_is_not() -> None:
    mine = sort(patient={"resourceType": "Patient", "id": "p1"})
    other = sort(patient={"resourceType": "Patient", "id": "p2"})
    assert mine.patient == b'{"resourceType": "Patient", "id": "p1"}'
    assert (other.patient, other.patient_state) == (None, State.OTHER_PATIENT)


def test_test_patients_are_told_by_their_label_and_by_nothing_else() -> None:
    label = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]
    assert carries_test_label(json.dumps({"meta": {"security": label}}).encode())
    assert not carries_test_label(json.dumps({"name": [{"family": "TEST"}]}).encode())
    assert not carries_test_label(b'{"meta": 5}')
    assert not carries_test_label(None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceType", "id", "entry", "resource", "subject", "issue", "x"]), inner
        )
    ),
)


@given(json_values)
def test_no_value_crashes_and_a_withheld_one_is_nowhere(value: Any) -> None:
    prefetch = sort(lipids=value)
    state, is_kept = prefetch.states["lipids"], "lipids" in prefetch.values
    if state is State.UNREADABLE:
        kind = value.get("resourceType") if isinstance(value, dict) else None
        assert is_kept == (isinstance(kind, str) and bool(kind.strip()))
    else:
        assert is_kept == (state in {State.PRESENT, State.EMPTY})


P2 = {"resourceType": "Patient", "id": "p2"}
WRAPPED: list[tuple[str, Any]] = [
    ("as a parameter", {"resourceType": "Parameters", "parameter": [{"resource": P2}]}),
    ("as a parameter in a Bundle", bundle({"resourceType": "Parameters", "parameter": [{"resource": P2}]})),
    ("in an entry's outcome", {"resourceType": "Bundle", "entry": [{"response": {"outcome": P2}}]}),
    ("in a contained resource", {"resourceType": "Observation", "contained": [OF_P2]}),
    ("with a lower-case type", {"resourceType": "patient", "id": "p2"}),
    ("as a text", {"resourceType": "Observation", "subject": "Patient/p2"}),
    ("in an array of references", {"resourceType": "Observation", "subject": [{"reference": "Patient/p2"}]}),
]


@pytest.mark.parametrize(("where", "value"), WRAPPED, ids=[row[0] for row in WRAPPED])
def test_another_patient_is_found_however_it_is_wrapped(where: str, value: Any) -> None:
    assert sort(lipids=value).states["lipids"] is State.OTHER_PATIENT


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/p2/",
        " Patient/p2",
        "patient/p2",
        "Patient//p2",
        "Patient%2Fp2",
        "Patient/p1/_history/../p2",
        "Patient/p2/$everything",
        "https://ehr.example/fhir/Patient/p2/_history/3",
    ],
)
def test_another_patient_is_found_however_the_reference_is_spelled(reference: str) -> None:
    assert sort(lipids=bundle(about(reference))).states["lipids"] is State.OTHER_PATIENT


@pytest.mark.parametrize(
    "reference", ["Patient/p1#x", "Patient/p1|1", "Patient/p1/_history/2", "Patient/p1/"]
)
def test_this_patient_is_recognised_however_the_reference_is_spelled(reference: str) -> None:
    assert sort(lipids=bundle(about(reference))).states["lipids"] is State.PRESENT


@pytest.mark.parametrize(
    "patient", [{"resourceType": "Patient"}, {"resourceType": "Patient", "id": None}, "Jane"]
)
def test_a_patient_that_does_not_say_it_is_this_one_is_nobodys(patient: Any) -> None:
    prefetch = sort(patient=patient)
    assert (prefetch.patient, prefetch.patient_state) == (None, State.UNREADABLE)
    assert "patient" not in prefetch.values


@pytest.mark.parametrize("severity", [["error"], {"a": 1}, 5, None])
def test_an_outcome_of_odd_shape_is_no_error(severity: Any) -> None:
    odd = {"resourceType": "OperationOutcome", "issue": [{"severity": severity}, 5]}
    assert sort(lipids=odd).states["lipids"] is State.EMPTY


def nested(value: Any, depth: int, *, in_lists: bool) -> Any:
    for _ in range(depth):
        value = [value] if in_lists else {"extension": value}
    return {"resourceType": "Observation", "component": value}


@pytest.mark.parametrize("in_lists", [True, False], ids=["lists", "objects"])
@pytest.mark.parametrize("depth", [1, 100, 300, 450])
def test_another_patient_is_found_however_deep_it_stands_or_the_value_is_not_used(
    depth: int, in_lists: bool
) -> None:
    found = sort(lipids=nested(OF_P2, depth, in_lists=in_lists)).states["lipids"]
    assert found in {State.OTHER_PATIENT, State.ERROR}
    if depth <= 100:
        assert found is State.OTHER_PATIENT


def test_a_reference_that_was_harmless_once_is_harmless_for_this_patient_only() -> None:
    value = bundle(about("Patient/p1"), about("Patient/p1"), about("Patient/p2"), about("Patient/p2"))
    assert sort(lipids=value).states["lipids"] is State.OTHER_PATIENT
    of_p1 = {"hook": "patient-view", "hookInstance": "i", "context": {"patientId": "p2"}}
    body = json.dumps({**of_p1, "prefetch": {"lipids": bundle(about("Patient/p1"))}}).encode()
    read = read_request(body, datetime.now(UTC))
    assert sort_prefetch(read, TEMPLATES, "patient").states["lipids"] is State.OTHER_PATIENT


# Beside the Patient -----------------------------------------------------------------------------------------


def policy(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Coverage", "beneficiary": {"reference": "Patient/p1"}, **members}


HER_MOTHER = {"reference": "Patient/p2", "display": "her mother"}


@pytest.mark.parametrize("member", ["policyHolder", "subscriber", "payor", "insurer"])
def test_a_coverage_that_somebody_else_holds_or_pays_is_this_patients(member: str) -> None:
    held = HER_MOTHER if member != "payor" else [HER_MOTHER]

    assert sort(lipids=bundle(policy(**{member: held}))).states["lipids"] is State.PRESENT


@pytest.mark.parametrize(
    "value",
    [
        bundle(policy(), about_in("Coverage", "beneficiary")),
        about_in("Encounter", "subject"),
        bundle(about_in("Encounter", "patient")),
        bundle(about_in("Observation", "subject")),
        bundle(policy(), {"resourceType": "Patient", "id": "p2"}),
    ],
)
def test_what_is_about_somebody_else_is_withheld_beside_the_patient_too(value: Any) -> None:
    sorted_ = sort(lipids=value)

    assert beside_of(sorted_, BesideKeys(coverage="lipids"), None).coverage is NoResource.OTHER_PATIENT


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, NoResource.EMPTY),
        (bundle(outcome("error")), NoResource.ERROR),
        ({"no": "resource"}, NoResource.UNREADABLE),
    ],
)
def test_a_key_without_data_says_why(value: Any, why: NoResource) -> None:
    assert beside_of(sort(lipids=value), BesideKeys(coverage="lipids"), None).coverage is why


def test_what_did_not_come_or_is_not_asked_for_is_absent() -> None:
    nothing_came = beside_of(sort(), BesideKeys(coverage="lipids", encounter="lipids"), None)

    assert nothing_came.coverage is NoResource.ABSENT
    assert nothing_came.encounter is None, "the call is about no encounter"
    assert beside_of(sort(lipids=policy()), BesideKeys(), "e1") is NOTHING_BESIDE


def test_the_encounter_is_the_one_the_call_names() -> None:
    came = sort(lipids={"resourceType": "Encounter", "id": "e1"})
    keys = BesideKeys(encounter="lipids")

    assert isinstance(beside_of(came, keys, "e1").encounter, bytes)
    assert beside_of(came, keys, "e2").encounter is NoResource.OTHER_ENCOUNTER
