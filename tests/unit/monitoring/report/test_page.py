"""The report as its readers meet it: what is said first, what is never said, and nothing small is shown."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import date
from functools import lru_cache
from html.parser import HTMLParser

import pytest

from cds_wrapper.monitoring.report.blocks import Answers, Bullets, Page, Section, Table, Words
from cds_wrapper.monitoring.report.known import Activity, Known
from cds_wrapper.monitoring.report.page import FIGURES, csv_of, html_of, json_of, page_of, report_of
from tests.unit.monitoring.report.made import AS_OF, HOOKS, SHORT, group_of, known

NEVER_SAID = (
    "fair",
    "safe",
    "biased",
    "unbiased",
    "validated for you",
    "minority",
    "non-compliant",
    "equitable",
)


@lru_cache
def page() -> Page:
    return page_of(known())


@lru_cache
def html() -> str:
    return html_of(page())


def section(name: str, of: Page | None = None) -> Section:
    return next(one for one in (of or page()).sections if one.id == name)


def table(name: str, of: Page | None = None) -> Table:
    return next(one for one in (of or page()).tables() if one.name == name)


def row(name: str, start: str) -> dict[str, str]:
    found = table(name)
    cells = next(cells for cells in found.rows if cells[0].startswith(start))
    return dict(zip(found.columns, cells, strict=True))


def words(one: Section) -> str:
    said = [block.text for block in one.blocks if isinstance(block, Words)]
    said += [item for block in one.blocks if isinstance(block, Bullets) for item in block.items]
    return "\n".join(said)


def answers() -> dict[str, tuple[str, ...]]:
    (block,) = (block for block in section("answer").blocks if isinstance(block, Answers))
    return {one.title: one.groups for one in block.items}


class Text(HTMLParser):
    """What a reader sees of a page, and every address in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.addresses: list[str] = []
        self._skip = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skip += tag in {"style", "script"}
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]

    def handle_endtag(self, tag: str) -> None:
        self._skip -= tag in {"style", "script"}

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.seen.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.seen).split())


def test_the_first_page_says_for_whom_it_works_for_whom_not_and_what_is_not_known() -> None:
    found = answers()
    assert list(found) == ["Shown to work here", "Falls short here", "Not known"]
    assert found["Falls short here"] == ("Black or African American people, aged 20 to 39",)
    assert "Women and men" in found["Shown to work here"]
    unknown = "\n".join(found["Not known"])
    assert "Too few outcomes so far: people of another sex," in unknown
    assert "No such patient yet: Native Hawaiian or Pacific Islander people" in unknown
    assert "people without a known race" in unknown


def test_a_group_that_works_as_a_whole_says_for_which_of_its_members_it_does_not() -> None:
    shown = "\n".join(answers()["Shown to work here"])
    assert "Black or African American people (except those aged 20 to 39)" in shown


def test_the_first_sentence_is_out_of_one_hundred() -> None:
    assert (
        "Of 100 patients here, the tool predicted another stay in hospital for 11; it came for 11."
        in words(section("answer"))
    )


def test_a_finding_is_told_in_natural_frequencies_with_one_denominator() -> None:
    said = words(section("how-well"))
    assert "Of 100 of them, it predicted another stay in hospital for 9; it came for 17." in said
    assert "Of 100 of all patients: predicted 11, came 11." in said


def test_a_rare_outcome_is_told_out_of_a_thousand() -> None:
    figures = known().figures
    assert figures is not None
    everybody = figures.everybody
    rare = tuple(
        replace(one, value=0.012, low=0.01, high=0.014) if one.measure.value == "event_rate" else one
        for one in everybody.figures
    )
    groups = (replace(everybody, figures=rare), *figures.groups[1:])
    said = words(section("answer", page_of(replace(known(), figures=replace(figures, groups=groups)))))
    assert (
        "Of 1,000 patients here, the tool predicted another stay in hospital for 12; it came for 12." in said
    )


def test_not_represented_not_reported_and_hardly_represented_are_said_apart() -> None:
    said = words(section("whom"))
    assert "Hardly represented, with less than a fifth of their share here: Asian people." in said
    assert re.search(r"Not reported by the vendor, so that nobody knows[^\n]*American Indian", said)
    assert "Not reported by the vendor at all: preferred language." in said
    assert "Not represented:" not in said


def test_missing_details_that_become_more_are_a_notice() -> None:
    assert "Missing more often than in the quarter before: race." in words(section("whom"))
    assert row("missing", "Race")["Missing now"] == "7 %"


def test_what_moved_since_last_quarter_is_named() -> None:
    assert "Scores or alerts moved for:" in words(section("around"))


