"""Figures in readable form, and the rule about which groups a page may name."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cds_wrapper.caveats.evidence import (
    Estimate,
    EvidenceSource,
    IntervalKind,
    Metric,
    ModelCard,
    OutOfScopeRule,
    State,
    Stated,
    TrainingGroup,
)
from cds_wrapper.caveats.plan import Disposition, OnError
from cds_wrapper.pages.attributes import source_attributes
from cds_wrapper.pages.decisions import _on_error, _then
from cds_wrapper.pages.names import ELSEWHERE, mentions, readable
from cds_wrapper.pages.published import (
    count,
    figure,
    group_name,
    hidden_in,
    hidden_names,
    horizon,
    may_name,
    may_say,
    not_found,
    studies_of,
    training_rows,
    untold_training,
)
from cds_wrapper.patient.subgroups import AttributePolicy, Display, SubgroupScheme

BANDS = {"30-39": "people aged 30 to 39", "40-49": "people aged 40 to 49", "80+": "people aged 80 and over"}


def policy(name: str, display: Display, labels: Mapping[str, str] | None = None) -> AttributePolicy:
    return AttributePolicy(name, core=True, monitor=True, display=display, labels=labels or {})


SCHEME = SubgroupScheme(
    {
        "age_band": policy("age_band", Display.SHOW, BANDS),
        "sex": policy("sex", Display.SHOW, {"female": "women"}),
        "race": policy("race", Display.GENERIC),
        "tribal_affiliation": policy("tribal_affiliation", Display.NEVER),
    }
)


def row(**changes: object) -> Estimate:
    base = {
        "id": "r",
        "metric": Metric.AUROC,
        "source": EvidenceSource.EXTERNAL,
        "outcome": "sepsis",
        "horizon": "P30D",
        "estimate": 0.7,
        "cite": "Doe 2025",
    }
    return Estimate(**(base | changes))  # type: ignore[arg-type]  # each test names fields of its own


def card(*rows: Estimate, **changes: object) -> ModelCard:
    base = {"id": "m", "version": "1", "name": "M", "developer": "D", "digest": "sha256:0", "estimates": rows}
    return ModelCard(**(base | changes))  # type: ignore[arg-type]  # each test names fields of its own


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("P10Y", "10 years"),
        ("P1Y", "1 year"),
        ("P43M", "43 months"),
        ("PT48H", "48 hours"),
        ("P1DT30M", "1 day 30 minutes"),
        ("P30D", "30 days"),
    ],
)
def test_a_horizon_is_said_in_words(written: str, said: str) -> None:
    assert horizon(written) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "0.70"),
        ({"estimate": 1.8519, "ci": (1.5385, 2.0833)}, "1.85 (1.54 to 2.08, 95 % interval)"),
        (
            {"ci": (0.6, 0.8), "interval_kind": IntervalKind.INTERQUARTILE},
            "0.70 (0.60 to 0.80, middle half of the data sets)",
        ),
        (
            {"ci": (0.6, 0.8), "interval_kind": IntervalKind.ERROR},
            "0.70 (0.60 to 0.80, one standard error either way)",
        ),
        ({"estimate": None}, "reported, without a figure"),
        ({"estimate": None, "state": State.NOT_AVAILABLE}, "not available"),
        ({"estimate": 0.794}, "0.794"),
    ],
)
def test_a_figure_is_given_with_what_its_limits_are(changes: dict[str, object], said: str) -> None:
    assert figure(row(**changes)) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(None, ""), (0, "fewer than 11"), (10, "fewer than 11"), (11, "11"), (2500291, "2,500,291")],
)
def test_a_small_number_of_people_is_not_given(number: int | None, said: str) -> None:
    assert count(number) == said


@pytest.mark.parametrize(
    ("where", "allowed"),
    [
        ({}, True),
        ({"age_band": ("30-39",)}, True),
        ({"race": ("black",)}, False),
        ({"age_band": ("30-39",), "race": ("black",)}, False),
        ({"tribal_affiliation": ("yes",)}, False),
        ({"nobody_declared_it": ("x",)}, False),
    ],
)
def test_half_of_a_crossing_is_never_named(where: Mapping[str, tuple[str, ...]], allowed: bool) -> None:
    assert may_name(where, SCHEME) is allowed


@pytest.mark.parametrize(
    ("where", "as_reported", "said"),
    [
        ({}, None, "everybody"),
        ({"sex": ("female",)}, None, "women"),
        ({"age_band": ("30-39", "40-49")}, None, "ages 30 to 49"),
        ({"age_band": ("30-39", "80+")}, None, "people aged 30 to 39 or people aged 80 and over"),
        ({"race": ("black",), "age_band": ("30-39",)}, "Black", "Black, people aged 30 to 39"),
        ({"race": ("asian", "nhpi")}, None, "race: asian, nhpi"),
    ],
)
def test_groups_have_plain_names(
    where: Mapping[str, tuple[str, ...]], as_reported: str | None, said: str
) -> None:
    assert group_name(where, SCHEME, as_reported) == said


HIDDEN = row(id="h", where={"race": ("black",)}, as_reported="Black/African American", note="Black 0.7")
OPEN = row(id="o", where={"sex": ("female",)}, who="women", note="0.1 lower in Black women")


def test_behind_a_card_only_rows_and_notes_without_hidden_names_are_shown() -> None:
    (study,) = studies_of(card(HIDDEN, OPEN), SCHEME, all_groups=False)
    assert [(one.group, one.note) for one in study.rows] == [("women", "")]
    assert study.gives == "C statistic, by race, sex"


def test_a_hidden_row_without_a_name_of_its_own_is_hidden_all_the_same() -> None:
    (study,) = studies_of(card(row(where={"race": ("black",)})), SCHEME, all_groups=False)
    assert study.rows == ()


def test_people_described_by_a_hidden_name_are_described_elsewhere() -> None:
    (study,) = studies_of(
        card(row(who="Black veterans", where={"race": ("black",)}, as_reported="Black")),
        SCHEME,
        all_groups=False,
    )
    assert study.who == "described on the model’s own page"


def test_the_models_own_page_has_them_all() -> None:
    (study,) = studies_of(card(HIDDEN, OPEN), SCHEME, all_groups=True)
    assert [one.group for one in study.rows] == ["Black/African American", "women"]


def test_every_source_and_every_outcome_stands_apart() -> None:
    rows = (row(), row(outcome="death"), row(cite="Roe 2026"))
    assert [study.outcome for study in studies_of(card(*rows), SCHEME, all_groups=True)] == [
        "sepsis, within 30 days",
        "death, within 30 days",
        "sepsis, within 30 days",
    ]


def test_what_was_not_found_is_said_by_attribute_where_the_group_may_not_be_named() -> None:
    rows = (
        row(state=State.NOT_REPORTED, estimate=None, where={"race": ("aian",)}, as_reported="Native"),
        row(state=State.NOT_REPORTED, estimate=None, where={"race": ("nhpi",)}, as_reported="Pacific"),
        row(state=State.NOT_REPORTED, estimate=None, where={"sex": ("female",)}),
    )
    assert not_found(card(*rows), SCHEME, all_groups=False) == ["some groups by race", "women"]
    assert not_found(card(*rows), SCHEME, all_groups=True) == ["Native", "Pacific", "women"]


def test_training_groups_nobody_counts_are_named_as_such() -> None:
    made = card(
        training=(
            TrainingGroup({}, n=3_281_919),
            TrainingGroup({"sex": ("female",)}, share=0.505),
            TrainingGroup({"race": ("black",)}, State.NOT_REPORTED),
        )
    )
    assert [(one.group, one.people, one.figure) for one in training_rows(made, SCHEME)] == [
        ("everybody", "3,281,919", ""),
        ("women", "", "50.5 %"),
        ("race: black", "not reported", ""),
    ]
    assert untold_training(made, SCHEME, all_groups=False) == ["some groups by race"]


def test_a_name_is_found_as_a_word_not_inside_another() -> None:
    names = hidden_names([row(where={"race": ("white",)}, as_reported="White")], SCHEME)
    assert mentions("whites: White, 0.7", names)
    assert not mentions("Whitehall study", names)


def test_attributes_nobody_states_are_listed_as_not_reported() -> None:
    facts = {
        "stage": Stated(State.REPORTED, "Research", "Doe"),
        "out_of_scope.known_risks": Stated(State.REPORTED, "Low in Black men"),
    }
    groups = source_attributes(card(facts=facts), frozenset({"Black"}))
    found = {one.label: one for group in groups for one in group.attributes}
    assert (found["Stage"].value, found["Stage"].source) == ("Research", "Doe")
    assert (found["Funding"].value, found["Funding"].said) == ("not reported", False)
    assert found["Known risks and limits"].value == ELSEWHERE


def test_only_the_sentence_and_the_source_that_name_a_hidden_group_are_elsewhere() -> None:
    facts = {
        "stage": Stated(
            State.REPORTED, "Ready. Too low in African-Americans. Watch it.", "Doe, Latino cohort"
        ),
        "developer.funding": Stated(State.REPORTED, "A fund", "Doe 2025"),
    }
    made = card(HIDDEN, OPEN, facts=facts)
    groups = source_attributes(made, hidden_in(made, SCHEME))
    found = {one.label: (one.value, one.source) for group in groups for one in group.attributes}
    assert found["Stage"] == (f"Ready. [{ELSEWHERE}] Watch it.", ELSEWHERE)
    assert found["Funding"] == ("A fund", "Doe 2025")


CLOSED = SubgroupScheme(
    {
        "age_band": policy("age_band", Display.SHOW, BANDS),
        "language": policy("language", Display.GENERIC, {"es": "people who speak Spanish", "other": "other"}),
        "interpreter_needed": policy("interpreter_needed", Display.NEVER),
    }
)
OPEN_RACE = SubgroupScheme(
    {
        "race": policy("race", Display.SHOW, {"black": "Black people"}),
        "ethnicity": policy("ethnicity", Display.GENERIC),
    }
)


@pytest.mark.parametrize(
    ("text", "scheme", "named"),
    [
        ("in Blacks and whites", SCHEME, True),
        ("the level nhpi", SCHEME, True),
        ("in Samoan adults", SCHEME, True),
        ("people on Medicaid", SCHEME, True),
        ("in American  Indian or Pacific-Islander adults", SCHEME, True),
        ("among LATINX adults", SCHEME, True),
        ("white blood cell count; a black box; the Whitehall study", SCHEME, False),
        ("missing values, other sites, multiple imputation, no race, yes", SCHEME, False),
        ("people aged 30 to 39; women", SCHEME, False),
        ("in people who speak Spanish", CLOSED, True),
        ("by others, es", CLOSED, False),
        ("in Black adults", OPEN_RACE, False),
        ("in Hispanic adults", OPEN_RACE, True),
    ],
)
def test_hidden_groups_are_known_by_level_label_and_common_name(
    text: str, scheme: SubgroupScheme, named: bool
) -> None:
    rows = (HIDDEN, row(where={"race": ("missing", "multiple", "other")}))
    made = card(*rows, training=(TrainingGroup({"race": ("nhpi",)}, as_reported="Samoan"),))
    assert mentions(text, hidden_in(made, scheme)) is named


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Good. Low in Native\nAmerican adults. Fine.", f"Good. [{ELSEWHERE}] Fine."),
        ("Low in Native American adults.", ELSEWHERE),
        ("Good. Fine.", "Good. Fine."),
        ("", ""),
    ],
)
def test_a_text_loses_only_the_sentences_that_name_a_hidden_group(text: str, said: str) -> None:
    assert readable(text, frozenset({"Native American"})) == said
    assert readable(text, frozenset()) == text


def test_a_source_that_names_a_hidden_group_is_named_on_the_models_own_page() -> None:
    cited = row(cite="Fairness in Black adults", where={"sex": ("female",)}, who="women")
    made = card(cited, HIDDEN)
    assert studies_of(made, SCHEME, all_groups=False)[0].cite == f"source named {ELSEWHERE}"
    assert studies_of(made, SCHEME, all_groups=True)[0].cite == "Fairness in Black adults"


def test_a_title_about_fairness_stays_readable() -> None:
    title = "PREVENT Equations in Young Adults: Fairness, Calibration, and Performance"
    made = card(row(cite=title), HIDDEN)
    assert studies_of(made, SCHEME, all_groups=False)[0].cite == title


def test_people_of_an_open_row_are_not_described_by_a_hidden_name() -> None:
    (study,) = studies_of(card(row(who="Black veterans"), HIDDEN), SCHEME, all_groups=False)
    assert [one.group for one in study.rows] == [f"described {ELSEWHERE}"]


@pytest.mark.parametrize(
    ("where", "say", "allowed"),
    [
        ({"age_band": ("80+",)}, "ages outside 30 to 79", True),
        ({"race": ("black",)}, "Black adults", False),
        ({"race": ("black",)}, "some adults", False),
        ({"race": ("black",), "age_band": ("80+",)}, "people aged 80 and over", False),
        ({"age_band": ("80+",)}, "Hispanic people aged 80 and over", False),
    ],
)
def test_a_rule_of_the_developer_is_said_only_if_it_names_no_hidden_group(
    where: Mapping[str, tuple[str, ...]], say: str, allowed: bool
) -> None:
    rule = OutOfScopeRule(where, say)
    assert may_say(rule, SCHEME, hidden_in(card(out_of_scope=(rule,)), SCHEME)) is allowed


@pytest.mark.parametrize("disposition", Disposition, ids=lambda one: one.value)
def test_every_disposition_has_words(disposition: Disposition) -> None:
    assert _then(disposition)


@pytest.mark.parametrize("answer", OnError, ids=lambda one: one.value)
def test_every_answer_to_an_error_of_our_own_has_words(answer: OnError) -> None:
    assert _on_error(answer)
