"""From evidence to a level and its reasons: every rule of precedence, one at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import product
from typing import Any

import pytest

from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, CaveatReason, Disposition, Reason, Scope, Side
from cds_wrapper.caveats.evidence import (
    Direction,
    Evidence,
    EvidenceSource,
    Finding,
    Grade,
    LocalResult,
    OutOfScopeRule,
    UnknownGroup,
    Where,
)
from cds_wrapper.caveats.policy import CaveatPolicy, side_of
from cds_wrapper.vendors.base import NoPrediction, Status, VendorCall
from tests.spec.prevent import AS_OF, MODEL, SCHEME, prediction

POLICY = CaveatPolicy(SCHEME)
BLACK: Where = {"race": ("black",)}
YOUNG_BLACK: Where = {"race": ("black",), "age_band": ("30-39",)}


def finding(where: Where, direction: Direction = Direction.SCORES_TOO_LOW, *, signed: bool = True) -> Finding:
    return Finding(
        "outside-1",
        where,
        False,
        direction,
        EvidenceSource.EXTERNAL,
        0.97,
        0.0,
        0.6,
        0.1,
        0.2,
        AS_OF,
        signed,
        ("e",),
    )


def local(where: Where, grade: Grade = Grade.ADEQUATE, *, holds_up: bool = True) -> LocalResult:
    return LocalResult(where, False, grade, holds_up and grade is Grade.ADEQUATE, 5_000, ("own",))


def evidence(**facts: Any) -> Evidence:
    everything = {"edition": "e", "as_of": AS_OF, "any_reported": True, **facts}
    return Evidence(**everything)


def weigh(**facts: Any) -> Caveat:
    return POLICY.weigh(evidence(**facts), prediction())


def reasons(**facts: Any) -> list[str]:
    return [f"{reason.text}/{reason.scope.value}" for reason in weigh(**facts).reasons]


CORE_GROUPS = tuple(local({name: (level,)}) for name, level in (("age_band", "50-59"), ("sex", "male")))
EVERYBODY = local({})


@pytest.mark.parametrize(
    ("reason", "scope", "level"),
    [
        (Reason.KNOWN_GAP, Scope.PATIENT, CaveatLevel.REDUCED),
        (Reason.OUT_OF_SCOPE, Scope.PATIENT, CaveatLevel.REDUCED),
        (Reason.NOT_REPRESENTED, Scope.PATIENT, CaveatLevel.NOT_VALIDATED),
        (Reason.NOT_REPORTED, Scope.PATIENT, CaveatLevel.NOT_VALIDATED),
        (Reason.NOT_REPORTED, Scope.MODEL, CaveatLevel.LIMITED),
        (Reason.GROUP_UNKNOWN, Scope.PATIENT, CaveatLevel.NOT_ASSESSED),
        (Reason.UNDER_REVIEW, Scope.PATIENT, CaveatLevel.LIMITED),
        (Reason.THIN_EVIDENCE, Scope.PATIENT, CaveatLevel.LIMITED),
        (Reason.THIN_EVIDENCE, Scope.MODEL, CaveatLevel.LIMITED),
        (Reason.MISSING_INPUT, Scope.PATIENT, CaveatLevel.LIMITED),
        (Reason.DOUBTFUL_INPUT, Scope.PATIENT, CaveatLevel.LIMITED),
        (Reason.LABEL_MISMATCH, Scope.MODEL, CaveatLevel.LIMITED),
    ],
)
def test_every_reason_has_its_level(reason: Reason, scope: Scope, level: CaveatLevel) -> None:
    assert CaveatReason(reason, scope).level is level


def test_levels_and_dispositions_have_an_order() -> None:
    assert [level.value for level in sorted(CaveatLevel)] == [
        "supported", "limited", "not_assessed", "not_validated", "reduced"
    ]  # fmt: skip
    assert CaveatLevel.worst([]) is CaveatLevel.SUPPORTED
    assert [one.value for one in sorted(Disposition)] == [
        "show", "annotate", "lower_urgency", "withhold", "shadow", "stop"
    ]  # fmt: skip


def test_the_worst_reason_gives_the_level_and_the_page_behind_the_card() -> None:
    caveat = weigh(unknown=(UnknownGroup("race", finding=True, gap=False),))
    assert caveat.level is CaveatLevel.NOT_ASSESSED
    assert caveat.texts == ("thin_evidence", "group_unknown")
    assert caveat.key == "group_unknown"
    assert Caveat(CaveatLevel.SUPPORTED).key == "general"


def test_a_signed_finding_is_a_known_gap_and_an_unsigned_one_under_review() -> None:
    assert reasons(findings=(finding(BLACK),))[0] == "known_gap:scores_too_low/patient"
    unsigned = weigh(findings=(finding(BLACK, signed=False),))
    assert unsigned.reasons[0].text == "under_review:scores_too_low"
    assert unsigned.level is CaveatLevel.LIMITED


def test_a_finding_about_everybody_is_of_model_scope_and_names_no_group() -> None:
    reason = weigh(findings=(finding({}),)).reasons[0]
    assert (reason.scope, reason.attributes, reason.groups) == (Scope.MODEL, (), ())


def test_a_group_is_named_only_when_it_has_one_name() -> None:
    several: Where = {"age_band": ("30-39", "40-49")}
    assert weigh(findings=(finding(several),)).reasons[0].groups == ()
    assert weigh(findings=(finding(BLACK),)).reasons[0].groups == (("race", "black"),)


def test_reasons_stand_in_the_order_of_the_approved_texts() -> None:
    found = reasons(
        findings=(
            finding({"sex": ("male",)}, Direction.SCORES_TOO_HIGH),
            finding(BLACK, signed=False),
            finding(BLACK, Direction.MISSES_MORE),
        ),
        rules=(OutOfScopeRule({"age_band": ("80+",)}, "old age"),),
        absent=(BLACK,),
        unreported=(("race", "black"),),
        unknown=(UnknownGroup("sex", finding=True, gap=False),),
    )
    assert found == [
        "known_gap:misses_more:low/patient",
        "known_gap:scores_too_high:low/patient",
        "out_of_scope/patient",
        "not_represented/patient",
        "under_review:scores_too_low/patient",
        "not_reported/patient",
        "thin_evidence/model",
        "group_unknown/patient",
    ]


@pytest.mark.parametrize(
    ("direction", "flagged", "side", "matters"),
    [
        (Direction.MISSES_MORE, False, Side.LOW, True),
        (Direction.MISSES_MORE, True, Side.HIGH, False),
        (Direction.MISSES_MORE, None, Side.LOW, True),
        (Direction.FALSE_ALARMS_MORE, True, Side.HIGH, True),
        (Direction.FALSE_ALARMS_MORE, False, Side.LOW, False),
        (Direction.FALSE_ALARMS_MORE, None, Side.HIGH, True),
        (Direction.SCORES_TOO_HIGH, False, Side.LOW, True),
        (Direction.SCORES_TOO_HIGH, True, Side.HIGH, True),
        (Direction.SCORES_TOO_HIGH, None, Side.LOW, True),
        (Direction.SCORES_TOO_LOW, True, Side.ANY, True),
        (Direction.SCORES_TOO_LOW, None, Side.ANY, True),
    ],
)
def test_missed_cases_concern_low_scores_and_false_alarms_high_ones(
    direction: Direction, flagged: bool | None, side: Side, matters: bool
) -> None:
    assert side_of(direction, flagged) is side
    assert CaveatReason(Reason.KNOWN_GAP, Scope.PATIENT, direction, side).matters is matters


def test_the_record_names_a_side_only_where_the_words_differ_by_it() -> None:
    low = CaveatReason(Reason.KNOWN_GAP, Scope.PATIENT, Direction.SCORES_TOO_LOW, Side.ANY)
    high = CaveatReason(Reason.KNOWN_GAP, Scope.PATIENT, Direction.SCORES_TOO_HIGH, Side.HIGH)
    review = CaveatReason(Reason.UNDER_REVIEW, Scope.PATIENT, Direction.MISSES_MORE, Side.LOW)
    assert [reason.text for reason in (low, high, review)] == [
        "known_gap:scores_too_low",
        "known_gap:scores_too_high:high",
        "under_review:misses_more",
    ]


def test_without_results_here_everybody_is_told_once() -> None:
    assert reasons() == ["thin_evidence/model"]
    assert reasons(any_reported=False) == ["not_reported/model"]
    assert reasons(local=(local({}, Grade.PARTIAL),)) == ["thin_evidence/model"]


def test_a_supported_patient_needs_everybody_and_every_core_group_to_hold_up() -> None:
    race = local({"race": ("white",)})
    assert weigh(local=(EVERYBODY, *CORE_GROUPS, race)).level is CaveatLevel.SUPPORTED
    assert reasons(local=(EVERYBODY, *CORE_GROUPS)) == ["thin_evidence/patient"]
    off = local({"race": ("white",)}, holds_up=False)
    assert reasons(local=(EVERYBODY, *CORE_GROUPS, off)) == ["thin_evidence/patient"]
    model_off = local({}, holds_up=False)
    assert reasons(local=(model_off, *CORE_GROUPS, race)) == ["thin_evidence/model"]


def test_an_attribute_that_is_not_core_is_not_waited_for() -> None:
    """Language is watched too; its small groups do not decide for nearly everybody."""
    assert weigh(local=(EVERYBODY, *CORE_GROUPS, local({"race": ("white",)}))).reasons == ()
    assert reasons(unreported=(("language", "es"),)) == ["thin_evidence/model"]


@pytest.mark.parametrize(
    ("crossing", "parents_hold", "level"),
    [
        (local(YOUNG_BLACK), False, CaveatLevel.SUPPORTED),
        (local(YOUNG_BLACK, holds_up=False), True, CaveatLevel.LIMITED),
        (local(YOUNG_BLACK, Grade.PARTIAL), False, CaveatLevel.LIMITED),
        (local(YOUNG_BLACK, Grade.PARTIAL), True, CaveatLevel.SUPPORTED),
        # Not declared ahead, so it changes nothing.
        (local({"race": ("black",), "sex": ("male",)}), False, CaveatLevel.LIMITED),
    ],
)
def test_a_declared_crossing_with_adequate_results_replaces_its_parents_both_ways(
    crossing: LocalResult, parents_hold: bool, level: CaveatLevel
) -> None:
    parents = (local(BLACK, holds_up=parents_hold), local({"age_band": ("30-39",)}, holds_up=parents_hold))
    assert weigh(local=(EVERYBODY, local({"sex": ("male",)}), *parents, crossing)).level is level


def test_adequate_results_here_decide_in_place_of_results_from_elsewhere() -> None:
    here = (EVERYBODY, *CORE_GROUPS, local(BLACK))
    assert weigh(findings=(finding(BLACK),), local=here).level is CaveatLevel.SUPPORTED
    assert weigh(findings=(finding(YOUNG_BLACK),), local=here).level is CaveatLevel.REDUCED
    crossing = (EVERYBODY, *CORE_GROUPS, local(YOUNG_BLACK))
    assert (
        weigh(findings=(finding(YOUNG_BLACK), finding(BLACK)), local=crossing).level is CaveatLevel.SUPPORTED
    )
    partial = (EVERYBODY, *CORE_GROUPS, local(BLACK, Grade.PARTIAL))
    assert weigh(findings=(finding(BLACK),), local=partial).level is CaveatLevel.REDUCED


def test_a_finding_about_the_model_is_answered_only_by_results_for_everybody() -> None:
    assert weigh(findings=(finding({}),), local=(local(BLACK),)).level is CaveatLevel.REDUCED
    assert reasons(findings=(finding({}),), local=(EVERYBODY, *CORE_GROUPS, local(BLACK))) == []


@pytest.mark.parametrize(("grade", "validated"), [(Grade.THIN, False), (Grade.PARTIAL, True)])
def test_untested_groups_are_tested_once_there_are_more_than_thin_results(
    grade: Grade, validated: bool
) -> None:
    facts = {"absent": (BLACK,), "unreported": (("race", "black"),), "local": (local(BLACK, grade),)}
    assert (weigh(**facts).level is not CaveatLevel.NOT_VALIDATED) is validated


def test_a_rule_of_the_developer_is_never_answered_by_results() -> None:
    old = OutOfScopeRule({"age_band": ("80+",)}, "old age")
    here = (EVERYBODY, local({"age_band": ("80+",)}))
    assert weigh(rules=(old,), local=here).level is CaveatLevel.REDUCED


@pytest.mark.parametrize(
    ("unknown", "fires"),
    [
        (UnknownGroup("race", finding=True, gap=False), True),
        (UnknownGroup("race", finding=False, gap=True), True),
        (UnknownGroup("language", finding=True, gap=False), True),
        (UnknownGroup("language", finding=False, gap=True), False),
    ],
)
def test_an_unknown_group_matters_where_another_group_is_worse_on_its_own_account(
    unknown: UnknownGroup, fires: bool
) -> None:
    assert ("group_unknown/patient" in reasons(unknown=(unknown,))) is fires


def test_an_unknown_group_that_has_adequate_results_of_its_own_is_judged_by_them() -> None:
    race = UnknownGroup("race", finding=True, gap=True)
    measured = local({"race": ("missing",)})
    assert weigh(unknown=(race,), local=(EVERYBODY, *CORE_GROUPS, measured)).level is CaveatLevel.SUPPORTED
    off = replace(measured, holds_up=False)
    assert reasons(unknown=(race,), local=(EVERYBODY, *CORE_GROUPS, off)) == ["thin_evidence/patient"]


def test_several_unknown_groups_are_one_reason() -> None:
    both = tuple(UnknownGroup(name, finding=True, gap=True) for name in ("race", "sex"))
    caveat = weigh(unknown=both)
    (unknown,) = (reason for reason in caveat.reasons if reason.reason is Reason.GROUP_UNKNOWN)
    assert unknown.attributes == ("race", "sex")


def test_of_several_results_for_a_patient_of_several_races_the_worse_counts() -> None:
    held, fell = local(BLACK), local({"race": ("white",)}, holds_up=False)
    for order in ((held, fell), (fell, held)):
        assert reasons(local=(EVERYBODY, *CORE_GROUPS, *order)) == ["thin_evidence/patient"]


def test_scope_is_the_patients_as_soon_as_one_reason_is() -> None:
    assert weigh().scope is Scope.MODEL
    assert weigh(findings=(finding(BLACK),)).scope is Scope.PATIENT
    assert Caveat(CaveatLevel.SUPPORTED).scope is None


def test_a_failed_vendor_changes_nothing_about_the_evidence() -> None:
    facts = evidence(findings=(finding(BLACK),))
    failed = NoPrediction(Status.TIMED_OUT, MODEL, VendorCall())
    assert POLICY.weigh(facts, failed) == POLICY.weigh(facts, prediction(None))


def test_every_combination_of_facts_has_its_worst_reason_as_level() -> None:
    choices = {
        "findings": ((), (finding(BLACK),), (finding(BLACK, signed=False),)),
        "rules": ((), (OutOfScopeRule(BLACK, "rule"),)),
        "absent": ((), (BLACK,)),
        "unreported": ((), (("race", "black"),)),
        "unknown": ((), (UnknownGroup("sex", finding=True, gap=True),)),
        "local": ((), (EVERYBODY, *CORE_GROUPS, local({"race": ("white",)}))),
        "any_reported": (True, False),
    }
    for values in product(*choices.values()):
        caveat = weigh(**dict(zip(choices, values, strict=True)))
        assert caveat.level is CaveatLevel.worst(reason.level for reason in caveat.reasons)
        assert list(caveat.texts) == list(dict.fromkeys(reason.text for reason in caveat.reasons))


def test_a_findings_day_is_kept() -> None:
    assert weigh(findings=(finding(BLACK),)).reasons[0].since == date(2026, 3, 1)
