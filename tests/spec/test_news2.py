"""NEWS2: the chart a clinician knows, against the demonstration's own computation."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.demo.news2 import MOST_POINTS, Observed, score
from tests.spec.news2 import independent_news2

# what was observed -> points of that one observation
ONE_BY_ONE: list[tuple[dict[str, Any], int]] = [
    ({"respirations": 8}, 3),
    ({"respirations": 9}, 1),
    ({"respirations": 11}, 1),
    ({"respirations": 12}, 0),
    ({"respirations": 20}, 0),
    ({"respirations": 21}, 2),
    ({"respirations": 24}, 2),
    ({"respirations": 25}, 3),
    ({"saturation": 91}, 3),
    ({"saturation": 92}, 2),
    ({"saturation": 94}, 1),
    ({"saturation": 96}, 0),
    ({"saturation": 83, "scale_2": True}, 3),
    ({"saturation": 84, "scale_2": True}, 2),
    ({"saturation": 86, "scale_2": True}, 1),
    ({"saturation": 88, "scale_2": True}, 0),
    ({"saturation": 100, "scale_2": True}, 0),
    ({"saturation": 92, "scale_2": True, "on_oxygen": True}, 0 + 2),
    ({"saturation": 93, "scale_2": True, "on_oxygen": True}, 1 + 2),
    ({"saturation": 95, "scale_2": True, "on_oxygen": True}, 2 + 2),
    ({"saturation": 97, "scale_2": True, "on_oxygen": True}, 3 + 2),
    ({"saturation": 97, "scale_2": True, "on_oxygen": False}, 0),
    ({"on_oxygen": True}, 2),
    ({"on_oxygen": False}, 0),
    ({"systolic": 90}, 3),
    ({"systolic": 91}, 2),
    ({"systolic": 101}, 1),
    ({"systolic": 111}, 0),
    ({"systolic": 219}, 0),
    ({"systolic": 220}, 3),
    ({"pulse": 40}, 3),
    ({"pulse": 41}, 1),
    ({"pulse": 51}, 0),
    ({"pulse": 91}, 1),
    ({"pulse": 111}, 2),
    ({"pulse": 131}, 3),
    ({"alert": True}, 0),
    ({"alert": False}, 3),
    ({"temperature": 35.0}, 3),
    ({"temperature": 35.1}, 1),
    ({"temperature": 36.1}, 0),
    ({"temperature": 38.0}, 0),
    ({"temperature": 38.1}, 1),
    ({"temperature": 39.1}, 2),
    # Between two cells of the chart: written down with the chart's precision, a half goes up.
    ({"temperature": 35.04}, 3),
    ({"temperature": 35.05}, 1),
    ({"temperature": 38.04}, 0),
    ({"saturation": 95.5}, 0),
    ({"respirations": 8.4}, 3),
    # 96.8 degrees Fahrenheit are 36 degrees Celsius, whatever the conversion's last digit.
    ({"temperature": (96.8 - 32) / 1.8}, 1),
    ({}, 0),
]


@pytest.mark.parametrize(("observed", "points"), ONE_BY_ONE)
def test_the_points_of_one_observation(observed: dict[str, Any], points: int) -> None:
    assert score(Observed(**observed)).total == points
    assert independent_news2(observed)[0] == points


def test_the_highest_score_is_twenty() -> None:
    worst = Observed(25, 91, True, 90, 131, False, 35.0)
    assert score(worst).total == MOST_POINTS == 20
    assert score(worst).any_three


def test_a_missing_observation_adds_nothing_and_is_in_no_points() -> None:
    found = score(Observed(respirations=25))
    assert (found.total, found.any_three) == (3, True)
    assert set(found.points) == {"respirations"}


def test_the_sum_of_small_points_is_no_single_three() -> None:
    found = score(Observed(respirations=22, saturation=93, on_oxygen=True, pulse=112))
    assert (found.total, found.any_three) == (8, False)


# One value inside each band and both sides of each limit.
GRID: dict[str, tuple[Any, ...]] = {
    "respirations": (None, 8, 9, 11, 12, 20, 21, 24, 25),
    "saturation": (None, 83, 84, 86, 88, 91, 92, 93, 94, 95, 96, 97, 100),
    "on_oxygen": (None, False, True),
    "systolic": (None, 90, 91, 100, 101, 110, 111, 219, 220),
    "pulse": (None, 40, 41, 50, 51, 90, 91, 110, 111, 130, 131),
    "alert": (None, True, False),
    "temperature": (None, 35.0, 35.1, 36.0, 36.1, 38.0, 38.1, 39.0, 39.1),
    "scale_2": (False, True),
}


def agree(observed: dict[str, Any]) -> None:
    found = score(Observed(**observed))
    assert (found.total, found.any_three) == independent_news2(observed)


def test_both_computations_agree_on_every_three_observations() -> None:
    for names in itertools.combinations(GRID, 3):
        for values in itertools.product(*(GRID[name] for name in names)):
            agree(dict(zip(names, values, strict=True)))


@pytest.mark.slow
def test_both_computations_agree_on_the_whole_grid_of_bands() -> None:
    inside = {name: values[::2] if len(values) > 3 else values for name, values in GRID.items()}
    for values in itertools.product(*inside.values()):
        agree(dict(zip(inside, values, strict=True)))


def number(low: float, high: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(low, high) | st.integers(int(low), int(high)).map(float)


@settings(max_examples=500)
@given(
    st.fixed_dictionaries(
        {
            "respirations": number(0, 80),
            "saturation": number(20, 100),
            "on_oxygen": st.none() | st.booleans(),
            "systolic": number(30, 300),
            "pulse": number(0, 300),
            "alert": st.none() | st.booleans(),
            "temperature": number(20, 45),
            "scale_2": st.booleans(),
        }
    )
)
def test_both_computations_agree_on_messy_numbers(observed: dict[str, Any]) -> None:
    agree(observed)
