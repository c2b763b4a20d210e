"""What the book says about one patient, and what it leaves unsaid."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cds_wrapper.caveats.evidence import (
    MOST_ANSWERS,
    Estimate,
    Evidence,
    EvidenceBook,
    EvidenceSource,
    Metric,
    ModelCard,
    OutOfScopeRule,
    Question,
    State,
    TrainingGroup,
    UnknownGroup,
    build_book,
    evidence_token,
)
from cds_wrapper.caveats.policy import CaveatPolicy, Reason, key_of
from cds_wrapper.patient.demographics import AgeBands, AgeSpan, Attribute, Demographics, Missing
from cds_wrapper.patient.subgroups import Display, PatientSubgroups, SubgroupScheme
from tests.spec.prevent import (
    AS_OF,
    BANDS,
    BLACK_YOUNG,
    CARD,
    NOBODY,
    PUBLISHED,
    QUESTION,
    SCHEME,
    attribute,
    book,
    patient,
    policy,
    prediction,
    row,
)


def about(who: PatientSubgroups, card: ModelCard = CARD) -> Evidence:
    return book(card).about(who, prediction())


def with_rows(*rows: Estimate, **changes: Any) -> ModelCard:
    return replace(CARD, **{"out_of_scope": (), "training": (), **changes, "estimates": rows})


def races(*levels: str, **changes: Any) -> Estimate:
    return row("-".join(levels), Metric.AUROC, {"race": levels}, estimate=0.7, **changes)


def test_a_finding_speaks_to_those_for_whom_every_key_holds() -> None:
    assert about(patient("30-39", race="black")).findings
    assert not about(patient("40-49", race="black")).findings
    assert not about(patient("30-39", race="white")).findings


def test_races_count_alone_or_in_combination_unless_the_row_is_exclusive() -> None:
    both = patient("30-39", race=("black", "white"))
    assert about(both).findings
    assert not about(both, with_rows(replace(BLACK_YOUNG, exclusive=True))).findings


@pytest.mark.parametrize("changes", [{"outcome": "stroke"}, {"horizon": "P5Y"}])
def test_a_figure_for_another_outcome_or_horizon_is_no_finding_but_is_reported(
    changes: dict[str, Any],
) -> None:
    card = with_rows(replace(BLACK_YOUNG, **changes))
    evidence = about(patient("30-39", race="black"), card)
    assert evidence.findings == ()
    assert evidence.unreported == ()
    assert ("race", "white") in about(patient("30-39", race="white"), card).unreported


def test_the_outcome_is_compared_without_regard_to_capitals() -> None:
    card = with_rows(replace(BLACK_YOUNG, outcome="Cardiovascular Event "))
    assert about(patient("30-39", race="black"), card).findings


def test_a_group_without_results_is_unreported_only_when_a_sibling_has_some() -> None:
    white_only = with_rows(races("white"))
    assert about(patient(race="black"), white_only).unreported == (("race", "black"),)
    assert about(patient(race="white"), white_only).unreported == ()
    assert about(patient(race="black"), with_rows()).unreported == ()


def test_nobody_reports_any_group_when_all_figures_are_for_everybody() -> None:
    everybody = row("all", Metric.AUROC, {}, estimate=0.7)
    assert not book(with_rows(everybody)).any_reported
    assert not book(with_rows(everybody, races("aian", state=State.NOT_REPORTED))).any_reported
    assert book(with_rows(races("white"))).any_reported


def test_a_row_that_says_not_reported_does_not_report() -> None:
    card = with_rows(races("white"), races("aian", state=State.NOT_REPORTED))
    assert about(patient(race="aian"), card).unreported == (("race", "aian"),)


def test_a_sibling_counts_only_for_the_patients_other_groups() -> None:
    """That young white people were studied makes no gap for an old black patient's age."""
    card = with_rows(row("young", Metric.AUROC, {"race": ["white"], "age_band": ["30-39"]}, estimate=0.7))
    assert about(patient("60-69", race="black"), card).unreported == ()
    assert about(patient("60-69", race="white"), card).unreported == (("age_band", "60-69"),)
    assert about(patient("30-39", race="black"), card).unreported == (("race", "black"),)