def test_a_group_that_is_answered_worse_or_overridden_more_is_named() -> None:
    said = words(section("around"))
    assert "Overridden more often than for all patients: Black or African American people." in said
    assert "Calculated without an input more often than for all patients: Black or African" in said


def test_fewer_events_above_the_threshold_may_reflect_treatment() -> None:
    rows = table("strata").rows
    (treated,) = (cells for cells in rows if "accepted" in cells[0])
    (below,) = (cells for cells in rows if cells[0].startswith("Below") and "nothing reported" in cells[0])
    assert treated[-1].endswith("may reflect treatment")
    assert "treatment" not in below[-1]


def test_the_plan_says_what_is_overdue_and_with_whom() -> None:
    assert (
        "Black or African American people, aged 20 to 39: due on 15 October 2026, with the clinical owner."
        in words(section("plan"))
    )
    assert row("findings", "Black")["Due"] == "15 October 2026, overdue"
    assert row("findings", "People aged")["What the plan says"] == "Listed only; no card changes."
    assert row("findings", "Black")["What the plan says"].startswith("At once: the card says so")


def test_the_time_to_find_says_never_plainly() -> None:
    assert "Never, even for the largest of these differences: People of another sex." in words(
        section("plan")
    )
    times = row("time-to-find", "People of another sex")
    assert {times[f"{ratio} times as many"] for ratio in ("1.25", "1.5", "1.85")} == {"never"}
    assert "month" in row("time-to-find", "Women")["1.25 times as many"]


def test_the_worked_example_explains_the_finding_with_the_reports_own_figures() -> None:
    said = words(section("reading"))
    assert "Take 100 Black or African American people, aged 20 to 39" in said
    assert "For every 100 predicted, 185 came: scores were too low." in said
    assert "So the answer for them today is: falls short here." in said


@pytest.mark.parametrize("word", NEVER_SAID)
def test_the_report_never_gives_a_certificate_nor_judges_patients(word: str) -> None:
    assert not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", Text(html()).text, re.IGNORECASE)


def test_synthetic_data_are_labelled_and_real_ones_are_not() -> None:
    assert "Synthetic data." in Text(html()).text
    assert "Synthetic data." not in Text(html_of(page_of(replace(known(), synthetic=False)))).text


def test_a_small_group_shows_no_figure_and_its_neighbour_no_count() -> None:
    small, neighbour = row("performance-sex", "People of another sex"), row("performance-sex", "Men")
    columns = [name for name in small if name not in {"Group", "Answer"}]
    assert {small[name] for name in columns} == {"not shown"}
    assert neighbour["Outcomes known"] == "not shown"
    assert neighbour["Came true, of 100"] == "12"


def test_no_count_from_1_to_10_stands_in_a_column_of_counts() -> None:
    counted = ("Episodes here", "Outcomes known", "Calls", "Scores", "Cards shown", "Due", "Episodes")
    seen = 0
    for one in page().tables():
        for place, column in enumerate(one.columns):
            if column.removesuffix(", to tens") in counted:
                shown = [cells[place] for cells in one.rows if cells[place].replace(",", "").isdigit()]
                seen += len(shown)
                assert not [n for n in shown if 0 < int(n.replace(",", "")) < 11], one.name
    assert seen > 50


def test_the_file_is_whole_and_loads_nothing() -> None:
    found = Text(html())
    assert "<script" not in html()
    assert [one for one in found.addresses if not one.startswith(("#", "data:"))] == []
    assert not re.search(r"url\((?!data:)|@import", html())


def test_every_chart_has_words_and_a_table_after_it() -> None:
    seen = 0
    for one in page().sections:
        for block, after in zip(one.blocks, one.blocks[1:], strict=False):
            if block.kind == "chart":
                seen += 1
                assert after.kind == "table"
                assert block.says
                assert "<svg" in block.svg
    assert seen > 5


def test_names_of_tables_are_unique_since_they_are_files_too() -> None:
    names = [one.name for one in page().tables()]
    assert len(names) == len(set(names))
    ids = re.findall(r'\bid="([^"]+)"', re.sub(r"<svg.*?</svg>", "", html(), flags=re.DOTALL))
    assert len(ids) == len(set(ids))


def test_words_of_a_model_card_cannot_break_the_page() -> None:
    service = known().service
    facts = {**service.card.facts}
    key = "purpose.intended_use"
    facts[key] = replace(facts[key], value='<img src="http://elsewhere/x">')
    hostile = replace(service, card=replace(service.card, facts=facts))
    assert "<img" not in html_of(page_of(replace(known(), service=hostile)))


