"""Percentiles, spreads, figures and tables: what a benchmark's sentence is made of."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.bench.figures import FIGURE_HEAD, Bound, Figure
from cds_wrapper.bench.spread import Spread, paired, percentile
from cds_wrapper.bench.text_table import text_table

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 1), (0.5, 50), (0.501, 51), (0.95, 95), (0.99, 99), (0.991, 100), (1.0, 100)],
)
def test_a_percentile_is_the_value_at_its_rank(share: float, expected: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == expected


@given(NUMBERS, st.floats(0, 1))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= math.ceil(share * len(values))
    smaller = [value for value in values if value < found]
    assert not smaller or len(smaller) < max(1, math.ceil(share * len(values)))


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_spread_is_the_median_with_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0)


def test_systems_are_compared_round_by_round() -> None:
    """A machine that was twice as slow in the second round leaves the ratio as it was."""
    assert paired(lambda a, b: a / b, [3.0, 6.0], [1.0, 2.0]) == Spread(3.0, 3.0, 3.0)


def figure(bound: Bound, measured: float | None, target: float = 10.0) -> Figure:
    spread = None if measured is None else Spread(measured, measured - 1, measured + 1)
    return Figure("work", bound, target, "ms", spread, why_not="there is no disk")


@pytest.mark.parametrize(
    ("bound", "measured", "verdict"),
    [
        (Bound.AT_MOST, 9.0, "met"),
        (Bound.AT_MOST, 10.0, "met"),
        (Bound.AT_MOST, 12.5, "missed by 2.50 ms (25%)"),
        (Bound.AT_LEAST, 12.5, "met"),
        (Bound.AT_LEAST, 7.5, "missed by 2.50 ms (25%)"),
        (Bound.AT_MOST, None, "not measured: there is no disk"),
    ],
)
def test_a_figure_says_whether_it_was_met_or_by_how_much_it_was_missed(
    bound: Bound, measured: float | None, verdict: str
) -> None:
    assert figure(bound, measured).verdict == verdict
    assert figure(bound, measured).plain()["verdict"] == verdict


def test_a_figure_fills_the_columns_of_its_table() -> None:
    measured = figure(Bound.AT_MOST, 12.5)
    assert measured.cells() == ("work", "at most 10.00 ms", "12.50 ms", "11.50 to 13.50", measured.verdict)
    assert len(figure(Bound.AT_MOST, None).cells()) == len(FIGURE_HEAD)


def test_a_table_sets_names_left_and_numbers_right() -> None:
    assert text_table(("name", "n", "verdict"), [("a", "1", "met"), ("long name", "1,234", "no")]) == (
        "name           n  verdict\n---------  -----  -------\na              1  met\nlong name  1,234  no"
    )


def test_a_row_with_another_number_of_cells_is_no_row() -> None:
    with pytest.raises(ValueError, match="argument"):
        text_table(("a", "b"), [("1",)])