def test_a_figure_at_another_threshold_is_not_heard() -> None:
    ours, theirs = (
        row("s", Metric.SENSITIVITY, {"race": ["white"]}, estimate=0.7, threshold=at) for at in (0.075, 0.2)
    )
    assert book(with_rows(ours)).any_reported
    assert not book(with_rows(theirs)).any_reported


def test_an_attribute_the_site_does_not_collect_is_about_nobody() -> None:
    card = with_rows(row("payer", Metric.AUROC, {"payer": ["medicaid"]}, estimate=0.7))
    assert about(patient(), card).unreported == ()


def test_a_group_the_developer_advises_against_is_not_called_unreported_too() -> None:
    evidence = about(patient("80+"))
    assert [rule.say for rule in evidence.rules] == ["ages outside 30 to 79"]
    assert evidence.unreported == ()


def test_a_group_absent_from_training_is_named_until_somebody_tested_it() -> None:
    nobody = TrainingGroup({"race": ("black",)}, share=0)
    absent = with_rows(races("black", "white"), training=(nobody,))
    assert about(patient(race="black"), absent).absent == ({"race": ("black",)},)
    assert about(patient(race="white"), absent).absent == ()
    tested = row("tested", Metric.OE_RATIO, {"race": ["black"]}, estimate=1.0, ci=(0.9, 1.1))
    assert about(patient(race="black"), with_rows(tested, training=(nobody,))).absent == ()
    of_men = row("men", Metric.OE_RATIO, {"sex": ["male"]}, estimate=1.0, ci=(0.9, 1.1))
    assert about(patient(race="black"), with_rows(of_men, training=(nobody,))).absent != ()


def test_a_test_of_one_race_is_no_test_of_the_other() -> None:
    absent = (TrainingGroup({"race": ("aian",)}, share=0),)
    black = row("black", Metric.OE_RATIO, {"race": ["black"]}, estimate=1.0, ci=(0.9, 1.1))
    both = patient(race=("aian", "black"))
    assert about(both, with_rows(black, training=absent)).absent == ({"race": ("aian",)},)
    aian = replace(black, where={"race": ("aian",)})
    assert about(both, with_rows(aian, training=absent)).absent == ()


# Several races, said of by themselves -----------------------------------------------------------------------

SEVERAL = races("multiple", state=State.NOT_REPORTED, exclusive=True)


def test_a_card_that_denies_results_for_several_races_is_believed() -> None:
    both = patient(race=("black", "white"))
    assert about(both, with_rows(races("black"))).unreported == ()
    assert about(both, with_rows(races("black"), SEVERAL)).unreported == (("race", "multiple"),)
    assert about(patient(race="black"), with_rows(races("black"), SEVERAL)).unreported == ()
    assert about(both, with_rows(SEVERAL)).unreported == ()


def test_a_denial_is_nothing_beside_a_result_of_the_same_group() -> None:
    measured = races("multiple", exclusive=True)
    assert about(patient(race=("black", "white")), with_rows(measured, SEVERAL)).unreported == ()


@pytest.mark.parametrize(
    ("group", "nobody"),
    [
        (TrainingGroup({}, share=0.0), True),
        (TrainingGroup({}, n=0), True),
        (TrainingGroup({}, share=0.01), False),
        (TrainingGroup({}, state=State.NOT_REPORTED), False),
    ],
)
def test_absent_is_another_thing_than_not_mentioned(group: TrainingGroup, nobody: bool) -> None:
    assert group.nobody is nobody


@pytest.mark.parametrize("reason", list(Missing))
def test_a_missing_value_that_could_matter_is_named_whatever_the_reason(reason: Missing) -> None:
    evidence = about(patient("30-39", race=reason))
    assert evidence.unknown == (UnknownGroup("race", finding=True, gap=True),)


