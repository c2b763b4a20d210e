"""A change after a long good spell: evidence that starts anew with every month.

One e-process begins at each of the months of a version's planned life, decided ahead; their average, in
which those not begun count 1, is an e-process again. Ref: e-detectors, Shin, Ramdas, Rinaldo 2023, NEJSDS
2:229.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cds_wrapper.monitoring.formulas.sequences import SHAPE, Floats, log_e_ratio, log_e_running

Days = NDArray[np.int64]

PLANNED_MONTHS: Final = 60
"""Months a version of a model is planned to live, fixed before it does."""

DAYS_PER_MONTH: Final = 365.25 / 12


def start_days(months: int = PLANNED_MONTHS) -> Days:
    """The days since go-live on which a new process begins: 0, 30, 60, 91, ..."""
    return (np.arange(months) * DAYS_PER_MONTH).astype(np.int64, copy=False)


def start_places(days: Days, months: int = PLANNED_MONTHS) -> Days:
    """For each start the place of the first of `days` (ascending, since go-live) that belongs to it.

    Equal to the number of days where a start is still to come.
    """
    return np.searchsorted(days, start_days(months), side="left").astype(np.int64)


def log_e_restarts(log_likelihoods: Floats, days: Days, months: int = PLANNED_MONTHS) -> Floats:
    """The average over all starts for a group against the rest, at the end of each day.

    `log_likelihoods` are the summed `sequences.steps` on the grid: [..., days, ratios]. What a process that
    began in month j has collected is the sum now less the sum then, so one running sum over the starts is
    enough.
    """
    before = np.concatenate([np.zeros_like(log_likelihoods[..., :1, :]), log_likelihoods], axis=-2)
    places = start_places(days, months)
    begun = np.full_like(before[..., 0, :], -np.inf)
    averages = np.empty(log_likelihoods.shape[:-1])
    for start, place in enumerate(places):
        if place == days.size:
            break
        following = places[start + 1] if start + 1 < months else days.size
        begun = np.logaddexp(begun, -before[..., place, :])
        part = np.s_[..., place:following, :]
        running = log_e_running(log_likelihoods[part] + begun[..., None, :])
        averages[..., place:following] = with_those_to_come(running, start + 1, months)
    return averages


def log_e_ratio_restarts(
    observed: Floats, expected: Floats, days: Days, months: int = PLANNED_MONTHS, shape: float = SHAPE
) -> Floats:
    """The same for O/E: `observed` and `expected` are the sums since go-live at the end of each day."""
    places = start_places(days, months)
    total = np.full(np.broadcast_shapes(observed.shape, expected.shape), -np.inf)
    for place in places[places < days.size]:
        events = observed[..., place:] - (observed[..., place - 1, None] if place else 0.0)
        mean = expected[..., place:] - (expected[..., place - 1, None] if place else 0.0)
        total[..., place:] = np.logaddexp(total[..., place:], log_e_ratio(events, mean, shape))
    return with_those_to_come(total, np.searchsorted(start_days(months), days, side="right"), months)


def with_those_to_come(log_sum: Floats, begun: int | Days, months: int) -> Floats:
    """The average out of the sum of those begun, where each that is still to come counts 1."""
    to_come = np.asarray(months - begun, dtype=np.float64)
    with np.errstate(divide="ignore"):
        average: Floats = np.logaddexp(log_sum, np.log(to_come)) - math.log(months)
    return average


def likeliest_start(log_likelihoods: Floats, days: Days, at: int, months: int = PLANNED_MONTHS) -> int:
    """The place of the day since which one group has collected the most evidence by the place `at`."""
    before = np.concatenate([np.zeros_like(log_likelihoods[:1]), log_likelihoods])
    places = start_places(days, months)
    places = places[places <= at]
    return int(places[np.argmax(log_e_running(log_likelihoods[at] - before[places]))])
