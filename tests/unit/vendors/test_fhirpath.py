"""FHIRPath: what is refused before any patient, and that plain members are read as the library reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path as File
from typing import Any

import fhirpathpy
import pytest

from cds_wrapper.vendors.feature_rules import Tripped
from cds_wrapper.vendors.fhirpath import R4, Path, is_resource_type, read_path
from cds_wrapper.vendors.fhirpath_names import Fault

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
FIXTURES = sorted((File(__file__).parents[3] / "fixtures").rglob("*.json"))


def fault(text: str, resource_type: str = "Observation") -> Fault:
    found = read_path(text, resource_type)
    assert isinstance(found, Fault), found
    return found


def path(text: str, resource_type: str = "Observation") -> Path:
    found = read_path(text, resource_type)
    assert isinstance(found, Path), found
    return found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("value.", "at sign 7 it ends too early"),
        ("value value", "at sign 7 `value` cannot stand there"),
        ("value.ofType(Quantity", "at sign 22 it ends too early"),
        ("(value", "it ends too early"),
        ("value ==", "cannot stand there"),
        ("value # 1", "a sign that FHIRPath has not"),
        ("", "it ends too early"),
    ],
)
def test_a_text_must_be_a_fhirpath_to_its_last_sign(text: str, says: str) -> None:
    """The library's own parser reads the first of these as `value` and says nothing."""
    assert says in fault(text).problem


@pytest.mark.parametrize(
    ("text", "resource_type", "suggestion"),
    [
        ("vale.ofType(Quantity)", "Observation", "value"),
        ("valueQuantity.value", "Observation", "value.ofType(Quantity)"),
        ("value.ofType(Quantiti)", "Observation", "Quantity"),
        ("value.ofType(CodeableConcept).codding", "Observation", "coding"),
        ("component.where(cod.exists()).value", "Observation", "code"),
        ("component.referenceRange.lo", "Observation", "low"),
        ("birthdate", "Patient", "birthDate"),
        ("name.frist()", "Patient", "first"),
        ("extension('u').valu", "Patient", "value"),
        ("hospitalization.dischargeDispositon", "Encounter", "dischargeDisposition"),
        ("birthDate <= %asoff", "Patient", "asof"),
        ("entry.resource.ofType(ServiceRequest).cod", "Bundle", "code"),
        ("(value as Quantity).valu", "Observation", "value"),
        ("iif(gendr = 'male', 1, 0)", "Patient", "gender"),
    ],
)
def test_a_name_that_fhir_has_not_is_found_with_the_nearest_that_it_has(
    text: str, resource_type: str, suggestion: str
) -> None:
    assert fault(text, resource_type).suggestion == suggestion


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("today()", "could not be computed again"),
        ("value.ofType(Quantity) > 5 'mg'", "compares quantities"),
        ("value.ofType(Period)  = 1 and value.ofType(Quantity) = 5", "compares quantities"),
        ("Patient.birthDate", "are of the type `Observation`"),
        ("value.ofType(Patient)", "there is only"),
        ("code.resolve()", "no function known here"),
    ],
)
def test_what_could_not_work_here_is_refused(text: str, says: str) -> None:
    assert says in fault(text).problem


def test_what_parses_and_trips_over_a_whole_resource_is_refused() -> None:
    assert "cannot be worked out" in fault("code.coding.code & 'x'").problem


@pytest.mark.parametrize(
    ("text", "resource_type", "types"),
    [
        ("value.ofType(Quantity)", "Observation", {"Quantity"}),
        ("Observation.value.ofType(Quantity).value", "Observation", {"decimal"}),
        ("birthDate + 18 years <= %asof", "Patient", {"boolean"}),
        ("period.start", "Encounter", {"dateTime"}),
        ("class.code = 'EMER'", "Encounter", {"boolean"}),
        ("name.first().given.first()", "Patient", {"string"}),
        ("component.count()", "Observation", {"integer"}),
        ("component[0].value.ofType(Quantity)", "Observation", {"Quantity"}),
        ("extension.where(url = 'a').value.ofType(Coding).code", "Patient", {"code"}),
    ],
)
def test_it_is_known_of_which_type_a_path_is(text: str, resource_type: str, types: set[str]) -> None:
    assert path(text, resource_type).types == types


def test_the_moment_of_the_call_and_the_whole_resource_can_be_asked_about() -> None:
    patient: dict[str, Any] = {"resourceType": "Patient", "birthDate": "1980-06-30", "gender": "male"}
    assert path("birthDate + 46 years <= %asof", "Patient")(patient, patient, NOW) == [True]
    assert path("birthDate + 47 years <= %asof", "Patient")(patient, patient, NOW) == [False]
    assert path("%resource.gender", "Patient")(patient, patient, NOW) == ["male"]


def test_a_component_is_asked_as_what_it_is() -> None:
    whole: dict[str, Any] = {"resourceType": "Observation", "component": [{"valueQuantity": {"value": 120}}]}
    found = path("value.ofType(Quantity).where(value > 100)")(whole["component"][0], whole, NOW)
    assert found == [{"value": 120}]


def test_what_it_cannot_work_with_is_a_value() -> None:
    odd: dict[str, Any] = {"resourceType": "Patient", "multipleBirthInteger": "two"}
    assert path("multipleBirth.ofType(integer) - 1", "Patient")(odd, odd, NOW) is Tripped.TRIPPED


PLAIN = [
    ("value.ofType(Quantity)", "Observation"),
    ("Observation.value.ofType(CodeableConcept).coding.code", "Observation"),
    ("effective.ofType(Period).end", "Observation"),
    ("code.coding.system", "Observation"),
    ("birthDate", "Patient"),
    ("name.given", "Patient"),
    ("communication.language.coding.code", "Patient"),
    ("onset.ofType(dateTime)", "Condition"),
    ("dosageInstruction.timing.repeat.frequency", "MedicationRequest"),
]


def resources(value: object) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for one in value for found in resources(one)]
    if not isinstance(value, dict):
        return []
    own = [value] if "resourceType" in value else []
    return own + [found for one in value.values() for found in resources(one)]


@pytest.mark.parametrize(("text", "resource_type"), PLAIN)
def test_plain_members_are_read_as_the_library_reads_them(text: str, resource_type: str) -> None:
    library: Any = fhirpathpy
    ours, theirs = path(text, resource_type), library.compile(text, model=R4)
    assert ours.steps
    tried = [one for file in FIXTURES for one in resources(json.loads(file.read_bytes()))]
    tried = [one for one in tried if one["resourceType"] == resource_type][:300]
    assert tried
    for resource in tried:
        found = ours(resource, resource, NOW)
        assert json.dumps(found) == json.dumps(theirs(resource, {}), default=float)


def test_resource_types_are_known_by_name() -> None:
    assert is_resource_type("Observation")
    assert not is_resource_type("Quantity")
    assert not is_resource_type("Observatoin")