def test_a_finding_in_a_crossing_counts_when_the_rest_of_it_fits() -> None:
    assert about(patient("50-59", race=Missing.DECLINED)).unknown == (
        UnknownGroup("race", finding=False, gap=True),
    )
    only_young = with_rows(BLACK_YOUNG)
    assert about(patient("50-59", race=Missing.DECLINED), only_young).unknown == ()


def test_a_missing_age_could_be_one_the_developer_advises_against() -> None:
    unknown = {one.attribute: one for one in about(patient(Missing.IMPRECISE)).unknown}
    assert unknown["age_band"].finding


def test_a_missing_value_is_nothing_when_nothing_depends_on_it() -> None:
    everybody = with_rows(row("all", Metric.AUROC, {}, estimate=0.7))
    assert about(NOBODY, everybody).unknown == ()


def test_two_missing_parts_of_a_crossing_could_both_fit() -> None:
    unknown = about(patient(Missing.ABSENT, race=Missing.ABSENT), with_rows(BLACK_YOUNG)).unknown
    assert {one.attribute for one in unknown if one.finding} == {"race", "age_band"}


def test_missing_itself_can_have_results() -> None:
    measured = row(
        "missing", Metric.OE_RATIO, {"race": ["missing"]}, estimate=2.0, ci=(1.8, 2.2), reference="rest"
    )
    assert about(patient(race=Missing.DECLINED), with_rows(measured)).findings
    assert not about(patient(race="white"), with_rows(measured)).findings


def test_local_results_are_for_the_version_they_were_made_with() -> None:
    own = row("own", Metric.OE_RATIO, {}, source=EvidenceSource.LOCAL, estimate=1.0, ci=(0.9, 1.1), n=5_000,
              positives=300)  # fmt: skip
    edition = book(with_rows(own))
    assert edition.about(patient(), prediction()).overall is not None
    assert edition.about(patient(), prediction(version="2024.1")).overall is None


def test_an_edition_is_named_by_its_day_and_its_content() -> None:
    edition = book()
    assert edition.edition.startswith("2026-03-01.")
    assert len(edition.edition) == len("2026-03-01.") + 8
    assert book().edition == edition.edition
    assert book(approved=False).edition != edition.edition
    assert book(as_of=date(2026, 4, 1)).edition != edition.edition


def test_an_edition_that_was_kept_says_the_same_again() -> None:
    edition = book()
    again = EvidenceBook.from_json(edition.to_json())
    assert again == edition
    for who in (patient(), NOBODY, patient("30-39", race="black"), patient("80+")):
        assert again.about(who, prediction()) == edition.about(who, prediction())


def test_a_plan_that_lists_the_card_signs_its_findings() -> None:
    assert [finding.signed for finding in book().findings] == [True]
    assert [finding.signed for finding in book(approved=False).findings] == [False]


def test_a_page_is_found_by_its_token_and_an_unknown_token_is_the_general_page() -> None:
    edition = book()
    assert key_of(edition, evidence_token(edition.edition, "outside-1")) == "outside-1"
    assert key_of(edition, evidence_token(edition.edition, "group_unknown")) == "group_unknown"
    assert key_of(edition, evidence_token("2020-01-01.00000000", "outside-1")) == "general"
    assert key_of(edition, "' or 1=1") == "general"


def test_a_token_tells_nothing_of_a_group() -> None:
    """Made from a running number and the edition, so nobody finds a group by trying its names."""
    assert [finding.id for finding in book().findings] == ["outside-1"]
    assert all("black" not in finding.id for finding in book().findings)


def test_evidence_prints_no_groups() -> None:
    assert "black" not in repr(about(patient("30-39", race="black")))


def test_the_published_figures_of_the_demonstration_make_one_finding() -> None:
    assert len(PUBLISHED) > 5
    assert [finding.estimate_ids for finding in book().findings] == [("young-adults-black",)]


def test_a_rule_can_name_several_attributes() -> None:
    rule = OutOfScopeRule({"sex": ("female",), "age_band": ("30-39",)}, "young women")
    card = with_rows(out_of_scope=(rule,))
    assert about(patient("30-39", "female"), card).rules == (rule,)
    assert about(patient("30-39", "male"), card).rules == ()