def test_nothing_measured_is_said_plainly_and_is_no_good_result() -> None:
    nothing = replace(
        known(), figures=None, activity=Activity(), found=(), times={}, reviewed_on=None, synthetic=False
    )
    text = Text(html_of(page_of(nothing))).text
    assert "Nothing has been measured here yet: for no group of patients is anything known." in text
    assert "No review has been made yet: that no finding stands here says nothing." in text
    assert "Shown to work here No group" not in text


def test_no_open_finding_is_called_no_certificate() -> None:
    assert "That is no certificate" in words(section("plan", page_of(replace(known(), found=()))))


def test_a_review_that_was_not_made_in_time_is_overdue_and_only_then() -> None:
    within = replace(known(), found=())
    late = replace(within, reviewed_on=AS_OF - 3 * within.service.plan.monitoring.look_every)
    assert "No finding is overdue." in words(section("plan", page_of(within)))
    text = words(section("plan", page_of(late)))
    assert "A review: the last one was on" in text and "No finding is overdue." not in text


def test_json_holds_what_the_page_shows_and_no_small_number() -> None:
    found = json.loads(json.dumps(json_of(report_of(known()))))
    assert (found["service"], found["as_of"], found["synthetic"]) == ("readmission", AS_OF.isoformat(), True)
    small = [one for one in found["figures"] if one["level"] == "other" and one["attribute"] == "sex"]
    assert small
    assert {one["value"] for one in small} == {one["n"] for one in small} == {None}
    assert {one["not_given_because"] for one in small} == {"small_numbers"}
    men = [one for one in found["figures"] if (one["attribute"], one["level"]) == ("sex", "male")]
    assert {one["n"] for one in men} == {None}
    assert all(one["value"] == round(one["value"], 2) for one in men if one["value"] is not None)
    for one in found["figures"]:
        for count in (one["n"], one["events"]):
            assert count is None or count == 0 or count > 10, one


def test_csv_has_a_file_for_each_table_and_one_for_all_figures() -> None:
    found = csv_of(report_of(known()))
    assert {f"{one.name}.csv" for one in page().tables()} | {"figures.csv"} == set(found)
    rows = list(csv.DictReader(io.StringIO(found["figures.csv"])))
    (ratio,) = (
        one
        for one in rows
        if one["attribute"] == SHORT.attribute
        and one["level"] == SHORT.level
        and one["measure"] == "oe_ratio"
    )
    assert (ratio["answer"], ratio["n"], ratio["method"]) == ("falls_short", "700", "made up")
    assert float(ratio["low"]) < float(ratio["value"]) < float(ratio["high"])


def test_every_column_of_the_figures_is_described_in_the_guide() -> None:
    guide = (HOOKS.parent / "docs" / "how-to" / "read-the-report.md").read_text()
    assert [column for column in FIGURES if f"`{column}`" not in guide] == []


def test_json_tells_the_edition_and_what_was_found() -> None:
    found = json_of(report_of(known()))
    assert found["edition"] == {"as_of": AS_OF.isoformat(), "reviewed_on": AS_OF.isoformat()}
    assert [(one["id"], one["on_cards"]) for one in found["findings"]] == [("F1", True), ("F2", False)]


def test_no_cell_of_a_csv_is_a_formula() -> None:
    for text in csv_of(report_of(known())).values():
        for cells in csv.reader(io.StringIO(text)):
            assert not [cell for cell in cells if cell[:1] in {"=", "@"}]


@pytest.mark.parametrize("level", ["=1+1", "-1+cmd|' /C calc'!A0", "\t=1", "@SUM(1)", "+1"])
def test_a_level_that_a_patient_s_record_brought_is_no_formula(level: str) -> None:
    figures = known().figures
    assert figures is not None
    hostile = tuple(
        replace(one, group=group, figures=tuple(replace(figure, group=group) for figure in one.figures))
        for one in figures.groups
        for group in [group_of("sex", level) if one.group == group_of("sex", "female") else one.group]
    )
    found = csv_of(report_of(replace(known(), figures=replace(figures, groups=hostile), times={})))
    levels = {one["level"] for one in csv.DictReader(io.StringIO(found["figures.csv"]))}
    assert f"'{level}" in levels and level not in levels


def a_year_later() -> Known:
    return replace(known(), as_of=date(2027, 10, 31))


def test_what_is_due_depends_on_the_day_of_the_report() -> None:
    overdue = [cells[-1] for cells in table("findings", page_of(a_year_later())).rows]
    assert all(one.endswith("overdue") for one in overdue)
