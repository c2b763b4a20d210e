"""Single resources held against FHIR R4: what fits, what does not, and that nothing makes it fall over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.fhir_models import fault_of

FIXTURES = Path(__file__).parents[2] / "fixtures"
TASK: dict[str, Any] = {"resourceType": "Task", "status": "draft", "intent": "order"}
NO_FIT = "with a resource that does not fit FHIR R4"
UNKNOWN_CODE = "with a resource whose code FHIR R4 does not know"
NOTHING_KNOWN = "with a resource of no known type"


def resources_in(value: Any) -> list[dict[str, Any]]:
    """Every resource inside a document but the containers."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    found = [one for item in inner for one in resources_in(item)]
    is_one = isinstance(value, dict) and value.get("resourceType") not in (None, "Bundle")
    return [value, *found] if is_one else found


def test_every_resource_of_our_own_fixtures_fits() -> None:
    for path in FIXTURES.rglob("*.json"):
        for resource in resources_in(json.loads(path.read_text())):
            assert fault_of(resource) is None, path


@pytest.mark.parametrize(
    ("resource", "fault"),
    [
        (TASK, None),
        ({**TASK, "status": "on-hold"}, None),
        ({**TASK, "intent": "wish"}, UNKNOWN_CODE),
        ({**TASK, "contained": [{**TASK, "id": "c", "intent": "wish"}]}, UNKNOWN_CODE),
        ({**TASK, "subject": {"reference": "Patient/1"}}, NO_FIT),
        ({**TASK, "authoredOn": "yesterday"}, NO_FIT),
        ({"resourceType": "Task"}, NO_FIT),
        ({"resourceType": "Nope"}, NOTHING_KNOWN),
        ({"resourceType": "Bundle", "type": "batch"}, NOTHING_KNOWN),
        ({"resourceType": "DomainResource"}, NOTHING_KNOWN),
        ({"resourceType": "../task"}, NOTHING_KNOWN),
        ({"resourceType": ["Task"]}, NOTHING_KNOWN),
        ({}, NOTHING_KNOWN),
    ],
)  # fmt: skip
def test_a_resource_fits_or_is_told_what_is_wrong(resource: dict[str, Any], fault: str | None) -> None:
    assert fault_of(resource) == fault


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(
    ["id", "meta", "code", "for", "note", "status", "_status", "contained", "input", "extension"]
)


@given(st.dictionaries(MEMBERS, json_values, max_size=5))
def test_whatever_a_resource_holds_there_is_an_answer(members: dict[str, Any]) -> None:
    assert fault_of({**TASK, **members}) in {None, NO_FIT, UNKNOWN_CODE}
