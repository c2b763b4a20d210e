"""From figures to findings: what rings, what needs a further sign, what is listed and reaches no card."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from cds_wrapper.caveats.caveat import CaveatLevel, Disposition
from cds_wrapper.caveats.evidence import Direction, Limits
from cds_wrapper.caveats.plan import MonitoringPlan, ResponsePlan
from cds_wrapper.monitoring.daily_findings import of_daily
from cds_wrapper.monitoring.equal_scores import Among, Compared, Standing
from cds_wrapper.monitoring.findings import (
    FindingKind,
    Observed,
    Shares,
    is_dated,
    may_miss_more,
    news,
    of_follow_up,
    of_missing,
    of_sensitivity,
    of_too_good,
    plan_says,
    without_doubles,
)
from cds_wrapper.monitoring.formulas.budget import Budget
from cds_wrapper.monitoring.formulas.equal_score import EqualScore
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.looking import Before, divisors_of, families, look
from cds_wrapper.monitoring.unequal import of_equal_score
from cds_wrapper.monitoring.values import EVERYBODY, Group, GroupFigures, Measured, ServiceFigures, WhyNot
from cds_wrapper.services.outcomes import OutcomeKind, Role
from tests.unit.monitoring.figures import AS_OF, BLACK, FEMALE, LIVE, daily, figures_of, service_figures

PLAN = MonitoringPlan()
LIMITS = Limits()


def looked_at(figures: ServiceFigures, before: Before | None = None) -> list[Observed]:
    looked = look(figures, Budget(families(figures)), before or Before(LIVE))
    return [*of_daily(looked, figures, LIMITS)]


def with_sums(
    events: float, expected: float, rest: float = 1800, rest_expected: float = 1800
) -> ServiceFigures:
    group = figures_of(BLACK, sums=daily(events, expected, rest, rest_expected))
    total = daily(events + rest, expected + rest_expected, 0, 0)
    return service_figures(group, everybody=figures_of(EVERYBODY, events=2000, sums=total))


@pytest.mark.parametrize(
    ("events", "expected", "direction"),
    [(370, 200, Direction.SCORES_TOO_LOW), (100, 200, Direction.SCORES_TOO_HIGH), (200, 200, None)],
)
def test_a_group_that_drifts_from_the_rest_is_found_with_its_direction(
    events: float, expected: float, direction: Direction | None
) -> None:
    found = [one for one in looked_at(with_sums(events, expected)) if one.kind is FindingKind.GROUP_DRIFT]
    assert [(one.group, one.direction) for one in found] == ([(BLACK, direction)] if direction else [])
    for one in found:
        assert LIVE <= one.since <= AS_OF
        assert one.kind.at_once and one.kind.carded
        assert ("treatment" in one.what) is (direction is Direction.SCORES_TOO_HIGH)


def test_a_ratio_that_rings_but_does_not_matter_is_no_finding() -> None:
    """1.15 times the events of a very large group is surely not 1, and within the band."""
    figures = with_sums(11_500, 10_000, 90_000, 90_000)
    (everybody, group) = look(figures, Budget(1), Before(LIVE))
    assert group.alarm_on is not None and everybody.group == EVERYBODY
    assert looked_at(figures) == []


def test_a_group_is_not_blamed_for_the_others_whose_scores_err() -> None:
    """Beside others with twice the events expected this group has half as many; its own scores are right."""
    figures = with_sums(1000, 1000, 500, 250)
    _, group = look(figures, Budget(1), Before(LIVE))
    assert group.alarm_on is not None
    assert not any(one.kind is FindingKind.GROUP_DRIFT for one in looked_at(figures))


def test_a_large_group_that_is_a_little_off_is_not_blamed_beside_a_small_one_that_is_far_off() -> None:
    """1.1 times the events expected is surely not 1 in so many; the others' 0.5 is what rang."""
    figures = with_sums(5500, 5000, 250, 500)
    _, group = look(figures, Budget(1), Before(LIVE))
    assert group.alarm_on is not None
    assert not any(one.kind is FindingKind.GROUP_DRIFT for one in looked_at(figures))

    mirrored = looked_at(with_sums(250, 500, 5500, 5000))
    assert [(one.group, one.direction) for one in mirrored] == [(BLACK, Direction.SCORES_TOO_HIGH)]


def test_of_two_sides_that_err_one_is_found_where_the_difference_matters() -> None:
    """Neither's own O/E leaves 0.80 to 1.25; together they differ by a third."""
    higher, lower = (2400, 2000), (8600, 10_000)
    found = [
        one
        for sums in ((*higher, *lower), (*lower, *higher))
        for one in looked_at(with_sums(*sums))
        if one.kind is FindingKind.GROUP_DRIFT
    ]
    assert [one.direction for one in found] == [Direction.SCORES_TOO_LOW]


