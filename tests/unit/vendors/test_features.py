"""What is known of a model's inputs: what is there, what is missing and what that means."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from cds_wrapper.vendors.features import NO_FEATURES, NOT_KEPT, Features, IfMissing, Input, InputSource, Lack


def an_input(name: str, **differences: Any) -> Input:
    found = Input(name, name, "Observation.value", IfMissing.REQUIRED, value=1.0)
    return replace(found, **differences)


def test_an_input_that_is_false_or_zero_is_no_missing_one() -> None:
    features = Features((an_input("smoker", value=False), an_input("stays", value=0)))
    assert features.values == {"smoker": False, "stays": 0}
    assert features.missing == ()


def test_only_what_the_model_cannot_do_without_stands_in_the_way_of_a_score() -> None:
    features = Features(
        (
            an_input("pulse", value=None, lack=Lack.TOO_OLD),
            an_input("oxygen", value=None, lack=Lack.NOT_RECORDED, if_missing=IfMissing.COUNTED_AS_NORMAL),
            an_input("age"),
        )
    )
    assert features.required_but_missing == ("pulse",)
    assert [one.name for one in features.missing] == ["pulse", "oxygen"]


def test_an_input_without_a_value_is_missing_and_not_doubtful() -> None:
    features = Features((an_input("egfr", doubtful=True), an_input("ldl", value=None, doubtful=True)))
    assert [one.name for one in features.doubtful] == ["egfr"]


def test_a_value_is_not_in_the_text_of_its_input() -> None:
    assert "73.25" not in repr(an_input("pulse", value=73.25))
    assert NO_FEATURES.values == {}


RECORDED = Features(
    (
        an_input(
            "pulse", code="http://loinc.org|8867-4", source=InputSource.FHIR, age=timedelta(hours=2), value=80
        ),
        an_input("egfr", doubtful=True, source=InputSource.PREFETCH, value=71.5, kept=True),
        an_input("oxygen", value=None, lack=Lack.TOO_OLD, age=timedelta(days=2)),
    )
)


def test_a_record_holds_where_an_input_came_from_and_no_value_unless_the_site_wants_it() -> None:
    assert RECORDED.to_record() == {
        "pulse": {
            "path": "Observation.value",
            "code": "http://loinc.org|8867-4",
            "source": "fhir",
            "age_s": 7200,
        },
        "egfr": {"path": "Observation.value", "source": "prefetch", "doubtful": True, "value": 71.5},
        "oxygen": {"path": "Observation.value", "missing": "too_old", "age_s": 172800},
    }


def test_inputs_come_back_from_a_record_but_for_the_values_it_does_not_keep() -> None:
    declared = [
        replace(one, code=None, source=None, age=None, value=None, lack=None) for one in RECORDED.inputs
    ]
    found = Features.from_record(RECORDED.to_record(), declared)
    assert found.inputs == (replace(RECORDED.inputs[0], value=NOT_KEPT), *RECORDED.inputs[1:])
    assert found.condition == RECORDED.condition


def test_an_input_that_is_the_vendors_to_judge_is_never_missing_here() -> None:
    features = Features((an_input("egfr", value=None, lack=Lack.NOT_SENT, if_missing=IfMissing.NOT_JUDGED),))
    assert features.missing == ()
    assert features.to_record()["egfr"]["missing"] == "not_sent"
