"""Words of a site's own files that no card says, found before a patient is concerned, at their line."""

from __future__ import annotations

import pytest

from cds_wrapper.errors import Mistake
from cds_wrapper.services.card_words import card_word_mistakes
from cds_wrapper.services.folders import read_folder
from cds_wrapper.services.lint import warnings_about
from cds_wrapper.services.reading import FILE_NAMES, ReadService, SourceFile, read_service
from tests.unit.services.files import CVD_RISK


def changed(kind: str, old: str, new: str) -> tuple[ReadService, int]:
    """The shipped service with one change, and its line."""
    folder = read_folder(CVD_RISK)
    source = folder.sources[kind]
    text = source.content.decode()
    assert old in text
    after = SourceFile(kind, source.name, text.replace(old, new, 1).encode())
    return read_service({**folder.sources, kind: after}, folder.table), text[: text.index(old)].count(
        "\n"
    ) + 1


def places(found: list[Mistake]) -> list[tuple[str, int | None]]:
    return [(one.file, one.line) for one in found]


@pytest.mark.parametrize(
    ("kind", "old", "new", "said"),
    [
        ("service", "title: ", "title: Unbiased ", "Unbiased"),
        ("service", "name: cardiovascular disease", "name: unsafe outcome", "unsafe"),
        ("subgroups", "female: women", "female: minority women", "minority"),
        ("subgroups", "female: women", "female: the high-risk group", "high-risk group"),
        ("model_card", "say: ages outside 30 to 79", "say: non-compliant adults", "non-compliant"),
    ],
)
def test_a_verdict_in_a_name_is_found_where_it_stands(kind: str, old: str, new: str, said: str) -> None:
    read, line = changed(kind, old, new)
    found = list(card_word_mistakes(read))
    assert places(found) == [(f"cvd-risk/{FILE_NAMES[kind]}", line)]
    assert f'says "{said}"' in found[0].problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Low in Black patients.", "Black"),
        ("Low in black patients.", "black"),
        ("Low in American Indian patients.", "American"),
        ("Low in nh_white patients.", "nh_white"),
        ("Low in Hispanics.", "Hispanics"),
        ("Low in Asian and other patients.", "Asian"),
    ],
)
def test_the_boards_own_words_name_no_group_that_is_not_shown(text: str, said: str) -> None:
    read, line = changed("plan", "wording: {}", f'wording: {{G5: {{never: "{text}"}}}}')
    (found,) = card_word_mistakes(read)
    assert places([found]) == [("cvd-risk/plan.yaml", line)]
    assert (found.key, found.problem.partition(":")[0]) == ("wording.G5.never", f'says "{said}"')


@pytest.mark.parametrize(
    "text",
    [
        "Low in women.",
        "Low in people aged 30 to 39.",
        "More patients than others had no result; any other answer, yes or no, is unknown.",
    ],
)
def test_shown_groups_and_ordinary_words_may_be_said(text: str) -> None:
    read, _ = changed("plan", "wording: {}", f'wording: {{G5: {{never: "{text}"}}}}')
    assert list(card_word_mistakes(read)) == []


def test_a_group_that_is_shown_may_be_named_in_the_boards_own_words() -> None:
    folder = read_folder(CVD_RISK)
    sources = dict(folder.sources)
    for kind, old, new in (
        ("subgroups", "display: never", "display: show"),
        ("subgroups", "display: generic", "display: show"),
        ("plan", "wording: {}", 'wording: {G5: {never: "Low in Black patients."}}'),
    ):
        source = sources[kind]
        sources[kind] = SourceFile(kind, source.name, source.content.decode().replace(old, new).encode())
    assert list(card_word_mistakes(read_service(sources, folder.table))) == []


# Figures about something else -------------------------------------------------------------------------------

YOUNG_BLACK = """      source: external
      outcome: cardiovascular disease
      horizon: P10Y
      where: {race: [black], age_band: ["30-39"]}
      as_reported: Black
      who: adults aged 30 to 39 in Southern California"""


@pytest.mark.parametrize(
    ("old", "new", "key", "lines"),
    [
        ("outcome: cardiovascular disease", "outcome: cardiovascular event", "outcome", 1),
        ("horizon: P10Y", "horizon: P5Y", "horizon", 2),
    ],
)
def test_a_ratio_about_something_else_is_a_warning_and_no_mistake(
    old: str, new: str, key: str, lines: int
) -> None:
    read, line = changed("model_card", YOUNG_BLACK, YOUNG_BLACK.replace(old, new))
    (found,) = (one for one in warnings_about(read) if one.key.startswith("evidence"))
    assert places([found]) == [("cvd-risk/model_card.yaml", line + lines)]
    assert found.key.endswith(key)
    assert "makes no finding" in found.problem
    assert not [one for one in read.mistakes if "model_card" in one.file]


@pytest.mark.parametrize("horizon", ["P10Y", "P120M"])
def test_a_ratio_about_the_services_own_question_is_no_warning(horizon: str) -> None:
    read, _ = changed("model_card", YOUNG_BLACK, YOUNG_BLACK.replace("P10Y", horizon))
    assert not [one for one in warnings_about(read) if one.key.startswith("evidence")]


@pytest.mark.parametrize(
    "label", ["<b>eGFR</b>", "[eGFR](https://evil.example)", "eGFR ![x](y)", "```eGFR", "biased eGFR"]
)
def test_the_name_of_an_input_is_plain_text_that_a_card_may_say(label: str) -> None:
    read, line = changed("service", "    label: eGFR", f"    label: '{label}'")
    assert places(list(card_word_mistakes(read))) == [("cvd-risk/service.yaml", line)]


def test_how_to_measure_again_names_no_group_that_is_not_shown() -> None:
    rule = '{where: {race: [black]}, source: x, recheck: "Readings are too high in black patients."}'
    old = "  - {name: diabetes, "
    read, line = changed("model_card", old, f"{old}measured_less_well: [{rule}], ")
    (found,) = card_word_mistakes(read)
    assert (found.key, found.line) == ("inputs[7].measured_less_well[0].recheck", line)
    assert 'says "black' in found.problem
