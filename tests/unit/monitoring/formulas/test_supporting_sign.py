"""A lower sensitivity is a fault only where more is missed than was predicted, beyond chance."""

from __future__ import annotations

import pytest

from cds_wrapper.monitoring.formulas.supporting_sign import more_missed_than_predicted


@pytest.mark.parametrize(
    ("observed", "expected", "effect", "error", "found"),
    [
        (60, 30, 1.0, 0.001, True),
        (60, 30, 4.0, 0.001, False),
        (6, 3, 1.0, 0.05, False),
        (12, 3, 1.0, 0.001, True),
        (12, 3, 1.0, 0.00001, False),
        (1_200, 1_000, 1.0, 0.05, False),
        (3, 0, 1.0, 0.05, False),
    ],
)
def test_more_is_missed_than_predicted(
    observed: float, expected: float, effect: float, error: float, found: bool
) -> None:
    assert more_missed_than_predicted(observed, expected, expected * 0.05, effect, error) is found
