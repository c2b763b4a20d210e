"""The readmission model and its scoring door."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from cds_wrapper.demo.mlflow_scoring import COLUMNS, invoke
from cds_wrapper.demo.readmission import Stay, load_model, model_from

COLUMN_VALUES: dict[str, Any] = {
    "inpatient_stays": 2,
    "emergency_visits": 1,
    "days": 6,
    "diagnoses": 9,
    "elsewhere": 1,
}


def split(values: dict[str, Any]) -> bytes:
    frame = {"columns": list(values), "data": [list(values.values())]}
    return json.dumps({"dataframe_split": frame}).encode()


def by_hand(values: dict[str, Any]) -> float:
    """The equation as the model card prints it."""
    x = (
        -3.0457
        + 0.3351 * min(values["inpatient_stays"], 5)
        + 0.0939 * min(values["emergency_visits"], 4)
        + 0.0172 * min(values["days"], 14)
        + 0.0652 * min(values["diagnoses"], 9)
        + 0.4846 * values["elsewhere"]
    )
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"inpatient_stays": 0, "emergency_visits": 0, "days": 1, "diagnoses": 1, "elsewhere": 0},
        {"inpatient_stays": 40, "emergency_visits": 40, "days": 90, "diagnoses": 30},
        {"elsewhere": 0},
    ],
)
def test_the_probability_is_that_of_the_printed_equation(changes: dict[str, int]) -> None:
    values = COLUMN_VALUES | changes
    status, answer = invoke(load_model(), split(values))
    assert status == 200
    ((stays_out, comes_back),) = answer["predictions"]
    assert comes_back == round(by_hand(values), 6)
    assert stays_out == pytest.approx(1 - comes_back, abs=1e-6)


def test_columns_may_come_in_any_order_and_as_records() -> None:
    reverse = dict(reversed(COLUMN_VALUES.items()))
    answers = [
        invoke(load_model(), split(reverse)),
        invoke(load_model(), json.dumps({"dataframe_records": [COLUMN_VALUES]}).encode()),
        invoke(load_model(), split(COLUMN_VALUES | {"elsewhere": True})),
        invoke(load_model(), split(COLUMN_VALUES | {"days": 6.0})),
    ]
    assert {status for status, _ in answers} == {200}
    assert len({str(answer) for _, answer in answers}) == 1


@pytest.mark.parametrize(("days", "same_as"), [(0.2, 1), (1.4, 1), (1.5, 2), (13.6, 14), (20.0, 14)])
def test_part_of_a_day_is_rounded_and_every_stay_has_one(days: float, same_as: int) -> None:
    part = invoke(load_model(), split(COLUMN_VALUES | {"days": days}))
    whole = invoke(load_model(), split(COLUMN_VALUES | {"days": same_as}))
    assert part == whole


def test_several_rows_have_several_answers() -> None:
    body = json.dumps({"dataframe_records": [COLUMN_VALUES, COLUMN_VALUES | {"elsewhere": 0}]}).encode()
    _, answer = invoke(load_model(), body)
    assert len(answer["predictions"]) == 2
    assert answer["predictions"][0][1] > answer["predictions"][1][1]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_is_missing_or_null_is_refused_by_name(column: str) -> None:
    without = {name: value for name, value in COLUMN_VALUES.items() if name != column}
    for body in (split(without), split(COLUMN_VALUES | {column: None})):
        status, answer = invoke(load_model(), body)
        assert status == 400
        assert column in answer["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"dataframe_split": {"columns": ["days"], "data": [[1, 2]]}}',
        b'{"dataframe_split": {"columns": [1], "data": [[1]]}}',
        split(COLUMN_VALUES | {"diagnoses": -1}),
        split(COLUMN_VALUES | {"inpatient_stays": 1.5}),
        split(COLUMN_VALUES | {"days": "6"}),
        split(COLUMN_VALUES | {"days": -0.1}),
        split(COLUMN_VALUES | {"elsewhere": 2}),
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_scored_is_refused(body: bytes) -> None:
    status, answer = invoke(load_model(), body)
    assert status == 400
    assert set(answer) == {"error_code", "message"}


def test_a_model_file_without_a_coefficient_is_no_model() -> None:
    with pytest.raises(KeyError):
        model_from({"id": "m", "version": "1", "coefficients": {"constant": -3}})


def test_more_of_everything_never_lowers_the_risk() -> None:
    model = load_model()
    least = Stay(0, 0, 1, 1, False)
    more = (
        Stay(1, 0, 1, 1, False),
        Stay(0, 1, 1, 1, False),
        Stay(0, 0, 2, 1, False),
        Stay(0, 0, 1, 2, False),
    )
    for one in (*more, Stay(0, 0, 1, 1, True)):
        assert model.probability(one) > model.probability(least)
