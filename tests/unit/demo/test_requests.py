"""Building a hook request as an EHR does: tokens, percent-encoding, and what is left out."""

from typing import Any

import pytest

from cds_wrapper.demo.population import FIXTURE_DAY, populate
from cds_wrapper.demo.prevent_inputs import TEMPLATES
from cds_wrapper.demo.requests import (
    build_request,
    fill_template,
    fill_templates,
    patient_view_context,
    write_request,
)
from cds_wrapper.demo.store import Store

CONTEXT = {
    "userId": "Practitioner/42",
    "patientId": "a b",
    "count": 3,
    "flag": True,
    "order": {"id": "x"},
    "blank": "",
}

FILLED: list[tuple[str, str | None]] = [
    ("Patient/{{context.patientId}}", "Patient/a%20b"),
    ("Patient/{{ context.patientId }}", "Patient/a%20b"),
    (
        "Observation?patient={{context.patientId}}&_count={{context.count}}",
        "Observation?patient=a%20b&_count=3",
    ),
    ("Practitioner/{{userPractitionerId}}", "Practitioner/42"),
    ("X?active={{context.flag}}", "X?active=true"),
    ("Patient?name=x", "Patient?name=x"),
    ("Patient/{{userPatientId}}", None),
    ("Encounter/{{context.encounterId}}", None),
    ("Patient/{{context.blank}}", None),
    ("X/{{context.order}}", None),
    ("X/{{context.order.id}}", None),
    ("X/{{patientId}}", None),
    ("X/{{%context}}", None),
]


@pytest.mark.parametrize(("template", "query"), FILLED)
def test_tokens_are_filled_or_the_template_is_left_unfilled(template: str, query: str | None) -> None:
    assert fill_template(template, CONTEXT) == query


@pytest.mark.parametrize(
    "patient_id", ["1&patient=2", "1?x", "../Patient/2", "{{context.userId}}", "1#", "ü/1"]
)
def test_no_patient_id_can_change_the_query(patient_id: str) -> None:
    query = fill_template("Observation?patient={{context.patientId}}&_count=1", {"patientId": patient_id})
    assert query is not None
    assert query.count("&") == 1
    assert not set("?#{} ") & set(query.removeprefix("Observation?"))
    assert "/" not in query


def test_a_template_that_cannot_be_filled_leaves_its_key_out() -> None:
    templates = {"patient": "Patient/{{context.patientId}}", "visit": "Encounter/{{context.encounterId}}"}
    assert fill_templates(templates, {"patientId": "1"}) == {"patient": "Patient/1"}


def test_members_without_a_value_are_left_out_of_the_body() -> None:
    body = write_request("patient-view", "i", patient_view_context("1"), {})
    assert body == {
        "hook": "patient-view",
        "hookInstance": "i",
        "context": {"userId": "Practitioner/demo-clinician", "patientId": "1"},
    }


def test_the_address_of_the_fhir_server_is_sent_when_there_is_one() -> None:
    assert (
        write_request("patient-view", "i", {}, {}, "http://127.0.0.1:8082")["fhirServer"]
        == "http://127.0.0.1:8082"
    )


@pytest.fixture(scope="module")
def store() -> Store:
    return Store(populate(FIXTURE_DAY).resources)


def keys_of(value: dict[str, Any]) -> set[str]:
    return set(value["prefetch"])


def test_a_request_holds_every_key_of_the_templates(store: Store) -> None:
    body = build_request(store, TEMPLATES, "black-35", "i", "http://127.0.0.1:8082")
    assert keys_of(body) == set(TEMPLATES)
    assert body["prefetch"]["patient"]["id"] == "black-35"


def test_what_the_store_refuses_is_left_out(store: Store) -> None:
    body = build_request(store, TEMPLATES, "nobody", "i", "http://127.0.0.1:8082")
    assert keys_of(body) == set(TEMPLATES) - {"patient"}
    assert body["prefetch"]["lipids"]["total"] == 0