def test_a_model_that_is_off_for_everybody_is_blamed_on_no_group() -> None:
    (one,) = looked_at(with_sums(300, 200, 2700, 1800))
    assert (one.kind, one.group, one.direction) == (
        FindingKind.MODEL_OFF,
        EVERYBODY,
        Direction.SCORES_TOO_LOW,
    )


def test_what_people_closed_is_looked_at_anew_from_the_day_after() -> None:
    figures = with_sums(370, 200)
    assert looked_at(figures, Before(LIVE, closed={BLACK: AS_OF})) == []
    later = looked_at(figures, Before(LIVE, closed={BLACK: LIVE + timedelta(days=30)}))
    assert [one.group for one in later] == [BLACK]
    assert later[0].since > LIVE + timedelta(days=30)


def test_what_was_closed_is_not_held_against_a_group_beside_others_that_err() -> None:
    """Its scores were too low until people closed the finding; since then the others' are too high."""
    sums = daily(1500, 1000, 1500, 2000)
    half = len(sums.days) // 2
    changed = replace(
        sums,
        group_events=tuple(e * (2.0 if at < half else 1.0) for at, e in enumerate(sums.group_expected)),
        rest_events=tuple(e * (1.0 if at < half else 0.5) for at, e in enumerate(sums.rest_expected)),
    )
    figures = service_figures(figures_of(BLACK, sums=changed))
    before = Before(LIVE, closed={BLACK: sums.days[half - 1]})
    _, group = look(figures, Budget(1), before)
    assert (group.alarm_on is not None, group.begins) == (True, sums.days[half - 1] + timedelta(days=1))
    assert not any(one.group == BLACK for one in looked_at(figures, before))


def test_a_group_without_an_outcome_rings_nothing_and_has_no_time_to_find() -> None:
    empty = figures_of(BLACK, events=0, sums=daily(0, 0, 0, 0, days=0))
    _, group = look(service_figures(empty), Budget(1), Before(LIVE))
    assert group.watched is WhyNot.NO_ROWS
    assert (group.alarm_on, group.times) == (None, ())


def test_a_divisor_in_force_is_only_raised_and_kept_from_a_hundred_events_on() -> None:
    figures = with_sums(200, 200)
    figures = replace(figures, groups=(figures.groups[0], replace(figures.groups[1], oe_design_effect=2.0)))
    once = divisors_of(look(figures, Budget(1), Before(LIVE)), figures)
    again = look(with_sums(200, 200), Budget(1), Before(LIVE, divisors=once))
    assert again[1].divisor == once["race=black"] > 1.5
    few = with_sums(200, 200)
    few = replace(few, groups=(few.groups[0], replace(few.groups[1], counts={"event": 99})))
    assert "race=black" not in divisors_of(look(few, Budget(1), Before(LIVE)), few)


# Dated reviews ----------------------------------------------------------------------------------------------


LOWER = (-0.15, -0.22, -0.08)


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        (
            figures_of(BLACK, sensitivity_gap=LOWER, oe_ratio_unflagged=(1.6, 1.2, 2.0)),
            FindingKind.MISSES_MORE,
        ),
        (figures_of(BLACK, sensitivity_gap=LOWER, auroc_gap=(-0.09, -0.15, -0.02)), FindingKind.MISSES_MORE),
        (figures_of(BLACK, sensitivity_gap=LOWER), FindingKind.THRESHOLD_EFFECT),
        (
            figures_of(BLACK, sensitivity_gap=LOWER, oe_ratio_unflagged=(1.6, 0.9, 2.6)),
            FindingKind.THRESHOLD_EFFECT,
        ),
        (
            figures_of(BLACK, sensitivity_gap=LOWER, auroc_gap=(-0.09, -0.2, 0.02)),
            FindingKind.THRESHOLD_EFFECT,
        ),
        (figures_of(BLACK, sensitivity_gap=(-0.04, -0.05, -0.03)), None),
        (figures_of(BLACK, sensitivity_gap=(-0.15, -0.31, 0.01)), None),
        (figures_of(BLACK, sensitivity_gap=None), None),
    ],
)
def test_a_lower_sensitivity_is_a_fault_only_with_a_further_sign(
    group: GroupFigures, kind: FindingKind | None
) -> None:
    figures = service_figures(group)
    found = list(of_sensitivity(figures, PLAN))
    assert [one.kind for one in found] == ([kind] if kind else [])
    assert may_miss_more(figures, PLAN) is bool(kind)
    for one in found:
        assert one.direction is (Direction.MISSES_MORE if kind is FindingKind.MISSES_MORE else None)
        assert one.kind.carded is (kind is FindingKind.MISSES_MORE)
        assert not one.kind.at_once, "a signature is awaited"


