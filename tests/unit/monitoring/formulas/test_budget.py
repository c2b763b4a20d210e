"""The error budget adds up, whatever is suspected and however many reviews there are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cds_wrapper.monitoring.formulas.budget import Budget, contrast_design_effect, divisor
from cds_wrapper.monitoring.formulas.sequences import log_e_ratio


def test_thirty_groups_share_half_of_the_error_daily() -> None:
    shares = Budget(30).daily([False] * 30)

    assert {share.error for share in shares} == {0.025 / 30}
    assert math.exp(shares[0].log_bar) == pytest.approx(30 * 2 / 0.05 * 2)
    assert math.exp(Budget(30).log_watch_bar) == pytest.approx(20)
    assert math.exp(Budget(30).for_model.log_bar) == pytest.approx(40)


@pytest.mark.parametrize("suspects", [0, 1, 2, 9, 10])
def test_whatever_is_suspected_the_daily_half_is_spent_and_no_more(suspects: int) -> None:
    suspected = [number < suspects for number in range(10)]

    errors = [share.error for share in Budget(10).daily(suspected)]

    assert sum(errors) == pytest.approx(0.025)
    if 0 < suspects < 10:
        assert sum(errors[:suspects]) == pytest.approx(0.0125)


def test_the_reviews_never_spend_more_than_their_half() -> None:
    budget = Budget(12)
    spent = [2 * 12 * budget.review(number) for number in range(1, 20_001)]

    assert budget.review(1) == pytest.approx(0.025 / 24 / 2)
    assert budget.review(2) == pytest.approx(0.025 / 24 / 6)
    assert sum(spent) < 0.025
    assert sum(spent) == pytest.approx(0.025, rel=1e-4)


def test_the_smaller_side_decides_the_design_effect_of_a_ratio_to_the_rest() -> None:
    assert contrast_design_effect(2.0, 10, 1.0, 10_000) == pytest.approx(2.0, abs=1e-3)
    assert contrast_design_effect(1.0, 10, 3.0, 10_000) == pytest.approx(1.0, abs=3e-3)
    assert contrast_design_effect(1.0, 50, 3.0, 50) == pytest.approx(2.0)
    assert contrast_design_effect(0.6, 50, 0.9, 50) == 1.0


def test_the_divisor_is_fixed_from_a_hundred_events_on_and_only_raised() -> None:
    assert divisor(1.9, 99, None) == 1.9
    assert divisor(0.7, 99, None) == 1.0
    assert divisor(1.4, 100, None) == 1.4
    assert divisor(1.2, 140, 1.4) == 1.4
    assert divisor(1.7, 180, 1.4) == 1.7


def test_a_larger_divisor_never_rings_where_a_smaller_one_does_not() -> None:
    rng = np.random.default_rng(3)
    expected = rng.uniform(1, 200, 5_000)
    observed = rng.poisson(expected * rng.uniform(0.3, 3, 5_000))
    small, large = 1 + rng.exponential(1, 5_000), rng.exponential(2, 5_000)
    before = log_e_ratio(observed / small, expected / small)
    raised = log_e_ratio(observed / (small + large), expected / (small + large))

    assert (raised <= np.maximum(before, 0) + 1e-9).all()