# The same time, written otherwise ---------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", ["P120M", "P9Y12M", " P10Y"])
def test_a_horizon_is_compared_as_a_length_of_time(horizon: str) -> None:
    card = with_rows(replace(BLACK_YOUNG, horizon=horizon))
    assert about(patient("30-39", race="black"), card).findings


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("P2W", "P14D", True),
        ("PT24H", "PT1440M", True),
        ("P10M", "PT10M", False),
        ("P1M", "P30D", False),
        ("P1Y", "P1M", False),
        ("soon", "soon", True),
        ("soon", "P1D", False),
    ],
)
def test_months_days_and_hours_have_no_common_measure(ours: str, theirs: str, same: bool) -> None:
    figure = row("x", Metric.AUROC, {}, estimate=0.7, horizon=theirs)
    assert Question("cvd-risk", "death", ours).is_within_our_horizon(figure) is same


# What is not on file ----------------------------------------------------------------------------------------


def with_groups(card: ModelCard, scheme: SubgroupScheme = SCHEME, **groups: tuple[str, ...]) -> EvidenceBook:
    unlabelled = {name: replace(one, labels={}) for name, one in scheme.attributes.items()}
    return build_book(
        card, replace(scheme, attributes=unlabelled), QUESTION, frozenset({card.digest}), AS_OF, groups=groups
    )


def test_a_missing_value_could_be_a_group_that_the_card_never_mentions() -> None:
    card = with_rows(races("white"))
    unknown = (UnknownGroup("race", finding=False, gap=True),)
    who = patient(race=Missing.DECLINED)
    assert with_groups(card).about(who, prediction()).unknown == ()
    assert with_groups(card, race=("white",)).about(who, prediction()).unknown == ()
    assert with_groups(card, race=("white", "aian")).about(who, prediction()).unknown == unknown


def aged(youngest: int, oldest: int, race: str = "white") -> PatientSubgroups:
    """A patient whose birth date is not known to the day."""
    scheme = replace(SCHEME, bands=AgeBands.parse(BANDS))
    found = {
        "age_band": Attribute(None, Missing.IMPRECISE),
        "sex": attribute("male"),
        "race": attribute(race),
        "language": attribute("en"),
    }
    return scheme.assign(Demographics(found, AgeSpan(youngest, oldest)))


@pytest.mark.parametrize(
    ("who", "unknown"),
    [
        (aged(39, 40), ()),
        (aged(39, 40, "black"), (UnknownGroup("age_band", finding=True, gap=False),)),
        (aged(49, 50, "black"), ()),
        (aged(29, 30), (UnknownGroup("age_band", finding=True, gap=True),)),
        (patient(Missing.ABSENT), (UnknownGroup("age_band", finding=True, gap=True),)),
    ],
)
def test_an_age_known_within_two_bands_matters_when_the_bands_differ(
    who: PatientSubgroups, unknown: tuple[UnknownGroup, ...]
) -> None:
    assert about(who).unknown == unknown


def test_what_holds_at_every_possible_age_is_certain() -> None:
    older = OutOfScopeRule({"age_band": ("70-79", "80+")}, "ages over 69")
    evidence = about(aged(79, 80), with_rows(out_of_scope=(older,)))
    assert (evidence.rules, evidence.unknown) == ((older,), ())


@pytest.mark.parametrize("who", [patient(Missing.ABSENT, race="aian"), aged(39, 40, "aian")])
def test_a_missing_age_hides_no_gap_that_is_there_at_every_age(who: PatientSubgroups) -> None:
    assert ("race", "aian") in about(who).unreported


def test_a_missing_age_makes_no_gap_that_some_age_would_close() -> None:
    young = row("young", Metric.AUROC, {"race": ["white"], "age_band": ["30-39"]}, estimate=0.7)
    old = row("old", Metric.AUROC, {"race": ["black"], "age_band": ["60-69"]}, estimate=0.7)
    evidence = about(patient(Missing.ABSENT, race="black"), with_rows(young, old))
    assert ("race", "black") not in evidence.unreported


# Race without ethnicity -------------------------------------------------------------------------------------

