"""Patients who come again and again: random halves of one population while the whole model drifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from cds_wrapper.monitoring.formulas.budget import contrast_design_effect, divisor
from cds_wrapper.monitoring.formulas.clustered import PatientSums, design_effect, independent_oe
from cds_wrapper.monitoring.formulas.sequences import Floats, Sides, log_e_running, steps
from tests.unit.monitoring.simulations.courses import RUNS, Hits, compares, ever, holds

pytestmark = [pytest.mark.simulation, pytest.mark.slow]

DAYS, MONTHS, RISK, MOST = 365, 12, 0.15, 10
DRIFT = np.linspace(1.13, 0.9, DAYS)
PART = 100


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Episodes of patients who each have a risk of their own: [runs, patients, episodes]; -1: no episode."""

    in_group: NDArray[np.bool_]
    day: NDArray[np.int64]
    event: NDArray[np.bool_]

    def sums(self, of: NDArray[np.bool_], weight: Floats, width: int, place: NDArray[np.int64]) -> Floats:
        """Sums of a weight by run and place (day, or patient and month)."""
        run = np.arange(self.day.shape[0])[:, None, None]
        flat = (run * width + place)[of]
        summed = np.bincount(flat, weights=weight[of], minlength=self.day.shape[0] * width)
        return summed.astype(np.float64).reshape(-1, width)


def population(rng: np.random.Generator, runs: int, patients: int, share: float, spread: float) -> Population:
    """Each patient has 5 to 10 episodes and an effect on the logit which the model does not see."""
    effects = rng.normal(0, spread, (runs, patients, 1))
    intercept = centre(spread)
    chance = 1 / (1 + np.exp(-intercept - effects))
    day = rng.integers(0, DAYS, (runs, patients, MOST))
    episodes = rng.integers(5, MOST + 1, (runs, patients, 1))
    event = rng.random(day.shape) < np.minimum(chance * DRIFT[day], 1)
    there = np.arange(MOST) < episodes
    return Population(rng.random((runs, patients)) < share, np.where(there, day, -1), event & there)


def centre(spread: float) -> float:
    """The intercept at which the mean risk over all effects is RISK, so that the model is calibrated."""
    effects = np.random.default_rng(0).normal(0, spread, 200_000)
    low, high = -10.0, 5.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean(1 / (1 + np.exp(-middle - effects))) < RISK else (low, middle)
    return low


def days_of(people: Population) -> Sides:
    """What each day brings to both sides."""
    there, group = people.day >= 0, people.in_group[..., None]
    one, risk = people.event.astype(float), np.full(people.day.shape, RISK)
    seen, others, expected, of_others = (
        people.sums(there & side, weight, DAYS, people.day)
        for weight in (one, risk)
        for side in (group, ~group)
    )
    return Sides(seen, others, expected, of_others)


def month_ends(people: Population) -> tuple[Floats, Floats]:
    """Events and episodes of each patient up to the end of each month: [runs, patients, months]."""
    patients = people.day.shape[1]
    place = np.arange(patients)[:, None] * MONTHS + people.day * MONTHS // DAYS
    events = people.sums(people.day >= 0, people.event.astype(float), patients * MONTHS, place)
    episodes = people.sums(people.day >= 0, np.ones(people.day.shape), patients * MONTHS, place)
    shape = (-1, patients, MONTHS)
    return np.cumsum(events.reshape(shape), axis=2), np.cumsum(episodes.reshape(shape), axis=2)


def effect_of(x: Floats, episodes: Floats, everybody: float = 1.0) -> float:
    """The design effect of O/E for some patients."""
    came = episodes > 0
    x, y = x[came], episodes[came] * RISK
    sums = PatientSums(x.sum(), y.sum(), (x * x).sum(), (x * y).sum(), (y * y).sum(), int(came.sum()))
    if sums.x == 0:
        return everybody
    alone = independent_oe(sums.x, sums.y, sums.y * RISK)
    return design_effect(sums.variance, alone, int((x > 0).sum()), everybody)


def divisors(in_group: NDArray[np.bool_], events: Floats, episodes: Floats) -> Floats:
    """The divisor in force in each month of one run: what was known at the end of the month before."""
    in_force, found = None, []
    for month in range(MONTHS):
        x, n = events[:, month], episodes[:, month]
        everybody = effect_of(x, n)
        group, rest = (effect_of(x[side], n[side], everybody) for side in (in_group, ~in_group))
        seen, others = x[in_group].sum(), x[~in_group].sum()
        estimate = contrast_design_effect(group, seen, rest, others) if seen and others else everybody
        present = divisor(estimate, seen, in_force)
        in_force = present if seen >= 100 else None
        found.append(present)
    return np.array([found[0], *found[:-1]])


def accused(patients: int, share: float, spread: float) -> tuple[Hits, Hits, Hits]:
    """Whether the group is ever accused: divided by the design effect, by the most episodes, not at all."""
    rng = np.random.default_rng(41)
    divided, exact, plain = [], [], []
    for _ in range(RUNS // PART):
        people = population(rng, PART, patients, share, spread)
        collected = np.cumsum(steps(days_of(people)), axis=1)
        ends = month_ends(people)
        by_month = np.stack(
            [divisors(people.in_group[run], ends[0][run], ends[1][run]) for run in range(PART)]
        )
        daily = by_month[:, np.arange(DAYS) * MONTHS // DAYS, None]
        divided.append(ever(log_e_running(collected / daily), 0.05))
        exact.append(ever(log_e_running(collected / MOST), 0.05))
        plain.append(ever(log_e_running(collected), 0.05))
    return np.concatenate(divided), np.concatenate(exact), np.concatenate(plain)


@pytest.mark.parametrize(
    ("name", "patients", "share", "spread"),
    [("Random halves", 200, 0.5, 1.0), ("Random halves", 200, 0.5, 1.5), ("A random tenth", 300, 0.1, 1.5)],
)
def test_a_random_part_of_one_population_is_seldom_accused(
    name: str, patients: int, share: float, spread: float
) -> None:
    divided, exact, plain = accused(patients, share, spread)

    setting = f"{name}, 5 to 10 episodes a patient, effects of sd {spread:g}, drift 1.13 to 0.90"
    holds(f"{setting}: divided by the design effect", divided, 0.05)
    holds(f"{setting}: divided by the most episodes", exact, 0.05)
    assert compares(f"{setting}: not divided", plain) >= divided.mean()
