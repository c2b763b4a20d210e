"""Monthly restarts: an average of processes decided ahead, and quicker after a good spell."""

from __future__ import annotations

import numpy as np
import pytest

from cds_wrapper.monitoring.formulas.restarts import (
    likeliest_start,
    log_e_ratio_restarts,
    log_e_restarts,
    start_days,
    start_places,
)
from cds_wrapper.monitoring.formulas.sequences import Sides, log_e_against_rest, log_e_ratio, steps


def two_years(seed: int = 7) -> tuple[Sides, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Days with gaps, a ratio to the rest of 2 in the second year."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.choice(730, 500, replace=False)).astype(np.int64)
    group_expected, rest_expected = rng.uniform(0.1, 0.6, 500), rng.uniform(1, 3, 500)
    ratio = np.where(days < 365, 1.0, 2.0)
    events = rng.poisson(group_expected * ratio).astype(float), rng.poisson(rest_expected).astype(float)
    return Sides(*events, group_expected, rest_expected), days


def test_starts_are_months_of_the_planned_life_from_go_live_on() -> None:
    starts = start_days()

    assert starts[:4].tolist() == [0, 30, 60, 91]
    assert (starts.size, int(starts[-1])) == (60, 1795)
    assert start_places(np.array([5, 29, 61]), 4).tolist() == [0, 2, 2, 3]


@pytest.mark.parametrize("months", [6, 24, 60])
def test_a_group_s_restarts_are_the_average_of_processes_run_one_by_one(months: int) -> None:
    sides, days = two_years()
    total = np.zeros(days.size)
    for start in start_days(months):
        place = int(np.searchsorted(days, start))
        total += np.where(days < start, 1.0, 0.0)
        if place < days.size:
            total[place:] += np.exp(log_e_against_rest(sides.days(place)))

    together = log_e_restarts(np.cumsum(steps(sides), axis=0), days, months)

    assert together == pytest.approx(np.log(total / months), abs=1e-9)


@pytest.mark.parametrize("months", [6, 60])
def test_a_ratio_s_restarts_are_the_average_of_processes_run_one_by_one(months: int) -> None:
    sides, days = two_years()
    seen, mean = np.cumsum(sides.group), np.cumsum(sides.group_expected)
    total = np.zeros(days.size)
    for start in start_days(months):
        place = int(np.searchsorted(days, start))
        total += np.where(days < start, 1.0, 0.0)
        total[place:] += np.exp(
            log_e_ratio(np.cumsum(sides.group[place:]), np.cumsum(sides.group_expected[place:]))
        )

    assert log_e_ratio_restarts(seen, mean, days, months) == pytest.approx(np.log(total / months), abs=1e-9)


def test_many_groups_restart_at_once() -> None:
    (one, days), (other, _) = two_years(1), two_years(2)
    both = np.stack([np.cumsum(steps(one), axis=0), np.cumsum(steps(other), axis=0)])
    counts = np.stack([np.cumsum(one.group), np.cumsum(other.group)])
    means = np.stack([np.cumsum(one.group_expected), np.cumsum(other.group_expected)])

    assert log_e_restarts(both, days) == pytest.approx(
        np.stack([log_e_restarts(side, days) for side in both])
    )
    assert log_e_ratio_restarts(counts, means, days) == pytest.approx(
        np.stack([log_e_ratio_restarts(counts[i], means[i], days) for i in range(2)])
    )


def test_the_start_with_the_most_evidence_lies_near_the_change() -> None:
    sides, days = two_years()

    place = likeliest_start(np.cumsum(steps(sides), axis=0), days, days.size - 1)

    assert 240 <= days[place] <= 490
