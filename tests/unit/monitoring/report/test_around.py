"""Bands of the score, equal scores, months of follow-up, shares by group: what is told, and nothing small."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cds_wrapper.monitoring.equal_scores import Among, Compared, Standing
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.report.bands import hidden_bands, merged
from cds_wrapper.monitoring.report.blocks import NOT_SHOWN, Answers, Chart, Table, Words
from cds_wrapper.monitoring.report.figures import about, days_words
from cds_wrapper.monitoring.report.followed import followed
from cds_wrapper.monitoring.report.judgement import short_answer
from cds_wrapper.monitoring.report.known import Activity, Known
from cds_wrapper.monitoring.report.page import csv_of, html_of, report_of
from cds_wrapper.monitoring.report.shares import Shares, without_small
from cds_wrapper.monitoring.report.verdicts import Because
from cds_wrapper.monitoring.score_bands import ScoreBand
from cds_wrapper.monitoring.strata import DueInMonth, FollowUp
from cds_wrapper.monitoring.values import EVERYBODY, Group
from cds_wrapper.services.outcomes import Outcome, OutcomeKind, Role
from cds_wrapper.vendors.base import ScoreKind
from tests.unit.monitoring.report.made import group_of, known, service
from tests.unit.monitoring.report.test_page import html, row, section, table, words

A, B, C = (group_of("race", name) for name in ("white", "black", "asian"))


def bands(group: Group, *counts: tuple[int, int]) -> list[ScoreBand]:
    """Of each band: how many, and how many of them had the outcome."""
    return [
        ScoreBand(group, place / 10, (place + 1) / 10, n, events, events)
        for place, (n, events) in enumerate(counts)
    ]


def test_a_group_with_a_small_count_in_a_band_shows_none_and_takes_another_with_it() -> None:
    rows = [
        *bands(EVERYBODY, (1000, 120), (400, 85)),
        *bands(A, (500, 60), (200, 40)),
        *bands(B, (300, 40), (150, 40)),
        *bands(C, (200, 20), (50, 5)),
    ]
    assert hidden_bands(rows) == {B, C}, "what is left of everybody would be C's five"


def test_what_is_left_of_everybody_hides_nothing_more_when_it_is_large_enough() -> None:
    rows = [*bands(EVERYBODY, (1000, 120), (400, 85)), *bands(A, (500, 60), (200, 40)), *bands(B, (9, 2))]
    assert hidden_bands(rows) == {B}


def test_narrow_bands_are_put_together_and_never_across_the_threshold() -> None:
    rows = bands(EVERYBODY, (1000, 90), (300, 5), (100, 30), (10, 4))
    assert [(one.low, one.high, one.events) for one in merged(rows, None)] == [
        (0.0, 0.1, 90),
        (0.1, 0.4, 39),
    ]
    kept = [(one.low, one.high, one.events) for one in merged(rows, 0.2)]
    assert kept == [(0.0, 0.2, 95), (0.2, 0.4, 34)]


def test_what_was_predicted_and_what_came_stands_by_band_with_its_range() -> None:
    found = row("bands-race", "Black")
    assert found["5 % to 10 %"].startswith("8 → 11 (")
    assert found["10 % to 15 %"].startswith("12 → 17 (")


def test_net_benefit_and_both_sides_of_the_threshold_stand_by_group() -> None:
    found = row("further-sex", "Women")
    assert found["Flagged, of 100"].startswith("15 (")
    assert "(" in found["Seen for each predicted, flagged"]


def test_a_label_mismatch_is_said_in_words() -> None:
    said = words(section("how-well", report_of(with_need()).page))
    assert "Label mismatch: for Black or African American people the score is right about" in said
    assert "Not checked against need" not in said
    rows = {one[0]: one for one in table("same-score-illness", report_of(with_need()).page).rows}
    assert rows["Black or African American people"][1:] == (
        "more than others; what it was made to predict differs less",
        "1.50 (1.40 to 1.60)",
        "3.00",
        "2.00",
        "1,350",
        "all",
    )
    assert rows["Women"][1] == "about the same"


def test_the_sides_of_the_threshold_are_shown_both_or_neither() -> None:
    """Of all and of those below it, those above would follow: here five people."""
    whole = next(one for one in known().activity.compared if one.group == B)
    parts = {Among.ALL: 85, Among.FLAGGED: 5, Among.UNFLAGGED: 80}
    rows = tuple(
        replace(whole, among=among, n=n, result=replace(whole.result, observed=n / 2))
        for among, n in parts.items()
    )
    found = table("same-score-readmission", report_of(without_probability(compared=rows)).page)
    assert [cells[2] == NOT_SHOWN for cells in found.rows] == [False, True, True]


def test_a_need_that_differs_by_a_size_that_is_open_is_told_as_the_review_lists_it() -> None:
    made = with_need()
    rows = tuple(
        replace(
            one,
            result=replace(one.result, ratio=Figure.of(1.3, (1.1, 1.5))),
            over_label=Figure.of(1.3, (1.1, 1.5)),
            standing=Standing.NO_FINDING,
            label_mismatch=False,
        )
        if one.outcome == "illness" and one.group == B
        else one
        for one in made.activity.compared
    )
    page = report_of(replace(made, activity=replace(made.activity, compared=rows))).page
    told = {one[0]: one for one in table("same-score-illness", page).rows}
    assert told["Black or African American people"][1].startswith(
        "more than others, perhaps too little to matter; what it was made to predict"
    )


def without_probability(**changes: Any) -> Known:
    made = service()
    assert made.vendor.score is not None
    points = replace(made.vendor.score, kind=ScoreKind.INDEX)
    return replace(
        known(),
        service=replace(made, vendor=replace(made.vendor, score=points)),
        activity=replace(known().activity, **changes),
    )


def test_scores_that_are_no_probabilities_are_compared_in_words_that_fit_them() -> None:
    page = report_of(without_probability()).page
    assert "This score is no probability" in words(section("how-well", page))
    assert table("same-score-readmission", page).rows
    assert "This score is no probability" not in words(section("how-well"))


@pytest.mark.parametrize(
    ("compared", "why"),
    [
        ((), "there are no groups here"),
        (tuple(replace(one, n=0) for one in known().activity.compared), "of nobody is it known yet"),
    ],
)
def test_where_nothing_can_be_compared_the_page_says_why(compared: tuple[Compared, ...], why: str) -> None:
    page = report_of(without_probability(compared=compared)).page
    assert why in words(section("how-well", page))
    assert not any(one.name.startswith("same-score") for one in page.tables())


def with_need() -> Known:
    label = known().service.outcome
    need = Outcome(name="illness", phrase="ill", horizon="P30D", kind=OutcomeKind.COUNT, role=Role.NEED)
    return replace(known(), service=replace(known().service, outcome=label, further_outcomes=(need,)))


def test_without_a_declared_need_the_page_says_that_it_was_not_checked() -> None:
    assert "Not checked against need" in words(section("how-well"))


def test_outcomes_that_stop_coming_are_seen_to_fall() -> None:
    said = words(section("around"))
    assert "Of the outcomes due in September 2026 more than a tenth are not known." in said
    assert row("follow-up-months", "September")["Outcome known"] == "74 %"
    assert row("follow-up-sites", "north")["Outcome known"] == "83 %"


def followed_by(*rows: FollowUp) -> str:
    blocks = followed(replace(known(), activity=Activity(follow_up=rows)))
    return " ".join(block.text for block in blocks if isinstance(block, Words))


def test_cases_that_nobody_looked_for_are_counted_as_those_that_somebody_did() -> None:
    """Of a thousand flagged a third have it; of four thousand others a tenth of the quarter looked at."""
    flagged, others = (
        FollowUp(EVERYBODY, True, 1000, 900, 100, 0, 300),
        FollowUp(EVERYBODY, False, 4000, 1000, 3000, 0, 100),
    )
    assert "Of 100 cases that we know of, 75 had been flagged." in followed_by(flagged, others)
    assert "it is 45 of 100 of all cases" in followed_by(flagged, others)
    for few in (replace(others, events=9), replace(others, unverified=7), replace(others, known=0, events=0)):
        assert "Of 100 cases" not in followed_by(flagged, few)


def drawn(*rows: DueInMonth) -> str:
    blocks = followed(replace(known(), activity=Activity(follow_up=known().activity.follow_up, due=rows)))
    return next(block.svg for block in blocks if isinstance(block, Chart))


def month(due: int, seen: int) -> DueInMonth:
    return DueInMonth("north", date(2026, 10, 1), due, seen, 0)


def test_bars_of_months_give_no_handful_away_and_are_as_long_as_what_is_known() -> None:
    months = [DueInMonth("north", date(2026, month, 1), 457, 400, 0) for month in (7, 8, 9)]
    for few in (month(34, 24), month(25, 10), month(457, 453), month(457, 456), month(5, 5)):
        assert "Oct 2026" not in drawn(*months, few)
    assert "Oct 2026" in drawn(*months, month(457, 457))
    assert drawn(*months, month(457, 457)) != drawn(*months, month(457, 300))
    large = [drawn(*months, month(4_000, seen)) for seen in (3_990, 3_999, 4_000)]
    assert large[0] == large[1] == large[2]


def test_the_correction_says_that_it_holds_where_the_flag_alone_decides() -> None:
    flagged, others = (
        FollowUp(EVERYBODY, True, 1000, 900, 100, 0, 300),
        FollowUp(EVERYBODY, False, 4000, 1000, 3000, 0, 100),
    )
    assert "If nothing but whether a patient was flagged decides" in followed_by(flagged, others)


def test_a_time_is_told_as_one_says_it() -> None:
    told = [days_words(days) for days in (None, 1, 20, 100, 729, 942, 1824)]
    assert told == ["never", "1 day", "3 weeks", "3 months", "24 months", "2½ years", "5 years"]


# Shares -----------------------------------------------------------------------------------------------------


def shares(**parts: tuple[int, int]) -> Table:
    groups = {EVERYBODY if name == "all" else group_of("race", name): part for name, part in parts.items()}
    whole = {group: n for group, (_, n) in groups.items()}
    return Shares("t", "t", "People", whole, {"Late": groups}, {}).table(known())


def test_numbers_of_people_are_to_tens_so_that_no_handful_lies_between_two_tables() -> None:
    """Of 140 calls 138 had a score: two tables would tell of two people."""
    calls, scores = shares(all=(900, 904), white=(138, 140)), shares(all=(900, 902), white=(130, 138))
    assert [row[1] for row in calls.rows] == [row[1] for row in scores.rows] == ["900", "140"]
    assert calls.columns[1] == "People, to tens"
    assert [about(n) for n in (0, 11, 14, 15, 2004, 2005)] == ["0", "11", "11", "20", "2,000", "2,010"]


def test_a_small_part_is_told_as_such_and_its_neighbour_not_at_all() -> None:
    found = shares(all=(63, 900), white=(40, 500), black=(20, 300), asian=(3, 100))
    assert [cells[2] for cells in found.rows] == ["7 %", "8 %", NOT_SHOWN, "<11"]


def test_all_but_a_few_is_told_as_such() -> None:
    found = shares(all=(880, 900), white=(496, 500), black=(295, 300), asian=(89, 100))
    assert [cells[2] for cells in found.rows][1:3] == ["all but <11", "all but <11"]


def test_a_group_of_a_few_shows_nothing() -> None:
    found = shares(all=(63, 907), white=(40, 500), black=(20, 400), asian=(3, 7))
    assert found.rows[3][1:] == (NOT_SHOWN, NOT_SHOWN)


def test_a_rest_from_which_a_small_number_would_follow_is_left_out() -> None:
    parts = {A: (88, 100), B: (88, 100), C: (2990, 3000)}
    assert set(without_small(parts, {A: (11, 1), B: (12, 0), C: (9, 1)})) == {B, C}


def test_rows_of_which_nothing_may_be_shown_are_named_in_a_sentence_and_kept_in_the_files() -> None:
    made = report_of(known())
    found = table("further-sex", made.page)
    assert [one[0] for _, one in found.told] == ["Women", "Men"]
    assert found.left_out == "Nothing can be shown of: People of another sex (small numbers)."
    assert "People of another sex" in csv_of(made)["further-sex.csv"]
    assert found.left_out in html()


@pytest.mark.parametrize("mark", [(), ("shown", "not_known")])
def test_quiet_rows_stand_in_the_files_only(mark: tuple[str, ...]) -> None:
    found = Table("t", "t", ("Group", "n"), (("a", "1"), ("b", "2")), marks=mark, quiet=(False, True))
    assert [cells for _, cells in found.told] == [("a", "1")]
    assert found.left_out == "1 further row stands in the files beside this page."


def test_a_table_without_any_row_to_show_is_a_sentence() -> None:
    page = report_of(known()).page
    nothing = Table("empty", "How it did", ("Group", "n"), (("A few people", NOT_SHOWN),))
    blank = replace(page, sections=(replace(page.sections[0], blocks=(nothing,)),))
    assert "<table" not in html_of(blank)
    assert "Nothing can be shown of: A few people" in html_of(blank)


def test_missing_details_with_unlike_answers_are_named_by_their_reason() -> None:
    made = report_of(known())
    assert made.shown is not None
    judged = tuple(
        replace(one, because=Because.NOBODY) if one.figures.group.level == "missing:declined" else one
        for one in made.shown.judged
    )
    (block,) = (
        block
        for block in short_answer(known(), replace(made.shown, judged=judged)).blocks
        if isinstance(block, Answers)
    )
    told = "\n".join(block.items[2].groups)
    assert "people without a known race" not in told
    assert "people whose race is not given when asked" in told
