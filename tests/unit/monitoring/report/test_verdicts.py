"""For whom it is shown to work, for whom it falls short, and what is not known: the rule, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from cds_wrapper.caveats.evidence import DEFAULT_LIMITS
from cds_wrapper.monitoring.report.known import Found
from cds_wrapper.monitoring.report.verdicts import Because, Verdict, judge, unknown_share
from cds_wrapper.monitoring.values import Group, GroupFigures, Measure
from tests.unit.monitoring.report.made import group_figures

GROUP = Group((("sex", "female"),))


def figures(n: int = 12700, events: int = 1430, ratio: float = 1.02, **counts: int) -> GroupFigures:
    made = group_figures(GROUP, n, events, ratio)
    return replace(made, counts={**made.counts, **counts})


def finding(**changes: object) -> Found:
    usual = Found("F", GROUP, "Scores are too low.", None, date(2026, 5, 1), "sure", "a plan")
    return replace(usual, **changes)  # type: ignore[arg-type]  # any of its members


def answer(of: GroupFigures, *found: Found) -> tuple[Verdict, Because]:
    judged = judge(of, found, DEFAULT_LIMITS)
    return judged.verdict, judged.because


def test_enough_outcomes_as_expected_are_shown_to_work() -> None:
    assert answer(figures()) == (Verdict.SHOWN, Because.HOLDS_UP)


def test_an_open_finding_outweighs_good_figures() -> None:
    assert answer(figures(), finding()) == (Verdict.FALLS_SHORT, Because.FINDING)


def test_a_finding_that_a_person_closed_does_not_count() -> None:
    assert answer(figures(), finding(closed=date(2026, 6, 1)))[0] is Verdict.SHOWN


def test_a_finding_that_changes_no_card_leaves_it_open_and_never_shown() -> None:
    assert answer(figures(), finding(carded=False)) == (Verdict.NOT_KNOWN, Because.UNDER_REVIEW)


def test_another_groups_finding_is_not_this_groups() -> None:
    assert answer(figures(), finding(group=Group((("sex", "male"),))))[0] is Verdict.SHOWN


def test_nobody_is_not_known() -> None:
    empty = replace(figures(), counts={"event": 0, "no_event": 0, "pending": 0})
    assert answer(empty) == (Verdict.NOT_KNOWN, Because.NOBODY)


def test_predictions_that_are_only_waiting_are_too_few_and_not_nobody() -> None:
    waiting = group_figures(Group((("race", "nhpi"),)), 0, 0, 1.0)
    assert answer(replace(waiting, counts={"pending": 500})) == (Verdict.NOT_KNOWN, Because.TOO_FEW)


def test_ninety_nine_events_are_too_few() -> None:
    of = figures()
    few = tuple(replace(one, events=99) for one in of.figures)
    assert answer(replace(of, figures=few, oe_design_effect=1.0)) == (Verdict.NOT_KNOWN, Because.TOO_FEW)


def test_repeated_patients_make_less_of_the_same_count() -> None:
    assert answer(replace(figures(), oe_design_effect=20.0)) == (Verdict.NOT_KNOWN, Because.TOO_FEW)


def test_outcomes_that_were_never_learnt_are_no_good_result() -> None:
    of = figures(unverified=9000)
    assert unknown_share(of) > 0.3
    assert answer(of) == (Verdict.NOT_KNOWN, Because.NOT_FOLLOWED)


@pytest.mark.parametrize("ratio", [0.62, 1.6])
def test_a_ratio_outside_the_limits_without_a_finding_is_undecided(ratio: float) -> None:
    assert answer(figures(ratio=ratio)) == (Verdict.NOT_KNOWN, Because.UNDECIDED)


@pytest.mark.parametrize("measure", [Measure.SENSITIVITY_GAP, Measure.AUROC_GAP])
def test_a_gap_that_may_reach_beyond_the_limit_is_undecided(measure: Measure) -> None:
    of = figures()
    template = of.of(Measure.OE_RATIO)
    assert template is not None
    wide = replace(template, measure=measure, value=-0.04, low=-0.13, high=0.05)
    rest = tuple(one for one in of.figures if one.measure is not measure)
    assert answer(replace(of, figures=(*rest, wide)))[1] is Because.UNDECIDED
    narrow = replace(wide, low=-0.11)
    assert answer(replace(of, figures=(*rest, narrow)))[1] is Because.HOLDS_UP, "one-sided: above -0.10"
