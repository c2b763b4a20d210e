"""Outcomes that get lost: by group, by outcome, and by both at once, which nothing in the data can show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from cds_wrapper.monitoring.formulas.follow_up import censoring_bounds
from cds_wrapper.monitoring.formulas.sequences import Floats, Sides, log_e_against_rest, log_e_ratio
from tests.unit.monitoring.simulations.courses import (
    RUNS,
    Hits,
    averages,
    compares,
    ever,
    holds,
    in_parts,
)

pytestmark = [pytest.mark.simulation, pytest.mark.slow]

RISK, DAYS, EVENTS, TIMES = 0.1, 365, 0.5, 5
Loss = tuple[float, float]
"""The share lost of those with the event, and of the others."""
FEW: Loss = (0.05, 0.05)
PARTS = np.array_split(np.arange(RUNS), 20)


@dataclass(frozen=True, slots=True)
class Followed:
    """A calibrated model's patients by day: those with the event and the others, known and lost."""

    events: Floats
    others: Floats
    events_lost: Floats
    others_lost: Floats

    @property
    def lost(self) -> Floats:
        return self.events_lost + self.others_lost

    @property
    def expected(self) -> Floats:
        """Of those known."""
        return RISK * (self.events + self.others)


def followed(rng: np.random.Generator, events: float, loss: Loss) -> Followed:
    """A year of 2,000 hospitals with so many events a day."""
    patients = rng.poisson(events / RISK, (RUNS, DAYS))
    came = rng.binomial(patients, RISK)
    known = rng.binomial(came, 1 - loss[0]), rng.binomial(patients - came, 1 - loss[1])
    each = (*known, came - known[0], patients - came - known[1])
    return Followed(*(one.astype(np.float64) for one in each))


def accused(group: Followed, rest: Followed) -> Hits:
    """Whether the daily look ever rings at 0.05 for the group against the rest."""
    sides = Sides(group.events, rest.events, group.expected, rest.expected)
    return ever(np.concatenate([log_e_against_rest(part) for part in in_parts(sides)]), 0.05)


def both(seed: int, loss: Loss, of_rest: Loss) -> tuple[Followed, Followed]:
    rng = np.random.default_rng(seed)
    return followed(rng, EVENTS, loss), followed(rng, TIMES * EVENTS, of_rest)


@pytest.mark.parametrize(
    ("words", "loss", "of_rest"),
    [
        ("a third of the group whatever the outcome", (0.33, 0.33), FEW),
        ("a quarter of the events and a twentieth of the others, in both", (0.25, 0.05), (0.25, 0.05)),
    ],
)
def test_what_is_lost_by_group_or_by_outcome_alone_accuses_no_group(
    words: str, loss: Loss, of_rest: Loss
) -> None:
    holds(f"Fair group, lost: {words}; looked at daily for a year", accused(*both(81, loss, of_rest)), 0.05)


def test_what_is_lost_by_outcome_alone_accuses_the_model_as_a_whole() -> None:
    sides = both(81, (0.25, 0.05), (0.25, 0.05))
    seen, mean = (
        np.cumsum(sum(getattr(side, name) for side in sides), axis=1) for name in ("events", "expected")
    )
    rings = np.concatenate([ever(log_e_ratio(seen[part], mean[part]), 0.05) for part in PARTS])
    setting = "Fair model, lost: a quarter of the events and a twentieth of the others"
    assert compares(f"{setting}; the model as a whole looked at daily for a year", rings) > 0.5


@pytest.mark.parametrize(
    ("words", "loss", "ratio"),
    [
        ("a tenth of its events more than of anybody else", (0.145, 0.05), 0.908),
        ("a quarter of its events and a twentieth of anybody else", (0.25, 0.05), 0.806),
        ("a quarter of its others and a twentieth of anybody else", (0.05, 0.25), 1.234),
    ],
)
def test_what_is_lost_by_group_and_outcome_at_once_accuses_a_fair_group(
    words: str, loss: Loss, ratio: float
) -> None:
    group, rest = both(82, loss, FEW)
    setting = f"Fair group, lost: {words}"
    rate = compares(f"{setting}; looked at daily for a year", accused(group, rest))
    assert rate > 0.01

    x, n, lost = (one.sum(axis=1) for one in (group.events, group.events + group.others, group.lost))
    averages(f"{setting}: O/E of those known", x / (RISK * n), ratio, 0.002)
    bounds = [censoring_bounds(*one) for one in zip(x, n, lost, strict=True)]
    undecided = np.array([low <= RISK <= high for low, high in bounds])
    assert compares(f"{setting}: the rate predicted lies within the bounds for the lost", undecided) > 0.5
