"""What is said at a glance of a value is what a walk over the whole value says."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cds_wrapper.bench.scored_calls import scored_calls
from cds_wrapper.cds import PrefetchState, read_request
from cds_wrapper.ehr.fhir import sort_prefetch
from cds_wrapper.ehr.glance import is_plainly_of

P1 = "p1"
PATIENT = '{"resourceType":"Patient","id":"p1","meta":{"profile":["http://x/us-core-patient"]}}'
SEARCH = (
    '{"resourceType":"Bundle","link":[{"relation":"self","url":"https://ehr/Observation?patient=p1&code=a%7Cb%2Fc"}],"entry":'
    '[{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/p1","type":"Patient"},'
    '"performer":[{"reference":"https://ehr/fhir/Patient/p1"}],"valueQuantity":{"unit":"%"}}}]}'
)


def walked(raw: str, *, patient: str = P1) -> PrefetchState:
    """The state of a value whose first letter is escaped, so that nothing can be said of it at a glance."""
    assert raw.startswith('{"r')
    return state('{"\\u0072' + raw[3:], patient)


def state(raw: str, patient: str = P1) -> PrefetchState:
    head = '{"hook":"patient-view","hookInstance":"i","context":{"patientId":' + json.dumps(patient)
    body = head + '},"prefetch":{"found":' + raw + "}}"
    request = read_request(body.encode(), datetime.now(UTC))
    return sort_prefetch(request, {"found": "Observation?patient=x"}, "patient").states["found"]


def test_every_scored_call_of_the_repository_is_understood_at_a_glance_where_it_holds_anything() -> None:
    for call in scored_calls():
        request = read_request(call.body, datetime.now(UTC))
        states = sort_prefetch(request, dict.fromkeys(request.prefetch, ""), "patient").states
        plain = {key for key, raw in request.prefetch.items() if is_plainly_of(request.patient_id, raw)}
        assert plain == {key for key, found in states.items() if found is PrefetchState.PRESENT}


@pytest.mark.parametrize("raw", [PATIENT, SEARCH])
def test_what_an_ehr_usually_sends_needs_no_walk(raw: str) -> None:
    assert is_plainly_of(P1, raw.encode())
    assert walked(raw) is PrefetchState.PRESENT


@pytest.mark.parametrize(
    "raw",
    [
        PATIENT.replace("p1", "p2"),
        PATIENT.replace('"id":"p1",', ""),
        SEARCH.replace("Patient/p1", "Patient/p2", 1),
        SEARCH.replace("Patient/p1", "Patient/P1", 1),
        SEARCH.replace("Patient/p1", "patient/p1", 1),
        SEARCH.replace("Patient/p1", "Patient /p2", 1),
        SEARCH.replace("Patient/p1", "Patient\u00a0/p2", 1),
        SEARCH.replace("Patient/p1", "Patient%2Fp2", 1),
        SEARCH.replace("Patient/p1", "%50atient/p2", 1),
        SEARCH.replace("Patient/p1", "%70%61tient%2fp2", 1),
        SEARCH.replace("Patient/p1", "Pat\\u0069ent/p2", 1),
        SEARCH.replace("Patient/p1", "Patient\\/p2", 1),
        SEARCH.replace("Patient/p1", "Patient\\n/p2", 1),
        SEARCH.replace("Patient/p1", 'Patient/p1\\"', 1),
        SEARCH.replace("Patient/p1", "Patient/p1/../p2", 1),
        SEARCH.replace("Patient/p1", "Group/%2e%2E/p2", 1),
        SEARCH.replace('"Observation"', '"Patient","id":"p2"', 1),
        SEARCH.replace('"Observation"', '"\\tPATIENT","id":"p2"', 1),
        SEARCH.replace('"Observation"', '"\u2003Patient","id":"p2"', 1),
        SEARCH.replace('"Observation"', '"OperationOutcome"', 1),
        SEARCH.replace('"self"', '"next"', 1),
        SEARCH.replace('"self"', '"\\u006eext"', 1),
        SEARCH.replace('{"resourceType":"Observation"', "{", 1),
        '{"resourceType":"OperationOutcome"}',
        '{"resourceType":" "}',
        '{"resourceType":"Bundle","entry":[]}',
        '{"resourceType":"Bundle","entry":{"resource":{"resourceType":"Observation"}}}',
        '{"resourceType":"Observation","resourceType":"Patient","id":"p2"}',
        "{}",
        "null",
        '"Patient/p1"',
    ],
)
def test_whatever_is_odd_is_looked_at_closely(raw: str) -> None:
    assert not is_plainly_of(P1, raw.encode())


def test_bytes_that_are_no_text_are_looked_at_closely() -> None:
    assert not is_plainly_of(P1, b'{"resourceType":"Observation","note":"\xff"}')


@pytest.mark.parametrize("patient", ["p1/x", "p1?", "..", "p1%2Fx", "", "p\u00e91"])
def test_an_id_that_fhir_does_not_allow_is_never_plain(patient: str) -> None:
    raw = json.dumps({"resourceType": "Observation", "subject": {"reference": f"Patient/{patient}"}})
    assert not is_plainly_of(patient, raw.encode())


def test_a_page_that_is_not_the_last_is_told_from_one_that_is() -> None:
    assert state(SEARCH.replace('"self"', '"next"')) is PrefetchState.TRUNCATED
    assert state(SEARCH) is PrefetchState.PRESENT


def test_no_letter_outside_ascii_becomes_one_of_the_word_when_case_is_folded() -> None:
    letters = set("patient")
    folded = {chr(code).casefold() for code in range(128, sys.maxunicode + 1)}
    assert not {text for text in folded if set(text) <= letters}


SPELLINGS = ["Patient", "patient", "PATIENT", " Patient", "Patient ", "Patient/", "Patient/p1", "Patient/p2"]
SPELLINGS += [
    "%50atient",
    "%2F",
    "%",
    "..",
    ".",
    "/",
    "p1",
    "p2",
    "\u00a0",
    "#",
    "?",
    "|",
    "https://",
    "_history",
]
SPELLINGS += [
    "next",
    "self",
    "s",
    "-",
    '"',
    "\n",
    "Group",
    "Observation",
    "Bundle",
    "OperationOutcome",
    "\u0130",
    "\u212a",
]
MEMBERS = [
    "resourceType",
    "id",
    "subject",
    "patient",
    "reference",
    "type",
    "contained",
    "entry",
    "resource",
    "x",
]
texts = st.lists(st.sampled_from(SPELLINGS), max_size=5).map("".join)
members = st.sampled_from(MEMBERS)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=4),
)


@settings(max_examples=300)
@given(
    st.dictionaries(members, values, max_size=5), texts, st.sampled_from([P1, "p2", "patient"]), st.booleans()
)
@example({"subject": {"reference": "Patient/p1", "type": "Patient"}}, "Observation", "p1", False)
@example({"id": "p1", "x": "us-core-patient"}, "Patient", "p1", True)
def test_at_a_glance_and_after_a_walk_the_same_is_said(
    inside: dict[str, Any], kind: str, patient: str, compact: bool
) -> None:
    value = {"resourceType": kind, **{name: one for name, one in inside.items() if name != "resourceType"}}
    raw = json.dumps(value, ensure_ascii=False, separators=(",", ":") if compact else None)
    assert state(raw, patient) is walked(raw, patient=patient)


# The same for bytes that no writer of JSON would make: names twice, blanks anywhere, escapes, and whatever a
# few bytes more or less make of it.
ABOUT = ["subject", "patient", "beneficiary", "for", "individual", "actor"]
ODD_NAMES = ["resourceType", "resource\\u0054ype", "\\u0073ubject", "Subject", "link", "relation", "id"]
ESCAPES = [
    "\\/",
    "\\n",
    "\\t",
    '\\"',
    "\\\\",
    "\\u0050",
    "\\ud800",
    "%2e",
    "%C2%A0",
    "%25",
    "urn:uuid:",
    "next",
]
PIECES = [*ESCAPES, *(piece for piece in SPELLINGS if piece not in '"\n')]
BLANKS = st.sampled_from(["", "", "", " ", "\n", "\t", " \r"])
NUMBERS = ["1", "-0.5", "1e5", "1e400", "-1E+9999", "0.1e-9999", "9" * 400, "NaN", "01", "1.", "true", "null"]
ODD_BYTES = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b",",
    b":",
    b"\x00",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"[",
    b"]",
    b"//",
]
ODD_BYTES += [b'"type":"Patient"', b'"subject":{"reference":"Patient/p2"}', b"\xc2\xa0", b"\xe2\x80\xa8"]

written = st.lists(st.sampled_from(PIECES), max_size=4).map(lambda parts: f'"{"".join(parts)}"')
usual = st.sampled_from(['"Patient/p1"', '"https://e/fhir/Patient/p1"', '"Patient"', '"Observation"', '"p1"'])
named = st.sampled_from([*MEMBERS, *ABOUT, *ODD_NAMES])


def with_blanks(opening: str, parts: st.SearchStrategy[list[str]], closing: str) -> st.SearchStrategy[str]:
    return st.builds(lambda inside, blank: f"{opening}{blank}{','.join(inside)}{closing}", parts, BLANKS)


def members_of(inner: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    one = st.builds(lambda name, blank, value: f'"{name}"{blank}:{blank}{value}', named, BLANKS, inner)
    about = st.builds(
        lambda name, reference: f'"{name}":{{"reference":{reference}}}',
        st.sampled_from(ABOUT),
        usual | written,
    )
    return st.lists(one | about, max_size=4)


raws = st.recursive(
    usual | written | st.sampled_from(NUMBERS),
    lambda inner: (
        with_blanks("{", members_of(inner), "}") | with_blanks("[", st.lists(inner, max_size=3), "]")
    ),
    max_leaves=12,
)
HEADS = [
    '{"resourceType":"Patient","id":"p1"',
    '{"resourceType":"Observation"',
    '{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation"}}]',
]


def changed(raw: bytes, place: int, piece: bytes, less: int) -> bytes:
    """With some bytes put in and others left out, but for the first three."""
    at = 3 + place % max(1, len(raw) - 3)
    return raw[:at] + piece + raw[at + less :]


@settings(max_examples=300)
@given(
    st.sampled_from(HEADS),
    members_of(raws),
    st.none() | st.tuples(st.integers(0, 5_000), st.sampled_from([b"", *ODD_BYTES]), st.integers(0, 3)),
    st.booleans(),
)
@example(HEADS[1], ['"value":1e400'], None, False)
@example(HEADS[1], ['"note":"x"'], (60, b"\xff", 0), False)
def test_a_glance_never_says_more_than_a_walk(
    head: str, more: list[str], change: tuple[int, bytes, int] | None, is_the_patient: bool
) -> None:
    raw = ",".join([head, *more]).encode("utf-8", "surrogatepass") + b"}"
    if change is not None:
        raw = changed(raw, *change)
    body = b'{"hook":"patient-view","hookInstance":"i","context":{"patientId":"p1"}}'
    request = read_request(body, datetime.now(UTC))
    key = "patient" if is_the_patient else "found"
    glanced, walked_over = (
        sort_prefetch(replace(request, prefetch={key: one}), {key: "Observation?x=y"}, "patient").states[key]
        for one in (raw, b'{"\\u0072' + raw[3:])
    )
    assert glanced is walked_over
    assert not is_plainly_of(P1, raw) or glanced is PrefetchState.PRESENT
