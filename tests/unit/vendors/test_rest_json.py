"""A plain REST API and MLflow's scoring server: what is sent, how the answer is read, whose score it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import jmespath
import pytest

from cds_wrapper.outbound import Answer, Outbound
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status, VendorCall, VersionSource
from cds_wrapper.vendors.features import Features
from cds_wrapper.vendors.look_up import LookUp
from cds_wrapper.vendors.peer import VendorPeer
from cds_wrapper.vendors.rest_body import AllInputs, Frame, Template, named_inputs, records
from cds_wrapper.vendors.rest_json import Predictions, RestForm, RestJSONVendor
from tests import fakes
from tests.unit.vendors import models

COLUMNS = (("AGE", "age"), ("n_stays", "stays"))
SYSTEM = "urn:oid:1.2.3"
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {"system": SYSTEM, "value": "old-1", "use": "old"},
        {"system": "urn:oid:9", "value": "other"},
        {"system": SYSTEM, "value": " A/1 "},
    ],
}
TIME, ECHO = jmespath.compile("at"), jmespath.compile("mrn")
BY_PATIENT = LookUp(SYSTEM, None, None, TIME, timedelta(hours=6))


def vendor(
    form: RestForm,
    path: str | None = None,
    url: str = "http://127.0.0.1:9/x",
    outbound: Outbound | None = None,
    **score: Any,
) -> RestJSONVendor:
    peer = VendorPeer(url, 100_000, outbound or Outbound())
    return RestJSONVendor(peer, form, models.bare(path, **score))


def read(
    one: RestJSONVendor, document: object, status: int = 200, whom: Mapping[str, str] | None = None
) -> Prediction | NoPrediction:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return one.read(Answer(status, body), VendorCall(attempts=1), whom or {}, models.NOW)


# What is sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "inputs", "body"),
    [
        (
            Frame(COLUMNS),
            {"age": 63, "stays": 2},
            {"dataframe_split": {"columns": ["AGE", "n_stays"], "data": [[63, 2]]}},
        ),
        (Frame(COLUMNS), {"stays": 2}, {"dataframe_split": {"columns": ["n_stays"], "data": [[2]]}}),
        (records(COLUMNS), {"age": 63, "stays": None}, {"dataframe_records": [{"AGE": 63, "n_stays": None}]}),
        (named_inputs(COLUMNS), {"age": 63}, {"inputs": {"AGE": [63]}}),
        (AllInputs(), {"age": 63, "icu": False}, {"age": 63, "icu": False}),
        (Template({"p": {"a": "{age}", "b": "{stays}"}, "v": 1}), {"age": 63}, {"p": {"a": 63}, "v": 1}),
        (
            Template({"row": ["{age}", "{stays}"], "v": "{not this} one"}),
            {"age": 63},
            {"v": "{not this} one"},
        ),
        (Template(["{age}", {"b": "{stays}"}]), {"age": 63}, [63, {}]),
        (Template("{age}"), {}, {}),
    ],
)
def test_a_form_is_filled_with_values_and_what_has_none_is_left_out(
    form: Any, inputs: dict[str, Any], body: Any
) -> None:
    assert form.fill(inputs) == body


async def test_a_row_is_posted_and_the_second_class_is_the_score() -> None:
    answer = fakes.answers({"predictions": [[0.7, 0.3]]})
    async with models.a_pool() as pool, fakes.running(answer, strict=False) as peer:
        form = RestForm(Frame(COLUMNS), predictions=Predictions(1))
        outcome = await vendor(form, url=f"http://127.0.0.1:{peer.port}/invocations", outbound=pool).predict(
            models.a_call(), models.sent(), models.found(age=63, stays=2), models.within()
        )
    assert isinstance(outcome, Prediction)
    assert (outcome.score, outcome.flagged, outcome.model.source) == (0.3, True, VersionSource.CONFIGURATION)
    assert peer.heads[0].startswith("POST /invocations ")


async def test_without_an_input_that_it_must_have_nobody_is_asked() -> None:
    features = Features((models.an_input("age", None), models.an_input("stays", 2)))
    outcome = await vendor(RestForm(AllInputs()), "score").predict(
        models.a_call(), models.sent(), features, models.within()
    )
    assert isinstance(outcome, NoPrediction)
    assert (outcome.status, outcome.missing_inputs) == (Status.MISSING_INPUT, ("the age",))
    assert outcome.call.attempts == 0


# What comes back --------------------------------------------------------------------------------------------

ROW = vendor(RestForm(Frame(COLUMNS), predictions=Predictions(1)))
SINGLE = vendor(RestForm(Frame(COLUMNS), predictions=Predictions(None)))
PLAIN = vendor(RestForm(AllInputs()), "result.risk", version_path="model")
BAD = Status.UNREADABLE
TROUBLE: list[tuple[str, RestJSONVendor, Any, int, Status, str | None]] = [
    ("the class", ROW, {"predictions": [1]}, 200, BAD, "score_is_a_class"),
    ("the class, alone", SINGLE, {"predictions": [0]}, 200, BAD, "score_is_a_class"),
    ("the class's name", ROW, {"predictions": ["died"]}, 200, BAD, "score_not_a_number"),
    ("one number", ROW, {"predictions": [0.3]}, 200, BAD, "wrong_shape"),
    ("one column", ROW, {"predictions": [[0.3]]}, 200, BAD, "wrong_shape"),
    ("two rows", ROW, {"predictions": [[0.7, 0.3], [0.6, 0.4]]}, 200, BAD, "wrong_shape"),
    ("no row", ROW, {"predictions": []}, 200, BAD, "wrong_shape"),
    ("two columns", SINGLE, {"predictions": [[0.7, 0.3]]}, 200, BAD, "wrong_shape"),
    ("null", ROW, {"predictions": [[0.7, None]]}, 200, BAD, "score_not_found"),
    ("NaN", ROW, b'{"predictions": [[NaN, NaN]]}', 200, BAD, "score_not_a_number"),
    ("no predictions", ROW, {"error": "x"}, 200, BAD, "score_not_found"),
    ("a row repeated", ROW, {"message": "row 63", "stack_trace": "..."}, 400, Status.REFUSED, None),
    ("plain text", ROW, b"Internal Server Error", 500, Status.FAILED, None),
    ("nothing there", PLAIN, {"result": {}}, 200, BAD, "score_not_found"),
    ("another shape", PLAIN, {"result": {"risk": [0.3]}}, 200, BAD, "wrong_shape"),
    ("an object", PLAIN, {"result": {"risk": {"value": 0.3}}}, 200, BAD, "wrong_shape"),
    ("a whole 1", PLAIN, {"result": {"risk": 1}}, 200, BAD, "score_is_a_class"),
    ("text", PLAIN, {"result": {"risk": "0.3"}}, 200, BAD, "score_not_a_number"),
    ("true", PLAIN, {"result": {"risk": True}}, 200, BAD, "score_not_a_number"),
    ("a per cent", PLAIN, {"result": {"risk": 30}}, 200, BAD, "score_may_be_percent"),
    ("too much", PLAIN, {"result": {"risk": 130}}, 200, BAD, "score_out_of_range"),
    ("1e999", PLAIN, b'{"result": {"risk": 1e999}}', 200, BAD, "score_not_a_number"),
    ("a web page", PLAIN, b"<html>", 200, BAD, "not_json"),
    ("nothing", PLAIN, b"", 204, Status.UNREADABLE, "not_200"),
    ("it lacks an input", PLAIN, {}, 412, Status.MISSING_INPUT, None),
    ("no such thing", PLAIN, {}, 404, Status.REFUSED, None),
]


@pytest.mark.parametrize(
    ("name", "one", "document", "status", "expected", "reason"), TROUBLE, ids=[t[0] for t in TROUBLE]
)
def test_what_is_no_score_is_told_apart(
    name: str, one: RestJSONVendor, document: Any, status: int, expected: Status, reason: str | None
) -> None:
    outcome = read(one, document, status)
    assert (outcome.status, outcome.reason) == (expected, reason), name


def test_a_plain_answer_gives_its_score_and_its_models_version() -> None:
    outcome = read(PLAIN, {"result": {"risk": 0.3}, "model": "7"})
    assert isinstance(outcome, Prediction) and outcome.score == 0.3
    assert (outcome.model.version, outcome.model.source) == ("7", VersionSource.RESPONSE)
    assert outcome.score_at is None


@pytest.mark.parametrize("score", [1.0, 0.0])
def test_a_certain_probability_is_no_class(score: float) -> None:
    outcome = read(PLAIN, {"result": {"risk": score}})
    assert isinstance(outcome, Prediction) and outcome.score == score


# Look-up ----------------------------------------------------------------------------------------------------


def look_up(path: str = "risk", **members: Any) -> RestJSONVendor:
    form = RestForm(**{"body": Template({"mrn": "{patient}"}), "look_up": BY_PATIENT, **members})
    return vendor(form, path)


async def test_a_vendor_that_has_scored_already_is_asked_by_the_declared_identifier_alone() -> None:
    answer = fakes.answers({"risk": 0.3, "at": "2026-06-30T09:00:00+00:00"})
    async with models.a_pool() as pool, fakes.running(answer, strict=False) as peer:
        one = vendor(
            RestForm(Template({"mrn": "{patient}"}), look_up=BY_PATIENT),
            "risk",
            f"http://127.0.0.1:{peer.port}/latest",
            pool,
        )
        outcome = await one.predict(models.a_call(), models.sent(PATIENT), Features(), models.within())
    assert isinstance(outcome, Prediction) and outcome.score_at is not None
    assert outcome.score_at.isoformat() == "2026-06-30T09:00:00+00:00"
    assert peer.asked == [{"mrn": "A/1"}]
    assert "2026-06-30" not in repr(outcome) and "A/1" not in repr(outcome)


async def test_an_identifier_in_an_address_is_encoded_and_in_a_header_is_not() -> None:
    answer = fakes.answers({"risk": 0.3, "at": "2026-06-30T11:00:00Z"})
    async with models.a_pool() as pool, fakes.running(answer, strict=False) as peer:
        form = RestForm(None, {"x-mrn": "{patient}"}, BY_PATIENT)
        one = vendor(form, "risk", f"http://127.0.0.1:{peer.port}/p/{{patient}}/score", pool)
        outcome = await one.predict(models.a_call(), models.sent(PATIENT), Features(), models.within())
    assert outcome.status is Status.ANSWERED
    assert peer.heads[0].startswith("GET /p/A%2F1/score ") and "x-mrn: A/1" in peer.heads[0]
    assert "A/1" not in repr(one) and "A%2F1" not in repr(one)


async def test_an_encounter_is_known_by_its_own_identifier_or_by_the_ehrs_id() -> None:
    encounter = {"resourceType": "Encounter", "identifier": [{"system": "urn:visit", "value": "V7"}]}
    call = models.a_call(encounterId="e1")
    by_visit = LookUp(None, "urn:visit", "visit", TIME, timedelta(hours=6))
    assert by_visit.identifiers(call, models.sent(visit=encounter)) == {"encounter": "V7"}
    by_id = LookUp("fhir-id", "fhir-id", None, TIME, timedelta(hours=6))
    assert by_id.identifiers(call, models.sent()) == {"patient": "p1", "encounter": "e1"}
    assert by_id.identifiers(models.a_call(), models.sent()) is None, "this call names no encounter"


@pytest.mark.parametrize(
    "identifier",
    [
        [],
        None,
        "x",
        [{"system": SYSTEM}],
        [{"system": SYSTEM, "value": ".."}],
        [{"system": SYSTEM, "value": "..;x"}],
        [{"system": SYSTEM, "value": "a\nb"}],
    ],
)
async def test_without_a_usable_identifier_nobody_is_asked(identifier: Any) -> None:
    patient = {**PATIENT, "identifier": identifier}
    outcome = await look_up().predict(models.a_call(), models.sent(patient), Features(), models.within())
    assert (outcome.status, outcome.reason) == (Status.MISSING_INPUT, "identifier_not_found")


AT = "2026-06-30T11:00:00+00:00"
LOOKED_UP: list[tuple[str, Any, int, Status, str | None]] = [
    ("recent", {"risk": 0.3, "at": AT}, 200, Status.ANSWERED, None),
    ("as old as may be", {"risk": 0.3, "at": "2026-06-30T08:00:00+02:00"}, 200, Status.ANSWERED, None),
    ("too old", {"risk": 0.3, "at": "2026-06-30T07:59:59+02:00"}, 200, Status.STALE, None),
    ("no time", {"risk": 0.3}, 200, BAD, "time_unreadable"),
    (
        "a time of nowhere",
        {"risk": 0.3, "at": "2026-06-30T11:00:00"},
        200,
        Status.UNREADABLE,
        "time_unreadable",
    ),
    ("no time at all", {"risk": 0.3, "at": "yesterday"}, 200, BAD, "time_unreadable"),
    ("a time never set", {"risk": 0.3, "at": "0001-01-01T00:00:00Z"}, 200, BAD, "time_unreadable"),
    ("before all time", {"risk": 0.3, "at": "0001-01-01T00:00:00+14:00"}, 200, BAD, "time_unreadable"),
    ("after all time", {"risk": 0.3, "at": "9999-12-31T23:00:00-14:00"}, 200, BAD, "time_in_the_future"),
    ("a number", {"risk": 0.3, "at": 1782817200}, 200, BAD, "time_unreadable"),
    ("tomorrow", {"risk": 0.3, "at": "2026-07-01T11:00:00Z"}, 200, BAD, "time_in_the_future"),
    ("a minute ahead", {"risk": 0.3, "at": "2026-06-30T12:01:00Z"}, 200, Status.ANSWERED, None),
    ("not scored", {"risk": None, "at": AT}, 200, Status.REFUSED, "no_score_yet"),
    ("unknown", {"error": "unknown"}, 404, Status.REFUSED, "no_score_yet"),
    ("no content", b"", 204, Status.REFUSED, "no_score_yet"),
    ("a per cent", {"risk": 30, "at": AT}, 200, BAD, "score_may_be_percent"),
    ("plain text", b"Internal Server Error", 500, Status.FAILED, None),
]


@pytest.mark.parametrize(
    ("name", "document", "status", "expected", "reason"), LOOKED_UP, ids=[t[0] for t in LOOKED_UP]
)
def test_a_score_is_used_with_its_own_time_and_only_while_it_is_recent(
    name: str, document: Any, status: int, expected: Status, reason: str | None
) -> None:
    outcome = read(look_up(), document, status, {"patient": "A/1"})
    assert (outcome.status, outcome.reason) == (expected, reason), name
    if expected in {Status.ANSWERED, Status.STALE}:
        assert outcome.score_at is not None, "the record keeps the vendor's own time, also of a stale score"


def test_a_score_under_another_identifier_is_not_used() -> None:
    one = look_up(look_up=LookUp(SYSTEM, None, None, TIME, timedelta(hours=6), ECHO))
    whom = {"patient": "41"}
    assert read(one, {"risk": 0.3, "at": AT, "mrn": 41}, 200, whom).status is Status.ANSWERED
    for wrong in ("42", 42, None, True):
        outcome = read(one, {"risk": 0.3, "at": AT, "mrn": wrong}, 200, whom)
        assert (outcome.status, outcome.reason) == (Status.UNREADABLE, "score_of_another_patient")
