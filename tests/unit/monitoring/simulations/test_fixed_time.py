"""Intervals for one look: how often they hold the truth, and what outcomes that are not known do to them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from cds_wrapper.monitoring.formulas.auroc import newcombe5
from cds_wrapper.monitoring.formulas.follow_up import Verified, begg_greenes, censoring_bounds
from cds_wrapper.monitoring.formulas.oe_ratio import score_interval
from cds_wrapper.monitoring.formulas.proportions import wilson
from tests.unit.monitoring.simulations.courses import RUNS, averages, compares, covers

pytestmark = [pytest.mark.simulation, pytest.mark.slow]


@pytest.mark.parametrize(("truth", "events", "others"), [(0.75, 5, 100), (0.9, 5, 100), (0.9, 50, 1_000)])
def test_newcombes_interval_holds_the_area(truth: float, events: int, others: int) -> None:
    rng, apart = np.random.default_rng(31), float(norm.ppf(truth)) * 2**0.5
    held = []
    for _ in range(RUNS):
        ranks = np.searchsorted(np.sort(rng.normal(size=others)), rng.normal(apart, size=events))
        low, high = newcombe5(float(ranks.mean()) / others, events, others)
        held.append(low <= truth <= high)

    setting = f"Newcombe 5, AUROC {truth:g}, {events} events, {others} others"
    covers(setting, np.array(held), 0.93, 0.98)


@pytest.mark.parametrize("mean", [5, 10, 30, 100])
@pytest.mark.parametrize("risk", [0.05, 0.3])
def test_the_score_interval_holds_the_ratio(mean: int, risk: float) -> None:
    rng, patients = np.random.default_rng(32), round(mean / risk)
    a, b = risk * 4, (1 - risk) * 4
    held = []
    for _ in range(4 * RUNS):
        p = rng.beta(a, b, patients)
        low, high = score_interval(float((rng.random(patients) < p).sum()), p.sum(), float((p**2).sum()))
        held.append(low <= 1 <= high)

    covers(f"Score interval of O/E, {mean} events expected, mean risk {risk:g}", np.array(held), 0.94, 0.97)


def test_bounds_hold_the_rate_when_who_is_lost_depends_on_the_outcome() -> None:
    rng, truth = np.random.default_rng(33), 0.2
    bounded, naive = [], []
    for _ in range(RUNS):
        event = rng.random(600) < truth
        known = rng.random(600) >= np.where(event, 0.25, 0.05)
        x, n = int((event & known).sum()), int(known.sum())
        low, high = censoring_bounds(x, n, 600 - n)
        bounded.append(low <= event.mean() <= high)
        naive.append(wilson(x, n)[0] <= truth <= wilson(x, n)[1])

    assert all(bounded)
    setting = "a quarter of the events lost and a twentieth of the others, rate 0.2 in 600"
    covers(f"Bounds for the censored hold what was the case, {setting}", np.array(bounded), 0.95, 1.0)
    assert compares(f"Wilson on the known alone holds the rate, {setting}", np.array(naive)) < 0.7


def test_the_correction_for_testing_gives_the_sensitivity_when_the_score_decides_who_is_tested() -> None:
    rng = np.random.default_rng(34)
    corrected, plain, specific = [], [], []
    for _ in range(RUNS):
        event = rng.random(3_000) < 0.15
        flagged = rng.random(3_000) < np.where(event, 0.6, 0.1)
        tested = rng.random(3_000) < np.where(flagged, 0.9, 0.2)
        sides = [
            Verified(int(side.sum()), int((side & tested).sum()), int((side & tested & event).sum()))
            for side in (flagged, ~flagged)
        ]
        sensitivity, specificity = begg_greenes(*sides)
        corrected.append(sensitivity.value or np.nan)
        specific.append(specificity.value or np.nan)
        plain.append(sides[0].events / (sides[0].events + sides[1].events))

    assert np.mean(plain) > 0.8
    setting = "tested: 90 % of the flagged and 20 % of the others"
    averages(f"Sensitivity after Begg and Greenes, {setting}", np.array(corrected), 0.6, 0.005)
    averages(f"Specificity after Begg and Greenes, {setting}", np.array(specific), 0.9, 0.005)