COMBINED = SubgroupScheme({"race_ethnicity": policy("race_ethnicity", {}, Display.GENERIC)})


def combined(level: str, *members: str) -> PatientSubgroups:
    value = Attribute(level, None, members=members or (level,))
    return COMBINED.assign(Demographics({"race_ethnicity": value}))


def of_combined(*levels: str, **changes: Any) -> Estimate:
    return row("-".join(levels), Metric.AUROC, {"race_ethnicity": levels}, estimate=0.7, **changes)


GAP = row(
    "gap", Metric.OE_RATIO, {"race_ethnicity": ["nh_black"]}, estimate=2.0, ci=(1.8, 2.2), reference="rest"
)


@pytest.mark.parametrize(
    ("rows", "finding", "gap"),
    [
        ((GAP,), True, True),
        ((GAP, of_combined("hispanic")), True, False),
        ((of_combined("nh_black"), of_combined("nh_white")), False, True),
    ],
)
def test_race_without_ethnicity_could_be_two_groups(
    rows: tuple[Estimate, ...], finding: bool, gap: bool
) -> None:
    evidence = book(with_rows(*rows), scheme=COMBINED).about(
        combined("black_ethnicity_unknown"), prediction()
    )
    assert evidence.unknown == (UnknownGroup("race_ethnicity", finding, gap),)
    assert evidence.unreported == ()
    caveat = CaveatPolicy(COMBINED).weigh(evidence, prediction())
    assert Reason.GROUP_UNKNOWN in {reason.reason for reason in caveat.reasons}


def test_race_without_ethnicity_is_no_question_when_both_groups_are_alike() -> None:
    who = combined("black_ethnicity_unknown")
    reported = with_rows(of_combined("nh_black", "hispanic"))
    neither = with_rows(of_combined("nh_white"))
    assert book(reported, scheme=COMBINED).about(who, prediction()).unknown == ()
    evidence = book(neither, scheme=COMBINED).about(who, prediction())
    assert evidence.unknown == ()
    assert evidence.unreported == (("race_ethnicity", "black_ethnicity_unknown"),)


def test_patients_of_the_same_groups_get_one_answer() -> None:
    edition = book(CARD)
    first = edition.about(patient("30-39", race="black"), prediction())
    assert edition.about(patient("30-39", race="black"), prediction()) is first


def test_what_was_asked_before_changes_no_answer() -> None:
    card = with_rows(BLACK_YOUNG, races("asian"), row("men", Metric.AUROC, {"sex": ["male"]}, estimate=0.7))
    edition = book(card)
    ages: list[str | Missing] = ["30-39", "40-49", Missing.ABSENT, Missing.DECLINED]
    sexes: list[str | Missing] = ["male", "female", Missing.UNKNOWN]
    several: list[str | Missing | tuple[str, ...]] = [("black", "white"), ("asian", "white"), Missing.ABSENT]
    everybody = [patient(age, sex, race) for age in ages for sex in sexes for race in ["black", *several]]
    answers = [edition.about(who, prediction()) for who in everybody]
    assert answers == [book(card).about(who, prediction()) for who in everybody]


def test_an_answer_about_one_version_of_the_model_is_not_given_for_another() -> None:
    own = row("own", Metric.OE_RATIO, {}, source=EvidenceSource.LOCAL, estimate=1.0, n=5_000, positives=400)
    edition = book(with_rows(own))
    for version, results in (("2023.1", 1), ("another", 0), ("2023.1", 1)):
        assert len(edition.about(patient("30-39"), prediction(version=version)).local) == results


def test_a_new_edition_answers_anew() -> None:
    who = patient("30-39", race="black")
    assert book(CARD).about(who, prediction()).findings
    assert not book(with_rows()).about(who, prediction()).findings


def test_an_edition_keeps_a_bounded_number_of_answers() -> None:
    edition = book(CARD)
    for number in range(MOST_ANSWERS + 10):
        edition.about(patient(f"band-{number}"), prediction())
    assert len(edition._answers) <= MOST_ANSWERS  # what is kept shows nowhere else
