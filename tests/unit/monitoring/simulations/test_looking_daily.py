"""A look a day for a year: how often a good model is accused, and how soon a bad one is found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cds_wrapper.monitoring.formulas.material import log_e_ratio_outside, log_e_to_rest_outside
from cds_wrapper.monitoring.formulas.sequences import (
    Floats,
    Sides,
    log_e_against_rest,
    log_e_proportion,
    log_e_ratio,
    log_e_running,
    steps,
)
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


def of_rest(sides: Sides) -> Floats:
    return np.concatenate([log_e_against_rest(part) for part in in_parts(sides)])


@pytest.mark.parametrize("events", [0.1, 0.5, 2.0])
def test_a_calibrated_model_is_seldom_accused(events: float) -> None:
    seen, mean = daily(np.random.default_rng(1), RUNS, 365, events, 0.1)
    log_e = log_e_ratio(np.cumsum(seen, axis=1), np.cumsum(mean, axis=1))

    holds(f"O/E, calibrated, {events:g} events a day, one year", ever(log_e, 0.05), 0.05)


@pytest.mark.parametrize(
    ("events", "error", "known"),
    [(0.5, 0.05, 78), (0.5, 0.05 / 30, 144), (2.0, 0.05, 21), (2.0, 0.05 / 30, 38)],
)
def test_a_ratio_of_one_and_a_half_is_found(events: float, error: float, known: float) -> None:
    seen, mean = daily(np.random.default_rng(2), RUNS, 365, events, 0.1, 1.5)
    log_e = log_e_ratio(np.cumsum(seen, axis=1), np.cumsum(mean, axis=1))

    setting = f"O/E 1.5, {events:g} events a day, error {error:.3g}: median day"
    takes(setting, first_days(log_e, error), known)


@pytest.mark.parametrize("events", [0.1, 0.5, 2.0])
@pytest.mark.parametrize(
    ("name", "common", "risks"),
    [
        ("all off by 1.3", 1.3, (0.1, 0.1)),
        ("drift 0.5 to 1.5 common to all", np.linspace(0.5, 1.5, 365), (0.1, 0.1)),
        ("risk 0.30 against 0.05 and the same drift", np.linspace(0.5, 1.5, 365), (0.3, 0.05)),
    ],
)
def test_what_is_wrong_for_everybody_is_blamed_on_no_group(
    name: str, common: float | Floats, risks: tuple[float, float], events: float
) -> None:
    sides = courses(np.random.default_rng(3), events, 1.0, common, risks)

    holds(f"Group against rest, {name}, {events:g} events a day, one year", ever(of_rest(sides), 0.05), 0.05)


@pytest.mark.parametrize(
    ("ratio", "events", "error", "known"),
    [
        (1.5, 0.5, 0.05, 79),
        (1.5, 0.5, 0.05 / 30, 160),
        (1.5, 2.0, 0.05, 20),
        (1.85, 0.5, 0.05, 33),
        (1.85, 0.1, 0.05, 164),
    ],
)
def test_a_group_worse_than_the_rest_is_found(
    ratio: float, events: float, error: float, known: float
) -> None:
    sides = courses(np.random.default_rng(4), events, ratio, times=20.0)

    setting = f"Group at {ratio:g} times the rest, {events:g} events a day, error {error:.3g}: median day"
    takes(setting, first_days(of_rest(sides), error), known)


@pytest.mark.parametrize("truth", [0.8, 1.25])
@pytest.mark.parametrize("events", [0.5, 2.0, 10.0])
def test_a_ratio_at_the_edge_of_the_band_is_seldom_called_material(truth: float, events: float) -> None:
    seen, mean = daily(np.random.default_rng(5), RUNS, 365, events, 0.1, truth)
    sums = np.cumsum(seen, axis=1), np.maximum(np.cumsum(mean, axis=1), 1e-9)

    setting = f"Material O/E, truth {truth:g}, {events:g} events a day, one year"
    holds(setting, ever(log_e_ratio_outside(*sums), 0.05), 0.05)


def equal_days(events: float, ratio: float, days: int, runs: int = RUNS) -> Sides:
    """Sums since go-live when every day expects the same: one day of them tells as much as all since then."""
    rng, since = np.random.default_rng(6), np.arange(1.0, days + 1)
    group = np.cumsum(rng.poisson(events * ratio, (runs, days)), axis=1).astype(np.float64)
    rest = np.cumsum(rng.poisson(events * 5, (runs, days)), axis=1).astype(np.float64)
    return Sides(
        group,
        rest,
        np.broadcast_to(events * since, group.shape),
        np.broadcast_to(events * 5 * since, group.shape),
    )


def material_of_rest(sums: Sides) -> Floats:
    """`log_e_to_rest_outside` for many runs and looks at once, where every day has the same shares."""
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.log(sums.group / sums.group_expected) - np.log(sums.rest / sums.rest_expected)
    nearest = np.clip(np.nan_to_num(plain, nan=0.0), math.log(0.8), math.log(1.25))
    evidence: Floats = log_e_running(steps(sums)) - steps(sums, nearest[..., None])[..., 0]
    return evidence


def test_the_quick_way_to_the_material_evidence_is_the_real_one() -> None:
    sums = equal_days(0.5, 1.6, 40, 3)
    one = Sides(
        *(
            np.diff(column[1], prepend=0.0)
            for column in (sums.group, sums.rest, sums.group_expected, sums.rest_expected)
        )
    )

    assert material_of_rest(sums)[1, -1] == pytest.approx(log_e_to_rest_outside(one), abs=1e-9)


@pytest.mark.parametrize("truth", [0.8, 1.25])
@pytest.mark.parametrize("events", [0.5, 2.0])
def test_a_group_at_the_edge_of_the_band_is_seldom_called_materially_worse(
    truth: float, events: float
) -> None:
    sums = equal_days(events, truth, 365)
    hits = np.concatenate([ever(material_of_rest(part), 0.05) for part in in_parts(sums)])

    holds(f"Material ratio to the rest, truth {truth:g}, {events:g} events a day, one year", hits, 0.05)


@pytest.mark.parametrize("chance", [0.1, 0.7])
def test_a_constant_proportion_is_seldom_accused(chance: float) -> None:
    rng = np.random.default_rng(7)
    trials = rng.poisson(2.0, (RUNS, 365))
    successes = rng.binomial(trials, chance)
    log_e = log_e_proportion(np.cumsum(successes, axis=1), np.cumsum(trials, axis=1), chance)

    holds(f"Proportion of {chance:g}, two a day, one year", ever(log_e, 0.05), 0.05)
