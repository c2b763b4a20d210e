"""The demonstration FHIR server's search: filters, order, pages, and refusals of what it does not know."""

from typing import Any

import pytest

from cds_wrapper.demo import codes
from cds_wrapper.demo.fhir_search import Matches, Problem
from cds_wrapper.demo.fhir_values import JSON
from cds_wrapper.demo.store import Store

BASE = "http://127.0.0.1:8082"


def observation(number: int, code: str, on: str, patient: str = "p1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "category": [{"coding": [{"system": "urn:category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": codes.LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": on,
    } | more


def person(number: int, family: str, given: str) -> dict[str, Any]:
    name = [{"family": family, "given": [given]}]
    mrn = [{"system": "urn:mrn", "value": f"M{number}"}]
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "name": name,
        "gender": "female",
        "identifier": mrn,
    }


STORE = Store(
    [
        person(1, "Example-Birch", "Sam"),
        person(2, "Example-Ash", "Max"),
        observation(1, "2093-3", "2025-01-01"),
        observation(2, "2085-9", "2026-01-01T23:00:00-05:00"),
        observation(3, "2093-3", "2026-01-02T01:00:00Z"),
        observation(4, "8480-6", "2024-01-01", status="preliminary"),
        observation(5, "2093-3", "2026-01-01", patient="p2"),
        {
            "resourceType": "Condition",
            "id": "c1",
            "clinicalStatus": {"coding": [{"system": "urn:status", "code": "active"}]},
            "subject": {"reference": "Patient/p1"},
        },
        {
            "resourceType": "Condition",
            "id": "c2",
            "clinicalStatus": {"coding": [{"system": "urn:status", "code": "active"}]},
            "subject": {"reference": "Patient/p2"},
            "encounter": {"reference": "Encounter/e1"},
        },
        *(
            {
                "resourceType": "Encounter",
                "id": f"e{number}",
                "status": status,
                "class": {"system": codes.ACT, "code": kind},
                "subject": {"reference": "Patient/p2"},
                "period": {"start": begun},
            }
            for number, (status, kind, begun) in enumerate(
                (
                    ("in-progress", "IMP", "2026-06-01T00:00:00Z"),
                    ("finished", "IMP", "2025-01-01T00:00:00Z"),
                    ("finished", "EMER", "2026-01-01T00:00:00Z"),
                ),
                start=1,
            )
        ),
        {
            "resourceType": "MedicationRequest",
            "id": "m1",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/p1"},
        },
    ]
)


def bundle(query: str) -> JSON:
    found = STORE.answer(query, BASE)
    assert not isinstance(found, Problem), found
    return found


def ids(query: str) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle(query).get("entry", [])]


