"""What holds of a figure whatever the numbers are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cds_wrapper.monitoring.formulas import (
    auroc,
    calibration,
    equal_score,
    net_benefit,
    oe_ratio,
    pooling,
    proportions,
    representativeness,
)
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.values import WhyNot

FEW = settings(max_examples=60)
COUNT = st.integers(0, 3000)
EFFECT = st.floats(1, 20)
CLASSES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=30)


def holds(figure: Figure, least: float, most: float) -> None:
    """The value lies within its limits, and they on the scale; or there is a reason and no number."""
    if figure.value is None:
        assert figure.why_not is not None
        assert figure.interval is None
        return
    assert figure.low is not None
    assert figure.high is not None
    assert all(math.isfinite(one) for one in (figure.value, figure.low, figure.high))
    assert least <= figure.low <= figure.value + 1e-9
    assert figure.value - 1e-9 <= figure.high <= most


@FEW
@given(COUNT, COUNT, EFFECT)
def test_a_share_lies_within_its_limits(events: int, others: int, effect: float) -> None:
    usual = proportions.share(events, events + others, WhyNot.NO_ROWS, effect)
    guaranteed = proportions.share(events, events + others, WhyNot.NO_ROWS, effect, "clopper-pearson")

    holds(usual, 0, 1)
    holds(guaranteed, 0, 1)
    assert (usual.value is None) == (events + others == 0)


@FEW
@given(CLASSES, EFFECT)
def test_an_area_lies_within_its_limits_and_its_mirror_is_one_less_it(
    classes: list[tuple[int, int]], effect: float
) -> None:
    events, others = (np.array(side, dtype=np.float64) for side in zip(*classes, strict=True))
    figure = auroc.area(auroc.ranks(events, others), effect)
    mirrored = auroc.area(auroc.ranks(events[::-1], others[::-1]), effect)

    holds(figure, 0, 1)
    if figure.value is None or figure.low is None:
        assert events.sum() == 0 or others.sum() == 0
        return
    assert mirrored.value == pytest.approx(1 - figure.value, abs=1e-9)
    assert mirrored.high == pytest.approx(1 - figure.low, abs=1e-6)


@FEW
@given(CLASSES)
def test_an_area_is_that_of_the_library(classes: list[tuple[int, int]]) -> None:
    events, others = (np.array(side, dtype=np.int64) for side in zip(*classes, strict=True))
    found = auroc.ranks(events.astype(np.float64), others.astype(np.float64))
    if isinstance(found, WhyNot):
        return
    place = np.arange(len(classes))
    y = np.repeat([1, 0], [events.sum(), others.sum()])
    score = np.concatenate([np.repeat(place, events), np.repeat(place, others)])

    assert found.area == pytest.approx(roc_auc_score(y, score))


@FEW
@given(COUNT, st.floats(0, 3000), st.floats(0, 1), EFFECT)
def test_observed_over_expected_lies_within_its_limits(
    observed: int, expected: float, mean: float, effect: float
) -> None:
    squares = expected * mean
    holds(oe_ratio.oe_ratio(observed, expected, None, effect), 0, math.inf)
    if observed * mean <= expected:  # else more events than so many certain patients could have
        holds(oe_ratio.oe_ratio(observed, expected, squares, effect), 0, math.inf)


@pytest.mark.parametrize("expected", [0.0, 5e-324, 1e-12])
def test_a_ratio_to_nothing_expected_is_no_number(expected: float) -> None:
    assert oe_ratio.oe_ratio(0, expected, 0.0).why_not is WhyNot.NOTHING_EXPECTED
    assert oe_ratio.oe_ratio(3, expected, None).why_not is WhyNot.NOTHING_EXPECTED
    assert oe_ratio.ratio_to_rest(3, expected, 5, 4.0).why_not is WhyNot.NO_REST


@FEW
@given(COUNT, COUNT, st.integers(0, 100), EFFECT)
def test_a_design_effect_only_widens(events: int, others: int, more: int, effect: float) -> None:
    n = events + others + 1
    narrow, wide = proportions.wilson(events, n), proportions.wilson(events / effect, n / effect)

    assert wide[0] <= narrow[0] + 1e-12
    assert narrow[1] <= wide[1] + 1e-12
    narrow, wide = (
        oe_ratio.garwood(events + 1, more + 1),
        oe_ratio.garwood((events + 1) / effect, (more + 1) / effect),
    )
    assert wide[0] <= narrow[0] + 1e-9
    assert narrow[1] <= wide[1] + 1e-9


@FEW
@given(COUNT, COUNT, COUNT, COUNT)
def test_a_difference_of_shares_turns_round_with_its_sides(x1: int, y1: int, x2: int, y2: int) -> None:
    n1, n2 = x1 + y1 + 1, x2 + y2 + 1
    low, high = proportions.newcombe_difference(x1, n1, x2, n2)

    assert -1 - 1e-9 <= low <= x1 / n1 - x2 / n2 <= high <= 1 + 1e-9
    assert proportions.newcombe_difference(x2, n2, x1, n1) == pytest.approx((-high, -low))


@FEW
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(1, 25))
def test_merged_bands_each_hold_enough_of_the_rest_or_there_is_one(counts: list[int], fewest: int) -> None:
    place = equal_score.merged(np.array(counts, dtype=np.float64), fewest)
    held = np.bincount(place, weights=counts)

    assert (np.diff(place) >= 0).all()
    assert place[0] == 0
    assert len(held) == 1 or held.min() >= fewest


@FEW
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_two_groups_alike_have_a_ratio_of_one_at_equal_score(seed: int, bands: int) -> None:
    rng = np.random.default_rng(seed)
    y, band = rng.poisson(2, 120).astype(np.float64), rng.integers(0, bands, 120)
    y[0] = 1.0
    both = equal_score.Rows(np.tile(band, 2), np.tile(y, 2), np.repeat([True, False], 120), np.arange(240))

    assert equal_score.clustered(both).ratio.value == pytest.approx(1)


@FEW
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=4, max_size=8))
def test_pooled_shares_lie_within_their_limits_and_on_the_scale(groups: list[tuple[int, int]]) -> None:
    pooled = pooling.pooled_shares([x for x, _ in groups], [x + y for x, y in groups])
    if isinstance(pooled, WhyNot):
        return
    for one in pooled.groups:
        holds(one, 0, 1)


def test_more_empty_groups_than_others_leave_pooling_as_it_is() -> None:
    few = pooling.pooled_shares([13, 1, 0, 4], [38, 10, 34, 20])
    many = pooling.pooled_shares([13, 1, 0, 4, *[0] * 6], [38, 10, 34, 20, *[0] * 6])
    assert isinstance(few, pooling.Pooled) and isinstance(many, pooling.Pooled)
    for one, same in zip(few.groups, many.groups, strict=False):
        assert same.value == pytest.approx(one.value)
        assert same.interval == pytest.approx(one.interval)
    assert pooling.pooled_shares([13, 0, 0, 0], [38, 0, 0, 0]) is WhyNot.NOT_COMPARABLE


@FEW
@given(st.integers(1, 200), st.integers(0, 200), st.floats(0.01, 0.99))
def test_net_benefit_is_never_above_the_rate(tp: int, fp: int, threshold: float) -> None:
    n = tp + fp + 50
    figure = net_benefit.net_benefit(tp, fp, n, threshold)
    assert figure.value is not None

    assert figure.value <= tp / n
    holds(figure, -math.inf, math.inf)


@FEW
@given(st.lists(st.integers(1, 500), min_size=2, max_size=8))
def test_the_same_shares_do_not_differ(counts: list[int]) -> None:
    total = sum(counts)
    same = representativeness.compare(counts, [one / total for one in counts])
    assert isinstance(same, representativeness.Comparison)

    assert (same.psi, same.difference) == pytest.approx((0, 0), abs=1e-6)


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_calibration_of_scores_that_are_right_holds_one_and_zero_most_of_the_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-rng.normal(-1, 1, 6000)))
    fit = calibration.calibration(p, (rng.random(6000) < p).astype(np.float64), np.ones(6000))
    assert fit.slope.value is not None
    assert fit.slope.low is not None
    half = fit.slope.value - fit.slope.low

    assert abs(fit.slope.value - 1) < 3 * half  # six standard errors
