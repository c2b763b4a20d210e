"""How long it takes to find that a group's risk is under-estimated, at its number of events.

The half-way time (in half of all courses it is found by then) is taken as the day on which the evidence
reaches its bar when every day brings exactly what is to be expected of it. Chance makes courses faster and
slower by turns; the tests hold this against simulated courses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from cds_wrapper.monitoring.formulas.budget import Share
from cds_wrapper.monitoring.formulas.restarts import DAYS_PER_MONTH, PLANNED_MONTHS
from cds_wrapper.monitoring.formulas.sequences import Floats, Sides, log_e_running, root, steps

RATIOS: Final = (1.25, 1.5, 1.85)
"""Ratios to the rest for which the time is told."""


@dataclass(frozen=True, slots=True)
class TimeToFind:
    """The days until half of all courses with this ratio have rung; None: never in the planned life.

    `from_live` if the ratio holds from go-live on, `after_change` if it begins after a long good spell.
    """

    ratio: float
    from_live: float | None
    after_change: float | None


def times_to_find(
    group_expected: Floats,
    rest_expected: Floats,
    share: Share,
    divisor: float = 1.0,
    ratios: tuple[float, ...] = RATIOS,
    months: int = PLANNED_MONTHS,
) -> tuple[TimeToFind, ...]:
    """The times for one group, out of the summed probabilities of both sides on each day of a typical period.

    Days without an episode belong to the period. The restarts need the sum of as many processes as there
    are months to reach the bar, hence their further log(months).
    """
    latest = months * DAYS_PER_MONTH
    found = []
    for ratio in ratios:
        drift = expected_steps(group_expected, rest_expected, ratio, divisor)
        after_change = day_of(drift, share.log_bar + math.log(months), latest)
        found.append(TimeToFind(ratio, day_of(drift, share.log_bar, latest), after_change))
    return tuple(found)


def expected_steps(group_expected: Floats, rest_expected: Floats, ratio: float, divisor: float) -> Floats:
    """What a typical day adds to the log likelihoods on the grid when the ratio to the rest is `ratio`."""
    sides = Sides(group_expected * ratio, rest_expected, group_expected, rest_expected, divisor)
    drift: Floats = steps(sides).mean(axis=0)
    return drift


def day_of(drift: Floats, log_bar: float, latest: float) -> float | None:
    """When the evidence of equal days reaches the bar; None if later than `latest`."""

    def excess(day: float) -> float:
        return float(log_e_running(day * drift)) - log_bar

    return None if excess(latest) < 0 else root(excess, 0.0, latest)
