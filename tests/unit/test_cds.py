"""Requests are read as far as needed, and what is wrong is named without repeating it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.cds import read_feedback, read_request
from cds_wrapper.cds_answer import read_answer, read_card
from cds_wrapper.cds_drafts import FAILED, unwrapped
from cds_wrapper.errors import MalformedRequest

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
CANARY = "Quetzalcoatl"


def body(**changes: Any) -> dict[str, Any]:
    members: dict[str, Any] = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"patientId": "p1", "userId": "Practitioner/7", "encounterId": "e1"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}},
    }
    members.update(changes)
    return {name: value for name, value in members.items() if value != "DROP"}


def read(members: Any) -> Any:
    return read_request(members if isinstance(members, bytes) else json.dumps(members).encode(), NOW)


def test_a_call_is_read_with_its_prefetch_kept_as_the_bytes_that_came() -> None:
    raw = (
        b'{"hook":"patient-view","hookInstance":"x","context":{"patientId":"p1"},'
        b'"prefetch":{"a":{"v":1.10, "w":[]}}}'
    )
    request = read(raw)
    assert request.prefetch["a"] == b'{"v":1.10, "w":[]}'
    assert (request.patient_id, request.encounter_id, request.user_id) == ("p1", None, None)
    assert request.received_at == NOW and request.body_bytes == len(raw)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hook": "DROP"}, "`hook`"),
        ({"hook": ""}, "`hook`"),
        ({"hook": 5}, "$.hook"),
        ({"hookInstance": "DROP"}, "`hookInstance`"),
        ({"context": "DROP"}, "`context`"),
        ({"context": []}, "`context.patientId`"),
        ({"context": CANARY}, "$.context"),
        ({"context": {"userId": CANARY}}, "`context.patientId`"),
        ({"context": {"patientId": 5}}, "`context.patientId`"),
        ({"context": {"patientId": f"Group/{CANARY}"}}, "`context.patientId`"),
        ({"prefetch": CANARY}, "$.prefetch"),
    ],
)
def test_a_call_that_lacks_what_we_need_is_refused_naming_the_member_only(
    change: dict[str, Any], named: str
) -> None:
    with pytest.raises(MalformedRequest) as refused:
        read(body(**change))
    assert named in refused.value.sentence
    assert CANARY not in refused.value.sentence


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'{"hook": "x",}', b'\xff\xfe{"hook": 1}', b'{"hook":' + b"[" * 100_000],
)
def test_what_is_not_a_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(raw)


@pytest.mark.parametrize("prefetch", ["DROP", None, {}])
def test_no_prefetch_in_three_spellings_is_the_same(prefetch: Any) -> None:
    assert read(body(prefetch=prefetch)).prefetch == {}


def test_explicit_nulls_of_older_clients_and_unknown_members_are_tolerated() -> None:
    request = read(body(fhirServer=None, fhirAuthorization=None, extension={"a": 1}, user="Practitioner/1"))
    assert request.fhir_server is None
    assert request.token is None
    assert request.extension == {"a": b"1"}


@pytest.mark.parametrize(
    ("sent", "value", "seconds"),
    [
        ({"access_token": "t", "expires_in": 300}, "t", 300),
        ({"access_token": "t", "expires_in": "300"}, "t", 300),
        ({"access_token": "t", "expires_in": -5}, "t", 0),
        ({"access_token": "t", "expires_in": "soon"}, "t", None),
        ({"access_token": "t", "token_type": "bearer", "scope": ""}, "t", None),
        ({"access_token": ""}, None, None),
        ({"access_token": 5}, None, None),
        ({}, None, None),
        ("t", None, None),
        ([], None, None),
    ],
)
def test_a_token_is_read_however_its_members_are_written(sent: Any, value: str | None, seconds: Any) -> None:
    token = read(body(fhirServer="https://ehr.example/fhir", fhirAuthorization=sent)).token
    assert (token.value if token else None) == value
    assert (token.lifetime.total_seconds() if token and token.lifetime is not None else None) == seconds
    assert "'t'" not in repr(token)


@pytest.mark.parametrize("server", [None, 5, "", " ", ["https://ehr.example/fhir"]])
def test_a_server_of_another_shape_is_none(server: Any) -> None:
    assert read(body(fhirServer=server)).fhir_server is None


LONG = "e" + "x" * 300


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("p1", "p1"),
        (" p1\n", "p1"),
        ("Patient/p1", "p1"),
        ("patient/p1", "p1"),
        ("Patient/Patient/p1", "p1"),
        ("Patient/p1/_history/7", "p1"),
        ("https://ehr.example/fhir/R4/Patient/p1", "p1"),
        ("https://ehr.example/fhir/Patient/p1/_history/2", "p1"),
        ("https://ehr.example/fhir/Patient/p1?_format=json#x", "p1"),
        ("urn:oid:1.2.3", "urn:oid:1.2.3"),
        (LONG, LONG),
        (f"Patient/{LONG}", LONG),
        ("患者/患者", None),
        ("Practitioner/p1", None),
        ("https://ehr.example/fhir/Practitioner/p1", None),
        ("https://ehr.example/fhir/Patient?identifier=p1", None),
        ("https://ehr.example/Patient/", None),
        ("Patient/", None),
        ("/p1", None),
        ("/", None),
        ("", None),
        (" ", None),
    ],
)
def test_a_patient_id_is_kept_bare_and_never_taken_from_another_type(sent: str, kept: str | None) -> None:
    if kept is None:
        with pytest.raises(MalformedRequest, match=r"context\.patientId"):
            read(body(context={"patientId": sent}))
    else:
        request = read(body(context={"patientId": sent}))
        assert (request.patient_id, json.loads(request.context["patientId"])) == (kept, kept)


@pytest.mark.parametrize(
    ("sent", "kept", "invalid"),
    [
        ({"encounterId": "Encounter/e1"}, "e1", ()),
        ({"encounterId": "https://ehr.example/fhir/Encounter/e1"}, "e1", ()),
        ({"encounterId": ""}, None, ()),
        ({"encounterId": None}, None, ()),
        ({"encounterId": "Patient/p2"}, None, ("encounterId",)),
        ({"encounterId": ["e1"]}, None, ("encounterId",)),
        ({"encounterId": 7}, None, ("encounterId",)),
    ],
)
def test_an_encounter_of_another_shape_is_none_and_is_noted(
    sent: dict[str, Any], kept: str | None, invalid: tuple[str, ...]
) -> None:
    request = read(body(context={"patientId": "p1", "userId": "Practitioner/7", **sent}))
    assert (request.encounter_id, request.context_invalid, request.context_missing) == (kept, invalid, ())
    assert ("encounterId" in request.context) is (kept is not None), "what is none goes nowhere"


@pytest.mark.parametrize(
    ("sent", "kept", "missing", "invalid"),
    [
        ({"userId": " Practitioner/7 "}, "Practitioner/7", (), ()),
        ({"userId": "https://ehr.example/fhir/PractitionerRole/7"}, "PractitionerRole/7", (), ()),
        ({"userId": "demo"}, "demo", (), ("userId",)),
        ({"userId": {"reference": "Practitioner/7"}}, None, (), ("userId",)),
        ({"userId": ""}, None, ("userId",), ()),
        ({}, None, ("userId",), ()),
    ],
)
def test_a_user_is_kept_as_type_and_id_and_what_is_odd_is_noted(
    sent: dict[str, Any], kept: str | None, missing: tuple[str, ...], invalid: tuple[str, ...]
) -> None:
    request = read(body(context={"patientId": "p1", **sent}))
    assert (request.user_id, request.context_missing, request.context_invalid) == (kept, missing, invalid)


def test_what_is_noted_of_a_context_are_names_of_the_library_and_nothing_that_came() -> None:
    sent = {"patientId": "p1", CANARY: CANARY, "userId": [CANARY], "draftOrders": [CANARY]}
    request = read(body(hook="order-select", context=sent))
    assert (request.context_missing, request.context_invalid) == (("selections",), ("userId", "draftOrders"))
    assert read(body(hook=f"org.example.{CANARY}", context={"patientId": "p1"})).context_missing == ()


def test_an_orders_former_name_becomes_todays_with_its_bytes_in_a_list() -> None:
    raw = (
        b'{"hook":"order-dispatch","hookInstance":"x","context":{"patientId":"p1","performer":"Organization/1",'
        b'"order":"ServiceRequest/1","task":{"resourceType":"Task", "x":1.10}}}'
    )
    request = read(raw)
    assert request.context["dispatchedOrders"] == b'["ServiceRequest/1"]'
    assert request.context["fulfillmentTasks"] == b'[{"resourceType":"Task", "x":1.10}]'
    assert not {"order", "task"} & request.context.keys()
    assert (request.context_missing, request.context_invalid) == ((), ())


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b'{"response":{"status":"200 OK"},"resource":{"v":1.10, "w":[]}}', b'{"v":1.10, "w":[]}'),
        (b' {\n"resource": {"v":1} , "response": {"status":201}}', b'{"v":1}'),
        (b'{"response":{"status":"204"}}', b"null"),
        (b'{"response":{"status":"404 Not Found"},"resource":{"v":1}}', b"null"),
        (b'{"response":{"status":410}}', b"null"),
        (b'{"response":{"status":"401"},"resource":{"v":1}}', FAILED),
        (b'{"response":{"status":"500"}}', FAILED),
    ],
)
def test_a_wrapped_value_of_the_first_drafts_is_unwrapped_byte_for_byte(sent: bytes, kept: bytes) -> None:
    assert unwrapped(sent) == kept
    raw = b'{"hook":"h","hookInstance":"x","context":{"patientId":"p1"},"prefetch":{"a":%b}}' % sent
    assert read(raw).prefetch["a"] == kept


@pytest.mark.parametrize(
    "value",
    [
        b'{"response":{"status":"200"},"resource":{},"x":1}',
        b'{"response":{},"resource":{}}',
        b'{"response":"200","resource":{}}',
        b'{"response":{"status":null},"resource":{}}',
        b'{"response":{"status":"OK 200"},"resource":{}}',
        b'{"response":{"status":"2000"},"resource":{}}',
        b'{"resource":{"resourceType":"Patient"}}',
        b'{"resourceType":"AppointmentResponse","response":{"status":"200"}}',
        b'[{"response":{"status":"200"},"resource":{}}]',
        b'{"response"',
        b"null",
    ],
)
def test_a_value_that_is_no_wrapper_is_left_alone(value: bytes) -> None:
    assert unwrapped(value) == value


@pytest.mark.parametrize(
    ("instance", "valid"), [("d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", True), ("order-17", False)]
)
def test_any_hook_instance_is_served_and_whether_it_is_a_uuid_is_known(instance: str, valid: bool) -> None:
    assert read(body(hookInstance=instance)).hook_instance_is_uuid is valid


def test_a_request_never_prints_its_contents() -> None:
    assert "p1" not in repr(read(body()))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_json_is_either_read_or_refused(value: Any) -> None:
    refusal = None
    try:
        read({"hook": "h", "hookInstance": "i", "context": value})
    except MalformedRequest as error:
        refusal = error
    assert refusal is None or refusal.http_status == 400


@given(
    st.dictionaries(
        st.sampled_from(["summary", "indicator", "source", "suggestions", "extension", "links", "x"]),
        st.none()
        | st.text()
        | st.integers()
        | st.lists(st.none() | st.dictionaries(st.text(), st.text()))
        | st.dictionaries(st.text(), st.text()),
    )
)
def test_any_vendor_card_can_be_read_and_what_is_misshapen_is_named(card: dict[str, Any]) -> None:
    read_one = read_card(card)
    for name in read_one.misshapen:
        assert card[name]
    assert set(read_one.unknown) == set(card) & {"x"}


def test_an_answer_without_an_array_of_card_objects_is_none() -> None:
    assert read_answer(b'{"cards": [1]}') is None
    answer = read_answer(b'{"cards": [], "systemActions": [{}]}')
    assert answer is not None and answer.system_actions == ({},) and answer.cards == ()


def test_feedback_without_its_array_is_refused() -> None:
    with pytest.raises(MalformedRequest):
        read_feedback(b'{"feedback": {}}')
    assert read_feedback(b'{"feedback": [{"card": "a"}, 5]}') == [{"card": "a"}, 5]
