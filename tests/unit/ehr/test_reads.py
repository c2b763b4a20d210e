"""What is missing is read: which server, with whose token, what each answer means, and never too long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cds_wrapper.cds import CDSRequest, NotRead, Prefetch, read_request
from cds_wrapper.cds import PrefetchState as State
from cds_wrapper.ehr.access import AccessMode, BackendClient, FHIRAccess
from cds_wrapper.ehr.answers import failed
from cds_wrapper.ehr.backend import backend_tokens
from cds_wrapper.ehr.fhir import patient_view
from cds_wrapper.ehr.reads import FHIRReader, complete_prefetch
from cds_wrapper.log import OperatorLog
from cds_wrapper.outbound import Answer, Deadline, Outbound
from cds_wrapper.patient.demographics import NoPatient
from tests.ehr import key_of
from tests.fhir import TOKEN, Asked, FHIRServer, Says, access, authorization, fhir_server, outcome, searchset

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
READ_AT = NOW + timedelta(seconds=1)
TEMPLATES = {
    "patient": "Patient/{{context.patientId}}",
    "lipids": "Observation?patient={{context.patientId}}",
}
PATIENT = {"resourceType": "Patient", "id": "p1"}
LIPIDS = {
    "resourceType": "Observation",
    "subject": {"reference": "Patient/p1"},
    "valueQuantity": {"value": 5},
}
OF_P2 = {"resourceType": "Observation", "subject": {"reference": "Patient/p2"}}
SECOND = timedelta(seconds=1)


def call(
    server: str | None = None,
    token: Mapping[str, Any] | None = None,
    prefetch: Any = None,
    patient: str = "p1",
) -> CDSRequest:
    body = {"hook": "patient-view", "hookInstance": "i", "context": {"patientId": patient}}
    more = {"fhirServer": server, "fhirAuthorization": token, "prefetch": prefetch}
    return read_request(
        json.dumps(body | {name: value for name, value in more.items() if value is not None}).encode(), NOW
    )


def calling(server: FHIRServer, prefetch: Any = None, **token: Any) -> CDSRequest:
    return call(server.base, authorization(**token), prefetch)


async def complete(
    request: CDSRequest,
    allowed: FHIRAccess | None,
    templates: Mapping[str, str] = TEMPLATES,
    within: float = 10.0,
    waited: timedelta = timedelta(0),
    size_limit: int = 100_000,
) -> Prefetch:
    outbound = Outbound()
    await outbound.open()
    lines = OperatorLog("t")
    tokens = None
    if allowed is not None and allowed.backend is not None:
        tokens = backend_tokens("north", allowed.backend, outbound, lines)
    reader = FHIRReader(allowed, outbound, size_limit, tokens, lambda: READ_AT) if allowed else None
    try:
        deadline = Deadline.after(timedelta(seconds=within))
        return await complete_prefetch(request, templates, "patient", reader, deadline, waited)
    finally:
        if tokens is not None:
            await tokens.close()
        await outbound.close()


def both(patient: Says, lipids: Says) -> Any:
    return lambda asked: patient if asked.target.startswith("/fhir/Patient/") else lipids


# What is read, and what is not ------------------------------------------------------------------------------


async def test_what_did_not_come_is_read_with_the_calls_own_token() -> None:
    async with fhir_server(both(Says(PATIENT), Says(searchset(LIPIDS)))) as server:
        found = await complete(calling(server), access(server.base))
    assert sorted(server.targets) == ["/fhir/Observation?patient=p1", "/fhir/Patient/p1"]
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {TOKEN}"}
    assert {asked.headers["accept"] for asked in server.asked} == {"application/fhir+json"}
    assert found.states == {"patient": State.PRESENT, "lipids": State.PRESENT}
    assert found.values == {"patient": Says(PATIENT).content, "lipids": Says(searchset(LIPIDS)).content}
    assert found.patient == Says(PATIENT).content and found.patient_state is State.PRESENT
    assert found.reading.read_at == {"patient": READ_AT, "lipids": READ_AT}
    assert found.reading.took_ms > 0 and not found.reading.troubles


SENT = [
    ("a value", {"patient": PATIENT, "lipids": searchset(LIPIDS)}, State.PRESENT),
    ("null", {"patient": PATIENT, "lipids": None}, State.EMPTY),
    ("nothing found", {"patient": PATIENT, "lipids": searchset()}, State.EMPTY),
    ("a warning", {"patient": PATIENT, "lipids": outcome(severity="warning")}, State.EMPTY),
    ("an error", {"patient": PATIENT, "lipids": outcome()}, State.ERROR),
    ("another's", {"patient": PATIENT, "lipids": searchset(OF_P2)}, State.OTHER_PATIENT),
    ("no resource", {"patient": PATIENT, "lipids": 5}, State.UNREADABLE),
]


@pytest.mark.parametrize(("what", "prefetch", "state"), SENT, ids=[row[0] for row in SENT])
async def test_what_came_in_whatever_state_is_not_looked_for_again(
    what: str, prefetch: Any, state: State
) -> None:
    async with fhir_server(Says(PATIENT)) as server:
        found = await complete(calling(server, prefetch), access(server.base))
    assert server.asked == [] and found.states["lipids"] is state
    assert found.reading.took_ms == 0, "nothing is even begun"


async def test_without_leave_nothing_is_read() -> None:
    async with fhir_server(Says(PATIENT)) as server:
        found = await complete(calling(server), None)
    assert server.asked == [] and set(found.states.values()) == {State.ABSENT}


async def test_a_template_that_this_call_cannot_fill_stays_absent() -> None:
    templates = {**TEMPLATES, "encounter": "Encounter/{{context.encounterId}}"}
    async with fhir_server(both(Says(PATIENT), Says(searchset(LIPIDS)))) as server:
        found = await complete(calling(server), access(server.base), templates)
    assert found.states["encounter"] is State.ABSENT and "encounter" not in found.values
    assert found.reading.troubles == {"encounter": "template"} and len(server.asked) == 2


# What each answer means -------------------------------------------------------------------------------------

NOT_SUPPORTED = outcome("not-supported")
LIST = {"resourceType": "List", "id": "1"}
LATIN_1 = '{"resourceType":"Patient","id":"p1","name":[{"family":"M\u00fcller"}]}'.encode("latin-1")
ANSWERS = [
    # a read of the patient
    ("patient", Says(PATIENT), State.PRESENT, None),
    ("patient", Says({**PATIENT, "id": "p2"}), State.OTHER_PATIENT, None),
    ("patient", Says({"resourceType": "Patient"}), State.UNREADABLE, None),
    ("patient", Says(outcome()), State.ERROR, None),
    ("patient", Says(outcome(severity="information")), State.EMPTY, None),
    ("patient", Says(b"<html>"), State.ERROR, None),
    ("patient", Says(b""), State.ERROR, None),
    ("patient", Says(LATIN_1), State.ERROR, None),
    ("patient", Says(outcome("not-found"), 404), State.EMPTY, None),
    ("patient", Says(b"gone", 410), State.EMPTY, None),
    ("patient", Says(NOT_SUPPORTED, 404), State.UNSUPPORTED, "http_404"),
    ("patient", Says(b"", 405), State.UNSUPPORTED, "http_405"),
    ("patient", Says(outcome(), 400), State.ERROR, "http_400"),
    ("patient", Says(b"", 401), State.ERROR, "http_401"),
    ("patient", Says(outcome("forbidden"), 403), State.ERROR, "http_403"),
    ("patient", Says(b"", 302, {"location": "http://169.254.169.254/"}), State.ERROR, "http_302"),
    ("patient", Says(b"", 429), State.ERROR, "http_429"),
    ("patient", Says(b"", 500), State.ERROR, "http_500"),
    ("patient", Says(NOT_SUPPORTED, 500), State.UNSUPPORTED, "http_500"),
    ("patient", Says(b"x" * 200_000), State.ERROR, "too_large"),
    # a search
    ("lipids", Says(searchset(LIPIDS)), State.PRESENT, None),
    ("lipids", Says(searchset()), State.EMPTY, None),
    ("lipids", Says(searchset(total=0)), State.EMPTY, None),
    ("lipids", Says(searchset(outcome(severity="warning"))), State.EMPTY, None),
    ("lipids", Says(searchset(outcome())), State.ERROR, None),
    ("lipids", Says(searchset(LIPIDS, OF_P2)), State.OTHER_PATIENT, None),
    ("lipids", Says({**searchset(LIPIDS), "type": None}), State.PRESENT, None),
    ("lipids", Says({**searchset(LIPIDS), "type": "collection"}), State.UNSUPPORTED, "http_200"),
    ("lipids", Says({**searchset(), "type": "history"}), State.UNSUPPORTED, "http_200"),
    ("lipids", Says(LIST), State.UNSUPPORTED, "http_200"),
    ("lipids", Says([]), State.UNREADABLE, None),
    ("lipids", Says(NOT_SUPPORTED), State.UNSUPPORTED, "http_200"),
    ("lipids", Says(outcome(), 400), State.UNSUPPORTED, "http_400"),
    ("lipids", Says(b"", 404), State.UNSUPPORTED, "http_404"),
    ("lipids", Says(b"", 405), State.UNSUPPORTED, "http_405"),
    ("lipids", Says(b"", 501), State.UNSUPPORTED, "http_501"),
    ("lipids", Says(b"", 401), State.ERROR, "http_401"),
    ("lipids", Says(b"", 403), State.ERROR, "http_403"),
    ("lipids", Says(b"", 503), State.ERROR, "http_503"),
    ("lipids", Says(searchset(LIPIDS), 201), State.ERROR, "http_201"),
    ("lipids", Says(b'{"resourceType":"Bundle"', 200), State.ERROR, None),
    ("lipids", Says(b"[" * 90_000), State.ERROR, None),
    ("lipids", Says(Says(searchset(LIPIDS)).content.replace(b"p1", b"\xff")), State.ERROR, None),
]
FORWARDED = {State.PRESENT, State.EMPTY}


@pytest.mark.parametrize(("key", "says", "state", "trouble"), ANSWERS)
async def test_every_answer_has_its_state(key: str, says: Says, state: State, trouble: str | None) -> None:
    async with fhir_server(says) as server:
        found = await complete(calling(server), access(server.base), {key: TEMPLATES[key]})
    assert found.states == {key: state} and len(server.asked) == 1
    assert found.reading.troubles == ({key: trouble} if trouble else {})
    assert (key in found.values) is (state in FORWARDED)


async def test_a_resource_that_is_not_there_is_null_as_an_ehr_would_send_it() -> None:
    async with fhir_server(Says(outcome("not-found"), 404)) as server:
        found = await complete(calling(server), access(server.base), {"patient": TEMPLATES["patient"]})
    assert found.values == {"patient": b"null"} and patient_view(found) is NoPatient.EMPTY


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (Says(b"", 403), NoPatient.ERROR),
        (Says(b"", 405), NoPatient.ERROR),
        (Says({**PATIENT, "id": "p2"}), NoPatient.OTHER_PATIENT),
        (Says({"resourceType": "Patient"}), NoPatient.UNREADABLE),
    ],
)
async def test_without_a_patient_the_details_know_why(says: Says, why: NoPatient) -> None:
    async with fhir_server(says) as server:
        found = await complete(calling(server), access(server.base), {"patient": TEMPLATES["patient"]})
    assert patient_view(found) is why


@pytest.mark.parametrize("body", [b"", b"null", b"5", b'"x"', b'{"issue":5}', b'{"resourceType":5}', b"\xff"])
def test_a_body_that_says_nothing_changes_no_verdict(body: bytes) -> None:
    assert failed(Answer(404, body), is_search=False) is State.EMPTY
    assert failed(Answer(500, body), is_search=True) is State.ERROR


# The server, the token --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "token", "why"),
    [
        ("BASE", None, NotRead.NO_TOKEN),
        (None, authorization(), NotRead.NO_SERVER),
        (None, None, NotRead.NO_SERVER),
        ("http://169.254.169.254/", authorization(), NotRead.HOST_REFUSED),
        ("BASE/../admin", authorization(), NotRead.HOST_REFUSED),
        ("BASE", authorization("a b"), NotRead.TOKEN_UNUSABLE),
        ("BASE", authorization("a\r\nhost: evil"), NotRead.TOKEN_UNUSABLE),
        ("BASE", authorization("é"), NotRead.TOKEN_UNUSABLE),
        ("BASE", authorization(expires_in=0), NotRead.TOKEN_EXPIRES),
        ("BASE", authorization(expires_in=4), NotRead.TOKEN_EXPIRES),
        ("BASE", authorization(expires_in="4"), NotRead.TOKEN_EXPIRES),
    ],
)
async def test_without_a_server_and_a_token_for_it_nothing_is_asked(
    named: str | None, token: Any, why: NotRead
) -> None:
    async with fhir_server(Says(PATIENT)) as server:
        address = named.replace("BASE", server.base) if named else None
        found = await complete(call(address, token), access(server.base))
    assert server.asked == [] and found.reading.not_read is why
    assert set(found.states.values()) == {State.ABSENT}
    assert found.reading.troubles == {"patient": why.value, "lipids": why.value}


async def test_a_tokens_life_is_counted_from_the_calls_arrival() -> None:
    """Five seconds may be needed; the call came in three seconds ago."""
    async with fhir_server(both(Says(PATIENT), Says(searchset(LIPIDS)))) as server:
        just = await complete(calling(server, expires_in=9), access(server.base), waited=3 * SECOND)
        late = await complete(calling(server, expires_in=7), access(server.base), waited=3 * SECOND)
        gone = await complete(calling(server, expires_in=300), access(server.base), waited=400 * SECOND)
    assert (just.reading.not_read, len(server.asked)) == (None, 2)
    assert (late.reading.not_read, gone.reading.not_read) == (NotRead.TOKEN_EXPIRES, NotRead.TOKEN_EXPIRES)


async def test_a_token_without_a_lifetime_serves_its_call() -> None:
    token = {"access_token": TOKEN}
    async with fhir_server(both(Says(PATIENT), Says(searchset(LIPIDS)))) as server:
        found = await complete(call(server.base, token), access(server.base))
    assert found.states["patient"] is State.PRESENT


def granted(asked: Asked) -> Says:
    if asked.method == "POST":
        return Says({"access_token": "ours", "token_type": "bearer", "expires_in": 300})
    return Says(PATIENT) if "Patient/" in asked.target else Says(searchset(LIPIDS))


def own(server: FHIRServer, mode: AccessMode, *servers: str) -> FHIRAccess:
    backend = BackendClient(f"{server.base}/token", "wrapper", "system/*.rs", key_of("own-1"))
    return access(*(servers or [server.base]), mode=mode, backend=backend)


@pytest.mark.parametrize(
    ("mode", "names_server", "brings_token", "used"),
    [
        (AccessMode.BACKEND, True, False, "ours"),
        (AccessMode.BACKEND, True, True, "ours"),
        (AccessMode.BACKEND, False, False, "ours"),
        (AccessMode.TOKEN_OR_BACKEND, True, True, TOKEN),
        (AccessMode.TOKEN_OR_BACKEND, True, False, "ours"),
        (AccessMode.TOKEN_OR_BACKEND, False, False, "ours"),
        (AccessMode.TOKEN_OR_BACKEND, False, True, None),
        (AccessMode.BACKEND, False, True, None),
        (AccessMode.TOKEN, True, True, TOKEN),
        (AccessMode.TOKEN, True, False, None),
    ],
)
async def test_with_whose_token_a_server_is_read(
    mode: AccessMode, names_server: bool, brings_token: bool, used: str | None
) -> None:
    async with fhir_server(granted) as server:
        allowed = own(server, mode) if mode is not AccessMode.TOKEN else access(server.base)
        named, token = server.base if names_server else None, authorization() if brings_token else None
        await complete(call(named, token), allowed)
    read = [asked for asked in server.asked if asked.method == "GET"]
    assert {asked.headers["authorization"] for asked in read} == ({f"Bearer {used}"} if used else set())
    assert len(server.asked) - len(read) == (used == "ours")


@pytest.mark.parametrize("named", [None, "https://unlisted.example/fhir"])
async def test_our_own_token_goes_to_a_server_that_is_certain_or_to_none(named: str | None) -> None:
    async with fhir_server(granted) as server:
        two = own(server, AccessMode.BACKEND, server.base, "http://127.0.0.1:9/fhir")
        found = await complete(call(named), two)
    assert server.asked == []
    assert found.reading.not_read is (NotRead.HOST_REFUSED if named else NotRead.NO_SERVER)


async def test_a_token_that_lives_too_short_is_not_replaced_by_ours() -> None:
    """It says what this user may see; ours may see more."""
    async with fhir_server(granted) as server:
        request = calling(server, expires_in=1)
        found = await complete(request, own(server, AccessMode.TOKEN_OR_BACKEND))
    assert server.asked == [] and found.reading.not_read is NotRead.TOKEN_EXPIRES


async def test_without_a_token_of_our_own_nothing_is_read() -> None:
    async with fhir_server(Says({"error": "invalid_client"}, 400)) as server:
        found = await complete(call(server.base), own(server, AccessMode.BACKEND))
    assert server.targets == ["/fhir/token"] and found.reading.not_read is NotRead.TOKEN_UNAVAILABLE


async def test_a_token_of_ours_that_is_refused_is_asked_for_anew_at_the_next_call() -> None:
    given = iter(["old", "new"])

    def answering(asked: Asked) -> Says:
        if asked.method == "POST":
            return Says({"access_token": next(given), "token_type": "bearer", "expires_in": 300})
        return Says(PATIENT) if asked.headers["authorization"] == "Bearer new" else Says(b"", 401)

    async with fhir_server(answering) as server:
        outbound = Outbound()
        await outbound.open()
        allowed = own(server, AccessMode.BACKEND)
        assert allowed.backend is not None
        tokens = backend_tokens("north", allowed.backend, outbound, OperatorLog("t"))
        reader = FHIRReader(allowed, outbound, 100_000, tokens)
        states = []
        for _ in range(2):
            deadline = Deadline.after(10 * SECOND)
            templates = {"patient": TEMPLATES["patient"]}
            found = await complete_prefetch(
                call(server.base), templates, "patient", reader, deadline, 0 * SECOND
            )
            states.append(found.states["patient"])
        await tokens.close()
        await outbound.close()
    assert states == [State.ERROR, State.PRESENT]


# Pages ------------------------------------------------------------------------------------------------------


def paged(server: FHIRServer, pages: list[Any]) -> None:
    """Serve these pages one after the other, each naming the next one."""

    def answering(asked: Asked) -> Says:
        number = int(asked.target.partition("page=")[2] or 0)
        following = f"{server.base}?page={number + 1}" if number + 1 < len(pages) else None
        page = pages[number]
        return page if isinstance(page, Says) else Says(searchset(page, following=following))

    server.answering = answering


def numbered(number: int) -> dict[str, Any]:
    return {**LIPIDS, "id": str(number)}


SEARCH = {"lipids": TEMPLATES["lipids"]}


async def test_pages_are_followed_to_the_end_and_become_one_result() -> None:
    async with fhir_server(Says()) as server:
        paged(server, [numbered(0), numbered(1), numbered(2)])
        found = await complete(calling(server), access(server.base), SEARCH)
    assert server.targets == ["/fhir/Observation?patient=p1", "/fhir?page=1", "/fhir?page=2"]
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {TOKEN}"}
    whole = json.loads(found.values["lipids"])
    assert [entry["resource"]["id"] for entry in whole["entry"]] == ["0", "1", "2"]
    assert found.states == {"lipids": State.PRESENT} and "link" not in whole


async def test_a_first_page_that_came_as_prefetch_is_completed() -> None:
    async with fhir_server(Says()) as server:
        paged(server, [numbered(0), numbered(1)])
        first = searchset(numbered(0), following=f"{server.base}?page=1")
        found = await complete(calling(server, {"lipids": first}), access(server.base), SEARCH)
    assert server.targets == ["/fhir?page=1"] and found.states == {"lipids": State.PRESENT}
    assert len(json.loads(found.values["lipids"])["entry"]) == 2
    assert found.reading.read_at == {"lipids": READ_AT}


async def test_a_whole_result_stays_as_it_came() -> None:
    raw = b'{"resourceType":"Bundle", "type":"searchset", "entry":[{"resource":{"z":1.10}}] }'
    async with fhir_server(Says(raw)) as server:
        found = await complete(calling(server), access(server.base), SEARCH)
    assert found.values == {"lipids": raw}


TRUNCATED = [
    ("another host", searchset(LIPIDS, following="http://169.254.169.254/fhir?page=1"), "next_refused"),
    ("another path", searchset(LIPIDS, following="BASE/../admin"), "next_refused"),
    ("another tenant", searchset(LIPIDS, following="ORIGIN/other?page=1"), "next_refused"),
    ("a name before it", searchset(LIPIDS, following="http://x@HOST/fhir?page=1"), "next_refused"),
    ("itself, for ever", searchset(LIPIDS, following="BASE/Observation?patient=p1"), "most_pages"),
]


@pytest.mark.parametrize("came", ["as prefetch", "as an answer"])
@pytest.mark.parametrize(("what", "page", "trouble"), TRUNCATED, ids=[row[0] for row in TRUNCATED])
async def test_a_result_whose_pages_cannot_be_followed_goes_on_as_it_came_and_is_marked(
    what: str, page: Any, trouble: str, came: str
) -> None:
    async with fhir_server(Says()) as server:
        host = f"127.0.0.1:{server.port}"
        text = json.dumps(page).replace("BASE", server.base).replace("ORIGIN", f"http://{host}")
        raw = text.replace("HOST", host).encode()
        server.answering = lambda _: Says(raw)
        prefetch = {"lipids": json.loads(raw)} if came == "as prefetch" else None
        found = await complete(calling(server, prefetch), access(server.base, most_pages=3), SEARCH)
    assert found.states == {"lipids": State.TRUNCATED} and found.reading.troubles == {"lipids": trouble}
    assert json.loads(found.values["lipids"]) == json.loads(raw)
    followed = 2 if trouble == "most_pages" else 0
    assert len(server.asked) == followed + (came == "as an answer")


@pytest.mark.parametrize(
    ("second", "state"),
    [
        (Says(b"", 500), State.TRUNCATED),
        (Says(b"", 302, {"location": "http://169.254.169.254/"}), State.TRUNCATED),
        (Says(b"<html>"), State.TRUNCATED),
        (Says(Says(searchset(LIPIDS)).content.replace(b"p1", b"\xff")), State.TRUNCATED),
        (Says(outcome()), State.TRUNCATED),
        (Says({**searchset(LIPIDS), "type": "collection"}), State.TRUNCATED),
        (Says(searchset(OF_P2)), State.OTHER_PATIENT),
    ],
)
async def test_a_further_page_that_fails_costs_not_the_first_and_anothers_data_costs_all(
    second: Says, state: State
) -> None:
    async with fhir_server(Says()) as server:
        paged(server, [numbered(0), second])
        found = await complete(calling(server), access(server.base), SEARCH)
    assert found.states == {"lipids": state}
    assert ("lipids" in found.values) is (state is State.TRUNCATED)


async def test_a_page_that_was_cut_short_is_marked_when_nothing_may_be_read() -> None:
    first = searchset(LIPIDS, following="https://ehr.example/fhir?page=1")
    found = await complete(call(prefetch={"lipids": first}), None, SEARCH)
    assert found.states == {"lipids": State.TRUNCATED} and json.loads(found.values["lipids"]) == first


@pytest.mark.parametrize(("most", "asked"), [(1, 1), (2, 2), (3, 3), (9, 3)])
async def test_no_more_pages_are_read_than_the_query_asked_results_for(most: int, asked: int) -> None:
    """`_count` is the most that is wanted; a server may give less on a page."""
    async with fhir_server(Says()) as server:
        paged(server, [numbered(0), numbered(1), numbered(2)])
        counted = {"lipids": f"{TEMPLATES['lipids']}&_count={most}"}
        found = await complete(calling(server), access(server.base), counted)
    assert found.states == {"lipids": State.PRESENT} and len(server.asked) == asked


# Time -------------------------------------------------------------------------------------------------------


async def test_everything_that_is_missing_is_read_at_once() -> None:
    """Each answer is held back until all questions are there."""
    templates = {f"key{number}": f"Basic/{number}" for number in range(8)}
    async with fhir_server(Says({"resourceType": "Basic"})) as server:
        server.wait_for = 8
        found = await complete(calling(server), access(server.base), templates)
    assert server.most_together == 8 and set(found.states.values()) == {State.PRESENT}


@pytest.mark.parametrize(
    "says", [Says(PATIENT, after=60), Says(PATIENT, every=60)], ids=["silent", "dripping"]
)
async def test_a_server_that_hangs_costs_the_time_that_was_kept_for_it_and_no_more(says: Says) -> None:
    async with fhir_server(both(says, Says(searchset(LIPIDS)))) as server:
        async with asyncio.timeout(30):
            found = await complete(calling(server), access(server.base, within=1.0))
    assert found.states == {"patient": State.ERROR, "lipids": State.PRESENT}, "one read costs not the other"
    assert found.reading.troubles == {"patient": "timed_out"}


async def test_a_call_whose_time_is_up_begins_no_read() -> None:
    async with fhir_server(Says(PATIENT)) as server:
        found = await complete(calling(server), access(server.base), within=0.0)
    assert server.asked == [] and set(found.states.values()) == {State.ERROR}


async def test_a_server_that_is_not_there_is_an_error_of_each_key() -> None:
    async with fhir_server(Says(PATIENT)) as server:
        pass
    found = await complete(calling(server), access(server.base))
    assert set(found.states.values()) == {State.ERROR}
    assert set(found.reading.troubles.values()) == {"refused_connection"}


def test_nothing_a_reader_holds_prints_a_token_or_a_patient() -> None:
    request = replace(call("https://ehr.example/fhir", authorization()))
    assert TOKEN not in repr(request) and "p1" not in repr(request)
