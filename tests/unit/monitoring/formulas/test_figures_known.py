"""Figures that are known from elsewhere: from libraries, from papers, or computed twice by other routes."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.rates import confint_poisson

from cds_wrapper.monitoring.formulas import (
    auroc,
    calibration,
    clustered,
    equal_score,
    expected,
    gaps,
    net_benefit,
    oe_ratio,
    pooling,
    proportions,
    representativeness,
)
from cds_wrapper.monitoring.formulas.bins import Floats
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.values import WhyNot
from tests.unit.monitoring.formulas.oracle import (
    COST,
    FLAGGED,
    IS_B,
    NEED,
    PATIENT,
    THRESHOLD,
    P,
    Y,
    by_value,
    counted,
    of_patients,
)

TP, FP, FN, TN = 10, 12, 5, 13
OBSERVED, EXPECTED, SQUARES = float(Y.sum()), float(P.sum()), float((P**2).sum())


def close(*values: float) -> object:
    return pytest.approx(values, abs=6e-7)


def found(rows: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None) -> auroc.Ranks:
    ranks = auroc.ranks(*by_value(rows))
    assert isinstance(ranks, auroc.Ranks)
    return ranks


def test_the_forty_rows_are_those_the_figures_are_about() -> None:
    assert (len(P), int(OBSERVED), int(Y[~IS_B].sum())) == (40, 15, 8)
    assert (round(EXPECTED, 2), round(SQUARES, 4)) == (14.39, 6.8883)
    assert (int((FLAGGED & (Y == 1)).sum()), int((FLAGGED & (Y == 0)).sum())) == (TP, FP)
    assert ((P - Y) ** 2).mean() == pytest.approx(0.237708, abs=6e-7)


# --- area under the curve


def test_area_and_its_error_agree_with_delong_and_the_library() -> None:
    everybody, b, a = found(), found(IS_B), found(~IS_B)

    assert (everybody.area, everybody.se) == close(0.624, 0.092099)
    assert (a.area, a.se) == close(0.533088, 0.136086)
    assert (b.area, b.se) == close(0.723214, 0.142044)
    assert everybody.area == pytest.approx(roc_auc_score(Y, P))


def test_the_logit_interval_and_newcombes_for_everybody() -> None:
    everybody = found()

    assert auroc.delong_logit(everybody.area, everybody.se) == close(0.434676, 0.781754)
    assert auroc.newcombe5(0.624, 15, 25) == close(0.438621, 0.775097)


@pytest.mark.parametrize(
    ("area", "m", "n", "low", "high"),
    [
        (0.723214, 7, 8, 0.424834, 0.896139),
        (0.85, 20, 400, 0.738979, 0.915842),
        (1.0, 6, 40, 0.813456, 1.0),
        (0.0, 6, 40, 0.0, 0.186544),
    ],
)
def test_newcombes_method_five(area: float, m: int, n: int, low: float, high: float) -> None:
    assert auroc.newcombe5(area, m, n) == close(low, high)


def test_ten_equal_bins_of_the_score_change_the_area() -> None:
    place = np.minimum((P * 10 + 1e-9).astype(int), 9)
    events = counted(place, Y, 10)
    binned = auroc.ranks(events, counted(place, None, 10) - events)
    assert isinstance(binned, auroc.Ranks)

    assert (binned.area, binned.se) == close(0.609333, 0.091716)


def test_few_events_take_newcombes_interval_and_many_delongs() -> None:
    assert auroc.method_for(99, 1000) == "Newcombe 5"
    assert auroc.method_for(100, 100) == "DeLong (logit)"
    assert auroc.area(found()).interval == close(*auroc.newcombe5(0.624, 15, 25))


@pytest.mark.parametrize(
    ("events", "non_events", "why"),
    [([0.0, 0.0], [3.0, 4.0], WhyNot.NO_EVENTS), ([1.0, 2.0], [0.0, 0.0], WhyNot.NO_NON_EVENTS)],
)
def test_a_single_class_has_no_area(events: list[float], non_events: list[float], why: WhyNot) -> None:
    figure = auroc.area(auroc.ranks(np.array(events), np.array(non_events)))

    assert (figure.value, figure.interval, figure.why_not) == (None, None, why)


# --- shares


@pytest.mark.parametrize(
    ("x", "n", "low", "high"),
    [
        (10, 15, 0.417135, 0.848237),
        (10, 22, 0.269203, 0.653402),
        (13, 25, 0.334985, 0.699687),
        (13, 18, 0.491273, 0.875002),
        (36, 240, 0.110358, 0.200669),
        (0, 14, 0.0, 0.215311),
        (45, 50, 0.786398, 0.956524),
        (3, 11, 0.097461, 0.565645),
    ],
)
def test_wilsons_interval(x: int, n: int, low: float, high: float) -> None:
    assert proportions.wilson(x, n) == close(low, high)
    assert proportions.wilson(x, n) == pytest.approx(proportion_confint(x, n, method="wilson"), abs=1e-9)


@pytest.mark.parametrize(("x", "n", "low", "high"), [(36, 240, 0.107322, 0.201567), (0, 14, 0.0, 0.231636)])
def test_clopper_pearsons_interval(x: int, n: int, low: float, high: float) -> None:
    assert proportions.clopper_pearson(x, n) == close(low, high)


def test_a_share_of_nothing_says_why_there_is_none() -> None:
    assert proportions.share(0, 0, WhyNot.NO_EVENTS).why_not is WhyNot.NO_EVENTS


# --- observed over expected


def test_observed_over_expected_by_the_score_and_by_garwood() -> None:
    assert pytest.approx(1.042391, abs=6e-7) == OBSERVED / EXPECTED
    assert oe_ratio.score_interval(OBSERVED, EXPECTED, SQUARES) == close(0.691033, 1.394231)
    assert oe_ratio.garwood(OBSERVED, EXPECTED) == close(0.583418, 1.719265)
    assert oe_ratio.score_interval(36, 60, 16) == close(0.442002, 0.800804)
    assert oe_ratio.garwood(36, 60) == close(0.420233, 0.830653)
    assert oe_ratio.garwood(36, 60) == pytest.approx(confint_poisson(36, 60, method="exact-c"), abs=1e-9)


@pytest.mark.parametrize(("events", "low", "high"), [(30, 0.67, 1.50), (87, 0.80, 1.25)])
def test_how_many_events_it_takes_until_garwood_lies_within_a_margin(
    events: int, low: float, high: float
) -> None:
    enough, one_less = oe_ratio.garwood(events, events), oe_ratio.garwood(events - 1, events - 1)

    assert low <= enough[0]
    assert enough[1] <= high
    assert not (low <= one_less[0] and one_less[1] <= high)


def test_few_expected_events_or_unknown_squares_take_the_exact_interval() -> None:
    assert oe_ratio.oe_ratio(3, 4.9, 1.0).interval == close(*oe_ratio.garwood(3, 4.9))
    assert oe_ratio.oe_ratio(36, 60, None).interval == close(*oe_ratio.garwood(36, 60))


# --- calibration and net benefit


def test_calibration_is_that_of_an_unpenalised_fit() -> None:
    fit = calibration.fitted(P, Y, np.ones(40))

    assert fit.intercept.value == pytest.approx(-0.226226, abs=1e-6)
    assert fit.slope.value == pytest.approx(0.431666, abs=1e-6)
    assert fit.in_the_large.value == pytest.approx(0.080714, abs=1e-6)
    widths = [(f.high or 0) - (f.low or 0) for f in (fit.intercept, fit.slope, fit.in_the_large)]
    assert [w / 2 / 1.959964 for w in widths] == pytest.approx([0.388372, 0.328972, 0.362463], abs=2e-6)


def test_calibration_from_counts_per_bin_is_that_from_rows() -> None:
    values, place = np.unique(P, return_inverse=True)
    events, n = counted(place, Y), counted(place)

    assert calibration.fitted(values, events, n).slope.value == pytest.approx(0.431666, abs=1e-6)


def test_too_few_events_have_no_slope_and_separated_ones_neither() -> None:
    assert calibration.calibration(P, Y, np.ones(40)).slope.why_not is WhyNot.TOO_FEW_EVENTS
    p = np.repeat([0.2, 0.8], 200)
    assert calibration.calibration(p, (p > 0.5) * 1.0, np.ones(400)).slope.why_not is WhyNot.SEPARATED


def test_bands_hold_the_threshold_and_add_up() -> None:
    bands = calibration.by_band(P, Y, np.ones(40), calibration.edges_with(0.25))

    assert 0.25 in [band.low for band in bands]
    assert sum(band.n for band in bands) == 40
    assert sum(band.events for band in bands) == 15
    assert sum(band.expected for band in bands) == pytest.approx(14.39)


def test_net_benefit_at_the_threshold() -> None:
    figure = net_benefit.net_benefit(TP, FP, 40, THRESHOLD)

    assert figure.value == pytest.approx(0.121429, abs=6e-7)
    assert math.sqrt(net_benefit.independent_variance(TP, FP, 40, THRESHOLD)) == pytest.approx(
        0.085199, abs=6e-7
    )
    assert net_benefit.flag_all(15, 40, THRESHOLD) == pytest.approx(0.107143, abs=6e-7)


# --- patients who come again


def sums(x: Floats, y: Floats) -> clustered.PatientSums:
    u, v = of_patients(x), of_patients(y)
    return clustered.PatientSums(
        float(u.sum()), float(v.sum()), float(u @ u), float(u @ v), float(v @ v), len(u)
    )


ONE = np.ones(40)
TPS, FPS, TNS = FLAGGED * Y, FLAGGED * (1 - Y), ~FLAGGED * (1 - Y)


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (Y, ONE, 0.103267),
        (TPS, Y, 0.138367),
        (TPS, FLAGGED * 1.0, 0.134242),
        (TNS, 1 - Y, 0.095151),
        (Y, P, 0.273138),
        (TPS - net_benefit.weight(THRESHOLD) * FPS, ONE, 0.111425),
    ],
    ids=["rate", "sensitivity", "ppv", "specificity", "oe", "net benefit"],
)
def test_the_error_when_patients_come_again(x: Floats, y: Floats, error: float) -> None:
    variance = sums(x, y).variance
    assert variance is not None

    assert math.sqrt(variance) == pytest.approx(error, abs=6e-7)


def effect(x: Floats, y: Floats, independent: float) -> float:
    return clustered.design_effect(sums(x, y).variance, independent, 1000, 1.0)


def test_each_measure_has_a_design_effect_of_its_own() -> None:
    rate = effect(Y, ONE, clustered.independent_share(15, 40))
    sensitivity = effect(TPS, Y, clustered.independent_share(10, 15))
    ppv = effect(TPS, FLAGGED * 1.0, clustered.independent_share(10, 22))
    oe = effect(Y, P, clustered.independent_oe(OBSERVED, EXPECTED, SQUARES))

    assert (rate, sensitivity, ppv, oe) == pytest.approx((1.8200, 1.2923, 1.5991, 2.0556), abs=6e-5)
    assert oe_ratio.oe_ratio(OBSERVED, EXPECTED, SQUARES, oe).interval == close(0.566421, 1.519248)
    assert proportions.share(10, 15, WhyNot.NO_EVENTS, sensitivity).interval == close(0.386528, 0.863919)


def test_the_area_when_patients_come_again() -> None:
    everybody = found()
    place = np.unique(P, return_inverse=True)[1]
    above, below = everybody.v10[place] - everybody.area, everybody.v01[place] - everybody.area
    u = of_patients(np.where(Y == 1, above / everybody.events, below / everybody.non_events))
    variance = clustered.variance_of_linear(float(u @ u), len(u))
    assert variance is not None

    assert math.sqrt(variance) == pytest.approx(0.073164, abs=6e-7)
    assert variance / everybody.se**2 == pytest.approx(0.6311, abs=6e-5)
    assert clustered.design_effect(variance, everybody.se**2, 1000, 1.0) == 1.0


def test_a_group_with_few_patients_takes_everybodys_design_effect_where_it_is_larger() -> None:
    assert clustered.design_effect(2.0, 1.0, 49, 3.0) == 3.0
    assert clustered.design_effect(2.0, 1.0, 50, 3.0) == 2.0
    assert clustered.design_effect(None, 1.0, 3, 1.5) == 1.5


# --- against the rest


def test_a_difference_of_shares_by_newcombe() -> None:
    assert pytest.approx(-0.142857, abs=6e-7) == 45 / 60 - 500 / 560
    limits = proportions.newcombe_difference(45, 60, 500, 560)
    assert limits == close(-0.267320, -0.046365)
    assert limits == pytest.approx(
        confint_proportions_2indep(45, 60, 500, 560, method="newcomb", compare="diff"), abs=1e-9
    )


def test_a_ratio_of_ratios() -> None:
    ratio = oe_ratio.ratio_to_rest(36, 60, 940, 1000)

    assert (ratio.value, ratio.low, ratio.high) == close(0.638298, 0.457578, 0.890392)


@pytest.mark.parametrize(
    ("low", "high", "reading"),
    [
        (-0.20, -0.06, gaps.Reading.CONFIRMED),
        (-0.20, -0.05, gaps.Reading.UNDETERMINED),
        (-0.04, 0.05, gaps.Reading.RULED_OUT),
        (0.06, 0.30, gaps.Reading.CONFIRMED),
        (None, None, gaps.Reading.UNDETERMINED),
    ],
)
def test_a_gap_is_read_against_a_margin(low: float | None, high: float | None, reading: gaps.Reading) -> None:
    assert gaps.read_difference(Figure(0.0, low, high), 0.05) is reading


def test_p_values_adjusted_for_how_many_there_are() -> None:
    p = (0.001, 0.008, 0.012, 0.03, 0.04, 0.2, 0.5)

    assert gaps.adjusted(p, "holm") == pytest.approx((0.007, 0.048, 0.06, 0.12, 0.12, 0.4, 0.5))
    assert gaps.adjusted(p, "fdr_bh") == pytest.approx(
        (0.007, 0.028, 0.028, 0.0525, 0.056, 0.2333, 0.5), abs=5e-5
    )


# --- at equal score

BAND = np.digitize(P, [0.2, 0.4]).astype(np.int64)


def rows(y: Floats) -> equal_score.Rows:
    return equal_score.Rows(BAND, y, IS_B, np.arange(40))


def band_sums(y: Floats) -> equal_score.BandSums:
    def per_band(values: Floats, side: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
        return counted(BAND[side], values[side], 3)

    sides = [(per_band(ONE, s), per_band(y, s), per_band(y**2, s)) for s in (IS_B, ~IS_B)]
    return equal_score.BandSums(*sides[0], *sides[1])


@pytest.mark.parametrize(
    ("y", "observed", "expected_", "ratio", "low", "high"),
    [
        (NEED, 37, 21.3, 1.737089, 1.371633, 2.199918),
        (COST, 555, 458.25, 1.211129, 0.934029, 1.570437),
    ],
    ids=["need", "cost"],
)
def test_the_outcome_of_a_group_at_equal_score(
    y: Floats, observed: float, expected_: float, ratio: float, low: float, high: float
) -> None:
    for figure in (equal_score.from_bands(band_sums(y)), equal_score.clustered(rows(y))):
        assert (figure.observed, figure.expected) == pytest.approx((observed, expected_))
        assert (figure.ratio.value, figure.ratio.low, figure.ratio.high) == close(ratio, low, high)


def test_the_need_against_the_label() -> None:
    ratio, se = equal_score.against_label(rows(NEED), COST)

    assert (ratio.value, ratio.low, ratio.high) == close(1.434272, 1.209927, 1.700216)
    assert se == pytest.approx(0.086786, abs=6e-7)


def test_bands_that_are_too_wide_are_told_by_the_score_itself() -> None:
    control = equal_score.from_bands(band_sums(P)).ratio.value

    assert control == pytest.approx(1.110031, abs=6e-7)
    assert not equal_score.is_comparable(control)
    assert equal_score.is_comparable(1.02)


def test_small_bands_are_put_together_with_their_neighbours() -> None:
    assert equal_score.merged(np.array([3.0, 4, 5, 20, 2, 1])).tolist() == [0, 0, 0, 1, 1, 1]
    assert equal_score.merged(np.array([3.0, 4])).tolist() == [0, 0]


# --- pooling


def test_partial_pooling_of_shares() -> None:
    pooled = pooling.pooled_shares((45, 30, 12, 4, 9, 2), (600, 350, 90, 25, 140, 11))
    assert isinstance(pooled, pooling.Pooled)

    assert pooled.overall == pytest.approx(0.083882, abs=6e-7)
    assert [one.value for one in pooled.groups] == pytest.approx(
        [0.0790, 0.0847, 0.09475, 0.09044, 0.07826, 0.08805], abs=6e-5
    )
    assert pooled.groups[-1].interval == pytest.approx((0.0572, 0.13416), abs=6e-5)


def test_partial_pooling_of_shares_that_differ() -> None:
    pooled = pooling.pooled_shares((45, 30, 22, 8, 9, 3), (600, 350, 90, 25, 140, 11))
    assert isinstance(pooled, pooling.Pooled)

    assert pooled.overall == pytest.approx(0.096217, abs=6e-7)
    assert [one.value for one in pooled.groups] == pytest.approx(
        [0.07641, 0.08682, 0.20186, 0.19578, 0.07111, 0.14535], abs=6e-6
    )
    assert pooled.groups[2].interval == pytest.approx((0.12609, 0.29088), abs=6e-6)


# --- representativeness and what is expected


def test_local_shares_against_those_of_training() -> None:
    counts, shares = (420, 310, 160, 80, 30), (0.60, 0.20, 0.12, 0.05, 0.03)
    comparison = representativeness.compare(counts, shares)
    assert isinstance(comparison, representativeness.Comparison)

    assert comparison.psi == pytest.approx(0.138017, abs=6e-7)
    assert comparison.difference == pytest.approx(0.375580, abs=6e-7)
    assert representativeness.standardised_level(0.31, 0.20) == pytest.approx(0.254408, abs=6e-7)
    ratios = [representativeness.participation(c, 1000, s).value for c, s in zip(counts, shares, strict=True)]
    assert ratios == pytest.approx([0.7, 1.55, 1.3333, 1.6, 1.0], abs=5e-5)


def test_a_group_absent_from_training_has_no_ratio() -> None:
    assert representativeness.participation(20, 1000, 0.0).why_not is WhyNot.NOT_COMPARABLE
    assert representativeness.compare((20, 30), (0.0, 1.0)) is WhyNot.NOT_COMPARABLE


def test_performance_as_the_scores_promise_it() -> None:
    promised = expected.expected(P, ONE, FLAGGED * 1.0)
    order = np.argsort(P)
    all_pairs = expected.expected(P[order], ONE, FLAGGED[order] * 1.0)

    assert astuple(promised)[:5] == pytest.approx((11.23, 10.77, 3.16, 0.780403, 0.510455), abs=6e-7)
    values, place = np.unique(P, return_inverse=True)
    tied = expected.expected(values, counted(place), counted(place, FLAGGED * 1.0))
    assert all_pairs.auroc == pytest.approx(0.755354, abs=2e-3)
    assert tied.auroc == pytest.approx(0.755354, abs=6e-7)


def test_the_error_of_a_share_agrees_with_a_cluster_robust_regression() -> None:
    fit = sm.OLS(Y, ONE).fit(cov_type="cluster", cov_kwds={"groups": PATIENT})
    variance = sums(Y, ONE).variance
    assert variance is not None

    # statsmodels multiplies by (N - 1)/(N - K) as well, which is 1 for a mean.
    assert math.sqrt(variance) == pytest.approx(float(fit.bse[0]), rel=1e-6)


def test_the_error_of_observed_over_expected_agrees_with_a_cluster_robust_poisson_fit() -> None:
    fit = sm.GLM(Y, ONE, family=sm.families.Poisson(), offset=np.log(P)).fit(
        cov_type="cluster", cov_kwds={"groups": PATIENT}
    )
    variance = sums(Y, P).variance
    assert variance is not None

    assert math.exp(float(fit.params[0])) == pytest.approx(OBSERVED / EXPECTED)
    assert math.sqrt(variance) == pytest.approx(math.exp(float(fit.params[0])) * float(fit.bse[0]), rel=1e-6)


def test_delongs_plain_interval_leaves_the_scale_which_is_why_the_logit_one_is_used() -> None:
    everybody, b = found(), found(IS_B)
    half, beside = 1.959964 * everybody.se, 1.959964 * b.se

    assert (everybody.area - half, everybody.area + half) == close(0.443490, 0.804510)
    assert b.area + beside == pytest.approx(1.0016, abs=6e-5)


def test_the_p_value_that_is_printed_is_that_of_the_chi_square() -> None:
    comparison = representativeness.compare((420, 310, 160, 80, 30), (0.60, 0.20, 0.12, 0.05, 0.03))
    assert isinstance(comparison, representativeness.Comparison)

    assert float(chi2.isf(comparison.p, 4)) == pytest.approx(145.8333, abs=6e-5)