LOINC = "http://loinc.org"
# query -> ids in the order of the answer
SEARCHES = [
    ("Observation?patient=p1", ["o1", "o2", "o3", "o4"]),
    ("Observation?subject=Patient/p1", ["o1", "o2", "o3", "o4"]),
    (f"Observation?patient={BASE}/Patient/p2", ["o5"]),
    ("Observation?patient=nobody", []),
    (f"Observation?patient=p1&code={LOINC}%7C2093-3,{LOINC}%7C2085-9", ["o1", "o2", "o3"]),
    ("Observation?patient=p1&code=2085-9", ["o2"]),
    ("Observation?patient=p1&code=urn:other%7C2085-9", []),
    (f"Observation?patient=p1&code={LOINC}%7C", ["o1", "o2", "o3", "o4"]),
    ("Observation?patient=p1&code=2093-3&code=2085-9", []),  # given twice means "and"
    ("Observation?patient=p1&_sort=-date", ["o2", "o3", "o1", "o4"]),  # across time zones
    ("Observation?patient=p1&_sort=date", ["o4", "o1", "o3", "o2"]),
    ("Observation?patient=p1&_sort=-date&_count=1", ["o2"]),
    ("Observation?patient=p1&_count=0", []),
    ("Observation?patient=p1&status=preliminary", ["o4"]),
    ("Observation?patient=p1&category=laboratory&_id=o3", ["o3"]),
    ("Condition?patient=p1&clinical-status=active", ["c1"]),
    ("Condition?patient=p1&clinical-status=resolved", []),
    ("Condition?patient=p2&encounter=e1", ["c2"]),
    ("Condition?patient=p2&encounter=Encounter/e1", ["c2"]),
    ("Condition?patient=p2&encounter=e2", []),
    ("Condition?patient=p1&encounter=", []),
    ("Encounter?patient=p2&_sort=-date", ["e1", "e3", "e2"]),
    (f"Encounter?patient=p2&class={codes.ACT}%7CIMP&status=finished", ["e2"]),
    ("Encounter?patient=p2&class=IMP,EMER&_sort=date", ["e2", "e3", "e1"]),
    ("Encounter?patient=p1", []),
    ("MedicationRequest?patient=p1&status=active", ["m1"]),
    ("MedicationRequest?patient=p1&status=stopped,active", ["m1"]),
    ("Patient?name=birch", ["p1"]),
    ("Patient?name=EXAMPLE", ["p1", "p2"]),
    ("Patient?name=irch", []),
    ("Patient?_sort=name", ["p2", "p1"]),
    ("Patient?_sort=family,-birthdate", ["p2", "p1"]),
    ("Patient?_id=p2", ["p2"]),
    ("Patient?identifier=urn:mrn%7CM2", ["p2"]),
    ("Patient?_format=json&gender=female", ["p1", "p2"]),
]


@pytest.mark.parametrize(("query", "expected"), SEARCHES)
def test_a_search_finds(query: str, expected: list[str]) -> None:
    assert ids(query) == expected


# query -> status
REFUSALS = [
    ("Patient?birthplace=x", 400),
    ("Observation?patient=p1&date=ge2020", 400),
    ("Observation?patient:Patient=p1", 400),
    ("Observation?patient=p1&_sort=value", 400),
    ("Observation?patient=p1&_count=many", 400),
    ("Observation?patient=p1&_count=-1", 400),
    ("Observation?patient=p1&_count=" + "9" * 5000, 400),
    ("Basic?patient=p1", 404),
    ("Basic/1", 404),
    ("Patient/nobody", 404),
    ("Patient/p1%2F..%2Fp2", 404),
]


@pytest.mark.parametrize(("query", "status"), REFUSALS)
def test_what_the_server_does_not_know_is_refused_and_not_ignored(query: str, status: int) -> None:
    found = STORE.answer(query, BASE)
    assert isinstance(found, Problem)
    assert found.status == status
    assert "p1" not in found.sentence
    assert "nobody" not in found.sentence


def test_pages_follow_each_other_and_hold_everything_once() -> None:
    query: str | None = "Observation?patient=p1&_sort=-date&_count=3"
    seen: list[str] = []
    while query is not None:
        page = bundle(query)
        assert page["total"] == 4
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        query = following[0].removeprefix(f"{BASE}/") if following else None
    assert seen == ["o2", "o3", "o1", "o4"]


def test_a_search_says_what_it_answered() -> None:
    page = bundle("Observation?patient=p1&code=2085-9&_count=5")
    assert page["link"] == [
        {"relation": "self", "url": f"{BASE}/Observation?patient=p1&code=2085-9&_count=5"}
    ]
    assert page["entry"][0]["fullUrl"] == f"{BASE}/Observation/o2"


def test_an_empty_result_has_a_total_and_no_empty_list() -> None:
    page = bundle("Observation?patient=nobody")
    assert page["total"] == 0
    assert "entry" not in page


def test_printing_matches_shows_no_patient_data() -> None:
    found = STORE.search("Patient", [])
    assert isinstance(found, Matches)
    assert repr(found) == "Matches(total=2, offset=0, count=50)"
