"""An EHR's habits: its prefetch keys in our names, what set off the hook, and who is no patient."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.cds import CDSRequest, PrefetchState, read_request
from cds_wrapper.cds_client import GENERIC, ClientProfile
from cds_wrapper.ehr.fhir import came_stripped, sort_prefetch
from cds_wrapper.ehr.habits import in_our_keys, is_test_patient, trigger_of
from tests.service.harness import NOON

TEMPLATES = {
    "patient": "Patient/{{context.patientId}}",
    "lipids": "Observation?patient={{context.patientId}}",
}
OURS = {"resourceType": "Patient", "id": "p1"}
THEIRS = {"resourceType": "Patient", "id": "p2"}
LIPIDS = {"resourceType": "Bundle", "entry": []}
TRIGGER = "com.epic.cdshooks.request.bpa-trigger-action"


def request(**members: Any) -> CDSRequest:
    body = {"hook": "patient-view", "hookInstance": "i", "context": {"patientId": "p1"}, **members}
    return read_request(json.dumps(body).encode(), NOON)


def keys(called: CDSRequest, profile: ClientProfile = GENERIC, service: str = "risk") -> dict[str, Any]:
    found = in_our_keys(called, service, "patient", profile).prefetch
    return {key: json.loads(raw) for key, raw in found.items()}


def test_a_call_in_our_own_keys_is_not_copied() -> None:
    called = request(prefetch={"patient": OURS, "lipids": LIPIDS})
    assert in_our_keys(called, "risk", "patient", GENERIC) is called


def test_keys_that_people_typed_in_are_renamed() -> None:
    profile = ClientProfile(prefetch_keys={"-pat": "patient", "CHOL": "lipids"})
    called = request(prefetch={"-pat": OURS, "CHOL": LIPIDS, "user": {}})
    assert keys(called, profile) == {"patient": OURS, "lipids": LIPIDS, "user": {}}


def test_a_mapped_key_wins_over_a_value_under_our_own_name() -> None:
    profile = ClientProfile(prefetch_keys={"CHOL": "lipids"})
    called = request(prefetch={"lipids": OURS, "CHOL": LIPIDS, "patient": OURS})
    assert keys(called, profile)["lipids"] == LIPIDS


def test_two_keys_can_change_places() -> None:
    profile = ClientProfile(prefetch_keys={"patient": "lipids", "lipids": "patient"})
    called = request(prefetch={"patient": LIPIDS, "lipids": OURS})
    assert keys(called, profile) == {"patient": OURS, "lipids": LIPIDS}


def test_the_map_of_one_service_stands_in_the_place_of_the_general_one() -> None:
    profile = ClientProfile(prefetch_keys={"a": "lipids"}, service_keys={"sepsis": {"b": "lipids"}})
    called = request(prefetch={"a": LIPIDS, "b": THEIRS, "patient": OURS})
    assert keys(called, profile)["lipids"] == LIPIDS
    assert keys(called, profile, "sepsis")["lipids"] == THEIRS


def test_the_patient_is_found_under_a_key_nobody_told_us_of() -> None:
    called = in_our_keys(request(prefetch={"x": LIPIDS, "-user": OURS}), "risk", "patient", GENERIC)
    prefetch = sort_prefetch(called, TEMPLATES, "patient")
    assert prefetch.patient is not None and json.loads(prefetch.patient) == OURS


@pytest.mark.parametrize(
    "other",
    [
        THEIRS,
        {"resourceType": "Patient"},
        {"resourceType": "Patient", "id": "P1"},
        {"resourceType": "patient", "id": "p1"},
        {"resourceType": "Patient", "id": ["p1"]},
        {"resourceType": "Practitioner", "id": "p1"},
        {"resourceType": "Bundle", "id": "p1", "entry": [{"resource": OURS}]},
        "Patient/p1",
        None,
        [OURS],
    ],
)
def test_nothing_else_is_taken_for_the_patient(other: Any) -> None:
    assert "patient" not in keys(request(prefetch={"x": other}))


def test_a_patient_who_names_somebody_else_is_found_and_withheld() -> None:
    mixed = {**OURS, "extension": [{"valueReference": None, "subject": {"reference": "Patient/p2"}}]}
    called = in_our_keys(request(prefetch={"x": mixed}), "risk", "patient", GENERIC)
    prefetch = sort_prefetch(called, TEMPLATES, "patient")
    assert prefetch.patient is None and prefetch.states["patient"] is PrefetchState.OTHER_PATIENT


@pytest.mark.parametrize("said", [None, THEIRS, {}])
def test_what_came_under_our_key_is_not_replaced_by_a_find(said: Any) -> None:
    assert keys(request(prefetch={"patient": said, "x": OURS}))["patient"] == said


@given(st.binary(max_size=40), st.text(max_size=5))
def test_no_value_under_an_unknown_key_breaks_the_search(raw: bytes, key: str) -> None:
    called = request(prefetch={key: {}})
    broken = CDSRequest(
        **{name: getattr(called, name) for name in called.__slots__} | {"prefetch": {key: raw}}
    )
    assert set(in_our_keys(broken, "risk", "patient", GENERIC).prefetch) <= {key, "patient"}


def test_a_value_nested_without_end_is_no_patient() -> None:
    raw = b'{"resourceType":"Patient","id":"p1","x":' + b"[" * 100_000
    called = request(prefetch={"x": {}})
    broken = CDSRequest(
        **{name: getattr(called, name) for name in called.__slots__} | {"prefetch": {"x": raw}}
    )
    assert "patient" not in in_our_keys(broken, "risk", "patient", GENERIC).prefetch


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("60", "60"),
        ("open-chart.v2", "open-chart.v2"),
        (60, None),
        (None, None),
        ("", None),
        ("Ann Smith", None),
        ("x" * 64, "x" * 64),
        ("x" * 65, None),
        ("a\nb", None),
        ("60\n", None),
        ("６０", None),  # noqa: RUF001  digits of another script
        (["60"], None),
    ],
)
def test_what_set_the_hook_off_is_a_short_plain_code_or_nothing(said: Any, read: str | None) -> None:
    profile = ClientProfile(trigger_extension=TRIGGER)
    assert trigger_of(request(extension={TRIGGER: said, "staff": "7"}), profile) == read


def test_without_a_profile_that_names_it_no_extension_is_read() -> None:
    assert trigger_of(request(extension={TRIGGER: "60"}), GENERIC) is None
    assert trigger_of(request(), ClientProfile(trigger_extension=TRIGGER)) is None


MRN = "urn:oid:1.2.3"


@pytest.mark.parametrize(
    ("rule", "identifier", "is_test"),
    [
        (f"{MRN}|ZZ1", {"system": MRN, "value": "ZZ1"}, True),
        (f"{MRN}|ZZ1", {"system": MRN, "value": " ZZ1 "}, True),
        (f"{MRN}|ZZ1", {"system": MRN, "value": "ZZ12"}, False),
        (f"{MRN}|ZZ1", {"system": f"{MRN}.4", "value": "ZZ1"}, False),
        (f"{MRN}|", {"system": MRN, "value": "anything"}, True),
        (f"{MRN}|", {"system": MRN, "value": ""}, False),
        (f"{MRN}|", {"system": f"{MRN}.4", "value": "7"}, False),
        (f"{MRN}|ZZ*", {"system": MRN, "value": "ZZ-77"}, True),
        (f"{MRN}|ZZ*", {"system": MRN, "value": "AZZ"}, False),
        (f"{MRN}|ZZ1", {"value": "ZZ1"}, False),
        (f"{MRN}|ZZ1", {"system": [MRN], "value": "ZZ1"}, False),
        (f"{MRN}|ZZ1", "ZZ1", False),
    ],
)
def test_a_test_patient_is_told_by_the_sites_own_identifiers(
    rule: str, identifier: Any, is_test: bool
) -> None:
    profile = ClientProfile(test_patients=frozenset({rule}))
    patient = json.dumps({**OURS, "identifier": ["odd", identifier, {"system": "urn:x", "value": "1"}]})
    assert is_test_patient(patient.encode(), profile) is is_test


@pytest.mark.parametrize("patient", [None, b"", b"[]", b'{"identifier":{"system":"urn:oid:1.2.3"}}', b"{}"])
def test_a_patient_without_readable_identifiers_is_no_test_patient(patient: bytes | None) -> None:
    assert not is_test_patient(patient, ClientProfile(test_patients=frozenset({f"{MRN}|"})))


def test_a_name_says_nothing_about_a_test_patient() -> None:
    patient = json.dumps({**OURS, "name": [{"family": "ZZTEST"}]}).encode()
    assert not is_test_patient(patient, ClientProfile(test_patients=frozenset({f"{MRN}|ZZ*"})))


@pytest.mark.parametrize(
    ("members", "stripped"),
    [
        ({}, True),
        ({"prefetch": {}}, True),
        ({"prefetch": None, "fhirServer": "https://fhir.example"}, True),
        ({"prefetch": {"lipids": None}}, False),
        ({"prefetch": {"other": {}}}, False),
        ({"fhirServer": "https://fhir.example", "fhirAuthorization": {"access_token": "t"}}, False),
    ],
)
def test_a_call_is_stripped_when_neither_data_nor_a_token_came(
    members: dict[str, Any], stripped: bool
) -> None:
    called = request(**members)
    assert came_stripped(called, sort_prefetch(called, TEMPLATES, "patient")) is stripped


def test_a_service_that_asks_for_nothing_is_never_stripped() -> None:
    called = request()
    assert not came_stripped(called, sort_prefetch(called, {}, "patient"))
