"""Five years with monthly restarts: false alarms, and changes after a good spell."""

from __future__ import annotations

import numpy as np
import pytest

from cds_wrapper.monitoring.formulas.budget import Share
from cds_wrapper.monitoring.formulas.restarts import DAYS_PER_MONTH, log_e_ratio_restarts, log_e_restarts
from cds_wrapper.monitoring.formulas.sequences import (
    Floats,
    log_e_against_rest,
    log_e_ratio,
    log_e_running,
    steps,
)
from cds_wrapper.monitoring.formulas.time_to_find import times_to_find
from tests.unit.monitoring.simulations.courses import (
    RUNS,
    courses,
    daily,
    ever,
    first_days,
    holds,
    in_parts,
    takes,
)

pytestmark = [pytest.mark.simulation, pytest.mark.slow]

WEEKS = np.arange(0, 1_826, 7, dtype=np.int64)
"""Five years, a look a week."""


def ratio_courses(events: float, level: Floats | float) -> tuple[Floats, Floats]:
    """Both sequences of O/E over five years: [runs, weeks]."""
    seen, mean = daily(np.random.default_rng(21), RUNS, WEEKS.size, 7 * events, 0.1, level)
    sums = np.cumsum(seen, axis=1), np.cumsum(mean, axis=1)
    return log_e_ratio(*sums), log_e_ratio_restarts(*sums, WEEKS)


def group_courses(events: float, ratio: Floats | float, common: Floats | float) -> tuple[Floats, Floats]:
    """Both sequences of a group against the rest over five years: [runs, weeks]."""
    sides = courses(np.random.default_rng(22), 7 * events, ratio, common, shape=(RUNS, WEEKS.size))
    both = []
    for part in in_parts(sides):
        collected = np.cumsum(steps(part), axis=1)
        both.append((log_e_running(collected), log_e_restarts(collected, WEEKS)))
    plain, restarted = zip(*both, strict=True)
    return np.concatenate(plain), np.concatenate(restarted)


@pytest.mark.parametrize("events", [0.1, 0.5, 2.0])
def test_in_five_years_a_calibrated_model_is_seldom_accused_by_either_sequence(events: float) -> None:
    plain, restarted = ratio_courses(events, 1.0)
    half = Share(0.05).each

    setting = f"O/E, both sequences at half the error, {events:g} events a day, five years"
    holds(setting, ever(plain, half) | ever(restarted, half), 0.05)


@pytest.mark.parametrize("events", [0.1, 0.5, 2.0])
def test_in_five_years_of_common_drift_a_group_is_seldom_accused_by_either_sequence(events: float) -> None:
    plain, restarted = group_courses(events, 1.0, 1 + 0.4 * np.sin(WEEKS / 100))
    half = Share(0.05).each

    setting = (
        f"Group against rest, both sequences at half the error, drift, {events:g} events a day, five years"
    )
    holds(setting, ever(plain, half) | ever(restarted, half), 0.05)


def after(month: int, days: Floats) -> Floats:
    """The delay since the change, of the courses that did not ring before."""
    change = month * DAYS_PER_MONTH
    return days[days >= change] - change


@pytest.mark.parametrize(
    ("month", "error", "known"), [(24, 0.05, 4.0), (24, 0.05 / 30, 6.0), (48, 0.05, 4.2)]
)
def test_a_change_after_a_good_spell_is_found_by_the_restarts(month: int, error: float, known: float) -> None:
    level = np.where(month * DAYS_PER_MONTH <= WEEKS, 1.5, 1.0)
    _, restarted = ratio_courses(0.5, level)

    setting = (
        f"O/E 1.5 from month {month}, 0.5 events a day, error {error:.3g}, restarts: median delay in days"
    )
    takes(setting, after(month, first_days(restarted, error, WEEKS)), round(known * DAYS_PER_MONTH), 0.2)


def test_a_change_after_a_good_spell_is_found_late_by_the_sum_since_go_live() -> None:
    plain, _ = ratio_courses(0.5, np.where(WEEKS >= 24 * DAYS_PER_MONTH, 1.5, 1.0))

    setting = "O/E 1.5 from month 24, 0.5 events a day, error 0.05, since go-live: median delay in days"
    takes(setting, after(24, first_days(plain, 0.05, WEEKS)), round(9.9 * DAYS_PER_MONTH))


@pytest.mark.parametrize(("ratio", "events"), [(1.25, 3.0), (1.5, 0.5), (1.5, 2.0), (1.85, 0.5), (1.85, 0.2)])
def test_the_time_told_ahead_is_the_one_that_courses_take(ratio: float, events: float) -> None:
    share = Share(0.025 / 30)
    told = times_to_find(np.array([7 * events]), np.array([35 * events]), share, ratios=(ratio,), months=520)[
        0
    ]
    sides = courses(np.random.default_rng(23), 7 * events, ratio, shape=(RUNS, WEEKS.size))
    plain = np.concatenate([log_e_against_rest(part) for part in in_parts(sides)])

    assert told.from_live is not None
    setting = f"Time told ahead for {ratio:g} times the rest, {events:g} events a day: median day"
    takes(setting, first_days(plain, share.each, WEEKS + 7), round(7 * told.from_live), tolerance=0.1)


def test_what_is_never_found_is_told_so() -> None:
    share = Share(0.025 / 30)
    told = times_to_find(np.array([0.05]), np.array([0.25]), share, ratios=(1.5,))[0]
    plain, restarted = group_courses(0.05, 1.5, 1.0)

    assert told.from_live is None
    setting = "Told never to be found (1.5 times the rest, 0.05 events a day): found in five years"
    holds(setting, ever(plain, share.each) | ever(restarted, share.each), 0.5)
