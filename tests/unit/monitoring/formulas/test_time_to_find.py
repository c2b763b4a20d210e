"""How long it takes to find a fault, said ahead and in order."""

from __future__ import annotations

import numpy as np

from cds_wrapper.monitoring.formulas.budget import Budget
from cds_wrapper.monitoring.formulas.time_to_find import times_to_find

SHARE = Budget(30).daily([False] * 30)[0]


def group_of(per_day: float, divisor: float = 1.0) -> list[tuple[float | None, float | None]]:
    found = times_to_find(np.array([per_day]), np.array([10.0]), SHARE, divisor)
    return [(time.from_live, time.after_change) for time in found]


def test_a_larger_fault_is_found_earlier_and_a_late_one_takes_longer() -> None:
    small, middle, large = group_of(2.0)

    assert small[0] is not None and middle[0] is not None and large[0] is not None
    assert small[0] > middle[0] > large[0]
    for from_live, after_change in (small, middle, large):
        assert from_live is not None and after_change is not None
        assert from_live < after_change


def test_a_group_with_few_events_finds_nothing_in_the_planned_life() -> None:
    assert group_of(0.005) == [(None, None)] * 3
    assert group_of(0.1)[0] == (None, None)


def test_repeated_patients_make_it_take_longer() -> None:
    alone, again = group_of(2.0)[1][0], group_of(2.0, divisor=1.5)[1][0]

    assert alone is not None and again is not None
    assert again > 1.4 * alone


def test_days_without_both_sides_tell_nothing() -> None:
    every_day = times_to_find(np.array([1.0, 1.0]), np.array([4.0, 4.0]), SHARE)
    half = times_to_find(np.array([1.0, 1.0]), np.array([4.0, 0.0]), SHARE)

    assert every_day[2].from_live is not None
    assert half[2].from_live is not None
    assert half[2].from_live > 1.9 * every_day[2].from_live