@pytest.mark.parametrize(
    ("last", "due"), [(None, True), (AS_OF - timedelta(days=90), False), (AS_OF - timedelta(days=91), True)]
)
def test_a_dated_review_is_due_at_first_and_each_quarter(last: date | None, due: bool) -> None:
    assert is_dated(last, AS_OF, PLAN.review_every) is due


def compared(group: Group, role: Role, standing: Standing, *, mismatch: bool = False) -> Compared:
    """One group at equal score, with what the rule looks at."""
    ratio = Figure(1.7, 1.3, 2.1) if standing is Standing.SCORES_TOO_LOW else Figure(0.6, 0.5, 0.7)
    result = EqualScore(ratio, None, 1.0, 1.0, 1.0, 1.0)
    return Compared(
        group,
        "o",
        role,
        OutcomeKind.BINARY,
        Among.ALL,
        500,
        500,
        result,
        1.0,
        None,
        None,
        None,
        standing,
        mismatch,
    )


@pytest.mark.parametrize(
    ("one", "own", "expected"),
    [
        ((Role.NEED, Standing.SCORES_TOO_LOW, True), (1.0, 0.9, 1.1), (Direction.SCORES_TOO_LOW, True)),
        ((Role.NEED, Standing.SCORES_TOO_HIGH, False), (1.0, 0.9, 1.1), (Direction.SCORES_TOO_HIGH, False)),
        ((Role.LABEL, Standing.SCORES_TOO_LOW, False), (1.6, 1.3, 1.9), (Direction.SCORES_TOO_LOW, False)),
        ((Role.LABEL, Standing.SCORES_TOO_HIGH, False), (1.0, 0.9, 1.1), None),
        ((Role.NEED, Standing.NOT_COMPARABLE, False), (1.0, 0.9, 1.1), None),
        ((Role.NEED, Standing.SCALES_DISAGREE, False), (1.0, 0.9, 1.1), None),
    ],
)
def test_a_score_that_means_something_else_for_a_group_is_found_and_awaits_a_signature(
    one: tuple[Role, Standing, bool],
    own: tuple[float, float, float],
    expected: tuple[Direction, bool] | None,
) -> None:
    role, standing, mismatch = one
    figures = service_figures(figures_of(BLACK, oe_ratio=own))
    found = list(of_equal_score([compared(BLACK, role, standing, mismatch=mismatch)], figures))
    assert [(each.direction, each.label_mismatch) for each in found] == ([expected] if expected else [])
    assert all(each.kind.carded and not each.kind.at_once for each in found)


@pytest.mark.parametrize(("beside", "is_found"), [(1.9, False), (1.2, True)])
def test_at_equal_score_a_group_that_is_a_little_off_is_not_blamed_beside_others_that_are_far_off(
    beside: float, is_found: bool
) -> None:
    """1.1 times the events expected: beside 0.58 times the fault is the others', beside 0.92 its own."""
    to_rest = (beside, beside - 0.1, beside + 0.1)
    figures = service_figures(figures_of(BLACK, oe_ratio=(1.1, 1.02, 1.2), oe_ratio_to_rest=to_rest))
    found = list(of_equal_score([compared(BLACK, Role.LABEL, Standing.SCORES_TOO_LOW)], figures))
    assert bool(found) is is_found


WHITE = Group((("race", "white"),))
ASIAN = Group((("race", "asian"),))
ABSENT = Group((("race", "missing:absent"),))


def found_in(*compared: Compared, figures: ServiceFigures | None = None) -> list[tuple[Group, FindingKind]]:
    return [(one.group, one.kind) for one in of_equal_score(compared, figures or service_figures())]


def test_a_gap_between_two_groups_is_told_once_of_the_one_whose_scores_are_too_low() -> None:
    low = compared(BLACK, Role.NEED, Standing.SCORES_TOO_LOW)
    high = compared(WHITE, Role.NEED, Standing.SCORES_TOO_HIGH)
    absent = compared(ABSENT, Role.NEED, Standing.NO_FINDING)
    assert found_in(low, high, absent) == [(BLACK, FindingKind.EQUAL_SCORE)]

    third = compared(ASIAN, Role.NEED, Standing.NO_FINDING)
    assert len(found_in(low, high, third)) == 2, "the rest of a group is then no single group"
    assert found_in(high, replace(low, standing=Standing.NO_FINDING)) == [(WHITE, FindingKind.EQUAL_SCORE)]


def test_a_label_of_a_score_that_is_no_probability_is_held_to_the_same() -> None:
    """Of points nothing is expected: a group with more deaths at the same points is found all the same."""
    figures = service_figures(figures_of(BLACK), figures_of(WHITE))

    def unasked(figure: Measured) -> Measured:
        return replace(figure, value=None, low=None, high=None, why_not=WhyNot.NOT_A_PROBABILITY)

    points = replace(
        figures,
        groups=tuple(
            replace(one, figures=tuple(unasked(figure) for figure in one.figures)) for one in figures.groups
        ),
    )
    pair = (
        compared(BLACK, Role.LABEL, Standing.SCORES_TOO_LOW),
        compared(WHITE, Role.LABEL, Standing.SCORES_TOO_HIGH),
    )
    assert found_in(*pair, figures=points) == [(BLACK, FindingKind.EQUAL_SCORE)]
    assert found_in(*pair, figures=figures) == [], "probabilities that came true in both"


