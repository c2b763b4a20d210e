"""NEWS2 over the Open Inference Protocol: what is read, what is refused, what comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cds_wrapper.demo.open_inference import METADATA, infer


def tensor(name: str, value: object, **changes: object) -> dict[str, object]:
    datatype = "BOOL" if isinstance(value, bool) else "FP64"
    return {"name": name, "datatype": datatype, "shape": [1, 1], "data": [value], **changes}


def ask(*inputs: dict[str, object], **more: object) -> tuple[int, dict[str, Any]]:
    return infer(json.dumps({"inputs": list(inputs), **more}).encode())


SICK = (
    tensor("respirations", 22),
    tensor("saturation", 94),
    tensor("on_oxygen", True),
    tensor("systolic", 105),
    tensor("pulse", 115),
    tensor("alert", False),
    tensor("temperature", 38.4),
)


def test_seven_observations_are_added_up() -> None:
    status, answer = ask(*SICK, id="a-call")
    assert status == 200
    assert answer == {
        "model_name": "news2",
        "model_version": "2017",
        "id": "a-call",
        "outputs": [
            {"name": "news2", "shape": [1, 1], "datatype": "INT32", "data": [2 + 1 + 2 + 1 + 2 + 3 + 1]},
            {"name": "any_three", "shape": [1, 1], "datatype": "BOOL", "data": [True]},
        ],
    }


def test_what_is_left_out_adds_nothing() -> None:
    status, answer = ask(tensor("pulse", 131))
    assert (status, answer["outputs"][0]["data"]) == (200, [3])


def test_one_output_may_be_asked_for_by_name() -> None:
    _, answer = ask(*SICK, outputs=[{"name": "news2"}])
    assert [one["name"] for one in answer["outputs"]] == ["news2"]


def test_the_second_saturation_scale_is_used_when_it_is_asked_for() -> None:
    high = (tensor("saturation", 97), tensor("on_oxygen", True))
    _, first = ask(*high)
    _, second = ask(*high, tensor("spo2_scale", 2, datatype="INT8"))
    assert (first["outputs"][0]["data"], second["outputs"][0]["data"]) == ([2], [5])


@pytest.mark.parametrize(
    "one",
    [
        tensor("pulse", 80, data=[[80]]),
        tensor("pulse", 80, shape=[1]),
        tensor("pulse", 80, datatype="INT64"),
        tensor("alert", True, data=[1], datatype="UINT8"),
    ],
)
def test_the_same_value_may_be_written_in_other_ways(one: dict[str, object]) -> None:
    assert ask(one)[0] == 200


@pytest.mark.parametrize(
    "one",
    [
        tensor("puls", 80),
        tensor("pulse", None),
        tensor("pulse", "80"),
        tensor("pulse", True),
        tensor("alert", 7),
        tensor("alert", "yes"),
        tensor("pulse", 80, shape=[2, 1], data=[80, 81]),
        tensor("pulse", 80, shape=[]),
        tensor("pulse", 80, shape=[1, 2]),
        tensor("pulse", 80, data={}),
        tensor("spo2_scale", 3),
        {"datatype": "FP64", "shape": [1, 1], "data": [80]},
    ],
)
def test_what_cannot_be_read_is_refused_and_no_value_is_repeated(one: dict[str, object]) -> None:
    status, answer = ask(one)
    assert status == 400
    assert set(answer) == {"error"}
    assert "80" not in answer["error"]


def test_a_tensor_that_comes_twice_is_refused() -> None:
    assert ask(tensor("pulse", 80), tensor("pulse", 140))[0] == 400


def test_an_output_that_is_not_there_is_refused() -> None:
    assert ask(*SICK, outputs=[{"name": "predict_proba"}])[0] == 400


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert infer(body)[0] == 400


def test_no_number_that_json_cannot_hold_is_taken() -> None:
    body = json.dumps({"inputs": [tensor("pulse", float("nan"))]}).encode()
    assert infer(body)[0] == 400
    assert ask(tensor("pulse", 1e999))[0] == 400


def test_the_metadata_name_every_input_that_is_read() -> None:
    for one in METADATA["inputs"]:
        value: object = True if one["datatype"] == "BOOL" else 1
        assert ask(tensor(one["name"], value, datatype=one["datatype"], shape=one["shape"]))[0] == 200
