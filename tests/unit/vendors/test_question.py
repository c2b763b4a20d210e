"""What leaves us for a CDS Hooks vendor is a valid call of its hook, or nothing leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from cds_wrapper.cds import Prefetch, PrefetchState, encode, read_request
from cds_wrapper.cds_library import HOOKS
from cds_wrapper.vendors.question import Forwarding, Unasked, may_be_listed
from tests.contract import wire

NOW = datetime(2027, 3, 4, 12, tzinfo=UTC)
NOTHING = Prefetch({}, {}, None, PrefetchState.ABSENT)
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
USUAL = {"patientId": "p1", "userId": "Practitioner/1", "encounterId": "e1"}
DRAFTS = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "ServiceRequest"}}]}
OF_P2 = {"resourceType": "Bundle", "entry": [{"resource": {"subject": {"reference": "Patient/p2"}}}]}


def ask(
    hook: str, context: dict[str, Any], *listed: str, known_as: str | None = None, **members: Any
) -> dict[str, Any] | Unasked:
    """What the vendor is asked, decoded, and checked to be CDS Hooks."""
    given = {"hook": hook, "hookInstance": INSTANCE, "context": context, **members}
    forwarding = Forwarding(
        known_as or hook, frozenset(), frozenset(listed), frozenset({"com.example.allowed"})
    )
    question = forwarding.question(read_request(json.dumps(given).encode(), NOW), NOTHING)
    if isinstance(question, Unasked):
        return question
    assert wire.question(encode(question)) == []
    decoded: dict[str, Any] = json.loads(encode(question))
    return decoded


def context_of(question: dict[str, Any] | Unasked) -> dict[str, Any]:
    assert isinstance(question, dict)
    context: dict[str, Any] = question["context"]
    return context


@pytest.mark.parametrize(
    ("hook", "user", "sent"),
    [
        ("patient-view", "Practitioner/1", "Practitioner/1"),
        ("patient-view", None, "Practitioner/unknown"),
        ("patient-view", "1234", "Practitioner/unknown"),
        ("medication-refill", None, None),  # a hook that needs no user gets none that is not there
    ],
)
def test_a_user_the_ehr_does_not_name_is_told_as_was_agreed_with_the_vendor(
    hook: str, user: str | None, sent: str | None
) -> None:
    context = {"patientId": "p1", "userId": user, "medications": DRAFTS}
    body = {"hook": hook, "hookInstance": INSTANCE, "context": context}
    forwarding = Forwarding(
        hook, frozenset(), frozenset({"medications"}), unknown_user="Practitioner/unknown"
    )

    question = forwarding.question(read_request(json.dumps(body).encode(), NOW), NOTHING)

    assert not isinstance(question, Unasked)
    assert wire.question(encode(question)) == []
    assert json.loads(encode(question))["context"].get("userId") == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"patientId": "Patient/p1"}, {"patientId": "p1"}),
        ({"patientId": "https://ehr.example/fhir/Patient/p1"}, {"patientId": "p1"}),
        ({"patientId": " p1 "}, {"patientId": "p1"}),
        ({"encounterId": "Encounter/e1"}, {"encounterId": "e1"}),
        ({"encounterId": ""}, {"encounterId": None}),
        ({"encounterId": "Patient/e1"}, {"encounterId": None}),
        ({"userId": "https://ehr.example/fhir/PractitionerRole/7"}, {"userId": "PractitionerRole/7"}),
        ({"draftOrders": DRAFTS, "surprise": "x"}, {"draftOrders": None, "surprise": None}),
    ],
)
def test_ids_and_references_go_on_in_the_specifications_form(
    given: dict[str, Any], sent: dict[str, Any]
) -> None:
    context = context_of(ask("patient-view", {**USUAL, **given}))
    assert {name: context.get(name) for name in sent} == sent


@pytest.mark.parametrize("user", ["", "demo", "practitioner/1", "Practitioner/", None])
def test_a_call_without_a_user_is_not_sent_where_the_hook_requires_one(user: Any) -> None:
    context = {**USUAL, "userId": user}
    assert ask("patient-view", context) is Unasked.CONTEXT_INCOMPLETE
    refill = {**context, "medications": DRAFTS}
    assert "userId" not in context_of(ask("medication-refill", refill, "medications"))


def whole(hook: str) -> dict[str, Any]:
    """Every field of a hook, filled."""
    filled = {
        "id": "x1",
        "reference": "Practitioner/1",
        "references": ["ServiceRequest/1"],
        "resource": {"resourceType": "Condition"},
        "resources": [{"resourceType": "Task"}],
        "bundle": DRAFTS,
    }
    return {one.name: filled[one.shape.value] for one in HOOKS[hook].fields}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_of_the_library_reaches_a_vendor_whole_when_its_fields_are_listed(hook: str) -> None:
    assert context_of(ask(hook, whole(hook), *may_be_listed(hook))) == whole(hook)


@pytest.mark.parametrize(
    ("hook", "field"), [(hook, name) for hook, known in HOOKS.items() for name in known.required]
)
def test_without_a_field_its_hook_requires_a_vendor_is_not_asked(hook: str, field: str) -> None:
    context = {name: value for name, value in whole(hook).items() if name != field}
    if field != "patientId":  # such a call is refused at the door
        assert ask(hook, context, *may_be_listed(hook)) is Unasked.CONTEXT_INCOMPLETE


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if may_be_listed(hook)])
def test_what_is_no_reference_stays_here_unless_it_is_listed(hook: str) -> None:
    assert ask(hook, whole(hook)) is Unasked.CONTEXT_INCOMPLETE


def test_drafts_go_on_byte_for_byte() -> None:
    drafts = b'{"resourceType":"Bundle",  "n":1.10, "empty":[ ]}'
    body = b'{"hook":"order-sign","hookInstance":"i","context":{"patientId":"p1","userId":"Practitioner/1",'
    body += b'"draftOrders":%b}}' % drafts
    forwarding = Forwarding("order-sign", frozenset(), frozenset({"draftOrders"}))
    question = forwarding.question(read_request(body, NOW), NOTHING)
    assert not isinstance(question, Unasked) and b'"draftOrders":' + drafts in encode(question)


def test_drafts_that_speak_of_another_patient_are_withheld() -> None:
    context = {**USUAL, "draftOrders": OF_P2}
    assert ask("order-sign", context, "draftOrders") is Unasked.CONTEXT_OF_ANOTHER_PATIENT
    local = ask("org.example.local", {**USUAL, "note": OF_P2}, "note")
    assert "note" not in context_of(local)


ANOTHERS = ["Patient/p2", ["Patient/p1", "https://ehr.example/fhir/Patient/p2"], {"reference": "Patient/p2"}]


@pytest.mark.parametrize("value", [*ANOTHERS, {"orders": OF_P2}])
def test_whatever_names_another_patient_is_withheld_however_it_is_listed(value: Any) -> None:
    own = {"x": value, "y": {"reference": "Patient/p1"}, **USUAL}
    assert context_of(ask("org.example.local", own, "x", "y")) == {"y": {"reference": "Patient/p1"}, **USUAL}
    question = ask("patient-view", USUAL, extension={"com.example.allowed": value})
    assert isinstance(question, dict) and "extension" not in question


def test_orders_that_are_another_patient_are_not_dispatched() -> None:
    context = {"patientId": "p1", "performer": "Organization/1", "dispatchedOrders": ["Patient/p2"]}
    assert ask("order-dispatch", context, "dispatchedOrders") is Unasked.CONTEXT_OF_ANOTHER_PATIENT


@pytest.mark.parametrize("drafts", [None, "", [], {}, {"resourceType": ""}, "x", [DRAFTS]])
def test_drafts_that_are_no_resource_are_not_sent(drafts: Any) -> None:
    context = {**USUAL, "draftOrders": drafts}
    assert ask("order-sign", context, "draftOrders") is Unasked.CONTEXT_INCOMPLETE


@pytest.mark.parametrize("selections", [[], ["x"], [5], "ServiceRequest/1", ["ServiceRequest/1", None]])
def test_selections_are_references_all_of_them(selections: Any) -> None:
    context = {**USUAL, "selections": selections, "draftOrders": DRAFTS}
    assert ask("order-select", context, "selections", "draftOrders") is Unasked.CONTEXT_INCOMPLETE


def test_a_local_hook_gives_its_listed_fields_without_anything_empty() -> None:
    context = {**USUAL, "a": {"x": [None, ""], "y": "z"}, "b": "", "c": [], "d": 1.5, "e": "kept"}
    sent = context_of(ask("org.example.local", context, "a", "b", "c", "d"))
    assert sent == {**USUAL, "a": {"y": "z"}, "d": 1.5}


def test_a_vendor_may_know_the_hook_by_another_name() -> None:
    question = ask("org.example.admission", USUAL, known_as="encounter-start")
    assert isinstance(question, dict) and question["hook"] == "encounter-start"
    without = {name: value for name, value in USUAL.items() if name != "encounterId"}
    assert ask("org.example.admission", without, known_as="encounter-start") is Unasked.CONTEXT_INCOMPLETE


@pytest.mark.parametrize(
    ("extension", "sent"),
    [
        ({"com.example.allowed": {"a": 1}, "com.example.staff": "4711"}, {"com.example.allowed": {"a": 1}}),
        ({"com.example.allowed": {"a": None, "b": 2}}, {"com.example.allowed": {"b": 2}}),
        ({"com.example.allowed": None}, None),
        ({"com.example.allowed": {"a": [""]}}, None),
        ({"com.example.staff": "4711"}, None),
        ("text", None),
    ],
)
def test_of_the_extensions_those_that_are_listed_go_on(extension: Any, sent: Any) -> None:
    question = ask("patient-view", USUAL, extension=extension)
    assert isinstance(question, dict) and question.get("extension") == sent


@pytest.mark.parametrize("given", [INSTANCE, "no uuid"])
def test_the_ehrs_instance_goes_on_only_when_the_file_says_so_and_it_is_a_uuid(given: str) -> None:
    body = {"hook": "patient-view", "hookInstance": given, "context": USUAL}
    request = read_request(json.dumps(body).encode(), NOW)
    for same in (False, True):
        question = Forwarding("patient-view", frozenset(), same_instance=same).question(request, NOTHING)
        assert not isinstance(question, Unasked)
        assert (question.hookInstance == INSTANCE) == (same and given == INSTANCE)
        assert UUID(question.hookInstance).version == 4
