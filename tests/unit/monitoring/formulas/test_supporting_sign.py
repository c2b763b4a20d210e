"""A lower sensitivity is a fault only with a sign that is beyond chance itself."""

from __future__ import annotations

import pytest

from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.formulas.oe_ratio import oe_ratio
from cds_wrapper.monitoring.formulas.supporting_sign import Sign, supporting_sign
from cds_wrapper.monitoring.values import WhyNot

UNKNOWN = Figure.none(WhyNot.NO_EVENTS)


@pytest.mark.parametrize(
    ("observed", "expected", "effect", "error", "found"),
    [
        (60, 30, 1.0, 0.001, True),
        (60, 30, 4.0, 0.001, False),
        (6, 3, 1.0, 0.05, False),
        (12, 3, 1.0, 0.001, True),
        (12, 3, 1.0, 0.00001, False),
        (1_200, 1_000, 1.0, 0.05, False),
        (1_250, 1_000, 1.0, 0.05, False),
        (3, 0, 1.0, 0.05, False),
    ],
)
def test_more_is_missed_than_predicted(
    observed: float, expected: float, effect: float, error: float, found: bool
) -> None:
    unflagged = oe_ratio(observed, expected, expected * 0.05, effect, 1 - error)
    assert supporting_sign(unflagged, UNKNOWN, 0.05) is (Sign.MORE_MISSED if found else None)


@pytest.mark.parametrize(
    ("gap", "sign"),
    [
        (Figure(-0.09, -0.15, -0.02), Sign.LOWER_AUROC),
        (Figure(-0.05, -0.08, -0.02), Sign.LOWER_AUROC),
        (Figure(-0.09, -0.2, 0.0), None),
        (Figure(-0.04, -0.05, -0.03), None),
        (Figure(-0.09), None),
        (UNKNOWN, None),
    ],
)
def test_a_lower_area_is_a_sign_where_what_is_missed_tells_nothing(gap: Figure, sign: Sign | None) -> None:
    for unflagged in (UNKNOWN, Figure(1.3, 0.9, 1.9), Figure(1.1, 1.05, 1.15)):
        assert supporting_sign(unflagged, gap, 0.05) is sign
    assert supporting_sign(Figure(1.6, 1.2, 2.0), gap, 0.05) is Sign.MORE_MISSED
