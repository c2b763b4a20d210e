"""What is known of a model's inputs: what is there, what is missing and what that means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cds_wrapper.vendors.features import NO_FEATURES, Features, IfMissing, Input, Lack


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
