"""Prefetch templates filled from a call: what is asked, and what no value can make of it (PRE-16)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.cds import CDSRequest, read_request
from cds_wrapper.ehr.templates import Query, fill, most_entries

NOW = datetime(2024, 9, 13, 23, 30, tzinfo=UTC)
CONTEXT = {
    "patientId": "p1",
    "encounterId": "Encounter/e1",
    "userId": "PractitionerRole/r1",
    "performer": "Organization/o1",
    "count": 12,
    "urgent": True,
    "nothing": None,
    "orders": [{"id": "o"}],
    "empty": "",
}


def call(**context: Any) -> CDSRequest:
    body = {"hook": "org.example.local", "hookInstance": "i", "context": {**CONTEXT, **context}}
    return read_request(json.dumps(body).encode(), NOW)


def filled(template: str, **context: Any) -> str | None:
    query = fill(template, call(**context))
    return query.text if query else None


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Patient/{{context.patientId}}", "Patient/p1"),
        ("Patient/{{ context.patientId }}", "Patient/p1"),
        ("Encounter/{{context.encounterId}}", "Encounter/e1"),
        ("Observation?patient={{context.patientId}}&_count=5", "Observation?patient=p1&_count=5"),
        ("Observation?patient=Patient/{{context.patientId}}", "Observation?patient=Patient/p1"),
        ("{{context.userId}}", "PractitionerRole/r1"),
        ("{{context.performer}}", "Organization/o1"),
        ("PractitionerRole?_id={{userPractitionerRoleId}}", "PractitionerRole?_id=r1"),
        ("List?source={{context.userId}}", "List?source=PractitionerRole%2Fr1"),
        ("Basic?n={{context.count}}&u={{context.urgent}}", "Basic?n=12&u=true"),
        ("Observation?code=http://loinc.org|2093-3", "Observation?code=http://loinc.org%7C2093-3"),
        (
            "Observation?code=http%3A%2F%2Floinc.org%7C2093-3",
            "Observation?code=http%3A%2F%2Floinc.org%7C2093-3",
        ),
    ],
)
def test_a_template_becomes_the_query_it_means(template: str, expected: str) -> None:
    assert filled(template) == expected


@pytest.mark.parametrize(
    "template",
    [
        "Practitioner/{{userPractitionerId}}",  # the user is one in a role
        "Patient/{{userPatientId}}",
        "RelatedPerson/{{userRelatedPersonId}}",
        "Basic?x={{context.absent}}",
        "Basic?x={{context.nothing}}",
        "Basic?x={{context.orders}}",
        "Basic?x={{context.empty}}",
        "Practitioner/{{context.userId}}",  # it names its own type
        "Medication?_id={{context.draftOrders.entry.resource.ofType(MedicationRequest).medication.resolve().id}}",
        "Practitioner?_id={{%serviceConditions.entry.resource.asserter.resolve().id}}",
        "Basic?x={{context.count|context.urgent}}",
        "Basic?x={{today() - 2 fortnights}}",
        "Basic?x={{today() - 99999 years}}",
        "Basic?x={{now()}}",
        "Basic?x={{}}",
        "Basic?x={{context.patientId}",
        "Basic?x={context.patientId}",
        "Basic?x={{{{context.patientId}}}}",
        "https://evil.example/Patient/{{context.patientId}}",
        "//evil.example/Patient/{{context.patientId}}",
        "/Patient/{{context.patientId}}",
        "../Patient/{{context.patientId}}",
        "Patient/../{{context.patientId}}",
        "Patient/%2e%2e",
        "Patient/{{context.patientId}}/$everything",
        "Patient/{{context.patientId}}/_history",
        "Patient/{{context.patientId}}#x",
        "Observation/$lastn?patient={{context.patientId}}",
        "Patient/$everything",
        "Group/%24export",
        "Patient/_history",
        "Patient/",
        "Patient?",
        "Patient",
        "",
    ],
)
def test_what_cannot_be_filled_with_certainty_stays_unsatisfied(template: str) -> None:
    assert filled(template) is None


@pytest.mark.parametrize(
    ("expression", "day"),
    [
        ("today()", "2024-09-13"),
        ("today() - 90 days", "2024-06-15"),
        ("today() + 365 days", "2025-09-13"),
        ("today() - 1 day", "2024-09-12"),
        ("today()+2 weeks", "2024-09-27"),
        ("today() - 10 years", "2014-09-13"),
        ("today() - 7 months", "2024-02-13"),
        ("today() - 1 year - 1 month - 1 day", "2023-08-12"),
    ],
)
def test_a_day_is_counted_from_the_day_of_the_call(expression: str, day: str) -> None:
    assert filled("Observation?date=gt{{" + expression + "}}") == f"Observation?date=gt{day}"


@pytest.mark.parametrize(
    ("received", "expression", "day"),
    [
        (datetime(2024, 3, 31, tzinfo=UTC), "today() - 1 month", "2024-02-29"),
        (datetime(2024, 2, 29, tzinfo=UTC), "today() - 1 year", "2023-02-28"),
        (datetime(2024, 1, 31, tzinfo=UTC), "today() + 13 months", "2025-02-28"),
    ],
)
def test_a_month_that_lacks_the_day_ends_on_its_last(received: datetime, expression: str, day: str) -> None:
    body = json.dumps({"hook": "h", "hookInstance": "i", "context": {"patientId": "p"}}).encode()
    query = fill("Basic?created={{" + expression + "}}", read_request(body, received))
    assert query is not None and query.text == f"Basic?created={day}"


def as_if_of(value: str) -> CDSRequest:
    """A call whose ids are this text, whatever the reading of calls refuses before."""
    user, context = f"Practitioner/{value}", {"other": json.dumps(value).encode()}
    return replace(call(), patient_id=value, user_id=user, context=context)


HOSTILE = [
    "1&_include=*",
    "1?x=y",
    "1/../2",
    "..",
    ".",
    "%2e%2e",
    "..%2f2",
    "{{context.userId}}",
    "1#x",
    "1%26patient=2",
    "1\r\nhost: evil",
    "1\x00",
    "1,2",
    "1|2",
    "1$2",
    "1\\,2",
    "http://evil.example/Patient/1",
    "//evil.example",
    "1 2",
    "é",
    "1;patient=2",
    "1\u202e2",
]
OPERATIONS = ["$everything", "$export", "_history", "_search", "$"]


@pytest.mark.parametrize("value", OPERATIONS)
def test_an_id_never_becomes_an_operation_on_everybody(value: str) -> None:
    context = {"patientId": value, "encounterId": value, "userId": f"Patient/{value}", "other": value}
    for token in ("context.patientId", "context.encounterId", "userPatientId", "context.other"):
        assert fill("Patient/{{" + token + "}}", call(**context)) is None
    assert fill("{{context.userId}}", call(**context)) is None
    assert filled("Patient/{{context.patientId}}", patientId="_historyx") == "Patient/_historyx"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_id_changes_neither_the_path_nor_the_query(value: str) -> None:
    read = fill("Patient/{{context.patientId}}", as_if_of(value))
    search = fill("Observation?patient={{context.patientId}}&_count=5", as_if_of(value))
    assert is_one_segment_of(read, value) and is_one_value_of(search, value)


@given(st.text(max_size=40) | st.lists(st.sampled_from("&?/.%#{},|$\\ \r\nab1"), max_size=12).map("".join))
def test_no_id_at_all_changes_the_path_or_the_query(value: str) -> None:
    request = as_if_of(value)
    for token in ("context.patientId", "context.other", "userPractitionerId"):
        read = fill("Patient/{{" + token + "}}", request)
        search = fill("Observation?patient={{" + token + "}}&_count=5", request)
        assert is_one_segment_of(read, value) and is_one_value_of(search, value)


def is_one_segment_of(query: Query | None, value: str) -> bool:
    """Whether a read is of exactly this id, even for a server or a proxy that decodes it again and again."""
    if query is None:
        return True
    parts = urlsplit(f"https://ehr.example/fhir/{query.text}")
    path = parts.path.removeprefix("/fhir/")
    once = unquote(path)
    return (
        (parts.netloc, parts.query, parts.fragment) == ("ehr.example", "", "")
        and once == f"Patient/{value}" == unquote(once)
        and once.count("/") == 1
        and query.text.isascii()
    )


def is_one_value_of(query: Query | None, value: str) -> bool:
    """Whether a search asks for exactly this one value, and for nothing else than the template did."""
    if query is None:
        return True
    parts = urlsplit(f"https://ehr.example/fhir/{query.text}")
    return (
        (parts.netloc, parts.path, parts.fragment) == ("ehr.example", "/fhir/Observation", "")
        and parse_qsl(parts.query, keep_blank_values=True) == [("patient", value), ("_count", "5")]
        and not set(value) & set(",|$\\")
        and query.text.isascii()
    )


def test_an_empty_id_asks_for_nothing() -> None:
    for template in ("Patient/{{context.patientId}}", "Observation?patient={{context.patientId}}"):
        assert fill(template, as_if_of("")) is None


def test_an_id_may_be_as_long_as_an_ehr_likes() -> None:
    assert filled("Patient/{{context.patientId}}", patientId="e" * 300) == "Patient/" + "e" * 300


def test_a_query_prints_nothing_of_what_it_asks() -> None:
    assert "p1" not in repr(fill("Patient/{{context.patientId}}", call()))


@pytest.mark.parametrize(
    ("template", "most"),
    [
        ("Observation?patient=1&_count=20", 20),
        ("Observation?patient=1", None),
        ("Observation?_count=x", None),
        ("Observation?_maxresults=3", 3),
        ("Observation?_count=20&_maxresults=3", 3),
    ],
)
def test_a_template_may_say_how_many_results_it_wants(template: str, most: int | None) -> None:
    assert most_entries(template) == most
