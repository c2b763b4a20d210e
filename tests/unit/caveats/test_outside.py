"""Findings from elsewhere, held against figures worked out independently of this code."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cds_wrapper.caveats.evidence import (
    Direction,
    Estimate,
    EvidenceSource,
    Figures,
    IntervalKind,
    Limits,
    Metric,
    State,
    UnusableLimits,
)
from cds_wrapper.caveats.outside import (
    Transported,
    figures_of,
    outside_findings,
    standard_error,
    t_cdf,
    transport,
    usable_for_caution,
)

TODAY = date(2026, 3, 1)
# The expected probabilities were integrated on a grid, which is good to this much.
GRID = 2e-4

# Published predicted over observed 0.54 (0.48 to 0.65), the others of the study near 1.
PUBLISHED = Estimate(
    id="published",
    metric=Metric.OE_RATIO,
    source=EvidenceSource.EXTERNAL,
    outcome="event",
    horizon="P10Y",
    where={"race": ("black",)},
    estimate=1 / 0.54,
    ci=(1 / 0.65, 1 / 0.48),
    reference="rest",
)


def published(**changes: Any) -> Estimate:
    return replace(PUBLISHED, **changes)


def test_the_log_ratio_and_its_error_come_from_the_published_interval() -> None:
    here = transport(PUBLISHED, TODAY)
    assert here.theta == pytest.approx(0.616186, abs=1e-6)
    assert here.s == pytest.approx(0.077345, abs=2e-6)
    assert 1 / here.spread**2 == pytest.approx(21.75, abs=0.01)


@pytest.mark.parametrize(
    ("row", "p_low", "low", "high", "finding"),
    [
        # Against the rest of the same study.
        (published(), 0.9665, 1.217, 2.818, True),
        # The same figure as an absolute one.
        (published(reference=None), 0.8634, 0.918, 3.740, False),
        # An earlier version of the model counts like an absolute figure.
        (published(earlier_version=True), 0.8634, 0.918, 3.740, False),
        # Seven years, ten years after its data ended.
        (published(data_ended=2019), 0.9192, None, None, True),
        (published(data_ended=2016), 0.8977, None, None, False),
        # Ten hundredths more for another country or kind of care.
        (published(other_setting=True), 0.8977, None, None, False),
    ],
)
def test_a_published_ratio_is_a_finding_while_it_is_likely_to_hold_here(
    row: Estimate, p_low: float, low: float | None, high: float | None, finding: bool
) -> None:
    here = transport(row, TODAY)
    assert here.p_low() == pytest.approx(p_low, abs=GRID)
    if low is not None and high is not None:
        limits = [math.exp(here.theta + side * 1.959964 * here.spread) for side in (-1, 1)]
        assert limits == [pytest.approx(low, rel=1e-3), pytest.approx(high, rel=1e-3)]
    assert bool(outside_findings([row], TODAY, signed=True)) is finding


def test_years_are_counted_to_the_edition_and_never_backwards() -> None:
    late = published(data_ended=2030)
    assert transport(late, TODAY).tau == pytest.approx(0.20)
    assert transport(published(data_ended=2019), date(2029, 1, 1)).tau == pytest.approx(0.30)


def test_a_finding_says_which_way_the_score_errs_and_where_it_comes_from() -> None:
    too_high = published(id="high", where={"sex": ("female",)}, estimate=0.5, ci=(0.45, 0.55))
    low, high = outside_findings([PUBLISHED, too_high], TODAY, signed=False)
    assert (low.direction, low.estimate_ids) == (Direction.SCORES_TOO_LOW, ("published",))
    assert (high.direction, high.where) == (Direction.SCORES_TOO_HIGH, {"sex": ("female",)})
    assert (low.id, high.id) == ("outside-1", "outside-2")
    assert not low.signed
    assert low.since == TODAY


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (published(source=EvidenceSource.DEVELOPMENT), "development data never count"),
        (published(metric=Metric.AUROC, estimate=0.5, ci=(0.45, 0.55)), "a gap in AUROC alone is no finding"),
        (published(interval_kind=IntervalKind.INTERQUARTILE), "a spread over studies is no interval"),
        (published(ci=None), "neither interval nor events"),
        (published(ci=None, positives=19), "too few events"),
        (published(ci=(0.0, 2.0)), "a limit of 0 has no logarithm"),
        (published(state=State.NOT_REPORTED, estimate=None, ci=None), "not reported"),
    ],
)
def test_a_figure_that_cannot_carry_a_finding_makes_none(row: Estimate, why: str) -> None:
    assert not usable_for_caution(row), why
    assert outside_findings([row], TODAY, signed=True) == ()


def test_twenty_events_stand_in_for_an_interval() -> None:
    assert standard_error(published(ci=None, positives=25)) == pytest.approx(0.2)


def test_other_kinds_of_interval_are_brought_to_one_standard_error() -> None:
    one_error = published(ci=(1.0, 4.0), interval_kind=IntervalKind.ERROR)
    ninety = published(ci=(1.0, 4.0), level=0.90)
    assert standard_error(one_error) == pytest.approx(math.log(2))
    assert standard_error(ninety) == pytest.approx(math.log(4) / (2 * 1.644854), abs=1e-6)


def test_two_studies_that_disagree_in_direction_count_as_none() -> None:
    other = published(id="other", estimate=0.5, ci=(0.45, 0.55))
    assert outside_findings([PUBLISHED, other], TODAY, signed=True) == ()


def test_two_studies_that_agree_make_one_finding() -> None:
    weaker = published(id="weaker", estimate=1.1, ci=(1.0, 1.2))
    (finding,) = outside_findings([weaker, PUBLISHED], TODAY, signed=True)
    assert finding.estimate_ids == ("weaker", "published")
    assert finding.p_low == pytest.approx(0.9665, abs=GRID)


def test_three_studies_are_pooled_and_never_more_sure_than_the_spread_between_places() -> None:
    alike = [published(id=name) for name in ("a", "b", "c")]
    (finding,) = outside_findings(alike, TODAY, signed=True, limits=Limits(finding_probability=0.8))
    assert finding.tau == pytest.approx(0.20)
    assert finding.s == pytest.approx(transport(PUBLISHED, TODAY).spread / math.sqrt(3))
    # One degree of freedom: two thirds of the certainty of one study alone.
    assert finding.p_low is not None
    assert finding.p_low < 0.9665
    apart = [published(id="a"), published(id="b"), published(id="c", estimate=0.4, ci=(0.35, 0.45))]
    assert outside_findings(apart, TODAY, signed=True) == ()


def test_the_same_group_written_in_another_order_is_the_same_group() -> None:
    one = published(id="one", where={"race": ("black",), "age_band": ("30-39", "40-49")})
    two = published(id="two", where={"age_band": ("40-49", "30-39"), "race": ("black",)})
    (finding,) = outside_findings([one, two], TODAY, signed=True)
    assert finding.estimate_ids == ("one", "two")


@pytest.mark.parametrize(
    ("value", "degrees", "expected"),
    # Tabulated quantiles of Student's t.
    [
        *((0.0, 3, 0.5), (6.3138, 1, 0.95), (2.9200, 2, 0.95), (2.3534, 3, 0.95), (2.1318, 4, 0.95)),
        *((1.8125, 10, 0.95), (-2.5706, 5, 0.025), (1.9600, 100_000, 0.975)),
    ],
)
def test_the_t_distribution_agrees_with_its_tables(value: float, degrees: int, expected: float) -> None:
    assert t_cdf(value, degrees) == pytest.approx(expected, abs=2e-5)


def test_pooled_studies_use_the_t_distribution() -> None:
    assert Transported(0.0, 0.1, 0.2, degrees=2).p_low() < 0.5 < Transported(0.6, 0.1, 0.2, degrees=2).p_low()


@pytest.mark.parametrize(
    ("n", "events", "ratio", "shown"),
    [
        (1_000, 250, 1.25, Figures(20, 25)),
        (1_000, 204, 1.02, None),  # 20 and 20: the difference does not survive rounding
        (40, 10, 0.5, None),  # ten events
        (40, 30, 1.0, None),  # ten without
        (1_000, 70, 1.4, None),  # 5 and 7 in 100 would read as a count of people
        (None, 250, 1.25, None),
    ],
)
def test_figures_are_whole_numbers_that_hide_small_counts(
    n: int | None, events: int, ratio: float, shown: Figures | None
) -> None:
    row = published(reference=None, n=n, positives=events, estimate=ratio, ci=None)
    assert figures_of(row) == shown


def test_a_ratio_to_the_rest_has_no_figures_of_its_own() -> None:
    assert figures_of(published(n=1_000, positives=250)) is None


def test_a_plan_changes_cut_offs_by_name() -> None:
    strict = Limits.changed({"finding_probability": 0.97})
    assert outside_findings([PUBLISHED], TODAY, signed=True, limits=strict) == ()
    assert Limits.changed({}) == Limits()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tau_rests": 0.2}, "tau_rests"),
        ({"tau_rest": 0.0}, "tau_rest"),
        ({"tau_rest": math.nan}, "tau_rest"),
        ({"small_cell": 5}, "small_cell"),
        ({"finding_probability": 1.2}, "finding_probability"),
    ],
)
def test_a_cut_off_that_cannot_be_is_refused_by_name(changes: dict[str, float], named: str) -> None:
    with pytest.raises(UnusableLimits, match=named):
        Limits.changed(changes)