def test_a_need_that_differs_by_an_open_size_is_listed_and_on_no_card() -> None:
    """The published case: 1.26 times the illness, fair to cost, and an interval that reaches below 1.25."""

    def of_open_size(group: Group, ratio: Figure, over: Figure) -> Compared:
        one = compared(group, Role.NEED, Standing.NO_FINDING)
        return replace(one, result=replace(one.result, ratio=ratio), over_label=over, label="cost")

    black = of_open_size(BLACK, Figure(1.26, 1.22, 1.30), Figure(1.28, 1.20, 1.36))
    white = of_open_size(WHITE, Figure(0.79, 0.77, 0.82), Figure(0.78, 0.73, 0.83))
    (one,) = of_equal_score([white, black], service_figures())
    assert (one.group, one.kind, one.label_mismatch) == (BLACK, FindingKind.LABEL_MISMATCH, True)
    assert one.direction is None and not one.kind.carded
    assert "cost" in one.what and "1.26" in one.what

    opposite = of_open_size(BLACK, Figure(1.26, 1.22, 1.30), Figure(0.9, 0.85, 0.95))
    assert found_in(opposite) == [], "the label shows more of it than the need"


# What is listed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("auroc", "found"), [((0.99, 0.97, 1.0), True), ((0.97, 0.94, 0.99), False)])
def test_an_implausibly_good_result_is_a_finding(auroc: tuple[float, float, float], found: bool) -> None:
    figures = service_figures(everybody=figures_of(EVERYBODY, auroc=auroc))
    observed = list(of_too_good(figures, PLAN))
    assert bool(observed) is found
    assert all(not one.kind.carded for one in observed)


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ((600, 1000, 950, 1000), True),
        ((930, 1000, 950, 1000), False),
        ((5, 10, 9, 10), False),
        ((0, 0, 9, 10), False),
    ],
)
def test_outcomes_that_stop_coming_are_a_finding_and_no_better_performance(
    known: tuple[int, int, int, int], found: bool
) -> None:
    observed = list(of_follow_up([Shares(EVERYBODY, *known)], "o", PLAN, AS_OF))
    assert [one.kind for one in observed] == ([FindingKind.FOLLOW_UP_FALLING] if found else [])


@pytest.mark.parametrize(("missing", "found"), [((200, 1000, 50, 1000), True), ((80, 1000, 50, 1000), False)])
def test_values_that_go_missing_are_a_finding(missing: tuple[int, int, int, int], found: bool) -> None:
    observed = list(of_missing([Shares(BLACK, *missing)], "o", PLAN, AS_OF))
    assert bool(observed) is found


# What follows -----------------------------------------------------------------------------------------------


def observed(group: Group = BLACK, kind: FindingKind = FindingKind.GROUP_DRIFT) -> Observed:
    return Observed(kind, group, "o", Direction.SCORES_TOO_LOW, AS_OF, "what", "sure")


def test_what_stands_already_is_no_news_whatever_the_order_of_a_crossing() -> None:
    one = observed(Group((("race", "black"), ("age_band", "60-79"))))
    other = observed(Group((("age_band", "60-79"), ("race", "black"))))
    assert news([one], {other.key}) == ()
    assert news([one], {replace(other, direction=Direction.SCORES_TOO_HIGH).key}) == (one,)


def test_a_race_alone_or_in_combination_stands_for_the_same_race_alone() -> None:
    alone, wider = observed(BLACK), observed(Group(BLACK.where, exclusive=False))
    assert without_doubles([alone, wider, observed(FEMALE)]) == (wider, observed(FEMALE))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (FindingKind.GROUP_DRIFT, "reduced: cards withhold at once"),
        (FindingKind.MISSES_MORE, "under review until it is signed"),
        (FindingKind.TOO_GOOD, "listed, on no card"),
    ],
)
def test_what_the_plan_says_is_told_with_the_day_by_which_its_owner_has_to_act(
    kind: FindingKind, said: str
) -> None:
    plan = ResponsePlan(
        "1",
        "sha256:x",
        frozenset(),
        respond={CaveatLevel.REDUCED: Disposition.WITHHOLD},
        monitoring=MonitoringPlan(owner="equity lead"),
    )
    words = plan_says(kind, AS_OF, plan)
    assert said in words
    assert f"equity lead has until {AS_OF + PLAN.act_within}" in words
