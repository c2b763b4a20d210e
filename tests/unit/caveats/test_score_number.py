"""A score in figures: rounded, and never onto the other side of a mark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.caveats.score_number import NumberForm, ScoreNumber

WHOLE = ScoreNumber(NumberForm.PERCENT, 0, (0.05, 0.075, 0.2))
TENTHS = ScoreNumber(NumberForm.PERCENT, 1, (0.075,))
POINTS = ScoreNumber(NumberForm.PLAIN, 0, (5.0, 7.0))


@pytest.mark.parametrize(
    ("number", "score", "text"),
    [
        (WHOLE, 0.031, "3 %"),
        (WHOLE, 0.12, "12 %"),
        (WHOLE, 0.0746, "7 %"),
        (WHOLE, 0.075, "8 %"),
        (WHOLE, 0.0497, "4.97 %"),
        (WHOLE, 0.047, "4.7 %"),
        (WHOLE, 0.04999999, "4.99 %"),
        (WHOLE, 0.004, "under 1 %"),
        (WHOLE, 0.996, "over 99 %"),
        (WHOLE, 0.0, "0 %"),
        (WHOLE, 1.0, "100 %"),
        (TENTHS, 0.0746, "7.46 %"),
        (TENTHS, 0.0745, "7.45 %"),
        (TENTHS, 0.0744, "7.4 %"),
        (TENTHS, 0.0004, "under 0.1 %"),
        (TENTHS, 0.9997, "over 99.9 %"),
        (TENTHS, 0.2, "20.0 %"),
        (POINTS, 5.0, "5"),
        (POINTS, 4.6, "4.6"),
        (POINTS, 12.0, "12"),
        (POINTS, -0.2, "0"),
        (POINTS, 6.99999, "6.99"),
        (POINTS, 1e30, "1" + "0" * 30),
        (ScoreNumber(NumberForm.IN_100), 0.123, "12 in 100"),
        (ScoreNumber(NumberForm.IN_100), 0.001, "under 1 in 100"),
        (ScoreNumber(NumberForm.IN_100, 0, (0.003,)), 0.004, "0.4 in 100"),
        (ScoreNumber(NumberForm.PERCENT, 0, (0.995,)), 0.997, "99.7 %"),
        (ScoreNumber(NumberForm.PERCENT, 0, (0.052,)), 0.054, "5.4 %"),
        (ScoreNumber(NumberForm.PLAIN, 0, (5.0000001,)), 5.00000011, "5.01"),
    ],
)
def test_a_score_is_written_as_a_clinician_would_read_it(
    number: ScoreNumber, score: float, text: str
) -> None:
    assert number.text(score) == text


@given(st.floats(0, 1), st.lists(st.floats(0.001, 0.999), max_size=3), st.integers(0, 3))
def test_no_score_is_written_on_the_other_side_of_a_mark(
    score: float, marks: list[float], decimals: int
) -> None:
    written = ScoreNumber(NumberForm.PERCENT, decimals, tuple(marks)).text(score)
    if written.startswith(("under", "over")):
        edge = float(written.split()[1])
        assert (score * 100 < edge) == written.startswith("under")
        assert not any(min(score, edge / 100) < mark < max(score, edge / 100) for mark in marks)
        return
    value = float(written.removesuffix(" %"))
    crossed = [mark for mark in marks if (score < mark) != (value < round(mark * 100, 10))]
    # Two marks nearer to each other than the last decimal leave no number between them.
    assert not crossed or any(abs(a - b) < 1e-4 for a in marks for b in (*marks, 0, 1) if a != b)
    assert (value == 0) <= (score == 0)
    assert (value == 100) <= (score == 1)


def test_a_threshold_has_as_many_digits_as_it_was_given() -> None:
    assert (WHOLE.mark(0.075), WHOLE.mark(0.2), POINTS.mark(5.0)) == ("7.5 %", "20 %", "5")
    assert ScoreNumber(NumberForm.IN_100).mark(0.125) == "12.5 in 100"


def test_the_longest_text_is_found_where_roundings_go_wrong() -> None:
    assert len(TENTHS.longest(0, 1)) >= len("over 99.9 %")
    assert POINTS.longest(0, 20) == "4.99"
