"""For whom it is shown to work, for whom it falls short, what is not known: page and card say the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import lru_cache

import pytest

from cds_wrapper.caveats.evidence import DEFAULT_LIMITS, EvidenceBook
from cds_wrapper.caveats.model_card import OutOfScopeRule
from cds_wrapper.caveats.policy import CaveatLevel, CaveatPolicy, Reason
from cds_wrapper.monitoring.findings import FindingKind
from cds_wrapper.monitoring.report.known import Found
from cds_wrapper.monitoring.report.verdicts import Because, Judge, Judged, Verdict, unknown_share
from cds_wrapper.monitoring.values import EVERYBODY, Group, GroupFigures, Measure, ServiceFigures
from cds_wrapper.patient.attributes import Missing
from cds_wrapper.patient.subgroups import PatientSubgroups, Subgroup, is_missing
from cds_wrapper.vendors.base import ModelVersion, Prediction, VendorCall, VersionSource
from tests.unit.monitoring.report.made import SHORT, edition, group_figures, group_of, known, service
from tests.unit.monitoring.report.made import figures as year_like

GROUP = Group((("sex", "female"),))


def figures(n: int = 12700, events: int = 1430, ratio: float = 1.02, **counts: int) -> GroupFigures:
    made = group_figures(GROUP, n, events, ratio)
    return replace(made, counts={**made.counts, **counts})


def finding(**changes: object) -> Found:
    usual = Found(
        "F", FindingKind.GROUP_DRIFT, GROUP, "Scores are too low.", None, date(2026, 5, 1), "sure", "a plan"
    )
    return replace(usual, **changes)  # type: ignore[arg-type]  # any of its members


def judged(of: GroupFigures, *found: Found, of_all: GroupFigures | None = None) -> Judged:
    everybody = of_all or group_figures(EVERYBODY, 24000, 2750, 1.02)
    both = replace(year_like(), groups=(everybody, of))
    return Judge.of(both, edition(both, *found), found, DEFAULT_LIMITS).answer(of)


def answer(of: GroupFigures, *found: Found) -> tuple[Verdict, Because]:
    given = judged(of, *found)
    return given.verdict, given.because


def test_enough_outcomes_as_expected_are_shown_to_work() -> None:
    assert answer(figures()) == (Verdict.SHOWN, Because.HOLDS_UP)


def test_an_open_finding_outweighs_good_figures() -> None:
    assert answer(figures(), finding()) == (Verdict.FALLS_SHORT, Because.FINDING)


def test_a_finding_that_a_person_closed_does_not_count() -> None:
    assert answer(figures(), finding(closed=date(2026, 6, 1)))[0] is Verdict.SHOWN


def test_a_finding_that_waits_for_a_signature_is_under_review_as_on_the_card() -> None:
    assert answer(figures(), finding(kind=FindingKind.MISSES_MORE)) == (
        Verdict.NOT_KNOWN,
        Because.UNDER_REVIEW,
    )


def test_another_groups_finding_is_not_this_groups() -> None:
    assert answer(figures(), finding(group=Group((("sex", "male"),))))[0] is Verdict.SHOWN


def test_what_is_found_of_everybody_is_found_of_each_group_and_told_once() -> None:
    given = judged(figures(), finding(kind=FindingKind.MODEL_OFF, group=EVERYBODY))
    assert given.verdict is Verdict.FALLS_SHORT
    assert not given.is_own


def test_a_race_with_a_finding_alone_or_in_combination_falls_short_alone_too() -> None:
    black = group_of("race", "black")
    wider = finding(group=replace(black, exclusive=False))
    given = judged(group_figures(black, 5400, 690, 1.16), wider)
    assert given.verdict is Verdict.FALLS_SHORT
    assert given.is_own
    alone = judged(group_figures(replace(black, exclusive=False), 5450, 697, 1.16), finding(group=black))
    assert alone.verdict is not Verdict.FALLS_SHORT


def test_nobody_is_not_known() -> None:
    empty = replace(
        figures(), counts={"event": 0, "no_event": 0, "pending": 0, "censored": 0, "unverified": 0}
    )
    assert answer(empty) == (Verdict.NOT_KNOWN, Because.NOBODY)


def test_predictions_that_are_only_waiting_are_too_few_and_not_nobody() -> None:
    waiting = group_figures(Group((("race", "nhpi"),)), 0, 0, 1.0)
    pending = replace(waiting, counts={**waiting.counts, "pending": 500})
    assert answer(pending) == (Verdict.NOT_KNOWN, Because.TOO_FEW)


def test_repeated_patients_make_less_of_the_same_count() -> None:
    assert answer(replace(figures(), oe_design_effect=20.0)) == (Verdict.NOT_KNOWN, Because.TOO_FEW)


def test_outcomes_that_were_never_learnt_are_no_good_result() -> None:
    of = figures(unverified=9000)
    assert unknown_share(of) > 0.3
    assert answer(of) == (Verdict.NOT_KNOWN, Because.NOT_FOLLOWED)


@pytest.mark.parametrize(("ratio", "why"), [(0.62, Because.FEWER_CAME), (1.6, Because.MORE_CAME)])
def test_a_ratio_far_off_without_a_finding_is_not_known_and_told_apart(ratio: float, why: Because) -> None:
    assert answer(figures(ratio=ratio)) == (Verdict.NOT_KNOWN, why)


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


def test_good_figures_count_only_when_a_second_monthly_review_has_published_them() -> None:
    of = figures()
    both = replace(year_like(), groups=(group_figures(EVERYBODY, 24000, 2750, 1.02), of))
    first = edition(both, month=1)
    assert Judge.of(both, first, (), DEFAULT_LIMITS).answer(of).because is Because.CONFIRMING
    never = replace(service().book.contents)
    assert Judge.of(both, never, (), DEFAULT_LIMITS).answer(of).because is Because.NOT_REVIEWED


def test_no_group_is_shown_to_work_while_it_is_open_for_everybody() -> None:
    wide = group_figures(EVERYBODY, 24000, 2750, 1.02)
    open_for_all = replace(wide, counts={**wide.counts, "unverified": 20000})
    assert judged(figures(), of_all=open_for_all).because is Because.WHOLE_UNDECIDED


def test_what_the_developer_advises_against_is_never_shown_to_work() -> None:
    of = figures()
    both = replace(year_like(), groups=(group_figures(EVERYBODY, 24000, 2750, 1.02), of))
    rule = OutOfScopeRule(where={"sex": ("female",)}, say="women")
    ruled = replace(edition(both), out_of_scope=(rule,))
    assert Judge.of(both, ruled, (), DEFAULT_LIMITS).answer(of).because is Because.OUT_OF_SCOPE


# Page and card ----------------------------------------------------------------------------------------------


def every_kind() -> tuple[Found, ...]:
    """A standing finding in a crossing, one under review in a language-like group, one on no card."""
    return (
        *known().found,
        finding(id="F3", group=group_of("race", "asian"), kind=FindingKind.EQUAL_SCORE),
        finding(id="F4", group=group_of("race", "other")),
    )


@lru_cache
def year() -> tuple[ServiceFigures, tuple[Judged, ...], EvidenceBook]:
    of = year_like()
    contents = edition(of, *every_kind())
    judge = Judge.of(of, contents, every_kind(), DEFAULT_LIMITS)
    return of, tuple(judge.answer(one) for one in of.groups), EvidenceBook.of(contents)


def patient_of(group: Group) -> PatientSubgroups:
    """Somebody of whom nothing else is on file."""
    levels = dict(group.where)
    missing = {name: Missing(level.partition(":")[2]) for name, level in levels.items() if is_missing(level)}
    members = {name: frozenset(() if name in missing else {level}) for name, level in levels.items()}
    crossings = (Subgroup(group.attribute, group.level),) if len(levels) > 1 else ()
    return PatientSubgroups(levels, members, missing, crossings)


def card_of(group: Group, book: EvidenceBook) -> tuple[CaveatLevel, set[Reason]]:
    """What a card says to a patient of this group, to whom no other attribute matters."""
    scheme = service().scheme
    core = {name: replace(one, core=name in dict(group.where)) for name, one in scheme.attributes.items()}
    policy = CaveatPolicy(replace(scheme, attributes=core))
    model = ModelVersion(book.contents.model_id, book.contents.model_version, VersionSource.CONFIGURATION)
    prediction = Prediction((), 0.1, None, flagged=False, model=model, call=VendorCall(1.0, 200, 1))
    caveat = policy.weigh(book.about(patient_of(group), prediction), prediction)
    return caveat.level, {one.reason for one in caveat.reasons}


def differences(given: Judged, level: CaveatLevel, reasons: set[Reason]) -> list[str]:
    """Where page and card say different things of one group."""
    same = {
        "shown": (given.verdict is Verdict.SHOWN, level is CaveatLevel.SUPPORTED),
        "short": (given.verdict is Verdict.FALLS_SHORT, Reason.KNOWN_GAP in reasons),
        "review": (given.because is Because.UNDER_REVIEW, Reason.UNDER_REVIEW in reasons),
        "scope": (given.because is Because.OUT_OF_SCOPE, Reason.OUT_OF_SCOPE in reasons),
    }
    return [f"{given.figures.group} {name}" for name, (page, card) in same.items() if page != card]


def test_page_and_card_agree_on_every_group() -> None:
    """A crossing with too few results adds nothing to a card, which goes by the single levels then.

    A patient of several races is in one more group than a race alone or in combination: `multiple`.
    """
    _, answers, book = year()
    compared = [
        given
        for given in answers
        if given.because not in {Because.NOBODY, Because.TOO_FEW} or len(given.figures.group.where) == 1
        if given.figures.group.exclusive and given.because is not Because.NOBODY
    ]
    differ = [
        difference
        for given in compared
        for difference in differences(given, *card_of(given.figures.group, book))
    ]
    assert differ == []
    assert len(compared) > 15


def test_the_year_has_all_three_answers() -> None:
    _, answers, _ = year()
    assert {one.verdict for one in answers} == set(Verdict)
    assert next(one for one in answers if one.figures.group == SHORT).verdict is Verdict.FALLS_SHORT
