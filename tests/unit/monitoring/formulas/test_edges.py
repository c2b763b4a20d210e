"""Where formulas break: ends of scales, empty bins, a side nobody looked at, scores that are all alike."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from cds_wrapper.monitoring.formulas import auroc, calibration, equal_score, follow_up, pooling
from cds_wrapper.monitoring.values import WhyNot


@pytest.fixture(autouse=True)
def no_warning_passes() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


# --- area under the curve


@pytest.mark.parametrize(("m", "n"), [(20, 2_000_000), (99, 2_000_000), (1, 10**9)])
def test_an_area_one_pair_from_the_end_has_limits(m: int, n: int) -> None:
    nearly = 1 - 1 / (2 * m * n)

    low, high = auroc.newcombe5(nearly, m, n)
    assert low < nearly <= high <= 1
    low, high = auroc.newcombe5(1 - nearly, m, n)
    assert 0 <= low <= 1 - nearly < high


def test_the_logit_interval_does_not_overflow_at_the_end_of_the_scale() -> None:
    assert auroc.delong_logit(1 - 1e-9, 0.01) == pytest.approx((0, 1))


def test_scores_that_are_all_alike_do_not_have_an_area_without_doubt() -> None:
    figure = auroc.area(auroc.ranks(np.array([200.0]), np.array([300.0])))

    assert figure.value == 0.5
    assert figure.interval == auroc.newcombe5(0.5, 200, 300)


def test_counts_divided_below_one_patient_still_have_limits() -> None:
    low, high = auroc.newcombe5(0.7, 1 / 3, 1 / 2)

    assert 0 <= low < 0.7 < high <= 1


# --- calibration


def test_bins_without_a_row_change_nothing() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.4])
    events, n = np.array([10.0, 30, 50, 60]), np.array([100.0, 120, 110, 100])
    fit = calibration.calibration(p, events, n)
    wider = calibration.calibration(np.append(p, 0.9), np.append(events, 0.0), np.append(n, 0.0))

    assert wider.slope == fit.slope
    assert fit.slope.value is not None
    assert calibration.fitted(p, events * 0, n * 0).slope.why_not is WhyNot.NO_ROWS


def test_nearly_separated_groups_are_not_given_a_slope_from_minus_to_plus_thousands() -> None:
    p = np.repeat([0.2, 0.8], 200)
    y = np.concatenate([np.zeros(200), np.ones(199), [0.0]])

    fit = calibration.calibration(p, y, np.ones(400))
    assert fit.slope.why_not is WhyNot.SEPARATED
    assert fit.in_the_large.value is not None


def test_scores_that_are_all_alike_are_calibrated_in_the_large_or_not_and_have_no_slope() -> None:
    fit = calibration.calibration(np.full(400, 0.2), np.repeat([0.0, 1.0], 200), np.ones(400))

    assert fit.slope.why_not is WhyNot.NOT_COMPARABLE
    assert fit.in_the_large.value == pytest.approx(np.log(4))


# --- at equal score


def rows(band: list[int], y: list[float], in_group: str, patient: list[int]) -> equal_score.Rows:
    return equal_score.Rows(
        np.array(band), np.array(y), np.array([one == "g" for one in in_group]), np.array(patient)
    )


def test_bands_without_anybody_of_the_rest_join_their_neighbour() -> None:
    assert equal_score.merged(np.array([10.0, 0, 0])).tolist() == [0, 0, 0]
    assert equal_score.merged(np.array([0.0, 0, 10, 12, 0])).tolist() == [0, 0, 0, 1, 1]
    assert equal_score.merged(np.array([0.0, 0])).tolist() == [0, 0]


def test_rows_that_nobody_can_be_compared_with_are_not_in_the_means() -> None:
    found = equal_score.clustered(rows([0, 0, 0, 0, 1], [1, 0, 1, 0, 1], "grrgg", [0, 1, 2, 3, 4]))

    assert (found.observed, found.group_mean) == (1.0, 0.5)
    assert found.rest_mean == found.expected / 2


def test_patients_may_be_known_by_any_number() -> None:
    few = rows([0] * 6, [1, 0, 2, 1, 0, 3], "ggrrrg", [0, 0, 1, 1, 2, 3])
    far = rows([0] * 6, [1, 0, 2, 1, 0, 3], "ggrrrg", [2**60, 2**60, 5, 5, 2**40, -3])

    assert equal_score.clustered(few) == equal_score.clustered(far)


def test_a_group_of_one_patient_has_a_ratio_and_no_limits() -> None:
    one = rows([0] * 5, [1, 2, 1, 0, 1], "ggrrr", [0, 0, 1, 2, 3])

    found = equal_score.clustered(one)
    assert found.ratio.value is not None
    assert (found.ratio.interval, found.se) == (None, None)
    figure, se = equal_score.against_label(one, np.array([1.0, 1, 1, 1, 0]))
    assert (figure.why_not, se) == (WhyNot.TOO_FEW_EVENTS, None)


def test_an_outcome_against_itself_is_one_without_doubt() -> None:
    need = rows([0, 0, 0, 1, 1, 1, 1], [3, 1, 2, 4, 1, 0, 2], "grrggrr", [0, 1, 2, 3, 4, 5, 6])

    figure, se = equal_score.against_label(need, need.y)
    assert (figure.value, se) == (1.0, 0.0)


def costs(seed: int, group_factor: float, tail: float) -> equal_score.Rows:
    """A group whose costs are `group_factor` times those of others; one in fifty costs `tail` times more."""
    rng = np.random.default_rng(seed)
    in_group = np.arange(3000) < 1000
    amounts = rng.lognormal(3, 0.5, 3000) * (rng.random(3000) < 0.7)
    amounts[in_group] *= group_factor
    amounts[in_group & (rng.random(3000) < 0.02)] *= tail
    return equal_score.Rows(np.zeros(3000, dtype=np.int64), amounts, in_group, np.arange(3000))


def test_costs_on_three_scales_that_agree_may_decide() -> None:
    scales = equal_score.cost_scales(costs(1, 1.5, 1.0))

    assert scales.agrees
    assert scales.may_decide
    assert (scales.amounts.ratio.low or 0) > 1.2


def test_a_few_very_dear_patients_do_not_make_a_group_dearer() -> None:
    scales = equal_score.cost_scales(costs(2, 0.8, 60.0))

    assert (scales.amounts.ratio.value or 0) > 1.25
    assert (scales.logs.ratio.value or 2) < 1
    assert not scales.may_decide


def test_few_amounts_decide_nothing_on_any_scale() -> None:
    many = costs(1, 1.5, 1.0)
    few = equal_score.Rows(many.band[500:], many.y[500:], many.in_group[500:], many.patient[500:])

    assert equal_score.cost_scales(few).agrees
    assert not equal_score.cost_scales(few).may_decide


# --- pooling and follow-up


def test_groups_without_a_row_are_not_pooled() -> None:
    assert pooling.pooled_shares((0, 0, 0, 0), (0, 0, 0, 0)) is WhyNot.NO_ROWS
    assert pooling.pooled_shares((0, 0, 0, 0), (9, 9, 9, 9)) is WhyNot.NO_EVENTS
    assert pooling.pooled_shares((9, 9, 9, 9), (9, 9, 9, 9)) is WhyNot.NO_NON_EVENTS


def test_equal_groups_are_not_said_to_be_equal_with_certainty() -> None:
    pooled = pooling.pooled_shares((45, 30, 12, 4, 9, 2), (600, 350, 90, 25, 140, 11))
    assert isinstance(pooled, pooling.Pooled)

    widths = [(one.high or 0) - (one.low or 0) for one in pooled.groups]
    assert min(widths) > 0.02
    assert widths[-1] > widths[0]


def test_censored_outcomes_bound_a_share() -> None:
    bounds = follow_up.censoring_bounds(12, 90, 10)

    assert bounds == (0.12, 0.22)
    assert follow_up.censoring_bounds(0, 0, 0) == (0.0, 1.0)


def test_testing_everybody_leaves_sensitivity_as_it_is() -> None:
    flagged, unflagged = follow_up.Verified(100, 100, 40), follow_up.Verified(900, 900, 10)

    sensitivity, specificity = follow_up.begg_greenes(flagged, unflagged)
    assert sensitivity.value == pytest.approx(40 / 50)
    assert specificity.value == pytest.approx(890 / 950)


def test_testing_fewer_of_those_not_flagged_flatters_sensitivity_until_corrected() -> None:
    flagged, unflagged = follow_up.Verified(100, 100, 40), follow_up.Verified(900, 90, 1)

    sensitivity, specificity = follow_up.begg_greenes(flagged, unflagged)
    assert sensitivity.value == pytest.approx(40 / 50)  # and not 40 of the 41 that were found
    assert specificity.value == pytest.approx(890 / 950)  # and not 89 of 149


def test_a_side_nobody_was_tested_on_is_not_taken_to_be_well() -> None:
    for sides in ((100, 50, 25, 900, 0, 0), (100, 0, 0, 900, 90, 1)):
        flagged, unflagged = follow_up.Verified(*sides[:3]), follow_up.Verified(*sides[3:])
        told = follow_up.begg_greenes(flagged, unflagged)
        assert [one.why_not for one in told] == [WhyNot.NOT_COMPARABLE] * 2

    nobody = follow_up.begg_greenes(follow_up.Verified(0, 0, 0), follow_up.Verified(9, 9, 0))
    assert nobody[0].why_not is WhyNot.NO_EVENTS
    assert nobody[1].value == 1.0
