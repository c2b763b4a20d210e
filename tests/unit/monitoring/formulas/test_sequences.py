"""The sequences, against known figures and against what they must be by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, gamma

from cds_wrapper.monitoring.formulas.material import log_e_ratio_outside, log_e_to_rest_outside
from cds_wrapper.monitoring.formulas.sequences import (
    LOG_RATIOS,
    LOG_WEIGHTS,
    NOTHING_KNOWN,
    Sides,
    log_e_against_rest,
    log_e_of_ratio,
    log_e_proportion,
    log_e_ratio,
    log_ratio_to_rest,
    proportion_gap_sequence,
    proportion_sequence,
    ratio_sequence,
    ratio_to_rest_sequence,
    steps,
)

SIX_DAYS = (
    [1, 0, 2, 1, 0, 3],
    [4, 3, 5, 6, 2, 5],
    [0.8, 0.5, 0.9, 1.1, 0.4, 0.9],
    [4.2, 3.8, 4.5, 5.1, 3.0, 4.4],
)


def sides(*columns: object, divisor: float = 1.0) -> Sides:
    group, rest, group_expected, rest_expected = (
        np.atleast_1d(np.asarray(column, float)) for column in columns
    )
    return Sides(group, rest, group_expected, rest_expected, divisor)


@pytest.mark.parametrize(
    ("observed", "expected", "log_e", "limits"),
    [
        (36, 60, 4.029855, (0.340160, 0.952199)),
        (12, 10, -0.572228, (0.342874, 2.548533)),
        (0, 8, 3.605551, (0, 0.883263)),
        (150, 120, 1.521761, (0.954523, 1.599232)),
        (15, 14.39, -0.785471, (0.373879, 2.060637)),
    ],
)
def test_evidence_and_sequence_of_a_ratio(
    observed: float, expected: float, log_e: float, limits: tuple[float, float]
) -> None:
    assert float(log_e_ratio(observed, expected)) == pytest.approx(log_e, abs=1e-6)
    assert ratio_sequence(observed, expected, 0.05) == pytest.approx(limits, abs=1e-6)


def test_a_ratio_at_a_thirtieth_of_the_error_is_wider() -> None:
    assert ratio_sequence(36, 60, 0.05 / 30) == pytest.approx((0.26934, 1.09811), abs=1e-5)


def test_the_gamma_mixture_is_the_integral_it_stands_for() -> None:
    def mixed(ratio: float) -> float:
        return math.exp(36 * math.log(ratio) - (ratio - 1) * 60) * float(gamma.pdf(ratio, 4, scale=1 / 4))

    assert float(log_e_ratio(36, 60)) == pytest.approx(math.log(quad(mixed, 0, 10, epsabs=0)[0]), abs=1e-8)


def test_without_an_expected_event_every_ratio_is_possible() -> None:
    assert ratio_sequence(0, 0, 0.05) == NOTHING_KNOWN


@pytest.mark.parametrize("divisor", [1.0, 2.5])
def test_the_limits_of_a_ratio_are_where_the_evidence_reaches_the_bar(divisor: float) -> None:
    for limit in ratio_sequence(40 / divisor, 25 / divisor, 0.01):
        assert float(log_e_ratio(40 / divisor, limit * 25 / divisor)) == pytest.approx(
            math.log(100), abs=1e-8
        )


@pytest.mark.parametrize(
    ("successes", "trials", "limits"),
    [
        (36, 240, (0.082359, 0.240442)),
        (0, 14, (0, 0.295138)),
        (45, 50, (0.713462, 0.984153)),
        (400, 500, (0.731632, 0.858324)),
    ],
)
def test_sequence_of_a_proportion(successes: float, trials: float, limits: tuple[float, float]) -> None:
    assert proportion_sequence(successes, trials, 0.05) == pytest.approx(limits, abs=1e-6)


def test_a_proportion_of_nothing_or_of_all_has_a_limit_at_the_end() -> None:
    low, high = proportion_sequence(9, 9, 0.05)

    assert proportion_sequence(0, 0, 0.05) == (0, 1)
    assert high == 1
    assert float(log_e_proportion(9, 9, low)) == pytest.approx(math.log(20), abs=1e-8)


def test_two_proportions_by_the_union_bound() -> None:
    gap = proportion_gap_sequence((36, 60), (940, 1000), 0.05)

    assert proportion_gap_sequence((0, 9), (0, 4), 0.05).ratio[1] == math.inf
    assert gap.difference == pytest.approx(
        (gap.group[0] - gap.rest[1], gap.group[1] - gap.rest[0]), abs=1e-12
    )
    assert gap.ratio == pytest.approx((gap.group[0] / gap.rest[1], gap.group[1] / gap.rest[0]), abs=1e-12)


def test_two_ratios_by_the_union_bound() -> None:
    group, rest = ratio_sequence(36, 60, 0.9 * 0.05), ratio_sequence(940, 1000, 0.1 * 0.05)

    assert group == pytest.approx((0.337434, 0.957255), abs=1e-6)
    assert rest == pytest.approx((0.822019, 1.068714), abs=1e-6)
    assert (group[0] / rest[1], group[1] / rest[0]) == pytest.approx((0.315738, 1.164517), abs=1e-6)


# --- a group against the rest ---------------------------------------------------------------


def test_evidence_of_a_group_runs_over_the_days() -> None:
    running = log_e_against_rest(sides(*SIX_DAYS))

    assert running == pytest.approx(
        [-0.074305, -0.104242, -0.169761, -0.269528, -0.290540, -0.197547], abs=1e-6
    )


@pytest.mark.parametrize(
    ("day", "log_e", "material", "limits"),
    [
        ((36, 940, 60, 1000), 2.515919, -0.562988, (0.3669, 1.0244)),
        ((150, 1000, 100, 1000), 7.631001, 0.003253, (1.1238, 1.9640)),
        ((24, 400, 12, 400), 2.746480, 0.467228, (0.9791, 3.6082)),
    ],
)
def test_evidence_band_and_sequence_of_a_group_on_one_day(
    day: tuple[float, ...], log_e: float, material: float, limits: tuple[float, float]
) -> None:
    assert log_e_against_rest(sides(*day))[-1] == pytest.approx(log_e, abs=1e-6)
    assert log_e_to_rest_outside(sides(*day)) == pytest.approx(material, abs=1e-6)
    assert ratio_to_rest_sequence(sides(*day), 0.05) == pytest.approx(limits, abs=3e-4)


@pytest.mark.parametrize("day", [(36, 940, 60, 1000), (150, 1000, 100, 1000), (24, 400, 12, 400)])
def test_the_limits_of_a_ratio_to_the_rest_are_where_the_evidence_reaches_the_bar(
    day: tuple[float, ...],
) -> None:
    for limit in ratio_to_rest_sequence(sides(*day), 0.05):
        assert log_e_of_ratio(sides(*day), math.log(limit)) == pytest.approx(math.log(20), abs=1e-8)


def test_a_days_step_is_the_binomial_likelihood_given_the_days_events() -> None:
    group, rest, group_expected, rest_expected = (np.asarray(column, float) for column in SIX_DAYS)
    ratio = np.exp(LOG_RATIOS[:, None])
    share = ratio * group_expected / (ratio * group_expected + rest_expected)
    plain = group_expected / (group_expected + rest_expected)
    by_scipy = binom.logpmf(group, group + rest, share) - binom.logpmf(group, group + rest, plain)

    assert steps(sides(*SIX_DAYS)) == pytest.approx(by_scipy.T, abs=1e-10)
    assert np.exp(LOG_WEIGHTS).sum() == pytest.approx(1)


def test_a_level_common_to_both_sides_changes_no_ratio_and_no_evidence() -> None:
    group, rest, group_expected, rest_expected = (np.asarray(column, float) for column in SIX_DAYS)
    drift = np.linspace(0.5, 2, 6)

    plain = log_e_against_rest(sides(group, rest, group_expected, rest_expected))
    drifted = log_e_against_rest(sides(group, rest, group_expected * drift, rest_expected * drift))

    assert drifted == pytest.approx(plain, abs=1e-12)


def test_groups_are_looked_at_together_as_one_by_one() -> None:
    one, other = sides(*SIX_DAYS), sides([0] * 6, *SIX_DAYS[1:])
    together = Sides(
        np.stack([one.group, other.group]), np.stack([one.rest] * 2), np.stack([one.group_expected] * 2),
        np.stack([one.rest_expected] * 2),
    )  # fmt: skip

    assert log_e_against_rest(together) == pytest.approx(
        np.stack([log_e_against_rest(one), log_e_against_rest(other)])
    )


@pytest.mark.parametrize(
    ("columns", "ratio"),
    [
        (([0, 0], [3, 5], [1, 2], [4, 4]), 0.0),
        (([2, 1], [0, 0], [1, 2], [4, 4]), math.inf),
        (([0, 0], [0, 0], [1, 2], [4, 4]), None),
        (([2, 0], [0, 3], [1, 0], [0, 4]), None),
    ],
)
def test_a_side_without_events_leaves_one_end_open(
    columns: tuple[list[float], ...], ratio: float | None
) -> None:
    best = log_ratio_to_rest(sides(*columns))
    low, high = ratio_to_rest_sequence(sides(*columns), 0.05)

    assert (None if best is None else math.exp(best)) == ratio
    assert (low == 0) == (ratio in {0.0, None})
    assert (high == math.inf) == (ratio in {math.inf, None})
    ends = [math.log(end) for end in (low, high) if 0 < end < math.inf]
    assert [log_e_of_ratio(sides(*columns), end) for end in ends] == pytest.approx([math.log(20)] * len(ends))


def test_the_likeliest_ratio_of_one_day_is_the_plain_one() -> None:
    assert log_ratio_to_rest(sides(36, 940, 60, 1000)) == pytest.approx(math.log((36 / 60) / (940 / 1000)))
    assert log_ratio_to_rest(sides(3, 1, 1e-5, 4)) == pytest.approx(math.log(3 / 1e-5 * 4))


def test_an_event_where_none_could_be_is_no_evidence_about_the_group() -> None:
    assert log_e_against_rest(sides([1, 2], [0, 3], [0, 1], [4, 2])) == pytest.approx(
        log_e_against_rest(sides([0, 2], [0, 3], [0, 1], [4, 2]))
    )
    assert log_e_against_rest(sides([0], [0], [0], [0])) == pytest.approx([0])


@pytest.mark.parametrize(
    ("observed", "expected", "log_e"),
    [(36, 60, 0.335429), (150, 100, 0.434012), (260, 200, -1.920986), (90, 100, -1.598404)],
)
def test_evidence_of_a_difference_that_matters(observed: float, expected: float, log_e: float) -> None:
    assert float(log_e_ratio_outside(observed, expected)) == pytest.approx(log_e, abs=1e-6)


@pytest.mark.parametrize("day", [(36, 940, 60, 1000), (150, 1000, 100, 1000), (95, 1000, 100, 1000)])
def test_the_smallest_evidence_over_the_band_is_found(day: tuple[float, ...]) -> None:
    band = np.linspace(math.log(0.8), math.log(1.25), 2001)

    assert log_e_to_rest_outside(sides(*day)) == pytest.approx(
        min(log_e_of_ratio(sides(*day), at) for at in band), abs=1e-4
    )


def test_a_design_effect_divides_every_days_step() -> None:
    halved = sides(*(np.asarray(column, float) / 2 for column in SIX_DAYS))

    assert log_e_against_rest(sides(*SIX_DAYS, divisor=2.0)) == pytest.approx(log_e_against_rest(halved))
    assert ratio_to_rest_sequence(sides(*SIX_DAYS, divisor=2.0), 0.05) == pytest.approx(
        ratio_to_rest_sequence(halved, 0.05)
    )
