"""A server of the Open Inference Protocol: what it is sent, and every way in which its answer is no score."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cds_wrapper.outbound import Answer, Outbound
from cds_wrapper.vendors.base import NoPrediction, Prediction, ScoreKind, Status, VendorCall, VersionSource
from cds_wrapper.vendors.features import Features
from cds_wrapper.vendors.open_inference import InferenceModel, OpenInferenceVendor, Tensor
from cds_wrapper.vendors.peer import VendorPeer
from tests import fakes
from tests.unit.vendors import models

ONE_TENSOR = (Tensor("input-0", "FP64", ("age", "stays")),)
ONE_EACH = (
    Tensor("age", "FP64", ("age",)),
    Tensor("sex", "BYTES", ("sex",)),
    Tensor("icu", "BOOL", ("icu",)),
)
OUTPUT = {"name": "predict_proba", "datatype": "FP64", "shape": [1, 2], "data": [0.7, 0.3]}
ANSWER = {"model_name": "readmit", "model_version": "2", "id": "x", "outputs": [OUTPUT]}


def vendor(
    url: str = "http://127.0.0.1:9", outbound: Outbound | None = None, score: Any = None, **members: Any
) -> OpenInferenceVendor:
    usual = {"name": "readmit", "version": "2", "tensors": ONE_TENSOR, "output": "predict_proba", "column": 1}
    served = InferenceModel(**{**usual, **members})
    peer = VendorPeer(served.address(url), 100_000, outbound or Outbound())
    return OpenInferenceVendor(peer, served, score or models.bare())


def read(document: object, status: int = 200, score: Any = None, **members: Any) -> Prediction | NoPrediction:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return vendor(score=score, **members).read(Answer(status, body), VendorCall(attempts=1))


def output(**members: Any) -> dict[str, Any]:
    return {**ANSWER, "outputs": [{**OUTPUT, **members}]}


async def test_one_row_is_sent_and_one_output_is_asked_for_by_its_name() -> None:
    async with models.a_pool() as pool, fakes.running(fakes.answers(ANSWER), strict=False) as peer:
        url = f"http://127.0.0.1:{peer.port}/"
        outcome = await vendor(url, pool).predict(
            models.a_call(), models.sent(), models.found(age=63, stays=2.0), models.within()
        )
    assert isinstance(outcome, Prediction)
    assert (outcome.score, outcome.flagged, outcome.score_only, outcome.status) == (
        0.3,
        True,
        True,
        Status.ANSWERED,
    )
    assert peer.heads[0].startswith("POST /v2/models/readmit/versions/2/infer ")
    assert peer.asked[0] == {
        "inputs": [{"name": "input-0", "shape": [1, 2], "datatype": "FP64", "data": [63.0, 2.0]}],
        "outputs": [{"name": "predict_proba"}],
    }


def test_one_tensor_for_each_feature_and_parameters_for_the_whole_request() -> None:
    asked = json.loads(
        vendor(tensors=ONE_EACH, version=None, parameters={"content_type": "pd"}).question(
            {"age": 63, "sex": "female", "icu": False}
        )
    )
    assert [(one["datatype"], one["shape"], one["data"]) for one in asked["inputs"]] == [
        ("FP64", [1, 1], [63.0]),
        ("BYTES", [1, 1], ["female"]),
        ("BOOL", [1, 1], [False]),
    ]
    assert asked["parameters"] == {"content_type": "pd"}
    assert vendor(version=None).served.address("http://x") == "http://x/v2/models/readmit/infer"


def test_a_model_without_rows_gets_shapes_without_them() -> None:
    asked = json.loads(vendor(batched=False).question({"age": 63, "stays": 2}))
    assert asked["inputs"][0]["shape"] == [2]
    assert read(output(shape=[2]), batched=False).status is Status.ANSWERED


NAN = float("nan")
INDEX = models.bare(kind=ScoreKind.INDEX, highest=20)
PERCENT = models.bare(percent=True, highest=100)
BAD = Status.UNREADABLE
TROUBLE: list[tuple[str, Any, int, Status, str | None]] = [
    ("the class, integers", output(datatype="INT64", data=[0, 1]), 200, BAD, "score_is_a_class"),
    ("the class, texts", output(datatype="BYTES", data=["a", "b"]), 200, BAD, "score_is_a_class"),
    ("another output", output(name="predict"), 200, BAD, "wrong_output"),
    ("no output", {**ANSWER, "outputs": []}, 200, BAD, "wrong_output"),
    ("outputs that are none", {**ANSWER, "outputs": [None, 3]}, 200, BAD, "wrong_output"),
    ("two rows", output(shape=[2, 2], data=[0.7, 0.3, 0.6, 0.4]), 200, BAD, "wrong_shape"),
    ("one column", output(shape=[1, 1], data=[0.3]), 200, BAD, "wrong_shape"),
    ("a shape that is not the data's", output(shape=[1, 3]), 200, BAD, "wrong_shape"),
    ("no shape", output(shape=None), 200, BAD, "wrong_shape"),
    ("a shape without end", output(shape=[99] * 20_000), 200, BAD, "wrong_shape"),
    ("a shape of texts", output(shape=["1", "2"]), 200, BAD, "wrong_shape"),
    ("binary data", output(data=None), 200, BAD, "wrong_shape"),
    ("null", output(data=[0.7, None]), 200, BAD, "score_not_a_number"),
    ("NaN", output(data=[0.7, NAN]), 200, BAD, "score_not_a_number"),
    ("Infinity", output(data=[0.7, float("inf")]), 200, BAD, "score_not_a_number"),
    ("NaN beside a number", output(data=[NAN, 0.3]), 200, BAD, "not_json"),
    ("text", output(data=["0.7", "0.3"]), 200, BAD, "score_not_a_number"),
    ("true", output(data=[False, True]), 200, BAD, "score_not_a_number"),
    ("a per cent", output(data=[70.0, 30.0]), 200, BAD, "score_may_be_percent"),
    ("a logit", output(data=[0.8, -0.8]), 200, BAD, "score_out_of_range"),
    ("far too much", output(data=[0.8, 140.0]), 200, BAD, "score_out_of_range"),
    ("more digits than a float holds", output(data=[0.7, 10**400]), 200, BAD, "score_out_of_range"),
    ("another model", {**ANSWER, "model_name": "other"}, 200, BAD, "other_model"),
    ("no protocol", {"predictions": [0.3]}, 200, BAD, "not_open_inference"),
    ("a list", [0.3], 200, BAD, "not_open_inference"),
    ("a web page", b"<html>", 200, BAD, "not_json"),
    ("no UTF-8", b'{"outputs": "\xff"}', 200, BAD, "not_json"),
    ("bottomless", b"[" * 100_000, 200, BAD, "not_json"),
    ("an unknown model", {"error": "Model readmit not found"}, 404, Status.REFUSED, "unknown_model"),
    ("a question it does not like", {"error": "row 1: 63"}, 400, Status.REFUSED, None),
    ("plain text", b"Internal Server Error", 500, Status.FAILED, None),
    ("a redirect", b"", 302, Status.UNREADABLE, "not_200"),
]


@pytest.mark.parametrize(
    ("name", "document", "status", "expected", "reason"), TROUBLE, ids=[t[0] for t in TROUBLE]
)
def test_what_is_no_score_is_told_apart(
    name: str, document: Any, status: int, expected: Status, reason: str | None
) -> None:
    outcome = read(document, status)
    assert (outcome.status, outcome.reason) == (expected, reason), name
    assert "63" not in repr(outcome), "a server repeats the row it was sent; nobody repeats the server"


def test_rows_may_come_nested() -> None:
    outcome = read(output(data=[[0.7, 0.3]]))
    assert isinstance(outcome, Prediction) and outcome.score == 0.3


def test_a_points_score_may_be_a_whole_number_and_a_per_cent_is_divided_once() -> None:
    points = {"name": "predict", "datatype": "INT64", "shape": [1], "data": [7]}
    outcome = read({**ANSWER, "outputs": [points]}, score=INDEX, output="predict", column=None)
    assert isinstance(outcome, Prediction) and (outcome.score, outcome.score_kind) == (7.0, ScoreKind.INDEX)
    outcome = read(output(data=[70.0, 30.0]), score=PERCENT)
    assert isinstance(outcome, Prediction) and outcome.score == 0.3


def test_the_version_asked_for_is_the_one_agreed_on_and_another_is_recorded_by_its_own_name() -> None:
    agreed, other = read(ANSWER), read({**ANSWER, "model_version": "3"})
    assert (agreed.model.version, agreed.model.source) == ("2026.1", VersionSource.RESPONSE)
    assert (other.model.version, other.model.source) == ("3", VersionSource.RESPONSE)
    silent = read({**ANSWER, "model_version": None})
    assert (silent.model.version, silent.model.source) == ("2026.1", VersionSource.CONFIGURATION)
    assert read({**ANSWER, "model_version": 3}).model.version == "unreadable"


NOT_ASKED = [
    ("required", Features((models.an_input("age", None), models.an_input("stays", 2))), ("the age",), None),
    ("a gap", Features((models.omitted("age"), models.an_input("stays", 2))), ("the age",), None),
    ("nothing", Features((models.omitted("age"), models.omitted("stays"))), ("the age", "the stays"), None),
    ("text", models.found(age="old", stays=2), ("the age",), "input_unfit"),
]


@pytest.mark.parametrize(
    ("name", "features", "labels", "reason"), NOT_ASKED, ids=[row[0] for row in NOT_ASKED]
)
async def test_a_server_is_not_asked_with_a_gap_in_the_row(
    name: str, features: Features, labels: tuple[str, ...], reason: str | None
) -> None:
    outcome = await vendor().predict(models.a_call(), models.sent(), features, models.within())
    assert isinstance(outcome, NoPrediction)
    assert (outcome.status, outcome.missing_inputs, outcome.reason) == (Status.MISSING_INPUT, labels, reason)
    assert outcome.call.attempts == 0


def test_a_stand_in_fills_a_gap_and_never_hides_a_value() -> None:
    one = vendor(score=models.bare(stand_ins={"stays": 0, "age": 50}))
    inputs = one.bare.inputs(Features((models.an_input("age", 63), models.omitted("stays"))))
    assert inputs == {"age": 63, "stays": 0}


@pytest.mark.parametrize(
    ("value", "datatype", "sent"),
    [
        (2.0, "INT64", 2),
        (True, "FP32", 1.0),
        (True, "INT8", 1),
        (2.5, "INT64", None),
        (1, "BOOL", None),
        (3, "BYTES", None),
    ],
)
async def test_a_value_goes_in_the_form_of_its_datatype_or_not_at_all(
    value: Any, datatype: str, sent: Any
) -> None:
    one = vendor(tensors=(Tensor("x", datatype, ("x",)),))
    if sent is None:
        outcome = await one.predict(models.a_call(), models.sent(), models.found(x=value), models.within())
        assert outcome.reason == "input_unfit"
    else:
        (data,) = json.loads(one.question({"x": value}))["inputs"][0]["data"]
        assert data == sent and type(data) is type(sent)


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async with models.a_pool() as pool:
        outcome = await vendor("http://127.0.0.1:9", pool).predict(
            models.a_call(), models.sent(), models.found(age=63, stays=2), models.within()
        )
    assert (outcome.status, outcome.reason) == (Status.UNREACHABLE, "refused_connection")
