"""JSON values, whoever sent them: what says nothing is left out, and nothing is bottomless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cds_wrapper.json_values import is_deeper, prune


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"a": None, "b": "", "c": [], "d": {}}, None),
        ({"a": {"b": {"c": [None, {}]}}, "d": 0, "e": False}, {"d": 0, "e": False}),
        ([1, "", [2]], [1, [2]]),
        ("text", "text"),
    ],
)
def test_json_without_a_value_is_left_out_at_any_depth(value: Any, kept: Any) -> None:
    assert prune(value) == kept


def _list(value: object) -> object:
    return [value]


def _object(value: object) -> object:
    return {"a": value}


def _object_in_a_list(value: object) -> object:
    return [1, {"a": value}]


@pytest.mark.parametrize(("wrapped", "times"), [(_list, 11), (_object, 11), (_object_in_a_list, 6)])
def test_lists_and_objects_beyond_the_limit_are_too_deep_and_a_leaf_never_counts(
    wrapped: Callable[[object], object], times: int
) -> None:
    value: object = "leaf"
    for _ in range(times):
        assert not is_deeper(value, 10)
        value = wrapped(value)
    assert is_deeper(value, 10)
