"""Where an answer names its score: whatever stands there is judged, and none of it is an error of ours."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest

from cds_wrapper.vendors.score import search
from tests.unit.vendors import models


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("rows[?risk > `0.5`]", {"rows": [{"risk": "high"}]}),
        ("contains(risk, `1`)", {"risk": "high"}),
        ("avg(risk)", {"risk": [10**400, 0.5]}),
        ("sum(risk)", {"risk": [10**400, 0.5]}),
        ("floor(to_number(risk))", {"risk": "1e400"}),
        ("to_string(risk)", {"risk": [10**4000, 10**4000, 10**4400]}),
        ("keys(risk)", {"risk": 3}),
    ],
)
def test_a_path_that_trips_over_an_answer_finds_nothing(path: str, document: Any) -> None:
    assert search(jmespath.compile(path), document) is None


@pytest.mark.parametrize("number", [10**400, -(10**400), 2, -1])
def test_a_whole_number_is_compared_with_the_range_however_long_it_is(number: int) -> None:
    assert models.bare("risk").score.read({"risk": number})[0] is None
    assert models.bare("risk").score.judge_models_own(number)[0] is None
