"""The card of a score in `service.yaml`: what has to be there, what it may say, where it would not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cds_wrapper.caveats.score_card import Speaks
from cds_wrapper.errors import Mistake
from cds_wrapper.services.checking import validate
from cds_wrapper.services.folders import read_folder
from cds_wrapper.services.lint import warnings_about
from cds_wrapper.services.reading import CARD, SERVICE, SourceFile, read_service
from cds_wrapper.services.score_card_build import paragraphs, score_card_of, score_number
from cds_wrapper.services.score_card_checks import ROOM, score_card_mistakes, score_word_mistakes
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.yaml_files import Document, read_document
from tests.spec.prevent import CARD as MODEL_CARD
from tests.spec.prevent import WORDING
from tests.unit.services.files import CVD_RISK, spoil, with_inputs

BANDS = """
bands:
  - {id: low, below: 0.05, say: low, indicator: info, card: if_incomplete}
  - id: high
    say: high
    indicator: warning
    selection_behavior: at-most-one
    suggestions:
      - label: Order a lipid panel
        actions:
          - description: "Order: lipid panel"
            resource:
              resourceType: ServiceRequest
              subject: {reference: "Patient/{{context.patientId}}"}
    links:
      - {label: How it is used here, url: https://guidelines.example.org/risk}
cards:
  suggestions: pass
  link_hosts: [guidelines.example.org]
score_card:
  summary: "10-year risk {score} ({band})"
  detail: |
    The risk is **{score}**; from {threshold} on it is called high.

    Calculated without {missing}.
  number: {form: percent, decimals: 1}
"""


def read(text: str = BANDS, protocol: str = "open-inference") -> tuple[Document, ServiceFile]:
    """The shipped service as one of a vendor without cards."""
    shipped = with_inputs(read_folder(CVD_RISK).sources[SERVICE].content.decode())
    start, end = shipped.index("bands:"), shipped.index("identifiers:")
    document, mistakes = read_document("x/service.yaml", (shipped[:start] + text + shipped[end:]).encode())
    assert document is not None
    assert not mistakes
    model, mistakes = validate(document, ServiceFile)
    assert model is not None, mistakes
    vendor = model.vendor.model_copy(update={"protocol": protocol})
    return document, model.model_copy(update={"vendor": vendor})


def mistakes(text: str = BANDS, **members: Any) -> list[Mistake]:
    document, service = read(text)
    vendor = service.vendor.model_copy(update=members)
    service = service.model_copy(update={"vendor": vendor})
    found = [*score_card_mistakes(document, service), *score_word_mistakes(document, service, WORDING)]
    return list(dict.fromkeys(found))


def test_a_whole_score_card_has_no_mistake() -> None:
    assert mistakes() == []


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ("say: high", "say: must act", "bands[1].say", 'says "must"'),
        ("    say: high\n", "", "bands[1].id", "lacks `say`"),
        ("    indicator: warning\n", "", "bands[1].id", "lacks `indicator`"),
        ("risk {score} ({band})", "{score}: give statins", "score_card.summary", "described, not ordered"),
        ("risk {score} ({band})", "risk {score}, unbiased", "score_card.summary", "which no card says"),
        ("risk {score} ({band})", "risk {missing}", "score_card.summary", "may have: {band}, {score}"),
        ("risk {score} ({band})", "risk {score", "score_card.summary", "placeholder"),
        ("risk {score} ({band})", "risk {score.__class__}", "score_card.summary", "placeholder"),
        ("risk {score} ({band})", "x" * ROOM, "score_card.summary", "leave room for the caveat"),
        ("**{score}**", "<b>{score}</b>", "score_card.detail", "markup that no card keeps"),
        ("**{score}**", "![x](https://evil.example/x.png)", "score_card.detail", "markup"),
        ("**{score}**", "[x](https://evil.example/x)", "score_card.detail", "markup"),
        ("Calculated without", "Start treatment.", "score_card.detail", 'says "Start"'),
        ("form: percent", "form: plain", "score_card.number.form", "does not fit a score of the kind"),
        ("suggestions: pass", "suggestions: hold", "bands[1].suggestions[0].actions", "would be held back"),
        ("[guidelines.example.org]", "[]", "bands[1].links[0].url", "`cards.link_hosts` does not list"),
        ("context.patientId", "context.patientID", "bands[1].suggestions[0].actions[0].resource", "holds"),
        ("Order a lipid panel", "A fair choice", "bands[1].suggestions[0].label", "which no card says"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(old: str, new: str, key: str, problem: str) -> None:
    assert old in BANDS
    found = mistakes(BANDS.replace(old, new, 1))
    assert [(one.key, problem in one.problem) for one in found] == [(key, True)], found
    assert all(one.file == "x/service.yaml" and one.line for one in found)


def test_the_labels_of_suggestions_say_what_accepting_them_does() -> None:
    """An order is what a clinician places, not what a card gives."""
    assert "Order a lipid panel" in BANDS
    assert mistakes() == []


def test_a_vendor_without_cards_needs_bands_and_a_card() -> None:
    document, service = read("")
    found = [*score_card_mistakes(document, service)]
    assert {one.key for one in found} == {"vendor.protocol"}
    assert len(found) == 2
    for one, missing in zip(found, ("`bands`", "`score_card`"), strict=True):
        assert missing in one.problem
        assert one.line


def test_a_vendor_that_writes_its_own_cards_needs_none() -> None:
    document, service = read(protocol="cds-hooks")
    assert [one.key for one in score_card_mistakes(document, service)] == ["score_card"]


FLAGS = BANDS + "  flags: {single: {say: One measurement alone scores 3, at_least: high}}\n"


@pytest.mark.parametrize(
    ("text", "flags", "key", "near"),
    [
        (FLAGS, {"single": "x"}, None, None),
        (FLAGS, {}, "score_card.flags.single", None),
        (FLAGS, {"singel": "x"}, "score_card.flags.single", "singel"),
        (BANDS, {"single": "x"}, "vendor.flags", None),
        (FLAGS.replace("at_least: high", "at_least: hihg"), {"single": "x"}, "at_least", "high"),
    ],
)
def test_what_is_looked_for_beside_the_score_is_said_and_lifts_to_a_band_that_exists(
    text: str, flags: Mapping[str, str], key: str | None, near: str | None
) -> None:
    found = mistakes(text, flags=flags)
    assert any(key is not None and key in one.key for one in found) is (key is not None), found
    assert any(one.suggestion == near for one in found) or not found


def test_the_time_zone_must_be_one_that_is_known() -> None:
    shipped = with_inputs(read_folder(CVD_RISK).sources[SERVICE].content.decode())
    document, _ = read_document("x", (shipped + "\ntime_zone: Europe/Atlantis\n").encode())
    assert document is not None
    _, found = validate(document, ServiceFile)
    assert ["no time zone" in one.problem for one in found] == [True]


def test_the_card_is_built_as_it_is_written() -> None:
    card = score_card_of(read(FLAGS)[1], MODEL_CARD, WORDING)
    assert card is not None
    assert card.threshold == "7.5 %"
    assert card.number.text(0.0746) == "7.46 %"
    assert (card.bands["low"].speaks, card.bands["high"].selection) == (Speaks.IF_INCOMPLETE, "at-most-one")
    assert card.bands["high"].suggestions[0].actions[0].resource["resourceType"] == "ServiceRequest"
    assert card.flags == {"single": "One measurement alone scores 3"}
    assert score_card_of(read("", "cds-hooks")[1], MODEL_CARD, WORDING) is None


def test_what_the_site_does_not_say_is_said_in_a_line_of_ours() -> None:
    file = read()[1].score_card
    assert file is not None
    assert paragraphs(file, WORDING) == (
        "The risk is **{score}**; from {threshold} on it is called high.",
        "Calculated without {missing}.",
        "{flags}.",
        "The score is from {score_at}.",
    )


def test_without_a_form_a_probability_is_a_whole_per_cent_and_anything_else_a_whole_number() -> None:
    service = read(BANDS.replace("  number: {form: percent, decimals: 1}\n", ""))[1]
    assert score_number(service).text(0.123) == "12 %"
    score = service.vendor.score
    assert score is not None
    vendor = service.vendor.model_copy(update={"score": score.model_copy(update={"kind": "index"})})
    assert score_number(service.model_copy(update={"vendor": vendor})).text(12.0) == "12"


INPUT = """
features:
  pulse:
    label: pulse
    prefetch: bmi
    codes: ["http://loinc.org|8867-4"]
    unit: /min
    if_missing: counted_as_normal
"""


def test_a_band_is_not_silent_where_a_missing_input_counts_as_normal() -> None:
    silent = BANDS.replace("card: if_incomplete", "card: none")
    assert mistakes(silent) == []
    (found,) = mistakes(silent + INPUT)
    assert (found.key, "write `if_incomplete`" in found.problem) == ("bands[0].card", True)
    omitted = INPUT.replace("counted_as_normal", "omitted")
    assert mistakes(silent + omitted) == []


def spoil_card(new: str) -> list[tuple[str, str]]:
    old = 'fhir_path: "Observation, LOINC 2085-9 or 14646-4", is_demographic: false}'
    spoilt = spoil("model_card", old, old[:-1] + ", measured_less_well: [" + new + "]}")
    return [(one.key, one.problem) for one in spoilt.mistakes if one.key.startswith("inputs")]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{where: {race: [black]}, source: x}", None),
        ("{where: {}, source: x}", "names nobody"),
        ("{where: {race: [balck]}, source: x}", "no group of `race`"),
        ("{where: {race: [black]}, direction: too_low, source: x}", "one of: scores_too_low"),
        ("{where: {race: [black]}, source: x, recheck: a b c d e f g h i j k l m}", "more than 12 words"),
        ("{where: {race: [black]}}", "is missing"),
    ],
)
def test_a_group_in_which_an_input_is_measured_less_well_is_one_that_is_told_apart(
    rule: str, problem: str | None
) -> None:
    found = spoil_card(rule)
    assert [problem is not None and problem in one for _, one in found] == ([True] if problem else [])


def test_a_rule_about_no_input_of_the_service_is_worth_a_second_look() -> None:
    folder = read_folder(CVD_RISK)
    old = '2085-9 or 14646-4", is_demographic: false}'
    new = old[:-1] + ", measured_less_well: [{where: {race: [black]}, source: x}]}"
    card = folder.sources[CARD].content.decode().replace(old, new)
    sources = {**folder.sources, CARD: SourceFile(CARD, "x", card.encode())}
    keys = [one.key for one in warnings_about(read_service(sources, folder.table))]
    assert "inputs[3].measured_less_well" in keys
